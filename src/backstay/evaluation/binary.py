"""An **evaluation** of a yes-or-no model: all that rows say about it, each number with its interval, in one record.

What leads is what a useless model can't look good on: the average precision beside the prevalence, the log loss beside
that of the constant. The accuracy is inside the decisions only, beside what the constant answer gets. A number that the
rows can't tell is `Insufficient`, with the reason, and the others stand.

>>> rng = np.random.default_rng(0)
>>> p = rng.beta(1, 12, 4000)
>>> found = evaluate(rng.random(4000) < p, p, clusters=None, threshold=0.2, k=100)
>>> print(found.average_precision, round(found.lift, 2), found.at_k.recall)
+0.2146 [+0.1720, +0.2567] 2.92 +0.1088 [+0.0756, +0.1502]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.areas import auc_interval
from backstay.evaluation.clustered import mean_interval, share_interval
from backstay.evaluation.cuts import Curve, precision_recall_curve, roc_curve
from backstay.evaluation.decided import Confusion, Costs, confusion, cost_curve, cost_interval, f_beta_interval
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import Estimate, Insufficient, Interval, NotEnough, estimated
from backstay.evaluation.metrics import Bools, Floats, brier_losses, log_losses, outcome_and_probability
from backstay.evaluation.ranked import average_precision_interval, precision_at_interval, recall_at_interval
from backstay.evaluation.reliability import (
    BINS,
    BrierParts,
    Recalibration,
    ReliabilityBin,
    brier_parts,
    calibration_error,
    recalibration,
    reliability_bins,
)


@dataclass(frozen=True, slots=True)
class Decisions(Shown):
    """What flagging every row with a probability of `threshold` or more comes to.

    recall, precision, false_positive_rate, flagged: shares, with exact intervals; f1: with one on log-odds
    cost:     of a row, in the unit of the costs; None where none were given
    accuracy, constant: the share of right decisions, and what always giving the commoner answer gets
    """

    threshold: float
    counts: Confusion
    recall: Estimate
    precision: Estimate
    false_positive_rate: Estimate
    flagged: Estimate
    f1: Estimate
    cost: Estimate | None
    accuracy: float
    constant: float


@dataclass(frozen=True, slots=True)
class AtK(Shown):
    """What looking at the `k` highest probabilities of these rows finds."""

    k: int
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True, slots=True)
class Curves(Shown):
    """The curves, thinned to 200 points each; cost: None where no costs were given.

    roc:              false_positive_rate, recall
    precision_recall: recall, precision
    cost:             flagged (the share of rows), cost (of a row)
    reliability:      the bins of the reliability diagram
    """

    roc: Curve | Insufficient
    precision_recall: Curve | Insufficient
    cost: Curve | Insufficient | None
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class BinaryEvaluation(Shown):
    """All that some rows say about a yes-or-no model; see the module.

    n, positives, clusters: rows, those with outcome 1, and groups of rows that count as independent
    prevalence:    positives / n
    lift:          how many times the prevalence the average precision is; None where that is not known
    log_loss, constant_log_loss, log_loss_gain: the model's, that of always saying the prevalence of these very rows,
                   and by how much the model's is smaller, in nats a row; the constant is None where a class is missing
    brier, brier_parts: the score, and its parts over ten bins
    calibration:   Cox's intercept, slope and level; calibration_error: the ECE over ten bins
    decisions, at_k: None where no threshold (or costs), no k was given
    """

    n: int
    positives: int
    prevalence: float
    clusters: int
    level: float
    auc: Estimate
    average_precision: Estimate
    lift: float | None
    log_loss: Estimate
    constant_log_loss: float | None
    log_loss_gain: Estimate
    brier: Estimate
    brier_parts: BrierParts | Insufficient
    calibration: Recalibration | Insufficient
    calibration_error: Estimate
    decisions: Decisions | None
    at_k: AtK | None
    costs: Costs | None
    curves: Curves

    def summary(self) -> dict[str, str]:
        """The numbers in the words a person reads, without the curves."""
        lift = "" if self.lift is None else f", {self.lift:.2f} times the prevalence"
        told = {
            "rows": f"{self.n:,} in {self.clusters:,} clusters",
            "outcome 1": f"{self.positives:,} ({self.prevalence:.4g})",
            "average precision": f"{_level(self.average_precision)}{lift}",
            "AUC": _level(self.auc),
            "log loss": _level(self.log_loss),
            "better than the constant by": str(self.log_loss_gain),
            "Brier score": _level(self.brier),
            "calibration error": _level(self.calibration_error),
        }
        if isinstance(self.calibration, Insufficient):
            told["calibration"] = str(self.calibration)
        else:
            told |= {"intercept": str(self.calibration.intercept), "slope": str(self.calibration.slope)}
        if self.at_k is not None:
            told[f"recall at {self.at_k.k:,}"] = _level(self.at_k.recall)
            told[f"precision at {self.at_k.k:,}"] = _level(self.at_k.precision)
        if self.decisions is not None:
            at = f"at {self.decisions.threshold:.4g}"
            told |= {f"recall {at}": _level(self.decisions.recall), f"precision {at}": _level(self.decisions.precision)}
            if self.decisions.cost is not None:
                told[f"cost {at}"] = _level(self.decisions.cost)
        return told

    def __str__(self) -> str:
        told = self.summary()
        width = max(len(name) for name in told)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in told.items())

    def _repr_html_(self) -> str:
        return _Summary(self.summary())._repr_html_()


def _level(one: Estimate) -> str:
    """An estimate that is no difference: without the sign of what is above 0."""
    return str(one).replace("+", "")


@dataclass(frozen=True, slots=True)
class _Summary(Shown):
    told: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return self.told


def evaluate(
    outcome: ArrayLike,
    probability: ArrayLike,
    *,
    clusters: ArrayLike | None,
    threshold: float | None = None,
    cost: Costs | None = None,
    k: int | None = None,
    level: float = 0.95,
) -> BinaryEvaluation:
    """Evaluate a yes-or-no model on rows that it has not learned from.

    outcome: 0 or 1, probability: in [0, 1], each shape (rows,)
    clusters: the day or entity of each row; None says that each row stands for itself
    threshold: flags from this probability on; by default that of the costs, and without costs nothing is decided
    k: how many of these rows can be looked at; one above their number is an `InputError`, as everything is that the
    metrics refuse. `NotEnough` without rows.
    """
    y, p = outcome_and_probability(outcome, probability)
    n, positives = y.size, int(np.count_nonzero(y))
    _check(n, threshold, k)
    groups, own = _groups(clusters, n)
    prevalence = positives / n
    precision = _told(lambda: average_precision_interval(y, p, own, level), n)
    at = cost.threshold if threshold is None and cost is not None else threshold
    loss, constant, gain = _losses(y, p, own, level)
    return BinaryEvaluation(
        n=n, positives=positives, prevalence=prevalence, clusters=groups, level=level,
        auc=_told(lambda: auc_interval(y, p, own, level), n),
        average_precision=precision,
        lift=None if isinstance(precision, Insufficient) else precision.estimate / prevalence,
        log_loss=loss, constant_log_loss=constant, log_loss_gain=gain,
        brier=_told(lambda: mean_interval(brier_losses(y, p), own, level), n),
        brier_parts=estimated(lambda: brier_parts(y, p, BINS), n),
        calibration=estimated(lambda: recalibration(y, p, own, level), n),
        calibration_error=_told(lambda: calibration_error(y, p, own, BINS, level), n),
        decisions=None if at is None else _decisions(y, p >= at, at, cost, own, level),
        at_k=None if k is None else AtK(
            k, _told(lambda: precision_at_interval(y, p, k, own, level), n),
            _told(lambda: recall_at_interval(y, p, k, own, level), n),
        ),
        costs=cost,
        curves=Curves(
            estimated(lambda: roc_curve(y, p), n), estimated(lambda: precision_recall_curve(y, p), n),
            None if cost is None else estimated(lambda: cost_curve(y, p, cost), n),
            reliability_bins(y, p, own, BINS, level) if groups > 1 else (),
        ),
    )  # fmt: skip


def _check(rows: int, threshold: float | None, k: int | None) -> None:
    if not rows:
        raise NotEnough("there are no rows", where="outcome", expected="at least one")
    if threshold is not None and not math.isfinite(threshold):
        raise InputError(f"the threshold is {threshold}", where="threshold", expected="a number")
    if k is not None and not 1 <= k <= rows:
        raise InputError(f"k is {k}", where="k", expected=f"from 1 to the number of rows, which is {rows}")


def _told(ask: Callable[[], Interval], n: int) -> Estimate:
    one = estimated(ask, n)
    if isinstance(one, Interval) and one.low == one.high:  # no spread is no certainty
        return Insufficient(f"all {n} rows show the very same", n)
    return one


def _losses(y: Bools, p: Floats, clusters: ArrayLike | None, level: float) -> tuple[Estimate, float | None, Estimate]:
    """The log loss, the constant's, and what is gained on it."""
    n, losses = y.size, log_losses(y, p)
    loss = _told(lambda: mean_interval(losses, clusters, level), n)
    prevalence = np.count_nonzero(y) / n
    if prevalence in (0.0, 1.0):
        return loss, None, Insufficient(f"all {n} rows have outcome {prevalence:g}", n)
    constant = log_losses(y, np.full(n, prevalence))
    gain = _told(lambda: mean_interval(constant - losses, clusters, level), n)
    return loss, math.fsum(constant.tolist()) / n, gain


