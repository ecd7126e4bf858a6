"""The baseline of a version: how it did on rows that it had not learned from, before it became champion.

What it says is held against what it said then, and its losses against those. Its training rows would not do: it knows
them, says of them what is nearer to the truth, and every new row would look worse.

It is made once, of the events record, and kept; where it is lost it is made again, and is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.core.identity import digest_of
from backstay.definitions import Model
from backstay.evaluation import NotEnough
from backstay.evaluation.calibration.rule import Rule
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.drift import References
from backstay.evaluation.unlabelled import ScoredReference
from backstay.lifecycle.judgement import GATE
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, reference_sample, trained_references
from backstay.lifecycle.scored import scored_rows
from backstay.monitoring.estimates import Expected, losses
from backstay.monitoring.tally import DECISION, SCORE, Known
from backstay.monitoring.windows import Window
from backstay.registry.versions import ModelVersion

_FORM = 2
_ROWS = 20_000
"""Of more rows, every second or so, over all of their time: how days differ is told by days, and not by rows."""
_EVER = Window(0, 0)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Rows that a version had not learned from, in the order of time.

    at:      each row's T, in microseconds; empty where the rows are a sample of its training set
    raw:     what its files say, before any calibration
    outcome: 0 or 1 a row; empty where the rows are its own training rows
    """

    at: npt.NDArray[np.int64]
    raw: npt.NDArray[np.float64]
    outcome: npt.NDArray[np.int8]

    def said(self, rule: Rule) -> References:
        """The references of what it says by a rule: of its scores, and of its decisions."""
        scores = rule.scores(self.raw)
        told = {SCORE: scores, DECISION: scores >= rule.threshold}
        return References.of(told, at=self.at if len(self.at) else None)

    def as_dict(self) -> dict[str, Any]:
        return {"at": self.at.tolist(), "raw": self.raw.tolist(), "outcome": self.outcome.tolist()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Baseline:
        return cls(
            np.array(data["at"], np.int64), np.array(data["raw"], np.float64), np.array(data["outcome"], np.int8)
        )  # fmt: skip


def baseline(records: Records, model: Model, version: ModelVersion) -> Baseline | None:
    """The baseline of a version; None where there is neither a row that may judge it nor a sample of its training."""
    name = f"{model.name}/v{version.number}"
    since = became(records, model, version)
    rule = digest_of([_FORM, version.digest, since, model.gate.embargo, model.features.hash])
    if records.kept is not None and (told := records.kept.get(name, _EVER, rule)) is not None:
        return Baseline.from_dict(told)
    found = _made(records, model, version, since)
    if found is not None and records.kept is not None:
        records.kept.put(name, _EVER, rule, found.as_dict())
    return found


def became(records: Records, model: Model, version: ModelVersion, as_of: int | None = None) -> int:
    """When it first became champion; of one that never was, as of when its gate answered last, or it was registered.

    as_of: the moment by which it is asked; it is never a later one. None: now
    """
    until = records.clock.now() if as_of is None else as_of
    moves = records.registry.history(model.name, "champion")
    moved = next((move.at for move in moves if move.to == version.number and move.at <= until), None)
    if moved is not None:
        return moved
    answer = records.ledger.last(GATE, f"{model.name}/{version.number}", as_of=until)
    return min(version.at if answer is None else int(answer.body["as_of"]), until)


def _made(records: Records, model: Model, version: ModelVersion, since: int) -> Baseline | None:
    if version.manifest.feature_set.hash == model.features.hash:
        try:
            rows = scored_rows(records, model, version.number, as_of=since, fitting=True)
        except InputError:
            pass  # no row may judge it: what it says of a sample of its training rows is what is left
        else:
            order = thinned(np.argsort(rows.labelled.at, kind="stable"))
            return Baseline(rows.labelled.at[order], rows.raw[order], rows.labelled.outcome[order])
    if REFERENCE not in version.manifest.files:
        return None
    sample = reference_sample(records, version)
    vector = np.column_stack([sample[name] for name in version.manifest.feature_set.vector])
    raw = records.scorer(model, version).score(np.ascontiguousarray(vector))
    return Baseline(np.array([], np.int64), raw, np.array([], np.int8))


def thinned(order: npt.NDArray[np.intp], most: int = _ROWS) -> npt.NDArray[np.intp]:
    """Of more rows than are wanted, as many as are, evenly over all.

    >>> thinned(np.arange(10), 4).tolist()
    [0, 2, 5, 7]
    """
    return order if len(order) <= most else order[np.arange(most) * len(order) // most]


def known(records: Records, model: Model, version: ModelVersion, rule: str) -> Known:
    """What a version is held against while a rule is in force, by its logged name.

    What there is no reference of has none: its windows say that they have nothing to be held against.
    """
    try:
        features = trained_references(records, version)
    except InputError:
        features = References({})
    base = baseline(records, model, version)
    if base is None:
        return Known(features, References({}))
    by = records.rule(version, rule)
    return Known(features, base.said(by), _expected(model, base, by))


def _expected(model: Model, base: Baseline, rule: Rule) -> Expected | None:
    """What its scores mean, and the loss that is to be expected; None where too few rows have labels."""
    if model.monitor is None or not len(base.outcome):
        return None
    scores, days = rule.scores(base.raw), base.at // model.monitor.width
    try:
        reference = ScoredReference.of(base.outcome, scores, clusters=days, threshold=rule.threshold)
        usual = mean_interval(losses(model.monitor.metric, base.outcome, scores), days)
    except (NotEnough, InputError):
        return None  # too few of a class, or scores that are no probabilities
    return Expected(reference, usual.high, usual.high - usual.estimate)
