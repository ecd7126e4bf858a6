"""Curves: what an arm costs at every ratio of costs, how precision falls with recall, and if it means what it says.

cost curve    the cost of its decisions over the cost of the cheaper constant, by what a missed positive costs
              against a false alarm: 1 is no better than saying the same to everybody (Drummond and Holte 2006;
              decided at the threshold of Elkan 2001, so a score that is no probability pays for it here)
precision     over recall; a ranking by chance stays at the prevalence
reliability   what was said against what happened, in bins that hold about as many positives each, since bins of
              as many rows would have all of them in the last
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.interval import Estimate, Interval, estimated
from backstay.evaluation.metrics import Bools, Floats, as_outcome, as_scores

POINTS = 60
"""Points of a curve of precision over recall."""
BINS = 8


@dataclass(frozen=True, slots=True)
class Costs(Shown):
    """What errors cost, in any one unit, both above 0; what is right costs nothing.

    >>> round(Costs(false_positive=1, false_negative=20).threshold, 4)
    0.0476
    """

    false_positive: float
    false_negative: float

    def __post_init__(self) -> None:
        for name, cost in (("false_positive", self.false_positive), ("false_negative", self.false_negative)):
            if not (cost > 0 and np.isfinite(cost)):
                raise InputError(f"it is {cost}", where=name, expected="a cost above 0")

    @property
    def threshold(self) -> float:
        """From which probability on saying yes is cheaper: Elkan 2001."""
        return self.false_positive / (self.false_positive + self.false_negative)

    @property
    def ratio(self) -> float:
        """What a missed positive costs, in false alarms."""
        return self.false_negative / self.false_positive


class Bin(NamedTuple):
    """A bin of a reliability curve: the mean probability said, the share that happened, rows and positives."""

    said: float
    happened: Estimate
    rows: int
    positives: int


def costs_of(outcome: ArrayLike, probability: ArrayLike, costs: Costs) -> Floats:
    """What each row's decision at `costs.threshold` costs.

    >>> costs_of([1, 1, 0, 0], [0.9, 0.01, 0.2, 0.01], Costs(1, 20)).tolist()
    [0.0, 20.0, 1.0, 0.0]
    """
    y = as_outcome(outcome)
    yes = as_scores(probability, "probability", rows=y.size) >= costs.threshold
    return np.where(y, np.where(yes, 0.0, costs.false_negative), np.where(yes, costs.false_positive, 0.0))


def ratios(prevalence: float, points: int = 41) -> Floats:
    """Ratios of costs worth looking at: around the one at which always saying yes costs as much as always saying no.

    >>> ratios(0.001, points=3).round().tolist()
    [10.0, 999.0, 99900.0]
    """
    balance = (1.0 - prevalence) / prevalence
    return np.geomspace(balance / 100, balance * 100, points)


def cost_curve(outcome: ArrayLike, probability: ArrayLike, at: ArrayLike) -> Floats:
    """The cost of decisions at each ratio of a missed positive to a false alarm, over that of the cheaper constant.

    >>> cost_curve([1, 0, 0, 0], [0.6, 0.2, 0.6, 0.1], [1.0, 3.0]).round(3).tolist()
    [1.0, 0.333]
    """
    y = as_outcome(outcome)
    p = as_scores(probability, "probability", rows=y.size)
    ratio = np.asarray(at, np.float64)
    positives, negatives = np.sort(p[y]), np.sort(p[~y])
    threshold = 1.0 / (1.0 + ratio)
    missed = positives.searchsorted(threshold)
    alarms = negatives.size - negatives.searchsorted(threshold)
    constant = np.minimum(positives.size * ratio, float(negatives.size))
    return np.asarray((missed * ratio + alarms) / constant, np.float64)


def precision_curve(outcome: ArrayLike, score: ArrayLike, points: int = POINTS) -> list[tuple[float, float]]:
    """(recall, precision) at as many cuts, those that end at a positive; equal scores are not cut apart.

    >>> precision_curve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    [(0.5, 1.0), (1.0, 0.6666666666666666)]
    """
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    names, place = np.unique(s, return_inverse=True)
    found = np.cumsum(np.bincount(place[y], minlength=names.size)[::-1])
    rows = np.cumsum(np.bincount(place, minlength=names.size)[::-1])
    ends = np.flatnonzero(np.diff(found, prepend=0) > 0)
    wanted = np.unique(np.round(np.geomspace(1, len(ends), points)).astype(int)) - 1 if len(ends) else ends
    total = int(found[-1]) if len(found) else 0
    return [(float(found[end] / total), float(found[end] / rows[end])) for end in ends[wanted]]


def reliability(outcome: ArrayLike, probability: ArrayLike, clusters: ArrayLike, bins: int = BINS) -> list[Bin]:
    """What was said against what happened, in at most so many bins of about as many expected positives each.

    Equal probabilities are never parted. The intervals count clusters, and are cut at 0 and 1.
    """
    y = as_outcome(outcome)
    p = as_scores(probability, "probability", rows=y.size)
    groups = np.asarray(clusters)
    order = np.argsort(p, kind="stable")
    mass = np.cumsum(p[order])
    if not p.size or not mass[-1] > 0:
        return []
    cuts = p[order][np.unique(mass.searchsorted(mass[-1] * np.arange(1, bins) / bins))]
    place = np.unique(cuts).searchsorted(p, side="left")
    return [_bin(y[one], p[one], groups[one]) for one in (place == code for code in np.unique(place))]


def _bin(y: Bools, p: Floats, groups: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Bin:
    happened = estimated(lambda: _share(mean_interval(y, groups)), n=y.size)
    return Bin(float(np.sort(p).mean()), happened, y.size, int(np.count_nonzero(y)))


def _share(found: Interval) -> Interval:
    low, high = max(found.low, 0.0), min(found.high, 1.0)
    return Interval(found.estimate, low, high, found.level, found.n, found.clusters)


def as_points(x: Sequence[float] | Floats, y: Sequence[float] | Floats) -> list[tuple[float, float]]:
    """Two rows of numbers as points.

    >>> as_points([1.0, 2.0], [3.0, 4.0])
    [(1.0, 3.0), (2.0, 4.0)]
    """
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
