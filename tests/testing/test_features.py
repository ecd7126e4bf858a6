"""`features_at`: a feature set on a handful of events."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from backstay import Count, Derived, Entity, EventSource, FeatureSet, Latest, Mean, Request, Windowed
from backstay.core.errors import InputError
from backstay.testing import features_at

shop = Entity("shop")
orders = EventSource("orders", schema={"shop": "string", "size": "float"}, event_time="paid", delay="5m")
reviews = EventSource("reviews", schema={"shop": "string", "text": "string"}, known_time="seen")
features = FeatureSet(
    "shops",
    [
        Windowed(orders, by=shop, over="1h", n=Count(), size=Mean("size")),
        Latest(reviews, by=shop, text="text"),
        Request(size="float"),
        Derived(ratio=pl.col("size") / pl.col("shop_size_1h")),
    ],
    defaults={"shop_text": "-"},
)
DAY = "2024-05-01T"


def test_one_line() -> None:
    paid = {"paid": DAY + "11:30Z", "shop": "a", "size": 4.0}
    got = features_at(features, DAY + "12:00Z", {orders: [paid]}, shop="a", size=8.0)
    assert got == {"shop_n_1h": 1, "shop_size_1h": 4.0, "shop_text": "-", "size": 8.0, "ratio": 2.0}
    assert got.statuses == {
        "shop_n_1h": "OK", "shop_size_1h": "OK", "shop_text": "MISSING", "size": "OK", "ratio": "OK",
    }  # fmt: skip


def test_a_delay_and_a_known_time_hold() -> None:
    paid = {"paid": DAY + "11:58Z", "shop": "a", "size": 4.0}
    assert (
        features_at(features, DAY + "12:00Z", {orders: [paid]}, shop="a", size=1.0).statuses["shop_n_1h"] == "MISSING"
    )
    assert features_at(features, DAY + "12:03Z", {orders: [paid]}, shop="a", size=1.0)["shop_n_1h"] == 1
    late = {"event_time": DAY + "11:00Z", "seen": DAY + "13:00Z", "shop": "a", "text": "good"}
    assert features_at(features, DAY + "12:59Z", {reviews: [late]}, shop="a", size=1.0)["shop_text"] == "-"
    assert features_at(features, DAY + "13:00Z", {reviews: [late]}, shop="a", size=1.0)["shop_text"] == "good"


@pytest.mark.parametrize(
    ("events", "asked", "said"),
    [
        ({orders: [{"shop": "a"}]}, {}, "has no 'paid'"),
        ({orders: [{"paid": DAY + "11:00Z", "shp": "a"}]}, {}, "unknown column 'shp'"),
        ({orders: [{"paid": DAY + "11:00Z", "size": "far"}]}, {}, "'size' does not fit"),
        ({orders: [{"paid": DAY + "11:00"}]}, {}, "has no time zone"),
        ({EventSource("others", schema={"x": "int"}): []}, {}, "reads no source 'others'"),
        ({}, {"shp": "a"}, "'shp' is neither a key nor an input"),
        ({}, {"shop": "a"}, "'size' is null in row 0"),
        ({orders: {"paid": DAY + "11:00Z"}}, {}, "no list of mappings"),
        ({orders: ["paid"]}, {}, "no list of mappings"),
        ({orders: iter([])}, {}, "no list of mappings"),
        ({"orders": []}, {}, "events are given by 'orders'"),
        ({orders: [{"paid": None}]}, {}, "has no 'paid'"),
        ({orders: [{"paid": 1.5}]}, {}, "1.5 is not an instant"),
    ],
)
def test_mistakes(events: dict, asked: dict, said: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InputError, match=said):
        features_at(features, DAY + "12:00Z", events, **asked)


def test_naive_times_are_in_the_zone_that_the_source_declares() -> None:
    local = EventSource("local", schema={"shop": "string", "due": "datetime"}, timezone="Europe/Berlin")
    dues = FeatureSet("dues", [Windowed(local, by=shop, over="1h", n=Count()), Latest(local, by=shop, due="due")])
    told = [{"event_time": DAY + "13:30", "shop": "a", "due": DAY + "18:00"}]
    got = features_at(dues, DAY + "12:00Z", {local: told}, shop="a")
    assert got == {"shop_n_1h": 1, "shop_due": datetime(2024, 5, 1, 16, tzinfo=UTC)}
    twice = [{"event_time": "2024-10-27T02:30", "shop": "a"}]
    with pytest.raises(InputError, match="that occurs once"):
        features_at(dues, DAY + "12:00Z", {local: twice}, shop="a")
