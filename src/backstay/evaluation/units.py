"""Was a feature trained in one unit and served in another?

A **scale shift** is a whole distribution multiplied by one factor: minutes in training and hours in serving, miles and
kilometres, cents and dollars. No score is missing and no range check trips; the model is just wrong. It is told apart
from drift by its shape. A season moves the middle, the width and the tails of a feature each in its own way; another
unit moves all of them by the same factor. So a feature is reported when both hold:

1. *One factor.* The quantiles of |value| and the widths between quantiles, none of which cares where zero lies, all
   grew by the same factor, outside [0.67, 1.5]. What they disagree by is small beside the factor (both on a log scale).
2. *It explains the change.* Multiplied by that factor, the served values lie over the trained ones: the largest gap
   between the two distribution functions (Kolmogorov and Smirnov's distance) shrinks to a third or less.

Celsius against Fahrenheit is no factor but a line, and a line through two numbers fits too much. Only that one line is
tried, with its two known constants.

    fires         delays in hours against minutes, also when winter delays are a fifth longer
    does not      a price that rose by 30%; temperatures of July and January; a counter that was reset
    can't tell    a waiting time whose distribution truly doubled, whole: that IS a factor of 2, and a person must look
    not judged    a constant, a flag, a feature that is mostly zero or null: `obstacle` says which

Zeros are left out (a zero has no unit), and so are null and infinite values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_FACTOR = 1.5
"""A factor between 1/1.5 and 1.5 is taken for drift."""
LEAST_VALUES = 200
"""Values (finite, not zero) that each side needs."""
LEAST_DISTINCT = 13
"""Different values that each side needs (the 18 hours of a busy day are judged, the 12 months are not)."""
AGREEMENT = 4.0
"""How many times larger the factor must be than what the scale measures disagree by, both as logarithms."""
SHRINKAGE = 3.0
"""How many times smaller the distance between the distributions must be after the rescaling."""
SLACK = 0.05
"""How far apart, in interquartile ranges, rescaled values may lie and still count as equal."""
NOISE = 2.0
"""Distances below this many times sqrt(1/n + 1/m) are what chance makes of equal distributions."""
LINES = ((5 / 9, -160 / 9), (9 / 5, 32.0))
"""Known units that differ by more than a factor, as slope and offset: Celsius from Fahrenheit, and back."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScaleShift:
    """A feature whose trained values are `ratio` times the served ones, plus `offset`.

    The offset is 0 but for Celsius and Fahrenheit. The medians are those of the values compared (finite, not zero),
    each in its side's own unit.

    >>> print(ScaleShift("delay", 0.0167, trained_median=0.12, served_median=7.0))
    feature delay was trained on values 0.0167 times those served (median 0.12 against 7)
    """

    feature: str
    ratio: float
    trained_median: float
    served_median: float
    offset: float = 0.0

    def __str__(self) -> str:
        times = f"{self.ratio:.3g} times those served"
        if self.offset:
            times += f" {'plus' if self.offset > 0 else 'minus'} {abs(self.offset):.3g}"
        medians = f"median {self.trained_median:.3g} against {self.served_median:.3g}"
        return f"feature {self.feature} was trained on values {times} ({medians})"

    def as_dict(self) -> dict[str, str | float]:
        """The same as plain values, for a record or JSON."""
        return {
            "feature": self.feature,
            "ratio": self.ratio,
            "offset": self.offset,
            "trained_median": self.trained_median,
            "served_median": self.served_median,
        }


class Obstacle(StrEnum):
    """Why the scale of some values can't be compared."""

    NOT_NUMERIC = "not numbers"
    TOO_FEW = f"fewer than {LEAST_VALUES} values"
    CONSTANT = "one value only"
    FEW_DISTINCT = f"fewer than {LEAST_DISTINCT} different values"
    MOSTLY_ZERO = "mostly zero"


def unit_mismatch(trained: Mapping[str, ArrayLike], served: Mapping[str, ArrayLike]) -> list[ScaleShift]:
    """The features that are in both and whose whole distribution was rescaled by a factor, in the order of `trained`.

    Each maps a feature to a sample of its values, in whatever unit they came; the samples need neither the same rows
    nor the same size. Nothing is raised for a sample that can't be judged: ask `obstacle`. The two conditions and their
    thresholds are this module's; the distance is that of the two-sample Kolmogorov-Smirnov test.

    >>> minutes = np.random.default_rng(7).gamma(2.0, 10.0, size=2000)
    >>> [str(shift) for shift in unit_mismatch({"delay": minutes[:1000] / 60}, {"delay": minutes[1000:]})]
    ['feature delay was trained on values 0.016 times those served (median 0.258 against 16.6)']
    >>> unit_mismatch({"delay": minutes[:1000]}, {"delay": minutes[1000:] * 1.3})
    []
    """
    shifts = (_shift(feature, trained[feature], served[feature]) for feature in trained if feature in served)
    return [shift for shift in shifts if shift is not None]


