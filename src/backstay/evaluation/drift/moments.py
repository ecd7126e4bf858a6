"""Moments of the finite numbers of a column, which add up, and what sums them as rows go by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 8_192
"""Rows that BLAS sums at once: it keeps to one thread then."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Of the finite numbers of a column: how many, their sum, the sum of their squares, the least and the greatest.

    nonfinite: how many are infinite
    """

    n: int = 0
    sum: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    greatest: float = -math.inf
    nonfinite: int = 0

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.n + other.n, self.sum + other.sum, self.squares + other.squares,
            min(self.least, other.least), max(self.greatest, other.greatest), self.nonfinite + other.nonfinite,
        )  # fmt: skip

    @property
    def mean(self) -> float | None:
        """None where there is no finite number."""
        return self.sum / self.n if self.n else None

    @property
    def sd(self) -> float | None:
        """The standard deviation; None with fewer than two finite numbers, or where they are too large to square."""
        if self.n < 2 or not math.isfinite(self.squares):
            return None
        return math.sqrt(max(self.squares - self.sum * self.sum / self.n, 0.0) / (self.n - 1))

    def as_dict(self) -> dict[str, Any]:
        """Plain data; no infinity in it, which JSON does not know."""
        return {
            "n": self.n, "sum": self.sum, "squares": self.squares if math.isfinite(self.squares) else None,
            "least": self.least if self.n else None, "greatest": self.greatest if self.n else None,
            "nonfinite": self.nonfinite,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Moments:
        def or_else(name: str, other: float) -> float:
            return other if data[name] is None else float(data[name])

        return cls(int(data["n"]), float(data["sum"]), or_else("squares", math.inf), or_else("least", math.inf),
                   or_else("greatest", -math.inf), int(data["nonfinite"]))  # fmt: skip


class Summing:
    """Sums rows, stretch by stretch, in double precision: a column of millions is never copied whole."""

    def __init__(self) -> None:
        self.moments = Moments()
        self._wide, self._ones = np.empty(4 * _AT_ONCE), np.ones(_AT_ONCE)

    def take(self, rows: NDArray[Any]) -> tuple[float, float] | None:
        """Add these rows, a few ten thousand of them; the least and the greatest where all are finite, or else None."""
        if not len(rows):
            return None
        low, high = np.minimum.reduce(rows), np.maximum.reduce(rows)
        finite, infinite = math.isfinite(low) and math.isfinite(high), 0
        if not finite:
            infinite = int(np.isinf(rows).sum())
            rows = rows[np.isfinite(rows)]
            low, high = (rows.min(), rows.max()) if len(rows) else (math.inf, -math.inf)
        total = squares = 0.0
        with np.errstate(over="ignore"):  # the squares of huge numbers are infinite, and then no spread is told
            for start in range(0, len(rows), len(self._wide)):
                part = rows[start : start + len(self._wide)]
                whole = -(-len(part) // _AT_ONCE) * _AT_ONCE
                self._wide[: len(part)], self._wide[len(part) : whole] = part, 0.0
                exact = self._wide[:whole].reshape(-1, _AT_ONCE)
                total += float((exact @ self._ones).sum())
                squares += float(np.vecdot(exact, exact).sum())
        self.moments += Moments(len(rows), total, squares, float(low), float(high), infinite)
        return (low, high) if finite else None
