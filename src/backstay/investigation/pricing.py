"""Prices: what a thing does to quality, in the metric's unit, turned so that POSITIVE = it makes online worse.

A price is found where it is above what is *material*, and shown not to be chance. What is estimated is looked at
several times, and the level counts the looks (Bonferroni), so that of models that nothing is wrong with at most one in
twenty has a cause found. What is computed again is no such look: where nothing is wrong there is nothing to mend, and
no price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.influence import Linear, linear_variance
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.quantiles import level_tails, student_quantile, student_tail
from backstay.investigation.weighted import LARGER, outcome_weights, weighted_quality

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95
ERROR = 0.05
"""How often anything at all may be found where nothing is wrong."""
SHARE = 0.1
"""The share of the gap from which an effect is material."""
LEAST = {"auc": 0.005, "log_loss": 0.01, "brier": 0.01}
"""The effect from which it is, whatever the gap: of the AUC as it is, of losses as a share of a constant's loss."""


@dataclass(frozen=True, slots=True)
class Bar:
    """What a price must clear: be above `floor`, and above `least` at a level that counts the looks; metric units.

    least: 0 for what is computed again, which is there or is not; for what is estimated a small effect, so that what is
           never exactly 0 (no two fortnights are the same) is not found for being told from 0
    """

    floor: float
    looks: int = 1
    least: float = 0.0

    @property
    def error(self) -> float:
        """How often one look may be wrong."""
        return ERROR / self.looks

    @property
    def level(self) -> float:
        """The confidence of an interval whose limit on one side is that."""
        return 1.0 - 2.0 * self.error


@dataclass(frozen=True, slots=True)
class Price:
    """An effect with its interval, and the chance to see so much were there no more than the bar's `least`. It is shown
    if it is above what is material, and hardly chance: effect and evidence both."""

    effect: Interval
    tail: float
    bar: Bar

    @property
    def shown(self) -> bool:
        return self.effect.estimate > self.bar.floor and self.tail < self.bar.error

    @property
    def sure(self) -> float:
        """One less the chance, all looks counted; 0 where it is not shown."""
        return 1.0 - min(1.0, self.bar.looks * self.tail) if self.shown else 0.0


def worse(metric: str) -> float:
    """The sign by which more of the metric is worse: -1 for the AUC, 1 for losses."""
    return -1.0 if LARGER[metric] else 1.0


def material(metric: str, gap: float, outcome: Floats) -> float:
    """The effect from which a cause counts, for a gap of this size and rows with these outcomes (NaN: not known)."""
    return max(SHARE * abs(gap), least(metric, outcome))


def least(metric: str, outcome: Floats) -> float:
    """The effect from which a cause counts whatever the gap is."""
    known = outcome[np.isfinite(outcome)]
    rate = float(np.clip(known.mean(), 1e-6, 1.0 - 1e-6)) if known.size else 0.5
    constant = {
        "auc": 1.0, "brier": rate * (1.0 - rate), "log_loss": -rate * math.log(rate) - (1 - rate) * math.log1p(-rate),
    }[metric]  # fmt: skip
    return LEAST[metric] * constant


def quality(metric: str, score: Floats, outcome: Floats, weight: Floats | None = None) -> Linear:
    """The metric of the rows with an outcome, by the influence of every row: 0 for those without one (NaN)."""
    known = np.isfinite(outcome)
    ones, zeros = outcome_weights(
        np.where(known, outcome, 0.0), known.astype(np.float64) * (1.0 if weight is None else weight)
    )
    return weighted_quality(metric, score, ones, zeros)


def cost(metric: str, better: Linear, worse_: Linear) -> Linear:
    """By how much the second is worse than the first, of the same rows."""
    sign = worse(metric)
    return Linear(
        sign * (worse_.estimate - better.estimate) + 0.0, sign * (worse_.influence - better.influence),
        among=(better.influence != 0.0) | (worse_.influence != 0.0),
    )  # fmt: skip


def priced(effect: Linear, clusters: Ints, bar: Bar, also: Ints | None = None) -> Price:
    """The price of an effect over clusters; `NotEnough` without two clusters.

    also: clusters of another kind, in which rows lean on each other, too: the variance is that of both ways (Cameron,
          Gelbach and Miller 2011), and at least that of either
    """
    n = int(np.count_nonzero(effect.influence))
    if not np.any(effect.influence):
        if effect.estimate == 0.0:  # nothing differs in any row: that is no estimate
            return Price(Interval(0.0, 0.0, 0.0, LEVEL, n, int(np.unique(clusters).size)), 1.0, bar)
        raise NotEnough("the rows show no spread", where="clusters", expected="rows that differ")
    variance, df, groups = linear_variance(effect, clusters)
    if also is not None:
        other, freedom, _ = linear_variance(effect, also)
        row, _, _ = linear_variance(effect, None)
        variance, df = max(variance, other, variance + other - row), min(df, freedom)
    return _price(effect.estimate, variance, float(df), n, groups, bar)


def priced_between(first: Linear, second: Linear, clusters: Ints, others: Ints, metric: str, bar: Bar) -> Price:
    """The price of being as the second and not as the first, of different rows. Welch's degrees of freedom."""
    a, df_a, groups_a = linear_variance(first, clusters)
    b, df_b, groups_b = linear_variance(second, others)
    if not a + b > 0.0:
        raise NotEnough("the rows show no spread", where="clusters", expected="rows that differ")
    held = (a + b) ** 2 / (a**2 / df_a + b**2 / df_b)
    estimate = worse(metric) * (second.estimate - first.estimate)
    rows = int(np.count_nonzero(first.influence) + np.count_nonzero(second.influence))
    return _price(estimate, a + b, held, rows, groups_a + groups_b, bar)


def _price(estimate: float, variance: float, df: float, rows: int, groups: int, bar: Bar) -> Price:
    error = math.sqrt(variance)
    reach = student_quantile(level_tails(LEVEL)[1], df) * error
    above = (estimate - bar.least) / error if error > 0.0 else math.copysign(math.inf, estimate - bar.least)
    tail = student_tail(min(max(above, -1e6), 1e6), df)
    return Price(Interval(estimate, estimate - reach, estimate + reach, LEVEL, rows, groups), tail, bar)