def obstacle(values: ArrayLike) -> Obstacle | None:
    """Why the scale of these values can't be compared, or None if it can.

    >>> print(obstacle(np.zeros(1000)))
    one value only
    >>> obstacle(np.arange(1000)) is None
    True
    """
    return _usable(values)[1]


def _shift(feature: str, trained: ArrayLike, served: ArrayLike) -> ScaleShift | None:
    """The better of the one factor and the known lines, if any passes."""
    (t, t_obstacle), (s, s_obstacle) = _usable(trained), _usable(served)
    if t_obstacle or s_obstacle:
        return None
    t_width, s_width = _widths(t)[0], _widths(s)[0]
    before = _distance(t, s)
    if before <= NOISE * math.sqrt(1 / t.size + 1 / s.size) or not t_width > 0.0 or not s_width > 0.0:
        return None
    lines = [line for line in LINES if abs(math.log(t_width / s_width / line[0])) < abs(math.log(line[0])) / 2]
    factor = _one_factor(t, s)
    if factor is not None:
        lines.append((factor, 0.0))
    after = [(_distance(t, slope * s + offset, SLACK * t_width), slope, offset) for slope, offset in lines]
    if not after or min(after)[0] > before / SHRINKAGE:
        return None
    _, ratio, offset = min(after)
    return ScaleShift(feature, ratio, float(np.median(t)), float(np.median(s)), offset)


def _usable(values: ArrayLike) -> tuple[Floats, Obstacle | None]:
    """The values that carry a scale (finite, not zero), sorted, and what keeps them from being compared."""
    nothing = np.empty(0)
    array = np.asarray(values)
    text = array.dtype.kind == "O" and any(isinstance(value, str | bytes) for value in array.tolist())
    if text or array.dtype.kind not in "biufO":
        return nothing, Obstacle.NOT_NUMERIC
    try:
        numbers = array.astype(np.float64).ravel()
    except (TypeError, ValueError):
        return nothing, Obstacle.NOT_NUMERIC
    finite = numbers[np.isfinite(numbers)]
    scaled = np.sort(finite[finite != 0.0])
    if finite.size < LEAST_VALUES:
        return scaled, Obstacle.TOO_FEW
    if finite.min() == finite.max():
        return scaled, Obstacle.CONSTANT
    distinct = np.count_nonzero(np.diff(scaled)) + 1
    if 2 * scaled.size <= finite.size and distinct >= LEAST_DISTINCT:
        return scaled, Obstacle.MOSTLY_ZERO
    if distinct < LEAST_DISTINCT:
        return scaled, Obstacle.FEW_DISTINCT
    return scaled, Obstacle.TOO_FEW if scaled.size < LEAST_VALUES else None


def _one_factor(trained: Floats, served: Floats) -> float | None:
    """The factor that all scale measures agree on, trained over served, if there is one and it is large."""
    pairs = ((_widths(trained), _widths(served)), (_sizes(trained), _sizes(served)))
    if not all((t > 0.0).all() and (s > 0.0).all() for t, s in pairs):  # ties leave no width to compare
        return None
    widths, sizes = (np.log(t / s) for t, s in pairs)
    every = np.concatenate((widths, sizes))
    centre = float(np.median(every))
    spread = float(np.sqrt(np.mean(np.square(every - centre))))
    disagreement = max(spread, abs(float(widths.mean() - sizes.mean())))  # counts that double grow less wide than large
    if abs(centre) <= math.log(LEAST_FACTOR) + 1e-9 or disagreement * AGREEMENT > abs(centre):
        return None
    return math.exp(centre)


def _widths(values: Floats) -> Floats:
    """Widths of the middle and of either side; the first is the interquartile range."""
    low, lower, middle, upper, high = np.quantile(values, (0.1, 0.25, 0.5, 0.75, 0.9))
    return np.array((upper - lower, high - middle, middle - low))


def _sizes(values: Floats) -> Floats:
    return np.quantile(np.abs(values), (0.25, 0.5, 0.75, 0.9))


def _distance(a: Floats, b: Floats, slack: float = 0.0) -> float:
    """The largest gap between the distribution functions of two sorted samples, over points more than `slack` apart.

    Without slack it is Kolmogorov and Smirnov's. With it, values that come in steps (whole minutes) need not meet to
    the last bit, nor to the last percent of an estimated factor.
    """
    a_leads = np.searchsorted(a, a, side="right") / a.size - np.searchsorted(b, a + slack, side="right") / b.size
    b_leads = np.searchsorted(b, b, side="right") / b.size - np.searchsorted(a, b + slack, side="right") / a.size
    return float(max(a_leads.max(), b_leads.max(), 0.0))
