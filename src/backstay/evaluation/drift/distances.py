"""How far a window lies from its reference: the population stability index and other distances, all of counts.

PSI = sum (p - q) ln(p / q), over every cell that either side has a row in: bins, below, above, missing, unseen. It is
Jeffreys' divergence (1946), the symmetrised one of Kullback and Leibler.

An empty cell would make it infinite, and whatever floor is put under it becomes the answer: tools floor at 1e-4 or at
2e-308, and differ by a factor of ten. Here half a row of the smaller sample is added to each cell, *on both sides and
as the same share*. Where nothing has changed that moves neither side against the other, however unequal their sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.drift.counts import Counts
from backstay.evaluation.drift.reference import Reference
from backstay.evaluation.quantiles import chi2_tail

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SMOOTHING = 0.5
"""Rows of the smaller sample that are added to each cell."""


def smoothed(reference: NDArray[Any], window: NDArray[Any], size: float | None = None) -> tuple[Floats, Floats]:
    """The shares of cells in reference and window, shape (cells,): of cells in use, and with the same share added.

    size: rows of the smaller sample, where they are worth less than there are

    >>> smoothed(np.array([10, 90, 0]), np.array([0, 10, 0]))
    (array([0.13636364, 0.86363636]), array([0.04545455, 0.95454545]))
    """
    used = (reference + window) > 0
    a, b = reference[used].astype(np.float64), window[used].astype(np.float64)
    n, m = float(a.sum()), float(b.sum())
    added = SMOOTHING / max(min(n, m) if size is None else size, 1.0)
    whole = 1.0 + added * len(a)
    return (a / max(n, 1.0) + added) / whole, (b / max(m, 1.0) + added) / whole


def index(q: Floats, p: Floats) -> float:
    """The population stability index of two sets of shares, all of them above 0."""
    return float(((p - q) * np.log(p / q)).sum())


def distances(reference: Reference, counts: Counts) -> dict[str, float | None]:
    """Every distance of a window from its reference.

    psi:          the population stability index, in natural logarithms, of all cells
    js:           the Jensen-Shannon distance (the root of the divergence to base 2, Lin 1991), 0 to 1, of all cells
    chi_square:   Pearson's statistic of two samples over all cells, and `chi_square_p` its p-value: of independent
                  rows, and of any difference, however small
    ks:           the largest difference of the distribution functions at the bins' edges, 0 to 1: at most the
                  Kolmogorov-Smirnov statistic of the rows. Of numbers only
    wasserstein:  the mean way that the values went (Kantorovich and Rubinstein), in the column's unit, between the
                  middles of bins. Of numbers only

    The last two are of finite or infinite numbers alone: what is missing lies nowhere. None where it is not defined.

    >>> reference = Reference.of(np.arange(1000.0))
    >>> {name: round(value, 3) for name, value in distances(reference, reference.count(np.arange(500.0))).items()}
    {'psi': 2.515, 'js': 0.553, 'chi_square': 372.795, 'chi_square_p': 0.0, 'ks': 0.499, 'wasserstein': 249.851}
    """
    before, now = reference.counts.cells, counts.cells
    empty: dict[str, float | None] = dict.fromkeys(("psi", "js", "chi_square", "chi_square_p", "ks", "wasserstein"))
    if not before.sum() or not now.sum():
        return empty
    q, p = smoothed(before, now)
    found = empty | {"psi": index(q, p), "js": _jensen_shannon(before, now)} | _chi_square(before, now)
    if reference.kind == "number" and before[:-3].sum() and now[:-3].sum():
        both = reference.counts.moments, counts.moments
        low, high = min(one.least for one in both), max(one.greatest for one in both)
        gap = np.cumsum(now[:-3] / now[:-3].sum() - before[:-3] / before[:-3].sum())
        middles = reference.cells.centres(low, high)
        found["ks"] = float(np.abs(gap).max())
        found["wasserstein"] = float((np.abs(gap[:-1]) * np.diff(middles)).sum())
    return found


def _jensen_shannon(before: Ints, now: Ints) -> float:
    p, q = now / now.sum(), before / before.sum()
    middle = (p + q) / 2
    parts = [float((one[one > 0] * np.log2(one[one > 0] / middle[one > 0])).sum()) for one in (p, q)]
    return float(np.sqrt(max(sum(parts) / 2, 0.0)))


def _chi_square(before: Ints, now: Ints) -> dict[str, float]:
    used = (before + now) > 0
    a, b = before[used].astype(np.float64), now[used].astype(np.float64)
    n, m = float(a.sum()), float(b.sum())
    statistic = float((np.square(a * np.sqrt(m / n) - b * np.sqrt(n / m)) / (a + b)).sum())
    df = int(used.sum()) - 1
    return {"chi_square": statistic, "chi_square_p": chi2_tail(statistic, df) if df else 1.0}
