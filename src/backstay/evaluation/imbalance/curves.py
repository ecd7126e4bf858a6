"""Curves: what an arm costs at every ratio of costs, and whether it means what it says where it is rare.

cost curve    the cost of its decisions over the cost of the cheaper constant, by what a missed positive costs
              against a false alarm: 1 is no better than saying the same to everybody (Drummond and Holte 2006;
              decided at the threshold of Elkan 2001, so a score that is no probability pays for it here)
precision     over recall; a ranking by chance stays at the prevalence
reliability   what was said against what happened, in bins that hold about as many positives each, since bins of
              as many rows would have all of them in the last
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from backstay.evaluation.clustered import share_interval
from backstay.evaluation.interval import Estimate, estimated
from backstay.evaluation.metrics import Bools, Floats, as_outcome, as_scores

BINS = 8


class Bin(NamedTuple):
    """A bin of a reliability curve: the mean probability said, the share that happened, rows and positives."""

    said: float
    happened: Estimate
    rows: int
    positives: int


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


def reliability(outcome: ArrayLike, probability: ArrayLike, clusters: ArrayLike, bins: int = BINS) -> list[Bin]:
    """What was said against what happened, in at most so many bins of about as many expected positives each.

    Equal probabilities are never parted. The intervals count clusters.
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


def as_points(x: Floats, y: Floats) -> list[tuple[float, float]]:
    """Two rows of numbers as points.

    >>> as_points(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    [(1.0, 3.0), (2.0, 4.0)]
    """
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]


def _bin(y: Bools, p: Floats, groups: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Bin:
    happened = estimated(lambda: share_interval(y, groups), n=y.size)
    return Bin(float(np.sort(p).mean()), happened, y.size, int(np.count_nonzero(y)))
