"""Proxy mismatch: the metric that versions are chosen by rises, and what the business wants does not.

The evidence is versions or experiments side by side: each has an offline metric, and a business outcome per row with an
error. A metric that is worth choosing by orders them alike. With fewer than three there is no order to speak of, and
the answer is that it cannot be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.interval import Estimate, Insufficient, Interval, estimated
from backstay.evaluation.metrics import as_numbers
from backstay.evaluation.quantiles import chi2_tail, level_tails, student_quantile

Floats = NDArray[np.float64]

LEAST = 3
"""Versions or experiments, below which an order says nothing."""


@dataclass(frozen=True, slots=True)
class Agreement(Shown):
    """Whether a metric orders versions as the business outcome does.

    versions: as they were given; offline: the metric of each, turned so that larger is better
    business: the outcome of each
    rank:     Spearman's rank correlation of the two: 1 alike, -1 reversed
    slope:    the business outcome's change per unit of the metric, by a line through the versions; its interval holds
              the errors of the outcomes, and how far these versions are out of order
    straight: the probability that versions lie so far off the line by their errors alone
    lost:     what going from the version that was worst by the metric to the one that is best changed the outcome by
    """

    versions: tuple[Any, ...]
    offline: tuple[float, ...]
    business: tuple[float, ...]
    rank: float
    slope: Estimate
    straight: float
    lost: Estimate


def agreement(
    offline: ArrayLike, business: ArrayLike, error: ArrayLike, *, versions: tuple[Any, ...] = (), larger: bool = True,
    level: float = 0.95, clusters: ArrayLike | None = None,
) -> Agreement | Insufficient:  # fmt: skip
    """Hold an offline metric of versions against their business outcome.

    offline:  the metric of each version or experiment, shape (versions,)
    business: the mean outcome of each, larger is better; error: its standard error, 0 or more
    larger:   whether a larger metric is better
    clusters: how many clusters (days) each error is of, 2 or more; None: the errors are known

    The line is fitted by weighted least squares with weights 1 / error^2 (a meta-regression with fixed effects; how far
    versions lie off it is Cochran's Q). Where they lie further off an order than their errors, all errors are
    multiplied by sqrt(Q / (versions - 2)) (Birge 1932): what moves versions out of their order, a season say, moves
    them into one, too. Q is about what rises or falls with the metric in any way; of three versions, about the line.
    Limits are Student's with the degrees of freedom of Welch and Satterthwaite. `Insufficient` with fewer than three
    versions, or where all have the same metric.

    >>> found = agreement([0.70, 0.74, 0.79, 0.82], [1.30, 1.22, 1.11, 1.02], [0.02] * 4)
    >>> found.rank, found.slope.high < 0
    (-1.0, True)
    """
    x, y, e = as_numbers(offline, "offline"), as_numbers(business, "business"), as_numbers(error, "error")
    if not x.size == y.size == e.size:
        raise InputError(f"there are {x.size} metrics and {y.size} outcomes", where="business", expected="one each")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(e).all() and (e >= 0.0).all()):
        raise InputError("a metric, outcome or error is no number", where="business", expected="finite numbers")
    if x.size < LEAST:
        return Insufficient(f"there are {x.size} versions with a business outcome; {LEAST} are needed", x.size)
    x = x if larger else -x
    if float(np.ptp(x)) == 0.0:
        return Insufficient("all versions have the same metric", x.size)
    df = np.full(x.size, math.inf) if clusters is None else as_numbers(clusters, "clusters") - 1.0
    slope, straight, apart = _line(x, y, e, df, level)
    worst, best = int(np.argmin(x)), int(np.argmax(x))
    change, half = (
        float(y[best] - y[worst]),
        apart * _reach(e[[best, worst]], df[[best, worst]], level),
    )
    lost = Interval(change, change - half, change + half, level, x.size, x.size)
    names = versions or tuple(range(1, x.size + 1))
    rank = float(np.corrcoef(_ranks(x), _ranks(y))[0, 1]) if float(np.ptp(y)) > 0.0 else 0.0
    return Agreement(names, tuple(x.tolist()), tuple(y.tolist()), round(rank, 12), slope, straight, lost)


def business_by_version(
    version: ArrayLike, value: ArrayLike, *, clusters: ArrayLike | None = None
) -> tuple[tuple[Any, ...], Floats, Floats, Floats]:
    """The mean of a business outcome by version, its standard error over clusters, and how many these are.

    version: one label a row; value: the outcome, NaN: not known (left out). Versions with fewer than two known are
    left out.

    >>> names, mean, error, clusters = business_by_version(["a", "a", "b", "b"], [1.0, 2.0, 3.0, 5.0])
    >>> names, mean.tolist(), error.round(2).tolist(), clusters.tolist()
    (('a', 'b'), [1.5, 4.0], [0.5, 1.0], [2.0, 2.0])
    """
    names, codes = np.unique(np.asarray(version), return_inverse=True)
    v = as_numbers(value, "value")
    groups = None if clusters is None else np.asarray(clusters)
    kept, means, errors, many = [], [], [], []
    for place, name in enumerate(names.tolist()):
        rows = (codes == place) & np.isfinite(v)
        told = estimated(partial(mean_interval, v[rows], None if groups is None else groups[rows]), int(rows.sum()))
        if isinstance(told, Interval):
            half = (told.high - told.low) / 2.0
            kept.append(name)
            means.append(told.estimate)
            errors.append(half / student_quantile(0.975, told.clusters - 1))
            many.append(float(told.clusters))
    return tuple(kept), np.array(means), np.array(errors), np.array(many)


def _line(x: Floats, y: Floats, e: Floats, df: Floats, level: float) -> tuple[Interval, float, float]:
    """The slope, the probability that versions lie so far off it, and what their errors are multiplied by."""
    floor = max(float(e.max()) * 1e-3, 1e-12)  # an error of 0 would be all the weight there is
    w = 1.0 / np.square(np.maximum(e, floor))
    middle = float(w @ x / w.sum())
    spread = float(w @ np.square(x - middle))
    slope = float(w @ ((x - middle) * y)) / spread
    off = y - float(w @ y / w.sum()) - slope * (x - middle)
    distance, free = float(w @ np.square(off)), float(x.size - 2)
    bent = distance if x.size == LEAST else float(w @ np.square(y - _monotone(x, y, w, slope)))
    apart = math.sqrt(max(1.0, bent / free))
    reach = apart * _reach(np.abs(x - middle) * np.sqrt(w) / spread, df, level)
    return Interval(slope, slope - reach, slope + reach, level, x.size, x.size), chi2_tail(distance, free), apart


def _monotone(x: Floats, y: Floats, w: Floats, slope: float) -> Floats:
    """The weighted least-squares fit to `y` that rises with `x`, or falls where `slope` does (pooled neighbours)."""
    order = np.argsort(x, kind="stable")
    sign = 1.0 if slope >= 0.0 else -1.0
    pools: list[list[float]] = []  # mean, weight, how many
    for place in order.tolist():
        pools.append([sign * float(y[place]), float(w[place]), 1.0])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            mean, weight, many = pools.pop()
            last = pools[-1]
            last[0] = (last[0] * last[1] + mean * weight) / (last[1] + weight)
            last[1], last[2] = last[1] + weight, last[2] + many
    out = np.empty(x.size)
    out[order] = sign * np.repeat([one[0] for one in pools], [int(one[2]) for one in pools])
    return out


def _reach(error: Floats, df: Floats, level: float) -> float:
    """Half the width of an interval of a sum of parts with these standard errors (Welch and Satterthwaite)."""
    variance = float(np.square(error).sum())
    loose = float((np.square(np.square(error)) / df).sum())
    free = variance**2 / loose if loose > 0.0 else math.inf
    return math.sqrt(variance) * student_quantile(level_tails(level)[1], free)


def _ranks(values: Floats) -> Floats:
    """Midranks."""
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    return np.asarray((upper - (counts - 1) / 2.0)[code], np.float64)
