"""**Reliability**: of the rows that are given 0.2, does it happen to one in five?

A score can rank well and say nothing true: resampled models do. What is said is held against what happened four ways:

    reliability_bins     by bins of equal size: what was said, what happened, and what chance makes of a true model
    calibration_error    the mean gap over the bins (ECE), with an interval: a gap that chance makes is no error
    brier_parts          the Brier score taken apart: what wrong levels cost, what telling rows apart gains
    recalibration        Cox's line of log-odds: an intercept above 0 says too little, a slope below 1 is overconfident

Bins hold equally many rows, and equal probabilities stay together: bins of equal width leave all rows of a rare outcome
in the first. The gap of a bin is never 0 by chance, so the plain ECE of a perfect model is above 0, the more so the
fewer rows there are (Bröcker and Smith 2007); here its noise is simulated and taken off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import share_interval
from backstay.evaluation.influence import Linear, cluster_codes, cluster_sums, linear_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.logistic import expits, greatest_likelihood
from backstay.evaluation.metrics import Bools, Floats, outcome_and_probability
from backstay.evaluation.quantiles import binomial_quantiles, level_tails

BINS = 10
DRAWS = 2_000
"""How often the noise of the gaps is drawn."""
LOG_ODDS_CLIP = 1e-7
"""Log-odds are taken of a probability in [1e-7, 1 - 1e-7], as log losses are."""
LEAST = 10
"""Rows of each class that a line is fitted to, at the least: five for each of its numbers."""


@dataclass(frozen=True, slots=True)
class ReliabilityBin(Shown):
    """Rows with probabilities from `low` to `high`.

    predicted: their mean probability; observed: the share that happened, with its interval over clusters
    band:      where that share lies by chance if the probabilities are right, at the level of the interval; None where
               rows of one bin are all of one cluster, and how far chance goes is not known
    """

    low: float
    high: float
    n: int
    cases: int
    predicted: float
    observed: Interval | None
    band: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a record or JSON."""
        return {
            "low": self.low, "high": self.high, "n": self.n, "cases": self.cases, "predicted": self.predicted,
            "share": self.cases / self.n, "observed": None if self.observed is None else self.observed.as_dict(),
            "band": None if self.band is None else list(self.band),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class BrierParts(Shown):
    """The Brier score taken apart (Murphy 1973): brier = reliability - resolution + uncertainty + within.

    reliability: what gaps between what is said and what happens cost, over bins; 0 is best
    resolution:  what it gains that bins differ in what happens; larger is better
    uncertainty: the Brier score of always saying the prevalence
    within:      what bins hide, by rows that differ within one (Stephenson, Coelho and Jolliffe 2008); small
    skill:       the share of the uncertainty that the model takes away: 1 - brier / uncertainty; below 0 it is worse
                 than the constant
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within: float
    skill: float


@dataclass(frozen=True, slots=True)
class Recalibration(Shown):
    """The line that log-odds would have to follow (Cox 1958): log-odds of what happens = intercept + slope x said.

    intercept, slope: fitted together; 0 and 1 are right. A slope below 1: probabilities are too extreme
    level:            the intercept with the slope held at 1: above 0, it happens more often than said
    """

    intercept: Interval
    slope: Interval
    level: Interval


@dataclass(frozen=True, slots=True)
class _Binned:
    """Which bin each row is in, and the bins' sums."""

    of: NDArray[np.intp]
    n: Floats
    cases: Floats
    predicted: Floats
    edges: Floats


def reliability_bins(
    outcome: ArrayLike,
    probability: ArrayLike,
    clusters: ArrayLike | None = None,
    bins: int = BINS,
    level: float = 0.95,
) -> tuple[ReliabilityBin, ...]:
    """The bins of a reliability diagram, from the lowest probability up. `NotEnough` without rows.

    Raises `InputError` as `brier` does, and for fewer than two bins. The bands are Bröcker and Smith's (2007)
    consistency bars: the binomial distribution with each bin's mean probability, as wide as clusters make it.

    >>> p = np.repeat([0.1, 0.6], 50)
    >>> made = reliability_bins(np.arange(100) % 5 == 0, p)
    >>> [(one.n, round(one.predicted, 2), one.cases, np.round(one.band, 2).tolist()) for one in made]
    [(50, 0.1, 10, [0.02, 0.18]), (50, 0.6, 10, [0.46, 0.74])]
    """
    y, p = outcome_and_probability(outcome, probability)
    codes = None if clusters is None else cluster_codes(clusters, rows=y.size)[0]
    binned = _binned(y, p, bins)
    bands = _bands(binned, _design_effect(y, p, binned, codes), level)
    made = []
    for place in range(binned.n.size):
        rows = np.flatnonzero(binned.of == place)
        try:
            observed = share_interval(y[rows], None if codes is None else codes[rows], level)
        except NotEnough:  # one cluster
            observed = None
        inside = p[rows]
        made.append(
            ReliabilityBin(
                float(inside.min()), float(inside.max()), rows.size, int(binned.cases[place]),
                float(binned.predicted[place]), observed, None if observed is None else bands[place],
            )
        )  # fmt: skip
    return tuple(made)


def calibration_error(
    outcome: ArrayLike,
    probability: ArrayLike,
    clusters: ArrayLike | None = None,
    bins: int = BINS,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """The expected calibration error over bins of equal size (Naeini, Cooper and Hauskrecht 2015), with its interval.

    The estimate is the plain one, the mean of |observed - predicted| over rows, which noise makes larger than the
    truth. The interval is that estimate plus or minus what noise alone amounts to (its quantile at `level`, drawn with
    `seed` from each bin's spread over clusters): by the triangle inequality it covers at least its level, for the error
    over these bins. Where it reaches 0 the rows do not tell the probabilities from right ones.

    >>> rng = np.random.default_rng(1)
    >>> p = rng.uniform(0.1, 0.6, 4000)
    >>> print(calibration_error(rng.random(4000) < p, p))
    +0.0226 [+0.0000, +0.0478]
    """
    y, p = outcome_and_probability(outcome, probability)
    codes, groups = cluster_codes(clusters, rows=y.size)
    binned = _binned(y, p, bins)
    gap = (binned.cases / binned.n) - binned.predicted
    weight = binned.n / y.size
    error = math.fsum((weight * np.abs(gap)).tolist())
    shares = (binned.cases + 0.5) / (binned.n + 1.0)
    spread = np.sqrt(shares * (1.0 - shares) / binned.n * _design_effect(y, p, binned, codes))
    drawn = np.abs(np.random.default_rng(seed).standard_normal((DRAWS, gap.size)) * spread) @ weight
    noise = float(np.quantile(drawn, level_tails(level)[1] * 2.0 - 1.0))
    return Interval(error, max(error - noise, 0.0), min(error + noise, 1.0), level, y.size, groups)


def brier_parts(outcome: ArrayLike, probability: ArrayLike, bins: int = BINS) -> BrierParts:
    """The Brier score's parts over bins of equal size; with as many bins as probabilities, Murphy's own.

    Errors as for `brier`; `NotEnough` where all outcomes are the same, of which nothing is uncertain.

    >>> parts = brier_parts([1, 0, 0, 1], [0.8, 0.2, 0.2, 0.2], bins=2)
    >>> round(parts.reliability, 4), round(parts.resolution, 4), parts.uncertainty, round(parts.within, 4)
    (0.0233, 0.0833, 0.25, 0.0)
    """
    y, p = outcome_and_probability(outcome, probability)
    binned = _binned(y, p, bins)
    share, prevalence, weight = binned.cases / binned.n, float(np.count_nonzero(y)) / y.size, binned.n / y.size
    if prevalence in (0.0, 1.0):
        raise NotEnough(f"all {y.size} rows have outcome {prevalence:g}", where="outcome", expected="both outcomes")
    score = math.fsum(np.square(p - y).tolist()) / y.size
    reliability = math.fsum((weight * np.square(binned.predicted - share)).tolist())
    resolution = math.fsum((weight * np.square(share - prevalence)).tolist())
    uncertainty = prevalence * (1.0 - prevalence)
    within = score - (reliability - resolution + uncertainty)
    return BrierParts(score, reliability, resolution, uncertainty, within, 1.0 - score / uncertainty)


def recalibration(
    outcome: ArrayLike, probability: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Recalibration:
    """Cox's (1958) intercept and slope by maximum likelihood, with the sandwich's errors over clusters.

    Raises `InputError` as `brier` does; `NotEnough` with fewer than 10 rows of a class, where all probabilities are the
    same, or where a probability parts the classes without a mistake (then the slope has no end).

    >>> rng = np.random.default_rng(1)
    >>> log_odds = rng.normal(-1, 1, 5000)
    >>> y = rng.random(5000) < 1 / (1 + np.exp(-log_odds))
    >>> print(recalibration(y, 1 / (1 + np.exp(-2 * log_odds))).slope)
    +0.4694 [+0.4305, +0.5084]
    """
    y, p = outcome_and_probability(outcome, probability)
    cases = int(np.count_nonzero(y))
    if min(cases, y.size - cases) < LEAST:
        found = f"there are {cases} rows with outcome 1 and {y.size - cases} with outcome 0"
        raise NotEnough(found, where="outcome", expected=f"at least {LEAST} of each to fit a line to")
    if p.min() == p.max():
        raise NotEnough("every row has the same probability", where="probability", expected="some that differ")
    order = np.lexsort((y, p))
    clipped = np.clip(p, LOG_ODDS_CLIP, 1.0 - LOG_ODDS_CLIP)
    x = np.log(clipped) - np.log1p(-clipped)
    ones = np.ones((y.size, 1))
    both, moved = _logistic(y, np.column_stack((ones[:, 0], x)), np.zeros(y.size), order)
    alone, shifted = _logistic(y, ones, x, order)
    made = (Linear(both[0], moved[:, 0]), Linear(both[1], moved[:, 1]), Linear(alone[0], shifted[:, 0]))
    return Recalibration(*(linear_interval(one, clusters, level) for one in made))


def _logistic(y: Bools, columns: Floats, offset: Floats, order: NDArray[np.intp]) -> tuple[list[float], Floats]:
    """The coefficients of a logistic regression, and the influence of each row on each of them."""
    fitted = greatest_likelihood(columns[order], y[order].astype(np.float64), offset[order])
    if fitted is None:
        raise NotEnough(
            "the probabilities part the classes without a mistake", where="probability", expected="some mistake"
        )
    found, curvature = fitted
    gap = y - expits(columns @ found + offset)
    moved = np.linalg.solve(curvature, (columns * gap[:, None]).T).T
    return [float(one) for one in found], np.asarray(moved, np.float64)


def _binned(y: Bools, p: Floats, bins: int) -> _Binned:
    if bins < 2:
        raise InputError(f"{bins} bins tell nothing", where="bins", expected="2 or more")
    if not y.size:
        raise NotEnough("there are no rows", where="outcome", expected="at least one")
    ranked = np.sort(p)
    edges = np.unique(ranked)
    if edges.size > bins:
        edges = np.unique(ranked[np.arange(bins) * y.size // bins])
    of = np.searchsorted(edges, p, side="right") - 1
    n, cases = (np.bincount(some, minlength=edges.size).astype(np.float64) for some in (of, of[y]))
    starts = np.searchsorted(ranked, edges)
    return _Binned(of, n, cases, np.add.reduceat(ranked, starts) / n, edges)


def _design_effect(y: Bools, p: Floats, binned: _Binned, codes: NDArray[np.intp] | None) -> float:
    """How many times more the bins' gaps spread over clusters than independent rows would make them; at least 1."""
    if codes is None:
        return 1.0
    gap = (y - p) - (binned.cases / binned.n - binned.predicted)[binned.of]
    groups = int(codes.max()) + 1
    sums = cluster_sums(gap, binned.of * groups + codes, binned.n.size * groups)
    alone = math.fsum(np.square(gap).tolist())
    return max(1.0, math.fsum(np.square(sums).tolist()) / alone) if alone else 1.0


def _bands(binned: _Binned, effect: float, level: float) -> list[tuple[float, float]]:
    """Quantiles of the share that happens if what is said is right, farther from it where clusters spread more."""
    said, limits = binned.predicted, []
    for tail in level_tails(level):
        away = binomial_quantiles(tail, binned.n, said) / binned.n - said
        limits.append(np.clip(said + away * math.sqrt(effect), 0.0, 1.0))
    return list(zip(limits[0].tolist(), limits[1].tolist(), strict=True))
