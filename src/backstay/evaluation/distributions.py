"""How far a sample of a feature lies from a reference, and how far chance alone would put it.

The **population stability index** of two samples in bins, PSI = sum (p - q) ln(p / q), where p and q are the shares
(count + 1/2) / (n + bins / 2), so that an empty bin is no infinity. Bins are *frozen* from the reference: about its
deciles, a bin of its own for a value that fills a decile or more (zeros, often), and apart from them what lies below
and above everything in the reference, and what is missing.

PSI is no number to be read alone. Where nothing has changed, PSI / (1/n + 1/m) is about chi-square with one degree of
freedom less than there are bins (Yurdakul and Naranjo, "Statistical properties of the population stability index",
2020): two samples of 200 from one distribution easily show 0.1. Hence the `floor`: the 95% quantile of what chance
makes of these two sample sizes, the quantile by Wilson and Hilferty (1931). It takes rows for independent; those of few
entities, or of one hour, vary more.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError

THRESHOLD = 0.1
"""The PSI from which a shift is worth a look, by the common rule of thumb."""
BINS = 10
LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins frozen from a reference: interior `edges`, each the first value of the bin above it.

    >>> bins = Bins.of([0, 0, 0, 0, 0, 0, 1, 2, 3, float("nan")], bins=4)
    >>> bins.counts([0, 0, 1.5, 99, -1, float("nan")]).tolist()  # below, 0, above 0, from 1 on, above all, missing
    [1, 2, 0, 1, 1, 1]
    """

    edges: Floats

    @classmethod
    def of(cls, reference: ArrayLike, bins: int = BINS) -> Bins:
        """Bins with about equal shares of the reference's values; `InputError` if it has none that is finite."""
        values = np.asarray(reference, np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            raise InputError("the reference has no value", expected="at least one finite number")
        cuts = np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf")
        edge, times = np.unique(cuts, return_counts=True)
        heavy = edge[times > 1]  # a value that fills a decile: its bin ends right above it
        ends = [values.min(), np.nextafter(values.max(), np.inf)]
        return cls(np.unique(np.concatenate([ends, edge, np.nextafter(heavy, np.inf)])))

    def counts(self, values: ArrayLike) -> NDArray[np.int64]:
        """How many values fall below the reference, into each bin, above the reference, and are missing."""
        told = np.asarray(values, np.float64)
        there = told[~np.isnan(told)]
        out = np.bincount(np.searchsorted(self.edges, there, side="right"), minlength=len(self.edges) + 1)
        return np.append(out, len(told) - len(there))


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one feature's values lie from its reference.

    psi, floor:  the index, and its 95% quantile where nothing has changed
    reference_n, n:  rows of the reference and of the sample
    reference_missing, missing:  shares of rows without a value, 0 to 1
    reference_mean, mean:  of the values there are; None where there is none
    """

    psi: float
    floor: float
    reference_n: int
    n: int
    reference_missing: float
    missing: float
    reference_mean: float | None
    mean: float | None

    @property
    def differs(self) -> bool:
        """Whether the shift is large (PSI above 0.1) and more than chance (above the floor)."""
        return self.psi > THRESHOLD and self.psi > self.floor

    def as_dict(self) -> dict[str, Any]:
        return {
            "psi": self.psi, "floor": self.floor, "differs": self.differs,
            "reference": {"rows": self.reference_n, "missing": self.reference_missing, "mean": self.reference_mean},
            "served": {"rows": self.n, "missing": self.missing, "mean": self.mean},
        }  # fmt: skip


def shift(reference: ArrayLike, values: ArrayLike) -> Shift:
    """Hold a sample against a reference; NaN is missing. `InputError` if either has no row.

    >>> rng = np.random.default_rng(7)
    >>> same = shift(rng.normal(size=5000), rng.normal(size=300))
    >>> moved = shift(rng.normal(size=5000), rng.normal(1.0, size=300))
    >>> same.differs, moved.differs
    (False, True)
    """
    expected, found = np.asarray(reference, np.float64), np.asarray(values, np.float64)
    if not len(expected) or not len(found):
        side = "reference" if not len(expected) else "sample"
        raise InputError(f"the {side} has no row", expected="at least one on both sides")
    if np.isfinite(expected).any():
        bins = Bins.of(expected)
        left, right = bins.counts(expected), bins.counts(found)
    else:  # all is missing: a value is what differs
        left, right = (np.array([np.isnan(one).sum(), (~np.isnan(one)).sum()]) for one in (expected, found))
    psi, floor = _index(left, right)
    (missing_then, mean_then), (missing, mean) = _facts(expected), _facts(found)
    return Shift(psi, floor, len(expected), len(found), missing_then, missing, mean_then, mean)


def _index(reference: NDArray[np.int64], found: NDArray[np.int64]) -> tuple[float, float]:
    """PSI and its floor, from counts by bin. Bins that are empty on both sides tell nothing."""
    used = (reference + found) > 0
    a, b = reference[used].astype(float), found[used].astype(float)
    bins, n, m = len(a), a.sum(), b.sum()
    p, q = (a + 0.5) / (n + bins / 2), (b + 0.5) / (m + bins / 2)
    psi = float(((p - q) * np.log(p / q)).sum())
    return psi, float(1 / n + 1 / m) * chi_square_quantile(LEVEL, bins - 1)


def _facts(values: Floats) -> tuple[float, float | None]:
    there = values[np.isfinite(values)]
    return float(np.isnan(values).mean()), float(there.mean()) if len(there) else None


def chi_square_quantile(probability: float, df: int) -> float:
    """The value that a chi-square variable stays below with `probability`, by Wilson and Hilferty's cube.

    Within 3% of the exact one for the upper tail from one degree of freedom on, closer with more; 0 with none.

    >>> round(chi_square_quantile(0.95, 9), 2)  # exactly 16.92
    16.9
    """
    if df < 1:
        return 0.0
    part = 2 / (9 * df)
    return float(df * max(0.0, 1 - part + NormalDist().inv_cdf(probability) * part**0.5) ** 3)
