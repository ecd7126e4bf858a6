"""Advice: what was tried against imbalance on the same rows, how each arm did, and which one to take for which use.

Every arm answers the same rows, those of the folds after the first, each time having learned from what was known before
them. The constant says the base rate of the training rows to all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.cuts import Curve, precision_recall_curve
from backstay.evaluation.decided import Costs, row_costs
from backstay.evaluation.imbalance.curves import Bin, as_points, cost_curve, ratios, reliability
from backstay.evaluation.imbalance.influences import ap_values, auc_values, recall_values
from backstay.evaluation.imbalance.recommend import Contender, Recommendation, recommend
from backstay.evaluation.imbalance.resolution import Resolution, resolution
from backstay.evaluation.interval import Interval
from backstay.evaluation.metrics import Floats, as_outcome, log_losses
from backstay.evaluation.power import detectable
from backstay.evaluation.shares import exact

POINTS = 80
"""Points of a curve of precision over recall."""
HINT = (
    "even with nothing done about imbalance the log loss is worse than that of the constant base rate: as it is "
    "defined, the estimator learns its few positives by heart. Regularise it more (fewer and smaller trees, a stronger "
    "penalty), then ask again"
)
LEAST = 10.0
"""Effective positives without which nothing is recommended."""

Points = list[tuple[float, float]]
Labels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows that all arms answered, one entry a row: 0 or 1, the day, the fold, and the base rate it learned."""

    outcome: Labels
    clusters: Labels
    folds: Labels
    constant: Floats


@dataclass(frozen=True, slots=True)
class Tried:
    """What an arm answered to `Rows`; or, in `reason`, why it could not be tried."""

    name: str
    title: str
    probability: Floats | None = None
    raw: Floats | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArmResult(Shown):
    """How an arm did on all rows, as it would be used.

    average_precision, auc: means of the folds', weighted by their positives; `lift` is AP over that of chance
    recall_at_k:  of all positives, the share among the k highest of each day
    log_loss:     in nats a row; `raw_log_loss` before the correction or calibration, None where it was no probability
    gain:         by how much its log loss is better than the constant's
    said:         expected positives over those there were: 1 is right in the large
    cost:         a row, where costs were given; `saved` is by how much it is better than the cheaper constant's
    """

    name: str
    title: str
    average_precision: Interval
    lift: float
    auc: Interval
    recall_at_k: Interval
    log_loss: float
    raw_log_loss: float | None
    gain: Interval
    said: float
    cost: float | None
    saved: Interval | None
    seconds: float
    notes: tuple[str, ...]
    cost_curve: Points
    precision_curve: Curve
    reliability: list[Bin]

    def as_dict(self) -> dict[str, Any]:
        told = Shown.as_dict(self)
        told["reliability"] = [
            {"said": one.said, "happened": one.happened.as_dict(), "rows": one.rows, "positives": one.positives}
            for one in self.reliability
        ]
        return told


@dataclass(frozen=True, slots=True)
class Advice(Shown):
    """What came of it.

    constant:  log loss and average precision of the base rate, and its cost a row, where costs were given
    k:         rows a day that the recall is of; `costs` are the user's, None if none were given
    arms:      those that were tried; `not_tried` are the others, by name, with the reason
    detects:   the smallest true difference from the first arm that these rows would show, by metric
    decision, ranking: the recommendations; None where the rows are too few, which `insufficient` says
    hint:      what to do first, where the estimator itself is the trouble
    """

    resolution: Resolution
    constant: dict[str, float]
    k: int
    costs: Costs | None
    arms: list[ArmResult]
    not_tried: dict[str, str]
    detects: dict[str, float]
    decision: Recommendation | None
    ranking: Recommendation | None
    insufficient: str = ""
    titles: dict[str, str] = field(default_factory=dict)
    hint: str = ""


def advise(rows: Rows, tried: Sequence[Tried], *, costs: Costs | None = None, k: int | None = None) -> Advice:
    """Hold arms, given in the order of their simplicity, against each other and against the constant.

    costs: what errors cost; without them decisions are compared by log loss
    k:     rows a day that can be looked at; by default as many as there are positives a day, at least one

    Raises `NotEnough` where the rows hold one outcome only, in a fold or in all, or fewer than two clusters.
    """
    found = resolution(rows.outcome, rows.clusters)
    chosen = k or max(1, round(found.positives / found.clusters))
    done = [one for one in tried if not one.reason]
    values = {one.name: _values(rows, _p(one), chosen, costs) for one in done}
    constant = _constant_values(rows, costs)
    means = {name: _mean(part, rows) for name, part in constant.items()}
    decision, ranking, insufficient = _recommended(rows, values, constant, found)
    arms = [_result(rows, one, values[one.name], constant, means["average_precision"], found.effective) for one in done]
    learned_by_heart = any(one.name == "plain" and one.gain.estimate < 0 for one in arms)
    return Advice(
        found, means, chosen, costs, arms,
        {one.name: one.reason for one in tried if one.reason},
        _detects(list(values.values()), rows), decision, ranking, insufficient,
        {one.name: one.title for one in tried}, HINT if learned_by_heart else "",
    )  # fmt: skip


