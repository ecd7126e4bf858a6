"""Parity holds for what was served, and breaks when one event, one bit or one watermark is not what it was."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest

from backstay.cli import main
from backstay.core.times import instant
from backstay.lifecycle.verify import ParityReport
from backstay.project import Project
from backstay.storage.backends.local import LocalEvents, LocalPredictions
from backstay.storage.predictions import Prediction
from tests.serving import shop

VECTOR_FROM_LATE = {"shop_late_1d", "shop_late_7d"}


def _verify(path: Path) -> ParityReport:
    return Project(path).verify("late")


def _rewrite_events(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """The record as if it had been another one: a table of its own, appended to by the store itself."""
    folder = path / ".backstay" / "events"
    table = LocalEvents(folder).read("orders").drop("sequence")
    shutil.rmtree(folder / "orders")
    LocalEvents(folder).append("orders", change(table))


def _rewrite_predictions(path: Path, change: Callable[[int, Prediction], Prediction]) -> None:
    logged = shop.logged(path)
    folder = path / ".backstay" / "predictions"
    shutil.rmtree(folder)
    log = LocalPredictions(folder)
    log.append([change(place, one) for place, one in enumerate(logged)])
    log.close()


def _flip(column: str, row: pl.Expr, value: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda table: table.with_columns(pl.when(row).then(value).otherwise(pl.col(column)).alias(column))


def test_what_was_served_is_what_the_record_says(served: Path) -> None:
    report = _verify(served)
    assert report.checked == report.equal == report.logged == len(shop.logged(served)) > 250
    assert report.holds
    assert not report.features
    assert {status for one in shop.logged(served) for status in one.statuses} >= {0, 1}
    assert len({tuple(one.watermark.items()) for one in shop.logged(served)}) > 10


def test_the_rewritten_record_is_the_same_record(life: Path) -> None:
    """The control: what the tests below do to the records does nothing by itself."""
    _rewrite_events(life, lambda table: table)
    _rewrite_predictions(life, lambda _, one: one)
    assert _verify(life).holds


def test_a_sample_is_taken_by_what_was_asked(served: Path, life: Path) -> None:
    _rewrite_predictions(life, lambda place, one: msgspec.structs.replace(one, id=f"{place:032x}"))
    assert Project(served).verify("late", sample=40).checked == 40
    project = Project(life)
    assert project.verify("late", sample=10_000).checked == len(shop.logged(served))


@pytest.mark.parametrize(
    ("column", "value", "names"),
    [
        ("late", ~pl.col("late"), VECTOR_FROM_LATE),
        ("size", pl.col("size") + 2**-30, {"counter_size_1d", "shop_last_size", "size_ratio"}),
        ("shop", pl.lit("elsewhere"), VECTOR_FROM_LATE | {"shop_orders_1d", "shop_orders_7d"}),
        ("event_time", pl.col("event_time") - timedelta(days=9), {"shop_orders_7d", "counter_size_1d"}),
    ],
)
def test_one_event_that_is_another_breaks_it(life: Path, column: str, value: pl.Expr, names: set[str]) -> None:
    chosen = pl.int_range(pl.len()) == 2000  # 21 February: in the middle of what was served
    _rewrite_events(life, _flip(column, chosen, value))
    report = _verify(life)
    assert not report.holds
    assert names <= report.features.keys()
    assert report.features.keys() <= names | {"score", "decision", *report_names()}
    assert 0 < report.equal < report.checked
    told = report.examples[0]["differs"]
    assert all(one["logged"] != one["recomputed"] for one in told.values())
    untouched = {"size", "items", "gift", "due", "channel", "note", "hour", "web"}
    assert not untouched & report.features.keys()


def report_names() -> set[str]:
    """Every feature that rests on events."""
    return {
        "shop_late_1d", "shop_late_7d", "shop_orders_1d", "shop_orders_7d", "counter_size_1d", "shop_last_size",
        "size_ratio",
    }  # fmt: skip


def test_an_event_that_was_never_there_breaks_it(life: Path) -> None:
    _rewrite_events(life, lambda table: table.filter(pl.int_range(pl.len()) != 2000))
    assert "shop_orders_7d" in _verify(life).features


def test_the_command_says_so_with_its_exit_code(life: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _rewrite_events(life, _flip("late", pl.int_range(pl.len()) == 2000, ~pl.col("late")))
    assert main(["features", "verify", "--model", "late", "--project", str(life)]) == 1
    assert "shop_late_7d" in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("score", "score"), ("decision", "decision"), ("value", "shop_late_7d"), ("status", "shop_last_size"),
        ("null", "shop_last_size"), ("watermark", "shop_orders_7d"), ("at", "shop_orders_7d"),
    ],
)  # fmt: skip
def test_one_bit_of_one_logged_prediction_breaks_it(life: Path, what: str, name: str) -> None:
    features = [feature.name for feature in Project(life).model("late").features]

    def change(place: int, one: Prediction) -> Prediction:
        if place != 150:
            return one
        values, statuses = list(one.values), bytearray(one.statuses)
        here = features.index(name) if name in features else 0
        if what == "value":
            values[here] = math.nextafter(values[here], 2)
        elif what == "null":
            values[here] = None
        elif what == "status":
            statuses[here] ^= 1
        changed = {
            "score": {"score": math.nextafter(one.score, 2)},
            "decision": {"decision": not one.decision},
            "watermark": {"watermark": {"orders": one.watermark["orders"] - 400}},
            "at": {"at": instant("2024-01-20")},
        }
        return msgspec.structs.replace(one, **changed.get(what, {"values": values, "statuses": bytes(statuses)}))

    _rewrite_predictions(life, change)
    report = _verify(life)
    assert report.checked - report.equal == 1
    assert report.features[name] == 1
    assert report.examples[0]["prediction_id"] == shop.logged(life)[150].id


def test_an_event_that_comes_late_does_not_break_it(life: Path) -> None:
    """Known at T by its own word, yet appended after the answer: the watermark says that it was not read."""
    folder = life / ".backstay" / "events"
    table = LocalEvents(folder).read("orders").drop("sequence")
    late = table[1990:2000].with_columns(pl.col("late").not_(), size=pl.lit(1e6))
    LocalEvents(folder).append("orders", late)
    assert _verify(life).holds
    # the same prediction, had it claimed to have read them
    _rewrite_predictions(life, lambda _, one: msgspec.structs.replace(one, watermark={"orders": 10_000}))
    assert "shop_orders_7d" in _verify(life).features


def test_a_live_server_that_lags_behind_the_record_keeps_parity(path: Path) -> None:
    def row(table: pl.DataFrame, moment: int) -> pl.DataFrame:
        time = pl.lit(moment).cast(pl.Datetime("us", "UTC"))
        return table.with_columns(event_time=time, known_time=time)

    project = Project(path)
    one = project.services.events.read("orders")[1:2].drop("sequence")  # shop1, counter 1
    with shop.Server(path) as server:
        now = project.clock.now() - 60_000_000
        project.services.events.append("orders", row(one, now))
        lagging = server.predict(shop.live())[1]
        assert server.push(shop.event(event_time="2026-01-01T00:00:00Z"))[0] == 200
        caught_up = server.predict(shop.live())[1]
    watermarks = {one.id: one.watermark["orders"] for one in shop.logged(path)}
    assert watermarks == {lagging["prediction_id"]: 2400, caught_up["prediction_id"]: 2402}
    report = _verify(path)
    assert (report.checked, report.holds) == (2, True), report.as_dict()
    logged = shop.logged(path)
    assert logged[0].values[1] == 0  # shop_orders_1d
    assert logged[1].values[1] >= 1


def test_a_tampered_model_stops_the_proof(life: Path) -> None:
    shop.tamper(shop.model_file(life, 1))
    with pytest.raises(Exception, match="was changed"):
        _verify(life)
