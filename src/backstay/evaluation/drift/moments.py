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
_SQUARABLE = 1e150
"""The squares of a few ten thousand numbers below this are finite, and so is their sum."""


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
        self._n, self._sum, self._squares, self._infinite = 0, 0.0, 0.0, 0
        self._least, self._greatest = math.inf, -math.inf
        self._wide = np.empty(4 * _AT_ONCE)

    @property
    def moments(self) -> Moments:
        """Of what was taken so far."""
        return Moments(self._n, self._sum, self._squares, self._least, self._greatest, self._infinite)

    def take(self, rows: NDArray[Any]) -> tuple[float, float] | None:
        """Add these rows, a few ten thousand of them; the least and the greatest where all are finite, or else None."""
        if not len(rows):
            return None
        low, high = float(np.minimum.reduce(rows)), float(np.maximum.reduce(rows))
        finite = math.isfinite(low) and math.isfinite(high)
        if not finite:
            self._infinite += int(np.isinf(rows).sum())
            rows = rows[np.isfinite(rows)]
            low, high = (float(rows.min()), float(rows.max())) if len(rows) else (math.inf, -math.inf)
        if max(-low, high) < _SQUARABLE:
            self._add(rows)
        else:
            with np.errstate(over="ignore"):  # the squares of huge numbers are infinite, and then no spread is told
                self._add(rows)
        self._n += len(rows)
        self._least, self._greatest = min(self._least, low), max(self._greatest, high)
        return (low, high) if finite else None

    def _add(self, rows: NDArray[Any]) -> None:
        for start in range(0, len(rows), len(self._wide)):
            part = rows[start : start + len(self._wide)]
            whole = -(-len(part) // _AT_ONCE) * _AT_ONCE
            self._wide[: len(part)], self._wide[len(part) : whole] = part, 0.0
            exact = self._wide[:whole]
            self._sum += float(np.add.reduce(exact))  # in pairs
            rowwise = exact.reshape(-1, _AT_ONCE)
            self._squares += float(np.add.reduce(np.vecdot(rowwise, rowwise)))
