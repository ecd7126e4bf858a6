"""Confirming: is the mean loss of a slice above that of the rest, on rows that had no part in choosing it?

The **difference** of a slice is its mean loss less that of the rows outside it. Both are ratios over the same clusters,
so its variance is the linearised one of a difference of ratios (Cochran 1977, chapter 6): k/(k-1) Σ e_g², where e_g
sums what cluster g's rows deviate from the mean of their side, each divided by the rows of that side, and k is how many
clusters the smaller side is in. It is never taken to be less than that of independent rows: a slice whose thirty rows
were all wrong has no spread of its own, and does not prove by this that all are. Limits are Student's; the degrees of
freedom are the *effective* clusters (Σn_g)² / Σn_g² (Kish 1965) of either side, whichever are fewer, less one: a slice
of a hundred days of which one holds nearly all of its rows is one day.

Many slices that are each tested at 5% confirm something that is not there more often than not. `holm` keeps the chance
of *any* false one at 5% (Holm 1979), whatever way the slices overlap. It is that error, and not the share of false ones
among the confirmed, because a confirmed slice may be pinned, and then stands in a gate for good.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstay.core.show import Shown
from backstay.evaluation.interval import Estimate, Insufficient, Interval
from backstay.evaluation.quantiles import level_tails, student_quantile, student_tail
from backstay.evaluation.slices.search import whole

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Least:
    """What a slice needs before anything is said about it: rows, and clusters, inside and outside.

    Four fifths of the `clusters` must be effective ones: rows of which nearly all are in one cluster are one cluster,
    but no clusters are quite equal.
    """

    rows: int = 50
    clusters: int = 5


DEFAULT = Least()


@dataclass(frozen=True, slots=True)
class Compared(Shown):
    """A slice beside the rest of the rows.

    rows, clusters: in the slice
    loss, rest:     mean losses inside and outside; None where there is no row
    difference:     `loss - rest` with its interval, or why it can't be told
    p:              one-sided: how likely so large a t is where the true difference is `effect`; None if not told
    """

    rows: int
    clusters: int
    loss: float | None
    rest: float | None
    difference: Estimate
    p: float | None


@dataclass(frozen=True, slots=True)
class Losses:
    """Rows with their losses and clusters, ready to be compared.

    steps, step: the losses, in whole steps
    cluster:  each row's cluster, numbered from 0 without a gap
    mean, variance: of the losses of single rows
    sizes, totals:  by cluster its rows, and the sum of what their losses deviate from the mean
    """

    steps: Floats
    step: float
    cluster: NDArray[np.intp]
    mean: float
    variance: float
    sizes: Floats
    totals: Floats

    @classmethod
    def of(cls, loss: Floats, cluster: NDArray[np.intp]) -> Losses:
        """One loss and one cluster a row."""
        steps, step = whole(loss)
        mean = float(steps.sum()) / max(steps.size, 1) * step
        squares, unit = whole(np.square(steps * step - mean))
        sizes, totals = _sums(cluster, steps, int(cluster.max(initial=-1)) + 1)
        variance = float(squares.sum()) * unit / max(steps.size - 1, 1)
        return cls(steps, step, cluster, mean, variance, sizes, totals * step - sizes * mean)

    def only(self, rows: Bools) -> Losses:
        """Some of the rows."""
        some = self.cluster[rows]
        _, place = _numbered(some, self.sizes.size)
        return Losses.of(self.steps[rows] * self.step, place)

    def compare(self, inside: Bools, *, level: float = 0.95, effect: float = 0.0, least: Least = DEFAULT) -> Compared:
        """The rows `inside` against all others; the limits are of `level`, two-sided."""
        part = np.flatnonzero(inside)
        held, place = _numbered(self.cluster[part], self.sizes.size)
        inner, loss = _sums(place, self.steps[part], held.size)
        rows, rest = part.size, self.steps.size - part.size
        total = float(loss.sum()) * self.step - rows * self.mean
        mean, other = (self.mean + one / n if n else None for one, n in ((total, rows), (-total, rest)))
        outer = self.sizes[held] - inner
        squares = float(np.square(self.sizes).sum() - np.square(self.sizes[held]).sum() + np.square(outer).sum())
        counts = min(rows**2 / max(float(np.square(inner).sum()), 1.0), rest**2 / max(squares, 1.0))
        why = _too_little(rows, rest, held.size, counts, least)
        if mean is None or other is None or why:
            return Compared(rows, held.size, mean, other, Insufficient(why, rows), None)
        fewest = min(held.size, self.sizes.size - held.size + int(np.count_nonzero(outer)))
        spread = self._spread(held, inner, loss * self.step - inner * self.mean, total) * fewest / (fewest - 1)
        error = math.sqrt(max(spread, self.variance * (1 / rows + 1 / rest)))  # or that of independent rows
        if not error:
            return Compared(rows, held.size, mean, other, Insufficient("every row has the same loss", rows), None)
        reach, gap = student_quantile(level_tails(level)[1], counts - 1) * error, mean - other
        difference = Interval(gap, gap - reach, gap + reach, level, rows, held.size)
        return Compared(rows, held.size, mean, other, difference, student_tail((gap - effect) / error, counts - 1))

    def _spread(self, held: NDArray[np.intp], inner: Floats, loss: Floats, total: float) -> float:
        """The sum of the squared deviations of clusters; those without a row inside enter by their sums of squares."""
        rows = float(inner.sum())
        rest = float(self.sizes.sum()) - rows
        sizes, totals, other = self.sizes[held], self.totals[held], -total / rest
        apart = float(np.square(self.totals - self.sizes * other).sum() - np.square(totals - sizes * other).sum())
        both = (loss - inner * (total / rows)) / rows - (totals - loss - (sizes - inner) * other) / rest
        return float(np.square(both).sum()) + max(apart, 0.0) / rest**2


def _sums(place: NDArray[np.intp], loss: Floats, groups: int) -> tuple[Floats, Floats]:
    """By cluster the number of rows, and the sum of their losses."""
    sizes, sums = (np.bincount(place, one, groups).astype(np.float64, copy=False) for one in (None, loss))
    return sizes, sums


def _numbered(cluster: NDArray[np.intp], groups: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The clusters that there are, in order, and the place of each row's among them."""
    there = np.zeros(groups, np.bool_)
    there[cluster] = True
    held = np.flatnonzero(there)
    place = np.empty(groups, np.intp)
    place[held] = np.arange(held.size)
    return held, place[cluster]


def holm(p: Sequence[float | None]) -> list[float | None]:
    """The p-values adjusted for all of them by Holm's step-down (1979); None (not told) counts as tested.

    >>> holm([0.01, 0.04, None, 0.02])
    [0.04, 0.08, None, 0.06]
    """
    order = sorted((one, place) for place, one in enumerate(p) if one is not None)
    out: list[float | None] = [None] * len(p)
    most = 0.0
    for rank, (one, place) in enumerate(order):
        most = max(most, min(1.0, one * (len(p) - rank)))
        out[place] = most
    return out


def _too_little(rows: int, rest: int, clusters: int, counts: float, least: Least) -> str:
    """Why nothing can be said of so little; "" if it is enough."""
    if not rows:
        return "no row is in it"
    if rows < least.rows:
        return f"{rows} rows, and {least.rows} are needed"
    if rest < least.rows:
        return f"{rest} rows are outside it, and {least.rows} are needed"
    if clusters < least.clusters:
        return f"its rows are in {clusters} clusters, and {least.clusters} are needed"
    if counts < 0.8 * least.clusters:
        return f"its rows, or the rest's, count as {counts:.1f} clusters, and {0.8 * least.clusters:g} are needed"
    return ""
