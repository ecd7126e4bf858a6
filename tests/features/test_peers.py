"""Defects that were seen in other feature stores, each named, and shown not to be here: offline and online alike."""

from __future__ import annotations

import math
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from backstay.core.times import DAY, HOUR, instant
from backstay.definitions import (
    Count,
    Derived,
    Entity,
    EventSource,
    FeatureSet,
    Latest,
    Max,
    Min,
    Request,
    Std,
    Sum,
    Windowed,
)
from backstay.features.backfill import backfill
from backstay.features.historical import historical
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.online import OnlineWriter
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline

UTC_TIME = pl.Datetime("us", "UTC")
T0 = instant("2024-05-01T00:00Z")
SOURCE = EventSource("pays", schema={"a": "string", "b": "string", "x": "float"}, known_time="known_time")
A, PAIR = Entity("a"), Entity("pair", keys=["a", "b"])


class Store:
    """A record and an online state, filled with the same events; what either says must be the same."""

    def __init__(self, features: FeatureSet) -> None:
        self.features, self.record, self.state = features, MemoryEvents(), MemoryOnline()

    def add(self, *events: tuple[int, int, str, str, float | None]) -> Store:
        """(event_time, known_time, a, b, x)"""
        schema = {"event_time": pl.Int64, "known_time": pl.Int64, **SOURCE.schema}
        frame = pl.DataFrame(list(events), schema=schema, orient="row")
        self.record.append(SOURCE.name, frame.with_columns(pl.col("event_time", "known_time").cast(UTC_TIME)))
        backfill([self.features], self.record, self.state, until=None, progress=lambda *_: None)
        return self

    def ask(self, at: int, a: str = "k", b: str = "k", **fields: Any) -> dict[str, tuple[Any, str]]:
        frame = pl.DataFrame({"at": [at], "a": [a], "b": [b], **{name: [value] for name, value in fields.items()}})
        offline = historical(self.features, frame, self.record, statuses=True).frame
        found = OnlineLookup(self.features, self.state).lookup([Asked({"a": a, "b": b}, fields, at)]).rows
        names = [feature.name for feature in self.features]
        assert found.frame().rows()[0] == offline.select(names).rows()[0]
        assert [Status(code).name for code in found.statuses[0]] == [offline[f"{name}__status"][0] for name in names]
        return {name: (offline[name][0], offline[f"{name}__status"][0]) for name in names}


def test_feast_max_and_min_over_tiled_windows_are_cumulative_sums() -> None:
    """Feast 0.66: 10, 20, 30, 5, 7 hourly in a window of 2 h: max and min are both 10, 30, 60, 65, 72."""
    store = Store(FeatureSet("f", [Windowed(SOURCE, by=A, over="2h", high=Max("x"), low=Min("x"))]))
    values = [10.0, 20.0, 30.0, 5.0, 7.0]
    store.add(*((T0 + n * HOUR, T0 + n * HOUR, "k", "k", x) for n, x in enumerate(values)))
    got = [store.ask(T0 + n * HOUR + 1) for n in range(5)]
    assert [one["a_high_2h"][0] for one in got] == [10, 20, 30, 30, 7]
    assert [one["a_low_2h"][0] for one in got] == [10, 10, 20, 5, 5]


def test_feast_std_is_the_mean() -> None:
    store = Store(FeatureSet("f", [Windowed(SOURCE, by=A, over="1d", s=Std("x"))]))
    values = [2.0, 4.0, 4.0, 9.5]
    store.add(*((T0 + n, T0 + n, "k", "k", x) for n, x in enumerate(values)))
    assert math.isclose(store.ask(T0 + HOUR)["a_s_1d"][0], statistics.stdev(values), rel_tol=1e-15)


