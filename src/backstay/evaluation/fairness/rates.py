"""Rates of each cell with intervals: how many were selected, how many of those who should be, and how wrongly.

    selection_rate   of all rows, those that the decision is `true` for
    base_rate        of all rows, those whose outcome is 1
    tpr, fnr         of the rows with outcome 1, those selected, and those not
    fpr              of the rows with outcome 0, those selected
    ppv              of the rows selected, those with outcome 1

Each is a share of rows of its own, so each has an n of its own, and what is too few for one may be enough for another.
A rate of fewer than `minimum` such rows is not told: it says so, with its n, and is in no comparison.

Intervals are Wilson's (1927). Rows of one cluster lean on each other: their number is then divided by the design effect
(Kish 1965), the variance over clusters (Cochran 1977, chapter 6) over that of as many independent rows, and scaled by
Student's quantile for the number of clusters (Korn and Graubard 1998). A design effect below 1 counts as 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.core.errors import InputError
from backstay.evaluation.fairness.cells import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    NEGATIVE,
    TRUE_POSITIVE,
    Clustered,
    Floats,
    Ints,
)
from backstay.evaluation.interval import Estimate, Insufficient, Interval
from backstay.evaluation.quantiles import level_tails, normal_quantile, student_quantile

ALL = (NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE)
RATES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "selection_rate": ((FALSE_POSITIVE, TRUE_POSITIVE), ALL),
    "base_rate": ((FALSE_NEGATIVE, TRUE_POSITIVE), ALL),
    "tpr": ((TRUE_POSITIVE,), (FALSE_NEGATIVE, TRUE_POSITIVE)),
    "fnr": ((FALSE_NEGATIVE,), (FALSE_NEGATIVE, TRUE_POSITIVE)),
    "fpr": ((FALSE_POSITIVE,), (NEGATIVE, FALSE_POSITIVE)),
    "ppv": ((TRUE_POSITIVE,), (FALSE_POSITIVE, TRUE_POSITIVE)),
}
"""Of each rate, the states that are hits and the states that it is a share of."""
OF = {
    "selection_rate": "rows",
    "base_rate": "rows",
    "tpr": "rows with outcome 1",
    "fnr": "rows with outcome 1",
    "fpr": "rows with outcome 0",
    "ppv": "selected rows",
}
"""What each rate is a share of, in words."""
SHORT = {
    "selection_rate": "selection rate",
    "base_rate": "base rate",
    "tpr": "TPR",
    "fnr": "FNR",
    "fpr": "FPR",
    "ppv": "PPV",
}
"""How a column of a table is headed."""


@dataclass(frozen=True, slots=True)
class Shares:
    """One rate in every cell: `hits` of `n` rows, worth `effective` independent ones, from `clusters`.

    why: of each cell, why it can't be told; empty where it can
    """

    rate: str
    hits: Ints
    n: Ints
    effective: Floats
    clusters: Ints
    why: tuple[str, ...]

    @property
    def told(self) -> Ints:
        """The cells that have enough."""
        return np.flatnonzero([not why for why in self.why])

    @property
    def sources(self) -> int:
        """How many clusters the rows of all cells are from, at the least; as many as rows where there are none."""
        told = self.told
        apart = bool(np.array_equal(self.clusters, self.n))
        return int(self.clusters[told].sum() if apart else self.clusters[told].max(initial=0))

    @property
    def share(self) -> Floats:
        """hits / n; 0 where n is 0, which is not told."""
        return self.hits / np.maximum(self.n, 1)

    def estimates(self, level: float = 0.95) -> tuple[Estimate, ...]:
        """Each cell's rate with its Wilson interval, or why there is none."""
        z = normal_quantile(level_tails(level)[1])
        low, high = wilson_limits(self.share, np.maximum(self.effective, 1e-9), z)
        return tuple(
            Insufficient(why, int(n)) if why else Interval(float(p), float(lo), float(hi), level, int(n), int(g))
            for p, lo, hi, n, g, why in zip(self.share, low, high, self.n, self.clusters, self.why, strict=True)
        )


