"""Realised quality, window by window: of the rows that have become mature, is the loss higher than it was?

Each row counts once, in the window in which it becomes mature, for whoever answered it then, whether or not they answer
still: what has arrived early is another kind of row. Losses are held against those of rows that the version had not
learned from, by a detector that may be looked at every window for years (`evaluation.detectors.HarmDetector`); an
estimate with its interval stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.identity import digest_of
from backstay.core.times import DAY
from backstay.definitions import Model, Monitor
from backstay.evaluation import NotEnough
from backstay.evaluation.calibration_drift import calibration_drift
from backstay.evaluation.detectors import HarmDetector
from backstay.evaluation.states import State
from backstay.features.labels import join_labels
from backstay.features.offline import EventReader
from backstay.features.readers import Recent
from backstay.lifecycle.monitoring.baseline import baseline
from backstay.lifecycle.monitoring.counting import Answerer
from backstay.lifecycle.records import Records
from backstay.monitoring.assess import Found
from backstay.monitoring.estimates import BOUNDS, NO_LONGER, Expected, losses, vague
from backstay.monitoring.looks import SILENT
from backstay.monitoring.report import CALIBRATION
from backstay.monitoring.rows import answered, in_order
from backstay.monitoring.signals import REALISED_LOSS, SCORE_DRIFT
from backstay.monitoring.windows import Window
from backstay.registry.versions import ModelVersion
from backstay.storage.predictions import Prediction

_IDLE = 14 * DAY
"""How long the state of a detector is carried on that nothing is told of; `SILENT` windows where that is longer."""
_WEEK = 7
"""Windows whose rows say whether scores still mean what they meant: with more it would be told later."""
Floats = npt.NDArray[np.float64]


def realised(
    records: Records, model: Model, monitor: Monitor, window: Window, who: Answerer, version: ModelVersion,
    before: Mapping[str, Mapping[str, Any]],
) -> tuple[list[Found], dict[str, Mapping[str, Any]]]:  # fmt: skip
    """What the rows say that became mature in a window, and the states of the detectors after them.

    before: those states before, by who answers: each version and rule has its own, and during a canary they take turns
    """
    key = f"{who.digest} {who.rule}"
    idle = max(_IDLE, SILENT * monitor.width)
    others = {name: one for name, one in before.items() if name != key and not _idle(one, window.start - idle)}
    detector = _detector(records, model, monitor, who, version, before.get(key))
    if isinstance(detector, str):
        return [Found(REALISED_LOSS, monitor.metric, State.NO_DATA, None, monitor.margin, detector)], others
    rows = matured(records, model, window).get(who, _NONE)
    lost = losses(monitor.metric, rows.outcome, rows.score)
    if detector.at is None or window.start > detector.at:
        detector = detector.update(lost, window.start)
    told = {"metric": monitor.metric, "margin": monitor.margin, "detector": detector.as_dict()}
    return [_found(monitor, detector, lost)], {**others, key: told}


def _idle(told: Mapping[str, Any], since: int) -> bool:
    """Whether nothing has been told of a detector since."""
    at = told["detector"]["at"]
    return at is not None and int(at) < since


def _found(monitor: Monitor, detector: HarmDetector, lost: Floats) -> Found:
    """The finding: the detector's alarm is the evidence, the mean of these rows above the baseline the effect."""
    metric, base = monitor.metric.replace("_", " "), detector.baseline
    if not detector.rows:
        return Found(REALISED_LOSS, monitor.metric, State.NO_DATA, None, monitor.margin, "no row has become mature yet")
    evidence: dict[str, Any] = {
        "baseline": base, "rows": len(lost), "value": detector.value, "blocks": detector.blocks,
        "since": detector.since,
    }  # fmt: skip
    if not len(lost):
        why = "no row has become mature in this window"
        state = State.DRIFT if detector.alarm else State.NO_DATA
        return Found(REALISED_LOSS, monitor.metric, state, None, monitor.margin, why, evidence)
    mean = float(lost.mean())
    if monitor.cost is not None:
        evidence["cost"] = max(mean - base, 0.0) * len(lost) * monitor.cost * DAY / monitor.width
    why = f"{metric} {mean:.4f} of {len(lost):,} rows that became mature; up to {base:.4f} was to be expected"
    state = State.DRIFT if detector.alarm else State.OK
    if state is State.OK and (said := vague(detector.unsure, monitor)):
        state, why, evidence[NO_LONGER] = State.UNDERPOWERED, said, True
    return Found(REALISED_LOSS, monitor.metric, state, mean - base, monitor.margin, why, evidence)


