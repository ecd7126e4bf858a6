"""Proof of parity: served predictions computed again from the events record, features and scores, bit for bit.

From a prediction only what was *asked* is taken (keys, request fields, T and the read watermark). Values and statuses
come from the events record, scores from the registered model file; what was logged is then held against them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.identity import canonical_json, sha256
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.features.parity import Recomputed, recompute_twice
from backstay.lifecycle.agreement import Agreement, Column, Timing
from backstay.lifecycle.records import Records
from backstay.serving.scoring import row_by_row
from backstay.storage.predictions import SHADOW, Prediction

_EXAMPLES = 10


@dataclass(slots=True)
class ParityReport(Shown):
    """How many predictions were computed again, how many came out the same, and where the others differ.

    logged: in the time that was chosen; checked: what was chosen of these
    equal:  the same, bit for bit, as what the server had read justifies
    stale:  of these, how many would differ from what was known at their T
    other_definition: served from another definition of the feature set, which can't be compared; not among `checked`
    degraded: answered by policy while the online state could not be asked: they are no proof; not among `checked`
    shadow: of those logged, how many answered nobody: they are checked like the others
    unscored: no score, of a shadow or of who was to answer: there is nothing to compare; not among `checked`
    given:  brought the model's inputs themselves: there is nothing to compute again; not among `checked`
    """

    model: str
    logged: int = 0
    checked: int = 0
    equal: int = 0
    stale: int = 0
    other_definition: int = 0
    given: int = 0
    shadow: int = 0
    unscored: int = 0
    degraded: int = 0
    max_stale: float | None = None
    features: Counter[str] = field(default_factory=Counter)
    """feature (or "score", "decision") to the number of predictions in which it differs"""
    agreement: dict[str, Agreement] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        fresh = self.max_stale is None or self.stale <= self.max_stale * self.checked
        return self.checked > 0 and self.equal == self.checked and fresh

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "logged": self.logged,
            "checked": self.checked,
            "equal": self.equal,
            "stale": self.stale,
            "other_definition": self.other_definition,
            "given": self.given,
            "shadow": self.shadow,
            "unscored": self.unscored,
            "degraded": self.degraded,
            "max_stale": self.max_stale,
            "holds": self.holds,
            "differences": dict(self.features.most_common()),
            "features": {name: one.as_dict() for name, one in self.agreement.items()},
            "examples": self.examples,
        }


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which predictions are checked.

    sample: that many, by a hash of what was asked (None: all)
    share:  those of a share of the entities, 0 to 1, by a hash of their keys: the same ones in every run
    since, until: T from the first on, and before the second, in microseconds
    """

    sample: int | None = None
    share: float | None = None
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise InputError(f"the share is {self.share}", where="share", expected="above 0, and at most 1")

    def of(self, logged: Iterable[Prediction]) -> list[Prediction]:
        """The chosen ones. They depend neither on the order of serving nor on ids: equal replays check the same."""
        some = (one for one in logged if self._holds(one))
        if self.sample is None:
            return list(some)
        return heapq.nsmallest(self.sample, some, key=lambda p: sha256(canonical_json([p.keys, p.fields, p.at])))

    def _holds(self, one: Prediction) -> bool:
        if (self.since is not None and one.at < self.since) or (self.until is not None and one.at >= self.until):
            return False
        return self.share is None or int(sha256(canonical_json(one.keys))[:13], 16) < self.share * 16**13


def verify(
    records: Records, model: Model, chosen: Chosen | None = None, *, max_stale: float | None = None
) -> ParityReport:
    """Compute predictions again and compare. With `max_stale`, parity holds only if no larger share is stale."""
    report, chosen = ParityReport(model.name, max_stale=max_stale), chosen or Chosen()
    groups: dict[tuple[str, str, str], list[Prediction]] = {}

    def counted() -> Iterator[Prediction]:
        for prediction in records.predictions.scan(model=model.name, since=chosen.since, until=chosen.until):
            report.logged += 1
            report.shadow += prediction.route == SHADOW
            if prediction.failed:
                report.unscored += 1
            elif prediction.given:
                report.given += 1
            elif prediction.degraded:
                report.degraded += 1
            else:
                yield prediction

    for prediction in chosen.of(counted()):
        groups.setdefault((prediction.version, prediction.feature_set, prediction.rule), []).append(prediction)
    for (version, feature_set, _rule), group in sorted(groups.items()):
        if feature_set != model.features.hash:
            report.other_definition += len(group)
            continue
        _compare(records, model, version, group, report)
    return report


