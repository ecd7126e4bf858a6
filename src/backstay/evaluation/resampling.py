"""The **bootstrap over clusters**: an interval for any metric, by drawing clusters again and again (Efron 1979).

What is drawn are whole clusters, an entity's rows or a block of time, with replacement: rows of one cluster come and
go together, as they do in a world where that day had not happened. Quantiles of the draws are widened to those of
Student's t with the number of clusters (Hesterberg 2015, the expanded percentile interval), since plain percentiles of
few clusters are too narrow.

It is for metrics that have no formula. Where there is one, as for every metric of this room, the formula is faster and
at the edges more honest: of an AUC of 1 every draw is 1.

    any metric of rows           resampled(metric, [outcome, score], clusters=entity, seed=1)
    a function of sums           resampled_sums(ratio, [won, played], clusters=entity, seed=1)    far faster
    a difference of two models   a metric of outcome, champion and candidate
    time                         clusters=time_blocks(at, width): blocks longer than what reaches from row to row
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Floats, as_numbers
from backstay.evaluation.quantiles import level_tails, normal_tail, student_quantile

DRAWS = 1_000
LOST = 0.01
"""The share of draws that may have no metric (one class only, by chance) before there is no interval."""


def resampled(
    metric: Callable[..., float],
    columns: Sequence[ArrayLike],
    clusters: ArrayLike | None,
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval:
    """The interval of `metric(*columns)`, each column with one value a row.

    The seed is yours; the rows are put into an order fixed by their values, so theirs does not matter. `NotEnough` with
    fewer than two clusters, where the metric raises it for all rows or for more than 1% of the draws, or where all
    draws are the same; what else the metric raises goes on.

    >>> rng = np.random.default_rng(0)
    >>> print(resampled(lambda x: float(np.median(x)), [rng.normal(size=200)], None, seed=1))
    +0.0484 [-0.1436, +0.2350]
    """
    given = _columns(columns)
    codes, groups = cluster_codes(clusters, rows=given[0].size)
    own = np.zeros(given[0].size) if codes is None else codes
    order = np.lexsort((*reversed(given), own))
    given = [column[order] for column in given]
    starts = np.arange(groups) if codes is None else np.searchsorted(codes[order], np.arange(groups))
    sizes = np.diff(starts, append=given[0].size)
    estimate = float(metric(*given))
    random, found = np.random.default_rng(seed), []
    for _ in range(_checked(draws)):
        chosen = random.integers(0, groups, groups)
        rows = _rows(starts[chosen], sizes[chosen])
        try:
            found.append(float(metric(*(column[rows] for column in given))))
        except NotEnough:
            found.append(math.nan)
    return _expanded(estimate, np.array(found), level, given[0].size, groups)


def resampled_sums(
    function: Callable[..., Any],
    columns: Sequence[ArrayLike],
    clusters: ArrayLike | None,
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval:
    """The same for a metric that is a function of its columns' sums, which takes arrays of many draws at once.

    >>> hits, rows = np.arange(90) % 3 == 0, np.ones(90)
    >>> print(resampled_sums(lambda hit, n: hit / n, [hits, rows], np.arange(90) // 2, seed=1))
    +0.3333 [+0.2667, +0.4000]
    """
    given = _columns(columns)
    codes, groups = cluster_codes(clusters, rows=given[0].size)
    order = np.lexsort((*reversed(given), np.zeros(given[0].size) if codes is None else codes))
    sums = np.stack([column[order] for column in given])
    if codes is not None:
        sums = np.add.reduceat(sums, np.searchsorted(codes[order], np.arange(groups)), axis=1)
    estimate = float(function(*(math.fsum(row.tolist()) for row in sums)))
    random, found = np.random.default_rng(seed), []
    chunk = max(1, 20_000_000 // groups)  # draws whose weights fit into some 160 MB
    for first in range(0, _checked(draws), chunk):
        size = min(chunk, draws - first)
        weights = random.multinomial(groups, np.full(groups, 1.0 / groups), size=size)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(np.broadcast_to(np.asarray(function(*(sums @ weights.T)), np.float64), size))
    return _expanded(estimate, np.concatenate(found), level, given[0].size, groups)


def time_blocks(at: ArrayLike, width: float) -> NDArray[np.int64]:
    """The block of time that each row is in, as a number: `width` is in the unit of `at`.

    >>> time_blocks([0, 5, 9, 10, 25], width=10).tolist()
    [0, 0, 0, 1, 2]
    """
    if not width > 0:
        raise InputError(f"a block is {width} wide", where="width", expected="more than 0")
    return np.floor_divide(as_numbers(at, "at"), width).astype(np.int64)


def _columns(columns: Sequence[ArrayLike]) -> list[Floats]:
    given = [as_numbers(column, f"columns[{place}]") for place, column in enumerate(columns)]
    if not given:
        raise InputError("there are no columns", where="columns", expected="what the metric is made of")
    if len({column.size for column in given}) > 1:
        found = f"the columns have {', '.join(str(column.size) for column in given)} rows"
        raise InputError(found, where="columns", expected="as many each")
    return given


def _checked(draws: int) -> int:
    if draws < 100:
        raise InputError(f"{draws} draws are no distribution", where="draws", expected="100 or more")
    return draws


def _rows(starts: NDArray[np.intp], sizes: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rows of clusters that begin at `starts` and have `sizes` rows, one after another."""
    ends = np.cumsum(sizes)
    shift: NDArray[np.intp] = np.repeat(starts - (ends - sizes), sizes)
    return shift + np.arange(shift.size)


def _expanded(estimate: float, draws: Floats, level: float, rows: int, groups: int) -> Interval:
    if not math.isfinite(estimate):
        raise NotEnough(f"the metric is {estimate}", where="metric", expected="a number")
    kept = draws[np.isfinite(draws)]
    if kept.size < (1.0 - LOST) * draws.size:
        found = f"{draws.size - kept.size} of {draws.size} draws have no metric"
        raise NotEnough(found, where="clusters", expected="clusters enough for all that the metric needs")
    if kept.min() == kept.max():
        raise NotEnough(f"all {kept.size} draws are the same", where="clusters", expected="clusters that differ")
    reach = math.sqrt(groups / (groups - 1)) * student_quantile(level_tails(level)[1], groups - 1)
    tail = normal_tail(reach)
    low, high = np.quantile(kept, (tail, 1.0 - tail)).tolist()
    return Interval(estimate, min(low, estimate), max(high, estimate), level, rows, groups)