Values = Mapping[str, Floats]
"""By metric, one value a row, whose mean it is."""


def _p(one: Tried) -> Floats:
    assert one.probability is not None
    return one.probability


def _mean(values: Floats, rows: Rows) -> float:
    return mean_interval(values, rows.clusters).estimate


def _values(rows: Rows, p: Floats, k: int, costs: Costs | None) -> Values:
    y = rows.outcome
    told = {
        "average_precision": ap_values(y, p, rows.folds),
        "auc": auc_values(y, p, rows.folds),
        "recall_at_k": recall_values(y, p, rows.clusters, k),
        "log_loss": log_losses(y, p),
    }
    return told if costs is None else {**told, "cost": row_costs(y, p >= costs.threshold, costs)}


def _constant_values(rows: Rows, costs: Costs | None) -> Values:
    """The same of the constant, whose cost is that of the cheaper of always no and always yes."""
    y = as_outcome(rows.outcome)
    told = {
        "average_precision": ap_values(y, np.zeros(y.size), rows.folds),
        "log_loss": log_losses(y, rows.constant),
    }
    if costs is None:
        return told
    no, yes = row_costs(y, np.zeros(y.size), costs), row_costs(y, np.ones(y.size), costs)
    return {**told, "cost": no if no.sum() <= yes.sum() else yes}


def _recommended(
    rows: Rows, values: Mapping[str, Values], constant: Values, found: Resolution
) -> tuple[Recommendation | None, Recommendation | None, str]:
    if not values:
        return None, None, "no arm could be tried"
    if found.effective < LEAST:
        few = f"{found.positives} positives count for {found.effective:.1f} independent ones"
        return None, None, f"{few}, and {LEAST:g} are needed"
    by = "cost" if "cost" in constant else "log_loss"
    arms = [Contender(name, one[by], one["log_loss"]) for name, one in values.items()]
    base = Contender("constant", constant[by], constant["log_loss"])
    ranked = [Contender(name, one["average_precision"]) for name, one in values.items()]
    chance = Contender("constant", constant["average_precision"])
    return (
        recommend(arms, base, rows.clusters, use="decision", by=by),
        recommend(ranked, chance, rows.clusters, use="ranking", by="average_precision"),
        "",
    )


def _detects(values: Sequence[Values], rows: Rows) -> dict[str, float]:
    """By metric, how large a difference of two arms would have to be: the middle of all pairs with the first."""
    if len(values) < 2:
        return {}
    first, *others = values
    return {
        name: float(np.median([detectable(mean_interval(one[name] - part, rows.clusters)) for one in others]))
        for name, part in first.items()
    }


def _result(rows: Rows, one: Tried, values: Values, constant: Values, chance: float, effective: float) -> ArmResult:
    y, p = rows.outcome, _p(one)
    found = {name: mean_interval(part, rows.clusters) for name, part in values.items()}
    raw = None if one.raw is None else _mean(log_losses(y, one.raw), rows)
    gains = {
        name: mean_interval(constant[name] - values[name], rows.clusters)
        for name in ("log_loss", "cost")
        if name in values
    }
    positives = int(as_outcome(y).sum())
    at = ratios(positives / len(p))
    ap = found["average_precision"]
    return ArmResult(
        one.name, one.title, _cut(ap), ap.estimate / chance, _cut(found["auc"]),
        _recall(found["recall_at_k"], effective),
        found["log_loss"].estimate, raw, gains["log_loss"], float(np.sort(p).sum()) / positives,
        found["cost"].estimate if "cost" in found else None, gains.get("cost"), one.seconds, one.notes,
        as_points(at, cost_curve(y, p, at)), precision_recall_curve(y, p, POINTS), reliability(y, p, rows.clusters),
    )  # fmt: skip


def _recall(found: Interval, effective: float) -> Interval:
    """A recall within 0 and 1; where none is found, or all: the exact interval of the effective positives."""
    if found.low < found.high:
        return _cut(found)
    n, share = max(1, math.floor(effective)), round(found.estimate)
    whole = exact(share * n, n, found.level)
    return Interval(float(share), whole.low, whole.high, found.level, found.n, found.clusters)


def _cut(found: Interval) -> Interval:
    """The interval of a share: within 0 and 1."""
    estimate = min(max(found.estimate, 0.0), 1.0)
    return Interval(estimate, max(found.low, 0.0), min(found.high, 1.0), found.level, found.n, found.clusters)