def test_feast_a_row_whose_features_are_all_expired_vanishes() -> None:
    features = FeatureSet("f", [Latest(SOURCE, by=A, max_age="1h", x="x")])
    record = Store(features).add((T0, T0, "k", "k", 1.0)).record
    frame = pl.DataFrame({"at": [T0 + DAY, T0 + HOUR, T0 + DAY], "a": ["k", "k", "unknown"]})
    got = historical(features, frame, record, statuses=True).frame
    assert got["a_x"].to_list() == [None, 1.0, None]
    assert got["a_x__status"].to_list() == ["EXPIRED", "OK", "MISSING"]


def test_feast_label_rows_are_lost() -> None:
    """Feast 0.67 on dask lost 731 of 100,000 label rows: duplicates, ties and unknown entities among them."""
    features = FeatureSet("f", [Latest(SOURCE, by=A, x="x"), Windowed(SOURCE, by=PAIR, over="1d", n=Count())])
    record = (
        Store(features).add(*((T0 + n % 7, T0 + n % 5, str(n % 11), str(n % 3), float(n)) for n in range(500))).record
    )
    at = [T0 + n % 9 for n in range(10_000)]
    frame = pl.DataFrame(
        {"at": at, "a": [str(n % 13) for n in range(10_000)], "b": ["0"] * 10_000, "row": range(10_000)}
    )
    got = historical(features, frame, record).frame
    assert got.select(frame.columns).equals(frame)


def test_feast_composite_keys_collide() -> None:
    store = Store(FeatureSet("f", [Latest(SOURCE, by=PAIR, x="x")]))
    store.add((T0, T0, "1", "12", 1.0), (T0, T0, "11", "2", 2.0))
    assert store.ask(T0 + 1, "1", "12")["pair_x"] == (1.0, "OK")
    assert store.ask(T0 + 1, "11", "2")["pair_x"] == (2.0, "OK")
    assert store.ask(T0 + 1, "1", "2")["pair_x"] == (None, "MISSING")


def test_feast_ttl_is_ignored_online() -> None:
    """feast#6821; `ask` holds the online answer to the offline one."""
    store = Store(FeatureSet("f", [Latest(SOURCE, by=A, max_age="1h", x="x")])).add((T0, T0, "k", "k", 1.0))
    assert store.ask(T0 + HOUR)["a_x"] == (1.0, "OK")
    assert store.ask(T0 + HOUR + 1)["a_x"] == (None, "EXPIRED")


def test_feast_late_rows_are_missed_by_incremental_runs() -> None:
    """feast#4133, #6615: a row that happened before the last run, and came after it."""
    store = Store(
        FeatureSet("f", [Windowed(SOURCE, by=A, over="1d", n=Count(), total=Sum("x")), Latest(SOURCE, by=A, x="x")])
    )
    store.add((T0, T0, "k", "k", 1.0), (T0 + 5 * HOUR, T0 + 5 * HOUR, "k", "k", 2.0))
    assert store.ask(T0 + 6 * HOUR)["a_n_1d"] == (2, "OK")
    store.add((T0 + HOUR, T0 + 7 * HOUR, "k", "k", 4.0))
    late = store.ask(T0 + 8 * HOUR)
    assert (late["a_n_1d"], late["a_total_1d"]) == ((3, "OK"), (7.0, "OK"))
    assert late["a_x"] == (2.0, "OK")  # late data never overwrites newer data


def test_feast_a_labels_own_event_is_visible_to_it() -> None:
    """ts <= T there; event_time < T here."""
    store = Store(FeatureSet("f", [Latest(SOURCE, by=A, x="x"), Windowed(SOURCE, by=A, over="1h", n=Count())]))
    store.add((T0, T0 - DAY, "k", "k", 9.0))
    assert store.ask(T0) == {"a_x": (None, "MISSING"), "a_n_1h": (0, "MISSING")}
    assert store.ask(T0 + 1)["a_x"] == (9.0, "OK")


