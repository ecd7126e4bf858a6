"""Intervals that count clusters, not rows.

A **cluster** is a set of rows that lean on each other: one day's flights, one customer's payments. Clusters are taken
as independent, rows inside one are not assumed to be; the intervals are then right whatever happens within a cluster,
and too narrow only if the clusters themselves hang together (weeks of one long strike) or are few and very unequal.

    ok       clusters=day, 30 of them         the interval is as wide as 30 days say
    not ok   clusters=row number              the interval of 100 000 independent rows, which they are not
    not ok   one day                          `NotEnough`: one storm says nothing about the next

`clusters=None` says that each row stands for itself. Every limit is Student's t with the number of clusters less one as
degrees of freedom. Sums are exact, so the order of the rows does not move a bit of any result.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation import shares
from backstay.evaluation.areas import auc_difference
from backstay.evaluation.influence import Linear, cluster_codes, cluster_sums, linear_variance
from backstay.evaluation.interval import Interval
from backstay.evaluation.metrics import Floats, as_numbers, as_outcome, brier_losses, log_losses, placements
from backstay.evaluation.quantiles import beta_quantile, level_tails, student_quantile

ROW_LOSSES: dict[str, Callable[[ArrayLike, ArrayLike], Floats]] = {"log_loss": log_losses, "brier": brier_losses}
"""The metrics that are a mean over rows, by name; the AUC is not one and goes its own way."""


def mean_interval(values: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
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
    codes, groups = cluster_codes(clusters, rows=v.size)
    mean = math.fsum(v.tolist()) / v.size
    deviations = v - mean if codes is None else cluster_sums(v - mean, codes, groups)
    spread = math.fsum(np.square(deviations).tolist()) * groups / (groups - 1) / v.size**2
    reach = student_quantile(level_tails(level)[1], groups - 1) * math.sqrt(spread)
    return Interval(mean, mean - reach, mean + reach, level, v.size, groups)


def share_interval(hit: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """The share of rows that are 1, with an exact interval over clusters (Korn and Graubard 1998).

    It is Clopper and Pearson's with the number of independent rows that would spread as much as the clusters do; where
    all rows are 0, or all 1, and show no spread, each cluster counts as one row. Without clusters it is `shares.exact`.
    Raises `InputError` for values other than 0 and 1, `NotEnough` without rows or with fewer than two clusters.

    >>> print(share_interval([1, 0, 0, 0, 1, 0]))
    +0.3333 [+0.0433, +0.7772]
    >>> print(share_interval([1, 1, 0, 0, 0, 0], clusters=["mon", "mon", "tue", "tue", "wed", "wed"]))
    +0.3333 [+0.0000, +0.9997]
    """
    y = as_outcome(hit)
    hits, n = int(np.count_nonzero(y)), int(y.size)
    whole = shares.exact(hits, n, level)  # refuses no rows
    if clusters is None:
        return whole
    share = hits / n
    return share_by_influence(Linear(share, (y - share) / n), n, clusters, level)


def share_by_influence(metric: Linear, n: int, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
    """The same for a share of `n` rows whose influence is known, such as the recall at k, whose threshold is found too.

    The rows that it is a share of may be fewer than those of the influence: `n` is what its spread is held against.
    """
    share, rows = metric.estimate, metric.influence.size
    variance, df, groups = linear_variance(metric, clusters)
    low, high = level_tails(level)
    if share in (0.0, 1.0):
        trials = float(min(df + 1, n))
    else:
        trials = float(n) if not variance else min(share * (1.0 - share) / variance, float(n))
        if trials < n:
            trials *= (student_quantile(high, n - 1) / student_quantile(high, df)) ** 2
    least = beta_quantile(low, share * trials, (1.0 - share) * trials + 1.0) if share > 0.0 else 0.0
    most = beta_quantile(high, share * trials + 1.0, (1.0 - share) * trials) if share < 1.0 else 1.0
    return Interval(share, min(least, share), max(most, share), level, rows, groups)


def share_difference(
    champion: ArrayLike, candidate: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """By how much a share is larger for the candidate than for the champion, each 0 or 1 on the same rows.

    The interval of the mean difference with half a row gained and half a one lost added (Agresti and Min 2005): two
    rules that agree on ten rows do not agree on all. Where clusters spread more than rows would, what is added is that
    many times a row, at most a cluster. Errors as for `share_interval`.

    >>> print(share_difference([0, 0, 1, 1], [0, 0, 1, 1]))
    +0.0000 [-0.5304, +0.5304]
    """
    first, second = as_outcome(champion), as_outcome(candidate)
    if first.size != second.size:
        found = f"there are {first.size} rows of one and {second.size} of the other"
        raise InputError(found, where="candidate", expected="the same rows")
    plain = mean_interval(second.astype(np.float64) - first, clusters, level)
    reach = student_quantile(level_tails(level)[1], plain.clusters - 1)
    error = (plain.high - plain.low) / 2.0 / reach
    differ = int(np.count_nonzero(first != second)) / plain.n
    apart, each = (differ - plain.estimate**2) / plain.n, plain.n / plain.clusters
    if apart > 0.0:
        each = min(max(error**2 / apart, 1.0), max(each, 1.0))
    centre = plain.estimate * plain.n / (plain.n + 2.0 * each)
    away = reach * math.sqrt((error * plain.n) ** 2 + each**2) / (plain.n + 2.0 * each)
    low, high = max(centre - away, -1.0), min(centre + away, 1.0)
    return Interval(plain.estimate, min(low, plain.estimate), max(high, plain.estimate), level, plain.n, plain.clusters)


def difference_by_influence(
    champion: Linear, candidate: Linear, counts: tuple[int, int], clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The same for shares of different rows whose influence is known, such as two precisions; `counts`: of how many.

    The wider of two intervals at either end. One is made of each share's own, exact and over the clusters that it has
    rows in, less what they have in common (Zou 2007): two alarms that are both right are no precision of 1. The other
    is Student's t of the difference with half a row right and half a row wrong added: alarms that only one raises, five
    of five right, may be luck too. Errors as for `share_by_influence`.
    """
    gain = candidate.estimate - champion.estimate
    moved = Linear(gain, candidate.influence - champion.influence)
    variance, _, groups = linear_variance(moved, clusters)
    if gain == 0.0 and not moved.influence.any():
        return Interval(gain, gain, gain, level, moved.influence.size, groups)
    sides = [
        (one, n, share_by_influence(one, n, clusters, level))
        for one, n in zip((champion, candidate), counts, strict=True)
    ]
    (before, dfs), (after, more) = (linear_variance(one, clusters)[:2] for one, _, _ in sides)
    common = 0.0
    if before > 0.0 and after > 0.0:
        common = min(max((before + after - variance) / 2.0 / math.sqrt(before * after), -1.0), 1.0)
    first, second = (own for _, _, own in sides)

    def together(one: float, other: float) -> float:
        return math.sqrt(max(one**2 + other**2 - 2.0 * common * one * other, 0.0))

    added = max(((1.0 - one.estimate) ** 2 + one.estimate**2) / 2.0 / n**2 for one, n, _ in sides)
    away = student_quantile(level_tails(level)[1], min(dfs, more)) * math.sqrt(variance + added)
    below = max(together(second.estimate - second.low, first.high - first.estimate), away)
    above = max(together(second.high - second.estimate, first.estimate - first.low), away)
    low, high = max(gain - below, -1.0), min(gain + above, 1.0)
    return Interval(gain, min(low, gain), max(high, gain), level, moved.influence.size, groups)


def paired_difference(
    outcome: ArrayLike,
    champion: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike | None = None,
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
    return auc_difference(placements(outcome, champion), placements(outcome, candidate), clusters, level)
