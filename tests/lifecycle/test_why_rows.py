"""The rows of an investigation: what it knows of each is what was known at its moment, and as it then stood."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from backstay import Ask, Entity, EventSource, FeatureSet, Label, Latest, Model, Request
from backstay.core.times import DAY, HOUR
from backstay.definitions.experiments import Metric
from backstay.lifecycle.why.rows import business, label_waits, of_asked
from tests.lifecycle.signalled import START, Watched, made

payments = EventSource(
    "payments", schema={"pay": "string", "trip": "string", "amount": "float"}, event_time="at", event_id="pay",
    delay="5d",
)  # fmt: skip
FRAME = pl.DataFrame({"at": [START], "trip": ["a"]})


def _put(watched: Watched, source: str, *rows: tuple[int, int, dict[str, Any]]) -> None:
    """Append events: when each happened and became known, after the start."""
    told = [{"event_time": START + at, "known_time": START + known, **cells} for at, known, cells in rows]
    instants = pl.col("event_time", "known_time").cast(pl.Datetime("us", "UTC"))
    watched.records.events.append(source, pl.DataFrame(told).with_columns(instants))


def _paid(watched: Watched, after: int) -> float:
    return float(business(watched.records, watched.model, FRAME, START + after, {"payments": payments})[0])


def test_what_pays_is_counted_as_it_stands_after_its_corrections() -> None:
    watched = Watched(made(business=Metric("payments.amount", better="higher", within="2d")))
    paid = {"pay": "p1", "trip": "a"}
    _put(
        watched, "payments", (HOUR, HOUR, {**paid, "amount": 100.0}), (HOUR, 3 * HOUR, {**paid, "amount": 40.0}),
        (2 * HOUR, 2 * HOUR, {"pay": None, "trip": "a", "amount": 1.0}),
    )  # fmt: skip
    assert _paid(watched, 10 * DAY) == 41.0
    assert np.isnan(business(watched.records, watched.model, FRAME, START + 10 * DAY, {})[0])  # of no declared source


def test_what_pays_is_not_0_before_it_can_be_known() -> None:
    watched = Watched(made(business=Metric("payments.amount", better="higher", within="2d")))
    _put(watched, "payments", (HOUR, 4 * DAY, {"pay": "p1", "trip": "a", "amount": 100.0}))
    assert np.isnan(_paid(watched, 3 * DAY))
    assert np.isnan(_paid(watched, 7 * DAY - 1))
    assert _paid(watched, 7 * DAY) == 100.0


def test_a_corrected_outcome_came_when_it_first_was_known() -> None:
    told = EventSource(
        "told", schema={"note": "string", "trip": "string", "late": "bool"}, event_time="at", event_id="note"
    )
    features = FeatureSet("f", [Latest(told, by=Entity("trip"), before="late"), Request(miles="float")])
    asked = EventSource("asked", schema={"trip": "string", "miles": "float"}, event_time="at")
    label = Label("late", source=told, key="trip", occurs=pl.col("late"), horizon="1d")
    watched = Watched(Model("late", features=features, label=label, ask=Ask(asked), estimator=object))
    frame = pl.DataFrame({"at": [START] * 3, "trip": ["a", "b", "c"]})
    _put(watched, "told", *(
        (HOUR, known * HOUR, {"note": trip, "trip": trip, "late": late})
        for trip, known, late in (("a", 1, True), ("a", 9, False), ("b", 1, False), ("b", 9, True), ("c", 1, True),
                                  ("c", 9, True))
    ))  # fmt: skip
    waits = label_waits(watched.records, watched.model, frame, START + DAY) / HOUR
    assert np.isnan(waits[0])
    assert waits[1:].tolist() == [9.0, 1.0]


def test_what_was_asked_is_the_nearest_before_its_moment_as_known_then() -> None:
    watched = Watched()
    frame = pl.DataFrame({"at": [START + DAY, START, START, START], "trip": ["a", "a", "b", None]})

    def asked(as_of: int) -> list[float | None]:
        found = of_asked(watched.records, watched.model, frame, ["miles"], START + as_of)
        return found.get_column("miles").to_list()

    assert asked(DAY) == [None] * 4  # no event of the source ever came
    cells = {"trip": "a", "place": "x"}
    _put(watched, "asked", (0, 0, {**cells, "miles": 1.0}), (DAY, DAY, {**cells, "miles": 2.0}),
         (1, 1, {**cells, "trip": "b", "miles": 3.0}))  # fmt: skip
    before = asked(2 * DAY)
    assert before == [2.0, 1.0, 3.0, None]
    # Somebody asks about the same again, and an event comes late: what was known on day 2 is as it was.
    _put(watched, "asked", (9 * DAY, 9 * DAY, {**cells, "miles": 8.0}), (HOUR, 9 * DAY, {**cells, "miles": 9.0}))
    assert asked(2 * DAY) == before
    assert asked(9 * DAY) == before
