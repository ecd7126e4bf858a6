"""An **interval**: an estimate with the range that the evidence leaves open.

It carries what it rests on, the rows and the clusters, because a narrow interval from three days is worth less than a
wide one from a hundred. An interval that could not be computed does not exist: there is none with NaN in it, and
`NotEnough` is raised in its place. A report, which has other numbers to show, keeps the reason as `Insufficient`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from backstay.core.errors import InputError


class NotEnough(InputError):  # noqa: N818  a state of the evidence, not somebody's mistake
    """The rows are sound but can't answer: one class only, fewer than two clusters, no rows at all."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, its confidence limits, and the evidence under it.

    `estimate`, `low` and `high` are in the unit of what was measured; `level` is the confidence (0.95 is 95%), `n` the
    rows and `clusters` the groups of rows that count as independent. Raises `InputError` unless
    `low <= estimate <= high`, all finite.

    >>> gain = Interval(0.0042, 0.0011, 0.0073, level=0.95, n=120_000, clusters=30)
    >>> print(gain)
    +0.0042 [+0.0011, +0.0073]
    >>> gain.as_dict()["clusters"]
    30
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    clusters: int

    def __post_init__(self) -> None:
        ordered = self.low <= self.estimate <= self.high  # False for NaN too
        if not (ordered and math.isfinite(self.low) and math.isfinite(self.high)):
            found = f"low {self.low}, estimate {self.estimate}, high {self.high}"
            raise InputError(f"this is no interval: {found}", expected="finite numbers in that order")

    def __str__(self) -> str:
        places = self._places()
        return f"{self.estimate:+.{places}f} [{self.low:+.{places}f}, {self.high:+.{places}f}]"

    def _places(self) -> int:
        """Decimal places: four, or as many more as the half-width needs to show two digits."""
        half = (self.high - self.low) / 2
        return 4 if half <= 0 else min(max(4, 1 - math.floor(math.log10(half))), 9)

    def as_dict(self) -> dict[str, float | int]:
        """The same as plain numbers, for a record or JSON."""
        return {
            "estimate": self.estimate,
            "low": self.low,
            "high": self.high,
            "level": self.level,
            "n": self.n,
            "clusters": self.clusters,
        }


@dataclass(frozen=True, slots=True)
class Insufficient:
    """What stands where an interval would: the rows can't tell, and why.

    >>> print(Insufficient("no row has outcome 1", n=40))
    INSUFFICIENT: no row has outcome 1
    """

    reason: str
    n: int = 0

    def __str__(self) -> str:
        return f"INSUFFICIENT: {self.reason}"

    def as_dict(self) -> dict[str, str | int]:
        """The same as plain values, for a record or JSON."""
        return {"insufficient": self.reason, "n": self.n}


Estimate = Interval | Insufficient
Told = TypeVar("Told")


def estimated(ask: Callable[[], Told], n: int = 0) -> Told | Insufficient:
    """What `ask` answers, or, where it raises `NotEnough`, the reason; `n` are the rows that there were.

    Every other error goes on: a wrong input is no state of the evidence.
    """
    try:
        return ask()
    except NotEnough as error:
        return Insufficient(error.what, n)
