"""What another threshold would have been worth: from decisions that a route explored, and what came of them.

Only rows that were explored count: a row whose decision had no chance to be another tells nothing of it. Rows whose
metric is not known are left out; where the decision decides whether it is (a loan that is declined is never paid back),
what is left is another population, and there is no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import EventSource, Model
from backstay.definitions.experiments import Metric
from backstay.evaluation.counterfactual import OffPolicy, difference, doubly_robust, effective_rows, ips, snips
from backstay.evaluation.decided import Costs
from backstay.evaluation.interval import Estimate, Insufficient
from backstay.evaluation.rewards import cross_fitted
from backstay.lifecycle.experiments.metrics import Reader, measure
from backstay.lifecycle.experiments.rows import frame
from backstay.lifecycle.records import Records
from backstay.registry.routing import Routing
from backstay.storage.predictions import Prediction

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

APART = 0.02
"""By how much the two decisions' shares of known metrics may differ, whatever chance says."""
SURE = 2.5758
"""The standard normal quantile of a two-sided test at 1%."""


@dataclass(frozen=True, slots=True)
class Estimated(Shown):
    """One method's answer. policy: what the threshold is worth; current: what the decisions in force were worth
    without exploration; gain: the difference, of the same rows, in the metric's unit and not turned round."""

    method: str
    policy: OffPolicy
    current: OffPolicy
    gain: Estimate

    def as_dict(self) -> dict[str, Any]:
        return {
            "method": self.method, "policy": self.policy.as_dict(), "current": self.current.as_dict(),
            "gain": self.gain.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counterfactual(Shown):
    """What a threshold would have been worth.

    metric:   "outcome", a source's column, or "cost"
    rows:     explored rows whose metric is mature; turned: those that the lot turned over
    differ:   rows on which the threshold decides otherwise than was in force
    left_out: rows that were not explored, or whose metric is void, unknown or not yet mature
    """

    model: str
    threshold: float
    metric: str
    rows: int
    turned: int
    differ: int
    left_out: int
    since: int
    until: int
    estimates: tuple[Estimated, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "threshold": self.threshold, "metric": self.metric, "rows": self.rows,
            "turned": self.turned, "differ": self.differ, "left_out": self.left_out,
            "since": instant_text(self.since), "until": instant_text(self.until),
            "estimates": [one.as_dict() for one in self.estimates],
        }  # fmt: skip


def counterfactual(
    records: Records, model: Model, threshold: float, metric: Metric | None, *, sources: Mapping[str, EventSource],
    costs: Costs | None = None, since: int = 0, until: int | None = None, as_of: int, clip: float | None = None,
    level: float = 0.95,
) -> Counterfactual:  # fmt: skip
    """What the decision `score >= threshold` would have been worth to requests with T in [since, until).

    metric: of which the mean is taken; or `costs`, of wrong decisions by the label. Rows that are not mature as of
    `as_of` do not count. `InputError` for both or neither, or a threshold that is no score.
    """
    if (metric is None) == (costs is None):
        raise InputError(
            f"{'both' if costs else 'neither'} a metric {'and' if costs else 'nor'} the costs of wrong decisions",
            where="counterfactual", expected="one of the two", fix="--metric outcome, or --cost 1:20",
        )  # fmt: skip
    if not 0.0 <= threshold <= 1.0:
        raise InputError(f"the threshold is {threshold:g}", where="threshold", expected="a score, between 0 and 1")
    if metric is not None and metric.name != "outcome" and not metric.within:
        raise InputError(
            f"{metric.name!r} is no reward of a decision", where="metric", expected="outcome, SOURCE.COLUMN, or costs"
        )
    measured = metric or Metric("outcome", "lower")
    route = Routing(records.ledger, records.registry).get(model.name)
    key = model.keys if route is None else route.key
    how = measure(model, measured, key, sources)
    end = as_of if until is None else min(until, as_of)
    found = records.predictions.scan(model=model.name, since=since, until=end)
    answered = [one for one in found if one.answered]
    mature = [one for one in answered if one.chance < 1.0 and one.at + how.wait <= as_of]
    rows = frame(model, key, "", [(one, 0, 0, 1) for one in mature])
    # Every row is one of its own here: a source's column is summed after each.
    rows = rows.with_columns(first=True)
    reward = Reader(records, model, measured, key, how, as_of).values(rows, measured.name)
    known = np.isfinite(reward)
    logged = _Logged.of([one for one, sound in zip(mature, known.tolist(), strict=True) if sound])
    entities = rows.get_column("entity").to_numpy()
    selected = _selected(_Logged.of(mature), known, entities)
    entity = entities[known]
    reward = reward[known] if costs is None else _cost(costs, logged.decision, reward[known] > 0.5)
    return Counterfactual(
        model.name, threshold, "cost" if metric is None else metric.name, logged.score.size,
        int(np.count_nonzero(logged.turned)), int(np.count_nonzero(logged.wanted(threshold) != logged.usual)),
        len(answered) - logged.score.size, min((one.at for one in mature), default=since), end,
        _without(_estimates(logged, reward, entity, threshold, clip, level), selected, logged.score.size),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Logged:
    """What was logged: `usual` is what had been decided without exploration."""

    score: Floats
    decision: Bools
    chance: Floats

    @classmethod
    def of(cls, found: list[Prediction]) -> _Logged:
        return cls(
            np.array([one.score for one in found], np.float64),
            np.array([one.decision for one in found], np.bool_),
            np.array([one.chance for one in found], np.float64),
        )

    @property
    def turned(self) -> Bools:
        return np.asarray(self.chance < 0.5)

    @property
    def usual(self) -> Bools:
        return np.asarray(self.decision ^ self.turned)

    def wanted(self, threshold: float) -> Bools:
        return np.asarray(self.score >= threshold)


def _cost(costs: Costs, decision: Bools, outcome: Bools) -> Floats:
    flagged = np.where(outcome, costs.true_positive, costs.false_positive)
    return np.where(decision, flagged, np.where(outcome, costs.false_negative, costs.true_negative))


def _selected(logged: _Logged, known: Bools, entity: npt.NDArray[np.int64]) -> str:
    """Why the decision seems to decide whether the metric is known, in a sentence; "" if it does not.

    Each decision's share of known metrics among all explored rows, weighted by its chance; an entity counts as one.
    """
    shares, sizes = [], []
    for decision in (False, True):
        weight = np.where(logged.decision == decision, 1.0 / logged.chance, 0.0)
        if not weight.any():
            return ""
        shares.append(float((weight * known).sum() / weight.sum()))
        sizes.append(effective_rows(np.bincount(entity, weights=weight)))
    both = float(np.average(shares, weights=sizes))
    reach = SURE * math.sqrt(both * (1.0 - both) * (1.0 / sizes[0] + 1.0 / sizes[1]))
    if abs(shares[1] - shares[0]) <= max(reach, APART):
        return ""
    return (
        f"the metric is known of {shares[1]:.1%} of the rows decided true and of {shares[0]:.1%} of those decided "
        "false: the decision decides whether it is known, and what is known is no sample of all"
    )


def _without(estimates: tuple[Estimated, ...], why: str, rows: int) -> tuple[Estimated, ...]:
    """The estimates without their numbers, where there is a reason for that."""
    if not why:
        return estimates
    none = Insufficient(why, rows)

    def bare(one: OffPolicy) -> OffPolicy:
        return replace(one, value=none, bias=0.0, influence=np.empty(0))

    return tuple(Estimated(one.method, bare(one.policy), bare(one.current), none) for one in estimates)


def _estimates(
    logged: _Logged, reward: Floats, entity: npt.NDArray[np.int64], threshold: float, clip: float | None, level: float
) -> tuple[Estimated, ...]:
    said = cross_fitted(logged.score, logged.decision, reward, entity)
    place = np.arange(reward.size)

    def of(method: str, wanted: Bools) -> OffPolicy:
        target = (logged.decision == wanted).astype(np.float64)
        given: dict[str, Any] = {"clusters": entity, "clip": clip, "level": level}
        if method == "dr":
            predicted, expected = said[place, logged.decision.astype(int)], said[place, wanted.astype(int)]
            return doubly_robust(reward, logged.chance, target, predicted=predicted, expected=expected, **given)
        plain: Callable[..., OffPolicy] = ips if method == "ips" else snips
        return plain(reward, logged.chance, target, **given)

    out = []
    for method in ("ips", "snips", "dr"):
        policy, current = of(method, logged.wanted(threshold)), of(method, logged.usual)
        out.append(Estimated(method, policy, current, difference(current, policy, clusters=entity, level=level)))
    return tuple(out)