def asked_frame(model: Model, group: list[Prediction]) -> pl.DataFrame:
    """What was asked, as `features` wants it: `at`, keys and request fields, of the declared types."""
    columns: dict[str, pl.Series] = {"at": pl.Series([p.at for p in group], dtype=pl.Int64)}
    for view in model.features.views:
        for key in view.entity.keys:
            columns[key] = pl.Series([p.keys[key] for p in group], dtype=view.source.schema[key])
    for feature in model.features.requests:
        values = [p.fields[feature.name] for p in group]
        if isinstance(feature.dtype, pl.Datetime):
            columns[feature.name] = pl.Series(values, dtype=pl.Int64).cast(feature.dtype)
        else:
            columns[feature.name] = pl.Series(values, dtype=feature.dtype)
    return pl.DataFrame(columns)


def _compare(records: Records, model: Model, digest: str, group: list[Prediction], report: ParityReport) -> None:
    live = not group[0].replayed
    again = recompute_twice(
        model.features, asked_frame(model, group), [p.watermark for p in group], records.events, live=live
    )
    version = records.registry.by_digest(digest)
    rule = records.rule(version, group[0].rule)
    raw, _ = row_by_row(records.scorer(model, version), again.read.rows.vector())
    scores = rule.scores(raw)
    differs: dict[int, dict[str, Any]] = {}
    stale = np.zeros(len(group), bool)
    for name, rows, told, old in _features(model, group, again, report):
        stale |= old
        for place in rows:
            differs.setdefault(place, {})[name] = told(place)
    logged = np.array([p.score for p in group])
    if allowed := version.manifest.scorer.batch_tolerance:  # a runtime whose scores move with the rows beside
        near = (rule.scores(raw - allowed) <= logged) & (logged <= rule.scores(raw + allowed))
        scores = np.where(near, logged, scores)
    for place in np.flatnonzero(logged.view(np.int64) != scores.view(np.int64)).tolist():
        differs.setdefault(place, {})["score"] = {"logged": float(logged[place]), "recomputed": float(scores[place])}
    decisions = scores >= rule.threshold
    for place, prediction in enumerate(group):
        wanted = bool(decisions[place]) != (prediction.chance < 0.5)  # below: the lot turned it over
        if prediction.decision != wanted:
            told_ = {"logged": prediction.decision, "recomputed": wanted}
            differs.setdefault(place, {})["decision"] = told_
    report.checked += len(group)
    report.equal += len(group) - len(differs)
    report.stale += int(stale.sum())
    for place, names in sorted(differs.items()):
        report.features.update(names.keys())
        if len(report.examples) < _EXAMPLES:
            report.examples.append({"prediction_id": group[place].id, "keys": group[place].keys, "differs": names})


def _features(
    model: Model, group: list[Prediction], again: Recomputed, report: ParityReport
) -> Iterator[tuple[str, list[int], Callable[[int], dict[str, Any]], npt.NDArray[np.bool_]]]:
    """For each feature the rows that differ, how one of them is told, and which rows are stale."""
    statuses = np.frombuffer(b"".join(p.statuses for p in group), np.uint8).reshape(len(group), -1)
    read, known = again.read.rows, again.known.rows
    read_frame = read.frame()
    known_frame = read_frame if known is read else known.frame()
    timing = _timing(again, len(group), len(model.features.views))
    for place, feature in enumerate(model.features):
        name = feature.name
        now = Column.again(read_frame.get_column(name), read.statuses[:, place])
        then = now if known is read else Column.again(known_frame.get_column(name), known.statuses[:, place])
        log = Column.of([p.values[place] for p in group], statuses[:, place], now.values.dtype)
        agreement = report.agreement.setdefault(name, Agreement())
        differs, stale = agreement.add(feature, log, now, then, timing[feature.view])

        def told(row: int, log: Column = log, now: Column = now) -> dict[str, Any]:
            return {"logged": log.told(row), "recomputed": now.told(row)}

        yield name, np.flatnonzero(differs).tolist(), told, stale


def _timing(again: Recomputed, rows: int, views: int) -> list[Timing]:
    """By view, which rows missed nothing of it but events that came late, and which one that was in the record in time;
    in the end, for derived features, of all."""
    out = [(np.ones(rows, bool), np.zeros(rows, bool)) for _ in range(views + 1)]
    for row, view, events, late, unsure in again.missed.select("row", "view", "events", "late", "open").iter_rows():
        for all_late, any_in_time in (out[view], out[-1]):
            all_late[row] &= late == events
            any_in_time[row] |= late + unsure < events
    return out