def shares(
    counts: Ints, rate: str, minimum: int = 20, clustered: Clustered | None = None, level: float = 0.95
) -> Shares:
    """One rate in every cell, from the counts of `cells.tally`.

    Raises `InputError` for a rate that there is none of.

    >>> few = shares(np.array([[30, 10, 5, 55], [1, 0, 0, 0]]), "tpr")
    >>> few.hits.tolist(), few.n.tolist(), few.why[1]
    ([55, 0], [60, 0], 'there are no rows with outcome 1')
    """
    if rate not in RATES:
        raise InputError(f"the rate is {rate!r}", where="rate", expected=f"one of {', '.join(RATES)}")
    hit, of = RATES[rate]
    hits, n = counts[:, hit].sum(axis=1), counts[:, of].sum(axis=1)
    if clustered is None:
        effective, clusters = n.astype(np.float64), n
    else:
        effective, clusters = _effective(clustered, hit, of, hits, n, level)
    why = tuple(
        _why(rate, *one, minimum) for one in zip(n.tolist(), effective.tolist(), clusters.tolist(), strict=True)
    )
    return Shares(rate, hits, n, effective, clusters, why)


def wilson_limits(share: Floats, n: Floats, z: float | Floats) -> tuple[Floats, Floats]:
    """Wilson's limits for many shares; `n` need not be whole.

    >>> [limit.round(4).tolist() for limit in wilson_limits(np.array([0.0, 0.5]), np.array([20.0, 20.0]), 1.959964)]
    [[0.0, 0.2993], [0.1611, 0.7007]]
    """
    square = z * z / n
    middle = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * np.sqrt(share * (1 - share) / n + square / (4 * n))
    low = np.where(share <= 0.0, 0.0, np.minimum(np.maximum(middle - reach, 0.0), share))
    high = np.where(share >= 1.0, 1.0, np.maximum(np.minimum(middle + reach, 1.0), share))
    return np.asarray(low, np.float64), np.asarray(high, np.float64)


def _effective(
    clustered: Clustered, hit: tuple[int, ...], of: tuple[int, ...], hits: Ints, n: Ints, level: float
) -> tuple[Floats, Ints]:
    """How many independent rows each cell's are worth, and how many clusters they are from."""
    cells = n.size
    size = clustered.table[:, of].sum(axis=1)
    there = size > 0
    cell, size, won = clustered.cell[there], size[there], clustered.table[there][:, hit].sum(axis=1)
    groups = np.bincount(cell, minlength=cells).astype(np.int64)
    share = hits / np.maximum(n, 1)
    scatter = np.bincount(cell, weights=np.square(won - share[cell] * size), minlength=cells)
    several = np.maximum(groups - 1, 1)
    variance = scatter * groups / several / np.square(np.maximum(n, 1).astype(np.float64))
    plain = share * (1 - share) / np.maximum(n, 1)
    known = (plain > 0) & (groups > 1)
    effect = np.where(known, variance / np.where(known, plain, 1.0), np.nan)
    # None or all of a cell's rows are hits: it varies nowhere, and says nothing of how its rows hang together
    usual = float(np.average(effect[known], weights=n[known])) if known.any() else np.nan
    alone = n / np.maximum(groups, 1)
    effect = np.maximum(np.where(np.isnan(effect), alone if np.isnan(usual) else usual, effect), 1.0)
    z = normal_quantile(level_tails(level)[1])
    reach = {g: (z / student_quantile(level_tails(level)[1], g - 1)) ** 2 for g in np.unique(groups).tolist() if g > 1}
    scale = np.array([reach.get(g, 0.0) for g in groups.tolist()])
    return n / effect * scale, groups


def _why(rate: str, n: int, effective: float, clusters: int, minimum: int) -> str:
    if n == 0:
        return f"there are no {OF[rate]}"
    if n < minimum:
        return f"there are {n} {OF[rate]}, and at least {minimum} are asked for"
    if clusters < 2 and effective < n:
        return f"its {n} {OF[rate]} are all of one cluster"
    if effective < minimum - 0.5:
        return f"its {n} {OF[rate]} from {clusters} clusters are worth {effective:.1f}, and {minimum} are asked for"
    return ""
