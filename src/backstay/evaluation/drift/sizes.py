"""How many independent rows a comparison is worth, and the test of an index with so many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.drift.counts import Counts
from backstay.evaluation.drift.dependence import Spread, independent, plain_variance
from backstay.evaluation.drift.distances import index, smoothed
from backstay.evaluation.drift.reference import Reference
from backstay.evaluation.quantiles import noncentral_quantile, noncentral_tail, noncentrality

Floats = NDArray[np.float64]

_KNOWN = 10**9
"""As if by so many blocks: what is told is not measured."""


@dataclass(frozen=True, slots=True)
class IndexTest:
    """A test that the true index is at most so much.

    psi, df: the index over the cells in use, by half an *effective* row in each, and how many they are, less one
    window, reference, both: effective rows of each, and of the comparison
    chance:  the p-value
    """

    psi: float
    df: int
    window: float
    reference: float
    both: float
    chance: float

    def power(self, true: float, effect: float, level: float) -> float:
        """How often a true index is found, of a comparison of this size."""
        least = noncentral_quantile(1.0 - level, self.df, effect * self.both)
        return noncentral_tail(least, self.df, true * self.both)

    def lower(self, level: float) -> float:
        """The greatest true index that is rejected at the level; 0 where none is."""
        if noncentral_tail(self.psi * self.both, self.df, 0.0) > level:
            return 0.0
        return min(noncentrality(1.0 - level, self.df, self.psi * self.both) / self.both, self.psi)


def index_tests(reference: Reference, counts: Counts, effect: float, effective: float | None) -> list[IndexTest]:
    """The test over all cells, and one of what is apart alone, with all bins as one cell.

    To put cells together only makes the index smaller, so what the second rejects is rejected. It is there for what
    training never had, nulls or values out of range: however much the *bins* changed from window to window in training,
    these did not, and a window that is full of them is no such change.

    effective: rows that the window is worth, where that is known
    """
    before, now = reference.counts.cells, counts.cells
    held, own = now / max(counts.rows, 1), reference.spreads
    # Windows of training tell how much windows of this length differ when nothing has changed: that counts as well as
    # how much the rows of this one lean on each other.
    window = reference.spreads_of(counts.rows) + counts.dependence.covariances(held)
    if effective is not None:
        window = [Spread(independent(held) * max(counts.rows / max(effective, 1.0), 1.0), held, _KNOWN)]
    used = (before + now) > 0
    effects = _mean_effect(own, used), _mean_effect(window, used)
    found = [_test(before, now, own, window, effects, effect)]
    joined = _bins_together(len(now))
    apart = joined @ (before + now) > 0
    if used[1:-4].sum() > 1 and apart.sum() > 1:
        own, window = ([one.joined(joined) for one in part] for part in (own, window))
        # Rows of a cell that training never had lean on each other as rows do on average: there is nothing to tell.
        effects = max(effects[0], _mean_effect(own, apart)), max(effects[1], _mean_effect(window, apart))
        found.append(_test(joined @ before, joined @ now, own, window, effects, effect))
    return found


def _test(
    before: NDArray[Any], now: NDArray[Any], own: list[Spread], window: list[Spread], effects: tuple[float, float],
    effect: float,
) -> IndexTest:  # fmt: skip
    used = (before + now) > 0
    n, m, df = float(before.sum()), float(now.sum()), int(used.sum()) - 1
    e, f = effects
    q, p = np.zeros(len(used)), np.zeros(len(used))
    q[used], p[used] = smoothed(before, now, min(n / e, m / f))
    psi = index(q[used], p[used])
    least = p.copy()  # what the window would be if it were as far as the hypothesis allows, on the way to where it is
    least[used] = _at(q[used], p[used], effect) if psi > effect else p[used]
    toward, back = np.zeros(len(used)), np.zeros(len(used))
    toward[used] = np.log(least[used] / q[used]) + 1.0 - q[used] / least[used]  # the derivatives of PSI, by p and by q
    back[used] = np.log(q[used] / least[used]) + 1.0 - least[used] / q[used]
    e_along, f_along = _effect_along(own, back), _effect_along(window, toward)
    both = 1.0 / (e / n + f / m)
    variance = f_along * plain_variance(least, toward) / m + e_along * plain_variance(q, back) / n
    if variance > 0:
        both = min(both, 4.0 * index(q[used], least[used]) / variance)
    chance = noncentral_tail(psi * both, df, effect * both)
    return IndexTest(psi, df, m / max(f, f_along), n / max(e, e_along), both, chance)


def _at(q: Floats, p: Floats, effect: float) -> Floats:
    """The shares on the way from q to p at which the index is `effect` (or next to nothing, where that is 0)."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if index(q, q + middle * (p - q)) < max(effect, 1e-6) else (low, middle)
    return np.asarray(q + high * (p - q), np.float64)


def _mean_effect(found: list[Spread], used: NDArray[np.bool_]) -> float:
    """The largest design effect found, on average over the cells, and 1 at least."""
    return max([1.0, *(one.mean_effect(used) for one in found)])


def _effect_along(found: list[Spread], along: Floats) -> float:
    """The same along one direction."""
    return max([1.0, *(one.effect_along(along) for one in found)])


def _bins_together(width: int) -> Floats:
    """The matrix that adds all bins up, and leaves every other cell as it is."""
    bins = width - 5
    joined = np.zeros((6, width))
    joined[0, 0] = 1.0
    joined[1, 1 : 1 + bins] = 1.0
    joined[2:, 1 + bins :] = np.eye(4)
    return joined
