"""An input that some clients send otherwise: another unit, or another time zone, in a share of the rows.

Nothing says who sends what. But what one factor explains falls back among the values that were there before, and a time
that is off by whole hours is off by nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HOUR, MINUTE = 3_600_000_000, 60_000_000
LEAST_FACTOR, MOST_FACTOR = 1.5, 5_000.0
LEAST_SHARE, LEAST_ROWS = 0.05, 200
GAIN = 30.0
"""By how much the log-likelihood must rise."""
FIT, SHRINKAGE = 0.05, 3.0
"""How far apart the distributions may be once the values are put back, and how many times closer than before."""
ALIKE = 0.9
_GRID, _SAMPLE, _FLOOR = 0.02, 1_500, 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """Rows that come in another unit: divided by `factor` they are as the others."""

    factor: float
    rows: Bools
    share: float


def mixed_units(before: Floats, now: Floats) -> Mixed | None:
    """Whether a share of the values now is those of before times one factor; None where it is not so plain.

    before, now: values above 0, others and NaN are left out. The density of before, and the same moved on the scale of
    logarithms, are mixed; factor and share are those of greatest likelihood (EM over the share, a grid of factors).

    >>> rng = np.random.default_rng(0)
    >>> sent = np.exp(rng.normal(3, 0.5, 2000)) * np.where(rng.random(2000) < 0.4, 100, 1)
    >>> found = mixed_units(np.exp(rng.normal(3, 0.5, 2000)), sent)
    >>> round(found.factor, -1), round(found.share, 1)
    (100.0, 0.4)
    >>> mixed_units(np.exp(rng.normal(3, 0.5, 2000)), np.exp(rng.normal(3.1, 0.6, 2000))) is None
    True
    """
    old, there = _logs(before), np.isfinite(now) & (now > 0.0)
    if min(old.size, int(np.count_nonzero(there))) < LEAST_ROWS or not old.std() > 0.0:
        return None
    new = np.log(now[there])
    density = _Density(old)
    some = new[np.linspace(0, new.size - 1, min(_SAMPLE, new.size)).astype(np.int64)]
    move, share, gain = _greatest(density, some)
    if share < LEAST_SHARE or gain * new.size / some.size < GAIN:
        return None
    here, moved = density(new), density(new - move)
    other = share * moved > (1.0 - share) * here
    put_back = np.where(other, new - move, new)
    apart, left = _distance(old, new), _distance(old, put_back)
    if left > max(FIT, 2.0 * math.sqrt(1 / old.size + 1 / new.size)) or left * SHRINKAGE > apart:
        return None
    rows = np.zeros(now.size, np.bool_)
    rows[np.flatnonzero(there)[other]] = True
    return Mixed(math.exp(move), rows, float(np.mean(other)))


def _logs(values: Floats) -> Floats:
    return np.asarray(np.log(values[np.isfinite(values) & (values > 0.0)]), np.float64)


class _Density:
    """A smoothed histogram of some values, with a floor far away from them."""

    def __init__(self, values: Floats) -> None:
        width = max(1.06 * float(values.std()) * values.size**-0.2, _GRID)
        low, high = float(values.min()) - 4 * width, float(values.max()) + 4 * width
        bins = max(int((high - low) / _GRID), 8)
        counts, edges = np.histogram(values, bins=bins, range=(low, high), density=True)
        step = edges[1] - edges[0]
        reach = int(4 * width / step)
        kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) * step / width))
        self.at = (edges[1:] + edges[:-1]) / 2
        self.values = np.convolve(counts, kernel / kernel.sum(), mode="same")

    def __call__(self, x: Floats) -> Floats:
        return np.interp(x, self.at, self.values, left=0.0, right=0.0) + _FLOOR


def _greatest(density: _Density, values: Floats) -> tuple[float, float, float]:
    """The move and the share of greatest likelihood, and by how much it lies above that of no share."""
    alone = density(values)
    reach = np.arange(math.log(LEAST_FACTOR), math.log(MOST_FACTOR), 2 * _GRID)
    moves = np.concatenate([-reach[::-1], reach])
    best: tuple[float, float, float] = (0.0, 0.0, 0.0)
    for near in (moves, None):
        tried = moves if near is not None else best[0] + np.arange(-4, 5) * _GRID / 2
        moved = density(values[:, None] - tried[None, :])
        share = np.full(tried.size, 0.3)
        for _ in range(25):
            part = share * moved
            share = np.mean(part / (part + (1.0 - share) * alone[:, None]), axis=0)
        gain = np.sum(np.log(share * moved + (1.0 - share) * alone[:, None]), axis=0) - float(np.log(alone).sum())
        place = int(np.argmax(gain))
        best = float(tried[place]), float(share[place]), float(gain[place])
    return best


def _distance(a: Floats, b: Floats) -> float:
    """Kolmogorov and Smirnov's."""
    every = np.concatenate([a, b])
    of = [np.searchsorted(np.sort(one), every, side="right") / one.size for one in (a, b)]
    return float(np.abs(of[0] - of[1]).max())


def off_by_hours(before: Floats, now: Floats) -> tuple[int, Bools] | None:
    """By how many whole hours some times are off; both are distances from T in microseconds, NaN where there is none.

    None where times lay at no fixed distance before, or those that are off are so by different numbers.

    >>> off_by_hours(np.zeros(100), np.where(np.arange(100) < 40, 8 * HOUR, 0.0))[0]
    8
    """
    old = before[np.isfinite(before)]
    if old.size < 20:
        return None
    usual = float(np.median(old))
    if np.mean(np.abs(old - usual) <= MINUTE) < ALIKE:
        return None
    off = np.where(np.isfinite(now), now - usual, 0.0) / HOUR
    hours = np.rint(off)
    rows = (hours != 0.0) & (np.abs(off - hours) * HOUR <= MINUTE)
    if np.count_nonzero(rows) < 20:
        return None
    values, counts = np.unique(hours[rows], return_counts=True)
    most = int(np.argmax(counts))
    if counts[most] < ALIKE * np.count_nonzero(np.abs(off) * HOUR > MINUTE):
        return None
    return int(values[most]), np.asarray(rows & (hours == values[most]), np.bool_)