def _detector(
    records: Records, model: Model, monitor: Monitor, who: Answerer, version: ModelVersion,
    before: Mapping[str, Any] | None,
) -> HarmDetector | str:  # fmt: skip
    """The detector as it stands; of a version that has none yet, a new one; or why there can be none."""
    if before is not None and (before["metric"], before["margin"]) == (monitor.metric, monitor.margin):
        return HarmDetector.from_dict(before["detector"])
    base = baseline(records, model, version)
    if base is None or not len(base.outcome):
        return "there are no rows with labels that the version has not learned from, to be held against"
    scores = records.rule(version, who.rule).scores(base.raw)
    lost = losses(monitor.metric, base.outcome, scores)
    try:
        return HarmDetector.learned(lost, base.at // monitor.width, monitor.margin, bounds=BOUNDS[monitor.metric])
    except NotEnough as error:
        return str(error)


def calibration(
    records: Records, model: Model, monitor: Monitor, window: Window, who: Answerer, expected: Expected | None
) -> Found:  # fmt: skip
    """Whether scores still mean what they meant, by the rows that became mature in the last windows together."""
    width = monitor.width
    latest = [
        matured(records, model, Window(window.start - back * width, window.end - back * width)).get(who, _NONE)
        for back in range(min(monitor.together, _WEEK))
    ]
    outcome, score, at = (np.concatenate([getattr(one, name) for one in latest]) for name in ("outcome", "score", "at"))
    sound = (score >= 0) & (score <= 1)
    reference = None if expected is None else expected.reference
    told = calibration_drift(outcome[sound], score[sound], reference, at[sound] // width)
    why = told.why or f"what happened is what was said, by {told.rows:,} rows"
    effect = None if told.gap is None else abs(told.gap.estimate)
    evidence: dict[str, Any] = {"rows": told.rows}
    if told.gap is not None:
        evidence |= {"gap": [told.gap.low, told.gap.high]}
    if told.slope is not None:
        evidence |= {"slope": [told.slope.low, told.slope.high]}
    return Found(SCORE_DRIFT, CALIBRATION, State(str(told.state)), effect, told.gap_tolerance, why, evidence)


@dataclass(frozen=True, slots=True)
class Mature:
    """Rows that became mature in a window, in the order of their T: `at` (microseconds), score, outcome (0 or 1)."""

    at: npt.NDArray[np.int64]
    score: Floats
    outcome: npt.NDArray[np.int8]


_NONE = Mature(np.array([], np.int64), np.array([], np.float64), np.array([], np.int8))


def matured(records: Records, model: Model, window: Window) -> Mapping[Answerer, Mature]:
    """The rows that become mature in a window, as of its end, and are not void, by who answered them."""
    key = digest_of(["mature", model.name, window.start, window.end])
    if records.kept is not None and (found := records.kept.recall(key)) is not None:
        told: Mapping[Answerer, Mature] = found
        return told
    label = model.label
    since, until = window.start - label.maturity, window.end - label.maturity
    mine: dict[Answerer, list[Prediction]] = {}
    for one in answered(records.predictions.scan(model=model.name, since=since, until=until)):
        if label.key in one.keys:
            mine.setdefault(Answerer(one.version, one.rule), []).append(one)
    events = Recent(records.events, label.source.name, since)
    out = {who: _mature(model, mine[who], events, window.end) for who in sorted(mine)}
    if records.kept is not None and records.clock.now() >= window.end:
        records.kept.remember(key, out)
    return out


def _mature(model: Model, predictions: Sequence[Prediction], events: EventReader, as_of: int) -> Mature:
    joined = join_labels(scored_frame(model, in_order(predictions)), model.label, events, as_of=as_of)
    rows = joined.filter(pl.col("label").is_not_null() & pl.col("score").is_finite()).sort("at", maintain_order=True)
    outcome = rows.get_column("label").cast(pl.Int8).to_numpy()
    return Mature(rows.get_column("at").to_numpy(), rows.get_column("score").to_numpy(), outcome)


def scored_frame(model: Model, predictions: Sequence[Prediction]) -> pl.DataFrame:
    """What was answered, ready to be joined with labels: `at`, `score` and the label's key."""
    key = model.label.key
    schema = {"at": pl.Int64(), "score": pl.Float64(), key: model.label.source.schema[key]}
    return pl.DataFrame([(one.at, one.score, one.keys[key]) for one in predictions], schema=schema, orient="row")
