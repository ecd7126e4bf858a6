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
              the errors of the outcomes: it is about these versions, and not about those to come
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
    level: float = 0.95,
) -> Agreement | Insufficient:  # fmt: skip
    """Hold an offline metric of versions against their business outcome.

    offline:  the metric of each version or experiment, shape (versions,)
    business: the mean outcome of each, larger is better; error: its standard error, 0 or more
    larger:   whether a larger metric is better

    The line is fitted by weighted least squares with weights 1 / error^2 (a meta-regression with fixed effects; how far
    versions lie off it is Cochran's Q). `Insufficient` with fewer than three versions, or where all have the same
    metric.

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
    slope, straight = _line(x, y, e, level)
    worst, best = int(np.argmin(x)), int(np.argmax(x))
    change, half = (
        float(y[best] - y[worst]),
        math.hypot(e[best], e[worst]) * student_quantile(level_tails(level)[1], math.inf),
    )
    lost = Interval(change, change - half, change + half, level, x.size, x.size)
    names = versions or tuple(range(1, x.size + 1))
    rank = float(np.corrcoef(_ranks(x), _ranks(y))[0, 1]) if float(np.ptp(y)) > 0.0 else 0.0
    return Agreement(names, tuple(x.tolist()), tuple(y.tolist()), round(rank, 12), slope, straight, lost)


def business_by_version(
    version: ArrayLike, value: ArrayLike, *, clusters: ArrayLike | None = None
) -> tuple[tuple[Any, ...], Floats, Floats]:
    """The mean of a business outcome by version, and its standard error over clusters.

    version: one label a row; value: the outcome, NaN: not known (left out). Versions with fewer than two known are
    left out.

    >>> names, mean, error = business_by_version(["a", "a", "b", "b"], [1.0, 2.0, 3.0, 5.0])
    >>> names, mean.tolist(), error.round(2).tolist()
    (('a', 'b'), [1.5, 4.0], [0.5, 1.0])
    """
    names, codes = np.unique(np.asarray(version), return_inverse=True)
    v = as_numbers(value, "value")
    groups = None if clusters is None else np.asarray(clusters)
    kept, means, errors = [], [], []
    for place, name in enumerate(names.tolist()):
        rows = (codes == place) & np.isfinite(v)
        told = estimated(partial(mean_interval, v[rows], None if groups is None else groups[rows]), int(rows.sum()))
        if isinstance(told, Interval):
            half = (told.high - told.low) / 2.0
            kept.append(name)
            means.append(told.estimate)
            errors.append(half / student_quantile(0.975, told.clusters - 1))
    return tuple(kept), np.array(means), np.array(errors)


def _line(x: Floats, y: Floats, e: Floats, level: float) -> tuple[Interval, float]:
    floor = max(float(e.max()) * 1e-3, 1e-12)  # an error of 0 would be all the weight there is
    w = 1.0 / np.square(np.maximum(e, floor))
    middle = float(w @ x / w.sum())
    spread = float(w @ np.square(x - middle))
    slope = float(w @ ((x - middle) * y)) / spread
    off = y - float(w @ y / w.sum()) - slope * (x - middle)
    reach = student_quantile(level_tails(level)[1], math.inf) / math.sqrt(spread)
    straight = chi2_tail(float(w @ np.square(off)), float(x.size - 2))
    return Interval(slope, slope - reach, slope + reach, level, x.size, x.size), straight


def _ranks(values: Floats) -> Floats:
    """Midranks."""
    _, code, counts = np.unique(values, return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    return np.asarray((upper - (counts - 1) / 2.0)[code], np.float64)
