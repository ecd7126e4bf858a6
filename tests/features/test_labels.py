"""Labels joined to what was asked: what voids an outcome is corrected as outcomes are."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from backstay.core.times import HOUR
from backstay.definitions import EventSource, Label
from backstay.features.ingest import prepare
from backstay.features.labels import join_labels
from backstay.storage.backends.memory import MemoryEvents
from tests.features.world import START, TIME

SCHEMA = {"id": "string", "flight": "string", "delay": "float"}
LANDED = EventSource("landed", schema=SCHEMA, known_time="known", event_id="id")
CANCELLED = EventSource("cancelled", schema={"id": "string", "flight": "string"}, known_time="known", event_id="id")
LATE = Label("late", source=LANDED, key="flight", value=pl.col("delay") >= 30, horizon="3h", void=CANCELLED)


def record(cancelled: list[tuple[float, float, str | None, str]]) -> MemoryEvents:
    """x and y landed late two hours after START; cancelled: hours after START it happened and was known, id, flight."""
    events = MemoryEvents()
    for source, rows in (
        (LANDED, [(2.0, 2.0, "a", "x", 50.0), (2.0, 2.0, "b", "y", 50.0)]),
        (CANCELLED, cancelled),
    ):
        kinds = {"event_time": pl.Float64, "known": pl.Float64, **source.schema}
        frame = pl.DataFrame(rows, schema=kinds, orient="row")
        times = ((pl.col("event_time", "known") * HOUR).cast(pl.Int64) + START).cast(TIME)
        events.append(source.name, prepare(source, frame.with_columns(times)))
    return events


def void(events: MemoryEvents, hours: float, at: float = 0.0) -> dict[str, bool]:
    """Which flights are void as of so many hours after START, asked `at` hours after it."""
    asked = pl.DataFrame({"at": [START + int(at * HOUR)] * 2, "flight": ["x", "y"]})
    joined = join_labels(asked, LATE, events, as_of=START + int(hours * HOUR))
    assert joined.get_column("label").is_null().to_list() == joined.get_column("void").to_list()
    return dict(joined.select("flight", "void").iter_rows())


def test_a_void_event_that_was_corrected_voids_what_its_highest_version_says() -> None:
    events = record([(0.5, 0.5, "v", "x"), (0.5, 2.5, "v", "y")])
    assert void(events, 2.4) == {"x": True, "y": False}
    assert void(events, 2.5) == {"x": False, "y": True}


def test_a_correction_counts_from_when_it_is_known_though_its_event_lies_ahead() -> None:
    """A cancellation has the time of the departure."""
    events = record([(5.0, 0.5, "v", "x"), (5.0, 2.5, "v", "y")])
    assert void(events, 2.4) == {"x": True, "y": False}
    assert void(events, 4) == {"x": False, "y": True}


def test_an_outcome_at_the_very_moment_counts_by_its_highest_version() -> None:
    events = MemoryEvents()
    rows = [(2.0, 1.0, "a", "x", 50.0), (2.0, 2.0, "a", "x", 5.0)]
    frame = pl.DataFrame(
        rows, schema={"event_time": pl.Float64, "known": pl.Float64, **LANDED.schema}, orient="row"
    ).with_columns(((pl.col("event_time", "known") * HOUR).cast(pl.Int64) + START).cast(TIME))
    events.append("landed", prepare(LANDED, frame))
    events.append("cancelled", prepare(CANCELLED, frame.drop("delay").clear()))
    asked = pl.DataFrame({"at": [START], "flight": ["x"]})
    assert join_labels(asked, LATE, events, as_of=START + 2 * HOUR).get_column("label").to_list() == [False]


def test_void_events_without_an_id_are_each_their_own() -> None:
    assert void(record([(0.5, 0.5, None, "x"), (0.5, 1.0, None, "y")]), 4) == {"x": True, "y": True}


def test_what_voids_may_happen_before_the_question_and_after_the_horizon() -> None:
    before, after = record([(-48.0, -48.0, "v", "x")]), record([(200.0, 200.0, "v", "x")])
    assert void(before, 4) == {"x": True, "y": False}
    assert void(after, 199) == {"x": False, "y": False}
    assert void(after, 201) == {"x": True, "y": False}


@pytest.mark.parametrize("what", [{"occurs": True}, {"value": pl.lit(True)}])
def test_a_row_is_not_mature_before_what_voids_it_would_be_known(what: dict[str, Any]) -> None:
    landed = EventSource("landed", schema={"flight": "string"})
    cancelled = EventSource("cancelled", schema={"flight": "string"}, delay="2d")
    label = Label("landed", source=landed, key="flight", horizon="3h", void=cancelled, **what)
    events = MemoryEvents()
    for source, flights in ((landed, ["x", "y"]), (cancelled, ["y", "z"])):
        frame = pl.DataFrame({"flight": flights}).with_columns(event_time=pl.lit(START + HOUR).cast(TIME))
        events.append(source.name, prepare(source, frame))
    asked = pl.DataFrame({"at": [START] * 3, "flight": ["x", "y", "z"]})

    def told(hours: float) -> list[tuple[Any, ...]]:
        joined = join_labels(asked, label, events, as_of=START + int(hours * HOUR))
        return joined.select("label", "void", "mature").rows()

    assert label.maturity == 51 * HOUR
    assert told(4) == [(True, False, False), (True, False, False), (None, False, False)]
    assert told(51) == [(True, False, True), (None, True, True), (None, True, True)]
    assert Label("landed", source=cancelled, key="flight", horizon="3h", void=landed, **what).maturity == 51 * HOUR
