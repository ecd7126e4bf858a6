"""Intervals that count clusters, not rows.

A **cluster** is a set of rows that lean on each other: one day's flights, one customer's payments. Clusters are taken
as independent, rows inside one are not assumed to be; the intervals are then right whatever happens within a cluster,
and too narrow only if the clusters themselves hang together (weeks of one long strike) or are few and very unequal.

    ok       clusters=day, 30 of them         the interval is as wide as 30 days say
    not ok   clusters=row number              the interval of 100 000 independent rows, which they are not
    not ok   one day                          `NotEnough`: one storm says nothing about the next

Every limit is Student's t with the number of clusters less one as degrees of freedom. Sums are taken in an order fixed
by the values, or exactly, so the order of the rows does not move a bit of any result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Bools, Floats, Placements, as_numbers, brier_losses, log_losses, placements
from backstay.evaluation.quantiles import student_quantile

ROW_LOSSES: dict[str, Callable[[ArrayLike, ArrayLike], Floats]] = {"log_loss": log_losses, "brier": brier_losses}
"""The metrics that are a mean over rows, by name; the AUC is not one and goes its own way."""


def mean_interval(values: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Interval:
    """The mean of `values` over rows, with an interval over clusters.

    The mean is a ratio of cluster totals to cluster sizes; its variance is the linearised one of a ratio (Cochran 1977,
    chapter 6; the same as a regression on a constant with CR1 errors): G/(G-1) Σ e_g² / n², where e_g sums what cluster
    g's rows deviate from the mean. The limits are in the unit of `values`. Raises `InputError` for values that are not
    finite or lengths that differ, `NotEnough` with fewer than two clusters.

    >>> print(mean_interval([1.0, 2.0, 3.0, 6.0], clusters=["mon", "mon", "tue", "wed"]))
    +3.0000 [-2.5893, +8.5893]
    """
    v = as_numbers(values, "values")
    if not np.isfinite(v).all():
        raise InputError(f"{np.count_nonzero(~np.isfinite(v))} values are not finite", where="values")
    codes, groups = coded(clusters, rows=v.size)
    order = np.lexsort((v, codes))  # one fixed order: by cluster, then by value
    starts = np.searchsorted(codes[order], np.arange(groups))
    mean = math.fsum(v.tolist()) / v.size
    deviations = np.add.reduceat(v[order] - mean, starts)
    spread = math.fsum(np.square(deviations).tolist()) * groups / (groups - 1) / v.size**2
    return _around(mean, spread, level, df=groups - 1, n=v.size, clusters=groups)


def auc_interval(outcome: ArrayLike, score: ArrayLike, clusters: ArrayLike, level: float = 0.95) -> Interval:
    """The AUC with an interval over clusters: DeLong's variance as Obuchowski (1997) extends it to clustered rows.

    Cases and controls of one cluster may be correlated, with each other too. The limits are cut at 0 and 1; a ranking
    without any error has no spread and gets the interval [1, 1], which no finite number of rows warrants. Degrees of
    freedom count the clusters that hold the scarcer class. Raises `InputError` as `auc` does, and `NotEnough` unless
    each class is in at least two clusters.

    >>> late, score, day = [0, 1, 0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4, 0.2, 0.3], [1, 1, 2, 2, 3, 3]
    >>> print(auc_interval(late, score, day))
    +0.8333 [+0.0053, +1.0000]
    """
    placed = placements(outcome, score)
    codes, groups = coded(clusters, rows=placed.outcome.size)
    pairs = 2 * placed.cases * placed.controls
    variance, df = _placement_variance(placed.outcome, placed.wins, codes, groups)
    whole = _around(placed.area, variance / pairs**2, level, df=df, n=placed.outcome.size, clusters=groups)
    return Interval(whole.estimate, max(whole.low, 0.0), min(whole.high, 1.0), level, whole.n, groups)


def paired_difference(
    outcome: ArrayLike,
    champion: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike,
    metric: str = "log_loss",
    level: float = 0.95,
) -> Interval:
    """By how much the candidate is better than the champion on the same rows: POSITIVE = the candidate is better.

    `metric` is 'log_loss' (nats a row), 'brier', or 'auc' (the gain in AUC). The first two are the mean of the rows'
    differences (`mean_interval`); the AUC's is the paired DeLong comparison over clusters (Obuchowski 1997). Raises
    `InputError` for an unknown metric, NaN scores, probabilities outside [0, 1] or lengths that differ; `NotEnough`
    with fewer than two clusters, or, for the AUC, without both classes in at least two.

    >>> late, day = [0, 1, 0, 1], ["mon", "mon", "tue", "tue"]
    >>> gain = paired_difference(late, champion=[0.5] * 4, candidate=[0.2, 0.7, 0.4, 0.6], clusters=day)
    >>> round(gain.estimate, 4)
    0.2928
    """
    if metric in ROW_LOSSES:
        losses = ROW_LOSSES[metric]
        return mean_interval(losses(outcome, champion) - losses(outcome, candidate), clusters, level)
    if metric != "auc":
        raise InputError(f"the metric is {metric!r}", where="metric", expected="'log_loss', 'brier' or 'auc'")
    return _auc_difference(placements(outcome, champion), placements(outcome, candidate), clusters, level)


def _auc_difference(champion: Placements, candidate: Placements, clusters: ArrayLike, level: float) -> Interval:
    """The variance is a form in the placements, so that of a difference is the form in the placements' difference."""
    rows = champion.outcome.size
    codes, groups = coded(clusters, rows=rows)
    gained = candidate.wins - champion.wins
    pairs = 2 * champion.cases * champion.controls
    estimate = int(gained[champion.outcome].sum()) / pairs
    variance, df = _placement_variance(champion.outcome, gained, codes, groups)
    return _around(estimate, variance / pairs**2, level, df=df, n=rows, clusters=groups)


