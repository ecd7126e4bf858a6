"""**Moments**: all that a mean and its spread need of many values, in three numbers that can be kept and added up.

Added as by Chan, Golub and LeVeque (1983): squares of large values are never subtracted from one another.

>>> first, second = Moments.of([1.0, 2.0]), Moments.of([6.0])
>>> first.plus(second)
Moments(n=3, mean=3.0, squares=14.0)
>>> first.about(0.0)
5.0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.metrics import as_numbers


@dataclass(frozen=True, slots=True)
class Moments:
    """So many values, their mean, and the sum of their squared deviations from it; nothing has the mean 0.

    Raises `InputError` unless all three are finite and n and squares at least 0.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 0 or not (math.isfinite(self.mean) and 0.0 <= self.squares < math.inf):
            raise InputError(f"these are moments of nothing: {self}", expected="a count, a mean, a sum of squares")

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """The moments of these values, whatever their order. Raises `InputError` for values that are not finite."""
        v = as_numbers(values, "values")
        if not np.isfinite(v).all():
            raise InputError(f"{np.count_nonzero(~np.isfinite(v))} values are not finite", where="values")
        if not v.size:
            return cls()
        mean = math.fsum(v.tolist()) / v.size
        return cls(int(v.size), mean, math.fsum(np.square(v - mean).tolist()))

    def plus(self, other: Moments) -> Moments:
        """The moments of both together."""
        n = self.n + other.n
        if not (self.n and other.n):
            return self if self.n else other
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart * apart * self.n * other.n / n
        return Moments(n, self.mean + apart * other.n / n, squares)

    def about(self, centre: float) -> float:
        """The sum of the squared deviations from this centre instead of the mean."""
        return self.squares + self.n * (self.mean - centre) ** 2

    def as_dict(self) -> dict[str, Any]:
        """The same as plain numbers, for a record or JSON; `from_dict` takes it back."""
        return {"n": self.n, "mean": self.mean, "squares": self.squares}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Moments:
        """The moments that these plain numbers are."""
        return cls(told["n"], told["mean"], told["squares"])