def _groups(clusters: ArrayLike | None, rows: int) -> tuple[int, ArrayLike | None]:
    """How many clusters there are, and each row's as a number, so that labels are sorted once."""
    try:
        codes, groups = cluster_codes(clusters, rows=rows)
    except NotEnough:  # one: no interval will be made, and the numbers that need none stand
        return 1, clusters
    return groups, codes


def _decisions(
    y: Bools,
    flagged: Bools,
    threshold: float,
    costs: Costs | None,
    clusters: ArrayLike | None,
    level: float,
) -> Decisions:
    n, counts = y.size, confusion(y, flagged)

    def share(hit: Any, among: Any) -> Estimate:
        some = None if clusters is None else np.asarray(clusters)[among]
        return estimated(lambda: share_interval(hit[among], some, level), int(np.count_nonzero(among)))

    every = np.ones(n, np.bool_)
    return Decisions(
        threshold=float(threshold), counts=counts, recall=share(flagged, y), precision=share(y, flagged),
        false_positive_rate=share(flagged, ~y), flagged=share(flagged, every),
        f1=estimated(lambda: f_beta_interval(y, flagged, 1.0, clusters, level), n),
        cost=None if costs is None else estimated(lambda: cost_interval(y, flagged, costs, clusters, level), n),
        accuracy=counts.accuracy, constant=counts.constant,
    )  # fmt: skip
