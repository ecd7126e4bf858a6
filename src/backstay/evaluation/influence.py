"""The **influence** of a row: by how much a metric moves as that row counts for more.

Most metrics are no mean over rows, and yet in a large sample each moves nearly as one: its error is the sum of what
each row adds (Hampel 1974; for surveys Deville 1999). So one way leads from any such metric to its interval, whatever
rows lean on each other: sum the influence within each cluster, and take the spread of the sums. For a mean it is
Cochran's ratio estimator, for the AUC DeLong's variance, for a fitted slope the clustered sandwich.

Two metrics of the same rows are compared by the difference of their influences: what is hard for both cancels.

A share that nears 0 or 1 has no symmetric interval: it is made on the scale of log-odds, a positive number's on that of
logarithms, and brought back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.quantiles import level_tails, student_quantile

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def expit(x: float) -> float:
    """The probability of a log-odds.

    >>> expit(0.0), expit(-1000.0)
    (0.5, 0.0)
    """
    return 1.0 / (1.0 + math.exp(-x)) if x > -700.0 else 0.0


Scale = tuple[Callable[[float], float], Callable[[float], float], Callable[[float], float]]
SCALES: dict[str, Scale] = {
    "plain": (lambda x: x, lambda x: x, lambda _: 1.0),
    "log": (math.log, math.exp, lambda x: 1.0 / x),
    "log_odds": (lambda x: math.log(x / (1.0 - x)), expit, lambda x: 1.0 / (x * (1.0 - x))),
}
"""To the scale, back from it, and how steep it is."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A metric of some rows and the influence of each.

    estimate:  the metric
    influence: shape (rows,), in the metric's unit: what one more row like this adds to it, so that they sum to 0
    scale:     "plain", "log" (above 0) or "log_odds" (between 0 and 1): where its interval is made
    among:     the rows that the metric is about, shape (rows,): their clusters are the degrees of freedom; None: all
    bias:      by how much the estimate is expected to be too high; its interval is made around the rest
    """

    estimate: float
    influence: Floats
    scale: str = "plain"
    among: Bools | None = None
    bias: float = 0.0


def linear_interval(metric: Linear, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """The interval of a metric by the influence of its rows, by Student's t over clusters.

    clusters: one label a row; None: each row stands for itself, which is right only where rows do not lean on each
    other. `NotEnough` with fewer than two clusters, or where the rows show no spread at all: that is no certainty.

    >>> print(linear_interval(Linear(0.5, np.array([0.1, -0.1, 0.05, -0.05]), "log_odds")))
    +0.5000 [+0.0891, +0.9109]
    """
    variance, df, groups = linear_variance(metric, clusters)
    rows = metric.influence.size
    if not variance > 0.0:
        found = f"all {groups} clusters show the very same" if groups < rows else f"all {rows} rows show the very same"
        raise NotEnough(found, where="clusters", expected="rows that differ")
    there, back, steep = SCALES[metric.scale]
    centre = metric.estimate - metric.bias
    reach = student_quantile(level_tails(level)[1], df) * math.sqrt(variance) * steep(centre)
    middle = there(centre)
    low, high = min(back(middle - reach), metric.estimate), max(back(middle + reach), metric.estimate)
    return Interval(metric.estimate, low, high, level, rows, groups)


def linear_difference(
    champion: Linear, candidate: Linear, clusters: ArrayLike | None = None, level: float = 0.95, *, larger: bool = True
) -> Interval:
    """By how much the candidate is better on the same rows: POSITIVE = the candidate is better.

    larger: whether larger is better; where smaller is, the sign is turned. Two models that score every row alike differ
    by [0, 0]. The degrees of freedom are those of the one whose rows are in fewer clusters. Errors as for
    `linear_interval`, and `NotEnough` where just one of them is a share of 0 or 1, which shows no spread of its own.
    """
    if champion.influence.size != candidate.influence.size:
        found = f"there are {champion.influence.size} rows of one and {candidate.influence.size} of the other"
        raise InputError(found, where="candidate", expected="the same rows")
    alike = bool(np.array_equal(champion.influence, candidate.influence))
    for one in (champion, candidate):
        if one.scale == "log_odds" and one.estimate in (0.0, 1.0) and not alike:
            found = f"of one of the two it is {one.estimate:g}, which shows no spread"
            raise NotEnough(found, where="candidate", expected="between 0 and 1")
    sign = 1.0 if larger else -1.0
    gain = sign * (candidate.estimate - champion.estimate) + 0.0
    moved = Linear(gain, sign * (candidate.influence - champion.influence), among=champion.among)
    variance, df, groups = linear_variance(moved, clusters)
    df = min(df, linear_variance(candidate, clusters)[1])
    reach = student_quantile(level_tails(level)[1], df) * math.sqrt(variance)
    return Interval(gain, gain - reach, gain + reach, level, moved.influence.size, groups)


def linear_variance(metric: Linear, clusters: ArrayLike | None = None) -> tuple[float, int, int]:
    """The variance of a metric, its degrees of freedom, and how many clusters there are.

    G/(G-1) Σ e_g², where e_g sums the influence of cluster g's rows. The degrees of freedom are one less than the
    clusters that hold rows the metric is about.
    """
    codes, groups = cluster_codes(clusters, rows=metric.influence.size)
    if codes is None:
        sums = metric.influence
        held = groups if metric.among is None else int(np.count_nonzero(metric.among))
    else:
        sums = cluster_sums(metric.influence, codes, groups)
        held = groups if metric.among is None else int(np.unique(codes[metric.among]).size)
    if held < 2:
        found = f"the rows that it is about are in {held} cluster{'' if held == 1 else 's'}"
        raise NotEnough(found, where="clusters", expected="at least two to tell how much they differ")
    return math.fsum(np.square(sums).tolist()) * groups / (groups - 1), held - 1, groups


def cluster_sums(values: Floats, codes: NDArray[np.intp], groups: int) -> Floats:
    """The sum of each cluster's values, shape (groups,), with the same last bit in any order of the rows.

    Each value is cut into two parts, multiples of two powers of 2 that are so large that sums of either are whole
    numbers below 2^53, and so exact (Rump, Ogita and Oishi 2008); together they keep more bits than a float64 has.

    >>> cluster_sums(np.array([0.1, 0.2, 0.3, 1e9]), np.array([0, 0, 0, 1]), 2).tolist()
    [0.6, 1000000000.0]
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    bits = 52 - max(values.size, 1).bit_length()
    step = math.ldexp(1.0, math.frexp(largest)[1] - bits)
    if largest < 1e-250:  # there is no smaller power of 2 left for the second part
        return np.zeros(groups)
    high = np.rint(values / step)
    low = np.rint((values - high * step) / math.ldexp(step, -bits))
    whole = np.bincount(codes, weights=high, minlength=groups) * step
    part = np.bincount(codes, weights=low, minlength=groups) * math.ldexp(step, -bits)
    return np.asarray(whole + part, np.float64)


