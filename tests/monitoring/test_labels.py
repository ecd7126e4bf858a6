"""What labels say so far: on labels that come late, twice, too early, too late, or never."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from backstay.core.times import DAY, HOUR, SECOND, duration
from backstay.definitions import EventSource, Label
from backstay.evaluation import Insufficient, Interval
from backstay.evaluation.maturity import Maturity
from backstay.evaluation.states import State
from backstay.features.labels import join_labels
from backstay.monitoring.labels import label_report
from backstay.storage.backends.memory import MemoryEvents

START = 1_364_774_400_000_000  # midnight
SCHEMA = {"order": "string", "late": "bool"}
SOURCE = EventSource("deliveries", schema=SCHEMA, known_time="known_time")
VOIDED = EventSource("cancelled", schema={"order": "string"})
LABEL = Label("late", source=SOURCE, key="order", value=pl.col("late"), horizon="10d", void=VOIDED)
ARRIVES = Label("arrives", source=SOURCE, key="order", occurs=pl.col("late"), horizon="10d")

Row = tuple[str, int, int, bool]


def record(rows: list[Row], voided: list[tuple[str, int]] = []) -> MemoryEvents:  # noqa: B006 - it is only read
    """Outcomes as (order, happened, known, late), in microseconds."""
    events, time = MemoryEvents(), pl.Datetime("us", "UTC")
    frame = pl.DataFrame(
        [(at, known, order, late) for order, at, known, late in rows],
        schema={"event_time": pl.Int64, "known_time": pl.Int64, "order": pl.String, "late": pl.Boolean}, orient="row",
    )  # fmt: skip
    events.append("deliveries", frame.with_columns(pl.col("event_time", "known_time").cast(time)))
    gone = pl.DataFrame(
        [(at, at, order) for order, at in voided],
        schema={"event_time": pl.Int64, "known_time": pl.Int64, "order": pl.String}, orient="row",
    )  # fmt: skip
    events.append("cancelled", gone.with_columns(pl.col("event_time", "known_time").cast(time)))
    return events


def asked(orders: list[str], at: list[int], score: list[float] | None = None) -> pl.DataFrame:
    schema = {"at": pl.Int64, "score": pl.Float64, "order": pl.String}
    return pl.DataFrame({"at": at, "score": score or [0.5] * len(at), "order": orders}, schema=schema)


def world(count: int = 3_000, days: int = 28, seed: int = 0) -> tuple[pl.DataFrame, MemoryEvents]:
    """Orders whose delivery is known when it comes, and comes the later the later it is; one in ten is cancelled."""
    random = np.random.default_rng(seed)
    at = START + np.sort(random.integers(0, days * DAY, count))
    score = random.beta(2, 4, count)
    late = random.random(count) < score
    delay = np.minimum(np.where(late, 3 * DAY, DAY) * random.exponential(1.0, count), 9 * DAY).astype(int)
    names = [f"o{number}" for number in range(count)]
    gone = random.random(count) < 0.1
    rows = [
        (name, int(t + d), int(t + d), bool(y))
        for name, t, d, y, g in zip(names, at, delay, late, gone, strict=True)
        if not g
    ]
    voided = [(name, int(t + HOUR)) for name, t, g in zip(names, at, gone, strict=True) if g]
    return asked(names, at.tolist(), score.tolist()), record(rows, voided)


def test_a_month_of_late_labels() -> None:
    predictions, events = world()
    now = START + 28 * DAY
    told = label_report(predictions, LABEL, events, as_of=now)
    assert isinstance(told.maturity, Maturity)
    assert told.maturity.void == told.void == pytest.approx(300, abs=60)
    assert told.maturity.reached[0].age == pytest.approx(4.2 * DAY, rel=0.35)
    assert not told.faults.any
    assert told.calibration.state is not State.DRIFT
    assert [one.state for one in told.cohorts] == [State.OK, State.OK, State.OK, State.NO_DATA]
    first, *_, last = told.cohorts
    assert (first.maturity, first.early) == (1.0, {})
    for metric in ("auc", "log_loss", "brier", "prevalence"):
        assert isinstance(first.realised[metric], Interval)
        assert isinstance(last.realised[metric], Insufficient)
        assert isinstance(last.early[metric].value, Interval)
    once = label_report(predictions, LABEL, events, as_of=now + 20 * DAY).cohorts[-1]
    weighted, known = last.early["prevalence"].value, join_labels(predictions, LABEL, events, as_of=now)
    naive = known.filter(pl.col("at") >= last.start).get_column("label").mean()
    assert isinstance(weighted, Interval)
    truth = once.realised["prevalence"]
    assert isinstance(truth, Interval)
    assert weighted.low <= truth.estimate <= weighted.high
    assert abs(weighted.estimate - truth.estimate) < abs(naive - truth.estimate)  # type: ignore[operator]
    plain = told.as_dict()
    json.dumps(plain, allow_nan=False)
    assert duration(plain["maturity"]["reached"][0]["age"]) == pytest.approx(told.maturity.reached[0].age, abs=SECOND)
    assert duration(plain["maturity"]["longest"]) == pytest.approx(told.maturity.longest, abs=SECOND)
    assert plain["maturity"]["curve"][-1]["age"].endswith(("s", "m", "h", "d"))
    assert "maturity" in str(told)


def test_every_wrong_label_is_counted_and_none_is_the_rows() -> None:
    at = [START + number * HOUR for number in range(8)]
    names = [f"o{number}" for number in range(8)]
    rows = [
        ("o0", at[0] + HOUR, at[0] + HOUR, True),  # as it should be
        ("o1", at[1] + HOUR, at[1] + HOUR, True), ("o1", at[1] + 2 * HOUR, at[1] + 2 * HOUR, True),  # twice the same
        ("o2", at[2] + HOUR, at[2] + HOUR, False), ("o2", at[2] + 2 * HOUR, at[2] + 2 * HOUR, True),  # disagree
        ("o3", at[3] - HOUR, at[3] - HOUR, True),  # before the question
        ("o4", at[4] + 11 * DAY, at[4] + 11 * DAY, True),  # after the horizon
        ("o5", at[5] + HOUR, at[5] + 40 * DAY, True),  # known long after
    ]  # fmt: skip
    events = record(rows, voided=[("o6", at[6] + HOUR)])
    told = label_report(asked(names, at), LABEL, events, as_of=START + 30 * DAY)
    assert told.faults.as_dict() == {"duplicated": 2, "conflicting": 1, "before": 1, "after": 1, "never": 4}
    assert told.faults.any
    assert told.cohorts[0].labelled == 3
    assert told.cohorts[0].positives == 2  # the first of those that disagree counts
    assert told.cohorts[0].state is State.UNDERPOWERED
    later = label_report(asked(names, at), LABEL, events, as_of=START + 60 * DAY)
    assert later.faults.never == 3
    occurs = label_report(asked(names, at), ARRIVES, events, as_of=START + 30 * DAY)
    assert (occurs.faults.never, occurs.cohorts[0].labelled, occurs.cohorts[0].positives) == (0, 8, 3)


def test_nothing_served_nothing_mature_and_labels_that_never_come() -> None:
    nothing = label_report(asked([], []), LABEL, record([]), as_of=START)
    assert (nothing.rows, nothing.cohorts, nothing.calibration.state) == (0, (), State.NO_DATA)
    assert isinstance(nothing.maturity, Insufficient)
    names = [f"o{number}" for number in range(60)]
    silent = label_report(
        asked(names, [START + number * HOUR for number in range(60)]), LABEL, record([]), as_of=START + 90 * DAY
    )
    assert silent.faults.never == 60
    assert silent.cohorts[0].state is State.UNDERPOWERED
    assert isinstance(silent.maturity, Insufficient)
    strange = label_report(
        asked(["o0", "o1"], [START, START], [float("nan"), 7.0]),
        LABEL, record([("o0", START, START, True), ("o1", START, START, False)]), as_of=START + 90 * DAY,
    )  # fmt: skip
    assert (strange.rows, strange.cohorts[0].labelled) == (2, 0)


def test_when_an_outcome_became_known() -> None:
    events = record([("a", START + HOUR, START + 3 * HOUR, True)], voided=[("b", START + HOUR)])
    frame = asked(["a", "b", "c"], [START] * 3)
    joined = join_labels(frame, LABEL, events, as_of=START + 30 * DAY, known=True)
    assert joined.get_column("known").to_list() == [START + 3 * HOUR, None, None]
    occurs = join_labels(frame, ARRIVES, events, as_of=START + 30 * DAY, known=True)
    assert occurs.get_column("known").to_list() == [START + 3 * HOUR, START + 10 * DAY, START + 10 * DAY]
    assert "known" not in join_labels(frame, LABEL, events, as_of=START).columns
