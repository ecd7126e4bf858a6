"""A calibrator: a function from scores to probabilities, never falling, with a few numbers in it.

    platt      1 / (1 + exp(-(a x + b)))                     Platt 1999; x is the log odds of a probability
    beta       1 / (1 + exp(-(a ln p - b ln(1 - p) + c)))    Kull, Silva Filho and Flach 2017; of probabilities only
    isotonic   lines between points that do not fall         Zadrozny and Elkan 2002

It is applied to each score by itself, by NumPy alone: alone or among a million, a score gives the same bits.

>>> from backstay.evaluation.calibration.calibrator import Calibrator
>>> half = Calibrator("platt", (0.5, 0.0))
>>> half([0.5, 0.9]).round(4).tolist()
[0.5, 0.75]
>>> Calibrator.from_dict(half.as_dict()) == half
True
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.logistic import expits

Floats = NDArray[np.float64]

CLIP = 1e-7
"""Log odds are taken of a probability in [CLIP, 1 - CLIP]."""
_SIZES = {"platt": 2, "beta": 3, "isotonic": 0}


@dataclass(frozen=True, slots=True)
class Calibrator:
    """One calibrator. `InputError` for a kind that there is none of, or for numbers that would let it fall.

    numbers: platt: a, b; beta: a, b, c; isotonic: none
    points:  isotonic: (score, probability) in rising order, at least two; else none
    raw:     platt of scores that are no probabilities: x is the score itself
    """

    kind: str
    numbers: tuple[float, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    raw: bool = False

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise InputError(f"this is no calibrator: {problem}", where=f"calibrator {self.kind!r}")

    def __call__(self, scores: ArrayLike) -> Floats:
        """The probability of each score, float64 of the same shape; NaN stays NaN.

        Scores are in [0, 1] unless the calibrator is `raw` or isotonic; what lies outside counts as the nearest end.
        """
        given = np.ascontiguousarray(scores, np.float64)
        if self.kind == "isotonic":
            places = np.array(self.points)
            return np.asarray(np.interp(given, places[:, 0], places[:, 1]), np.float64)
        if self.kind == "beta":
            p = np.clip(given, CLIP, 1.0 - CLIP)
            a, b, c = self.numbers
            return expits(a * np.log(p) - b * np.log1p(-p) + c)
        slope, offset = self.numbers
        return expits(slope * (given if self.raw else log_odds(given)) + offset)

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for a record or JSON; `from_dict` takes it back."""
        return {
            "kind": self.kind, "numbers": list(self.numbers), "points": [list(one) for one in self.points],
            "raw": self.raw,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Calibrator:
        """The calibrator that these plain values are of."""
        points = tuple((float(x), float(p)) for x, p in told["points"])
        return cls(told["kind"], tuple(float(one) for one in told["numbers"]), points, told["raw"])


def log_odds(probability: ArrayLike) -> Floats:
    """ln(p / (1 - p)), of p clipped by `CLIP`."""
    p = np.clip(np.asarray(probability, np.float64), CLIP, 1.0 - CLIP)
    return np.asarray(np.log(p) - np.log1p(-p), np.float64)


def _problem(one: Calibrator) -> str:
    if one.kind not in _SIZES:
        return f"there is none of kind {one.kind!r}, but {', '.join(_SIZES)}"
    if len(one.numbers) != _SIZES[one.kind] or not all(math.isfinite(number) for number in one.numbers):
        return f"it needs {_SIZES[one.kind]} finite numbers and has {list(one.numbers)}"
    if any(number < 0 for number in one.numbers[: 2 if one.kind == "beta" else 1]):
        return "a slope below 0 would turn the ranking round"
    if (one.kind == "isotonic") != bool(one.points):
        return "isotonic has points, and no other has"
    places = np.array(one.points or ((0.0, 0.0), (1.0, 1.0)))
    falls = (np.diff(places, axis=0) < 0).any() or not np.isfinite(places).all()
    if len(places) < 2 or falls or places[:, 1].min() < 0 or places[:, 1].max() > 1:
        return "its points must be two or more, finite, and never fall; probabilities are between 0 and 1"
    return ""