def cluster_codes(clusters: ArrayLike | None, *, rows: int) -> tuple[NDArray[np.intp] | None, int]:
    """Each row's cluster as a number from 0, and how many there are, at least two; None: each row is one of its own.

    Raises `InputError` for lengths that differ or a row without a cluster, `NotEnough` for fewer than two.
    """
    if clusters is None:
        if rows < 2:
            raise NotEnough(f"there {'is 1 row' if rows else 'are no rows'}", where="outcome", expected="at least two")
        return None, rows
    labels = np.asarray(clusters)
    if labels.ndim != 1 or labels.size != rows:
        raise InputError(
            f"there are {labels.size} clusters for {rows} rows", where="clusters", expected="one for each row"
        )
    if not _all_known(labels):
        raise InputError("some rows have no cluster", where="clusters", expected="a day or an entity for every row")
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise InputError(
            f"clusters can't be sorted: {error}", where="clusters", expected="labels of one type"
        ) from error
    if names.size < 2:
        found = f"all {rows} rows are in {names.size} cluster" if rows else "there are no rows"
        raise NotEnough(found, where="clusters", expected="at least two to tell how much they differ")
    return codes, int(names.size)


def _all_known(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind == "O":
        return not any(label is None or label != label for label in labels.tolist())
    if labels.dtype.kind == "f":
        return not bool(np.isnan(labels).any())
    return labels.dtype.kind not in "mM" or not bool(np.isnat(labels).any())