def test_feast_on_demand_views_return_other_columns_offline_than_online() -> None:
    """feast#4479, #6099; `ask` compares columns in their order, with values."""
    features = FeatureSet(
        "f",
        [
            Latest(SOURCE, by=A, x="x"),
            Request(amount="float"),
            Derived(unused=pl.col("amount") * 2, ratio=pl.col("amount") / pl.col("a_x")),
        ],
    )
    got = Store(features).add((T0, T0, "k", "k", 4.0)).ask(T0 + 1, amount=2.0)
    assert list(got) == ["a_x", "amount", "unused", "ratio"]
    assert got["ratio"] == (0.5, "OK")


@pytest.mark.parametrize(("age", "counted"), [(30 * DAY - 1, 1), (30 * DAY, 1), (30 * DAY + 1, 0), (31 * DAY - 1, 0)])
def test_chronons_thirty_days_are_thirty_to_thirty_one(age: int, counted: int) -> None:
    store = Store(FeatureSet("f", [Windowed(SOURCE, by=A, over="30d", n=Count())])).add((T0, T0, "k", "k", 1.0))
    assert store.ask(T0 + age)["a_n_30d"] == (counted, "OK")


def test_a_coarse_window_is_named_for_it() -> None:
    store = Store(FeatureSet("f", [Windowed(SOURCE, by=A, over="30d", hop="1d", n=Count())])).add(
        (T0, T0, "k", "k", 1.0)
    )
    assert store.ask(T0 + 31 * DAY - 1)["a_n_30d_hop_1d"] == (1, "OK")
    assert store.ask(T0 + 31 * DAY)["a_n_30d_hop_1d"] == (0, "OK")


def test_prefix_sums_differ_from_direct_sums() -> None:
    """Prefix sums of floats equal a direct sum bit for bit on 0.02% of rows; here always, in any order."""
    values = [0.1 * n * (-1) ** n + 1e6 / (n + 1) for n in range(300)]
    store = Store(FeatureSet("f", [Windowed(SOURCE, by=A, over="50s", total=Sum("x"))]))
    store.add(*((T0 + n * 1_000_000, T0 + n * 1_000_000, "k", "k", x) for n, x in enumerate(values)))
    for n in range(0, 300, 7):
        assert store.ask(T0 + n * 1_000_000)["a_total_50s"][0] == math.fsum(values[max(n - 50, 0) : n])


def test_polars_divides_a_lone_row_by_another_route() -> None:
    features = FeatureSet(
        "f", [Request(amount="float"), Derived(part=pl.col("amount") / 7, other=pl.col("amount") / 3)]
    )
    amounts = [0.1 * n for n in range(200)]
    frame = pl.DataFrame({"at": [T0] * 200, "amount": amounts})
    whole = historical(features, frame, MemoryEvents()).frame
    state = MemoryOnline()
    OnlineWriter(state, [features])
    lookup = OnlineLookup(features, state)
    alone = pl.concat([lookup.lookup([Asked({}, {"amount": amount}, T0)]).rows.frame() for amount in amounts])
    for name in ("part", "other"):
        assert whole[name].reinterpret(signed=True).equals(alone[name].reinterpret(signed=True))


def test_calendar_features_on_the_days_the_clocks_change() -> None:
    zone = ZoneInfo("America/New_York")
    local = pl.col("when").dt.convert_time_zone("America/New_York")
    features = FeatureSet("f", [Request(when="datetime"), Derived(hour=local.dt.hour(), day=local.dt.weekday())])
    lookup = OnlineLookup(features, MemoryOnline())
    for change in (datetime(2013, 3, 10, tzinfo=UTC), datetime(2013, 11, 3, tzinfo=UTC)):
        moments = [change + timedelta(minutes=20 * n) for n in range(100)]
        frame = pl.DataFrame({"at": [T0] * 100, "when": moments}, schema_overrides={"when": UTC_TIME})
        offline = historical(features, frame, MemoryEvents()).frame
        found = lookup.lookup([Asked({}, {"when": instant(moment)}, T0) for moment in moments]).rows.frame()
        want = [(moment.astimezone(zone).hour, moment.astimezone(zone).isoweekday()) for moment in moments]
        assert offline.select("hour", "day").rows() == found.select("hour", "day").rows() == want