def _placement_variance(
    outcome: Bools, wins: NDArray[np.int64], codes: NDArray[np.intp], groups: int
) -> tuple[float, int]:
    """Obuchowski's variance of the number of wins, S10/M + S01/N + 2 S11/(MN) scaled by pairs², and its df.

    Per-cluster sums of whole numbers below 2^53 are exact in float64, whatever the order of the rows.
    """
    totals, excess = [], []
    for member in (outcome, ~outcome):
        size = np.bincount(codes[member], minlength=groups).astype(np.float64)
        won = np.bincount(codes[member], weights=wins[member], minlength=groups)
        totals.append(size)
        excess.append(won - size * (float(won.sum()) / float(size.sum())))
    held = [int(np.count_nonzero(size)) for size in totals]
    if min(held) < 2:
        found = f"outcome 1 is in {held[0]} clusters and outcome 0 in {held[1]}"
        raise NotEnough(found, where="clusters", expected="each outcome in at least two")
    # In units of wins (half pairs): a case's placement is wins / 2N, so S10/M over 1/(2MN)² is its plain sum of squares
    case_part = math.fsum(np.square(excess[0]).tolist()) * held[0] / (held[0] - 1)
    control_part = math.fsum(np.square(excess[1]).tolist()) * held[1] / (held[1] - 1)
    both_part = 2.0 * math.fsum((excess[0] * excess[1]).tolist()) * groups / (groups - 1)
    return max(case_part + control_part + both_part, 0.0), min(held) - 1


def coded(clusters: ArrayLike, *, rows: int) -> tuple[NDArray[np.intp], int]:
    """Each row's cluster as a number from 0, and how many there are; `NotEnough` with fewer than two."""
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


def _around(estimate: float, variance: float, level: float, *, df: int, n: int, clusters: int) -> Interval:
    """The interval of `level` around an estimate with this variance."""
    if not 0.0 < level < 1.0:
        raise InputError(f"the level is {level}", where="level", expected="between 0 and 1, such as 0.95")
    reach = student_quantile(0.5 + level / 2, df) * math.sqrt(variance)
    return Interval(estimate, estimate - reach, estimate + reach, level, n, clusters)
