"""**Maturity**: which share of outcomes is known at what age, and what may be said of rows that are not of age yet.

Of a row asked a week ago it is known whether its label came within the week, and not whether it will come later: its
delay is *censored*. Kaplan and Meier's (1958) estimator makes a curve of such rows, and its interval is that of the
rows' influence, over clusters, since labels of one day arrive together. Where only the labels that came were kept, and
nobody knows of how many, delays are *truncated*: a row is there because its label was quick. Then the curve is Lagakos,
Barraj and De Gruttola's (1988) in reverse time, and tells the share of those that come within the longest delay that
could have been seen.

A metric of rows that are half of age favours early outcomes. Weighing each known row by one over the probability that a
row like it is known by its age undoes that (Robins and Rotnitzky 1992), if the curves are those of rows like it: that
is why there is one for each outcome. What is late because of what came of it is then late in its curve as well.

    ok       curves of cohorts whose labels have all come, for weights of younger ones
    not ok   one curve for both outcomes, where a late flight is known later than one on time
    not ok   weights at an age at which hardly any is known: `NotEnough`

Void outcomes have no label, and are in no denominator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import Linear, cluster_codes, linear_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import as_numbers

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_Points = tuple[tuple[float, Interval], ...]

SHARES = (0.9, 0.95, 0.99)
GRID, STEPS = 40, 2_000
"""Ages at which the curve has an interval, and steps of it that are kept, at the most."""
LEAST = 20
"""Labels that came, needed for a curve."""


@dataclass(frozen=True, slots=True)
class Age(Shown):
    """The age at which a share of the labels is known, in the unit of the delays; None: at no age that was seen."""

    share: float
    age: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Maturity(Shown):
    """A maturity curve.

    rows, known: rows that are not void, and how many of their labels have come; void: rows that are
    ages, shares: the steps of the curve, each shape (steps,): the share known at that age and until the next step
    points:       its interval at some of the ages
    longest:      the highest age that a row has, up to which the curve tells anything
    of_all:       whether shares are of all rows; False: of those whose labels come within `longest`
    reached:      the ages at which 90%, 95% and 99% are known
    """

    rows: int
    known: int
    void: int
    ages: tuple[float, ...]
    shares: tuple[float, ...]
    points: tuple[tuple[float, Interval], ...]
    longest: float
    of_all: bool
    reached: tuple[Age, ...]

    def at(self, age: ArrayLike) -> Floats:
        """The share known at these ages, of the shape of `age`; beyond `longest`, what it was there."""
        place = np.searchsorted(np.array(self.ages), np.asarray(age, np.float64), side="right")
        return np.asarray(np.concatenate([[0.0], self.shares])[place], np.float64)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for a record or JSON: the curve at the ages that have an interval."""
        return {
            "rows": self.rows, "known": self.known, "void": self.void, "longest": self.longest, "of_all": self.of_all,
            "curve": [{"age": age, **one.as_dict()} for age, one in self.points],
            "reached": [one.as_dict() for one in self.reached],
        }  # fmt: skip


def maturity_curve(
    delays: ArrayLike, ages: ArrayLike, void: ArrayLike | None = None, clusters: ArrayLike | None = None,
    level: float = 0.95, *, truncated: bool = False,
) -> Maturity:  # fmt: skip
    """The share of labels known by age.

    delays:    from when it was asked until its label was known, NaN where none is known, shape (rows,), in any unit
    ages:      how long ago it was asked, shape (rows,): delays beyond it are of the future, and count as not known
    void:      rows whose outcome was voided; they leave the denominator
    clusters:  one day a row; None: rows stand for themselves
    truncated: rows without a known label were not kept

    Raises `InputError` for negative ages or delays (a label before its question is another row's) and lengths that
    differ, `NotEnough` with fewer than 20 labels.

    >>> random = np.random.default_rng(0)
    >>> delay, age = random.exponential(2.0, 4_000), random.uniform(0, 14, 4_000)
    >>> curve = maturity_curve(np.where(delay <= age, delay, np.nan), age)
    >>> round(float(curve.at(2.0)), 2), [round(one.age) for one in curve.reached]
    (0.62, [5, 6, 9])
    """
    d, c = as_numbers(delays, "delays"), as_numbers(ages, "ages")
    voided = np.zeros(d.size, np.bool_) if void is None else np.asarray(void, np.bool_)
    if not d.size == c.size == voided.size:
        found = f"there are {d.size} delays, {c.size} ages and {voided.size} flags"
        raise InputError(found, where="delays", expected="one of each a row")
    if np.isnan(c).any() or (c < 0.0).any() or (d < 0.0).any():
        raise InputError(
            "a delay or an age is below 0, or there is no age", where="delays", expected="0 or more",
            fix="leave out labels from before the question",
        )  # fmt: skip
    codes, _ = cluster_codes(clusters, rows=d.size)
    came = np.where(np.isnan(d), False, d <= c)
    kept = ~voided & (came if truncated else True)
    d, c, came = d[kept], c[kept], came[kept]
    groups = None if codes is None else codes[kept]
    if came.sum() < LEAST:
        raise NotEnough(f"labels that have come: {int(came.sum())}", where="delays", expected=f"at least {LEAST}")
    hazards = _reverse(d, c) if truncated else _forward(d, c, came)
    points = hazards.points(_grid(d[came]), groups, level)
    reached = tuple(_age(share, hazards.ages, hazards.shares, points) for share in SHARES)
    some = np.unique(np.linspace(0, hazards.ages.size - 1, STEPS).astype(np.intp))
    return Maturity(
        d.size, int(came.sum()), int(voided.sum()), tuple(hazards.ages[some].tolist()),
        tuple(hazards.shares[some].tolist()), points, float(c.max()), not truncated, reached,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Hazards:
    """What a curve is made of: at each age, how many labels came, of how many that could have.

    enter, leave: for each row, between which ages it is one that could; `ends`: the age of its label; NaN: none
    reverse:      whether the product runs from the highest age down
    """

    ages: Floats
    events: Floats
    risk: Floats
    shares: Floats
    enter: Floats
    leave: Floats
    ends: Floats
    reverse: bool

    def points(self, at: list[float], codes: NDArray[np.intp] | None, level: float) -> _Points:
        """The curve at these ages, by the influence of the rows (the martingale residuals of their hazards)."""
        first, after = np.searchsorted(self.ages, self.enter), np.searchsorted(self.ages, self.leave, side="right")
        place = np.minimum(np.searchsorted(self.ages, self.ends), self.ages.size - 1)
        groups = self.leave.size if codes is None else int(codes.max()) + 1
        held = np.ones(groups) if codes is None else np.bincount(codes, minlength=groups)
        found = []
        for age in at:
            share = float(self.shares[np.searchsorted(self.ages, age, side="right") - 1])
            if not 0.0 < share < 1.0:
                continue
            used = self.ages > age if self.reverse else self.ages <= age
            summed = np.concatenate([[0.0], np.cumsum(np.where(used, self.events / np.square(self.risk), 0.0))])
            came = np.where(np.isnan(self.ends), 0.0, np.where(used, 1.0 / self.risk, 0.0)[place])
            influence = (-share if self.reverse else 1.0 - share) * (came - summed[after] + summed[first])
            sums = influence if codes is None else np.bincount(codes, influence, groups).astype(np.float64)
            try:
                one = linear_interval(Linear(share, sums, "log_odds", held > 0), None, level)
            except NotEnough:
                continue
            found.append((age, replace(one, n=self.leave.size)))
        return tuple(found)


def _forward(d: Floats, c: Floats, came: Bools) -> _Hazards:
    until = np.where(came, d, c)
    ages, events = np.unique(d[came], return_counts=True)
    ranked = np.sort(until)
    risk = until.size - np.searchsorted(ranked, ages, side="left")
    left = np.cumprod(1.0 - events / risk)
    ends = np.where(came, d, np.nan)
    shares = np.asarray(1.0 - left, np.float64)
    return _Hazards(ages, events.astype(float), risk.astype(float), shares, np.zeros(d.size), until, ends, False)


def _reverse(d: Floats, c: Floats) -> _Hazards:
    ages, events = np.unique(d, return_counts=True)
    by_delay, by_age = np.sort(d), np.sort(c)
    risk = np.searchsorted(by_delay, ages, side="right") - np.searchsorted(by_age, ages, side="left")
    stays = 1.0 - events / risk
    below = np.concatenate([np.cumprod(stays[::-1])[::-1][1:], [1.0]])
    return _Hazards(ages, events.astype(float), risk.astype(float), below, d, c, d, True)


def _grid(delays: Floats) -> list[float]:
    at = np.concatenate([np.linspace(0.02, 0.98, GRID - 3), [0.99, 0.995, 1.0]])
    return [float(one) for one in np.unique(np.quantile(delays, at, method="lower"))]


def _age(share: float, ages: Floats, shares: Floats, points: tuple[tuple[float, Interval], ...]) -> Age:
    """The age at which the curve, and the limits of its intervals, reach a share: a limit's age is on the grid."""
    reached = np.flatnonzero(shares >= share - 1e-12)
    first = float(ages[reached[0]]) if reached.size else None
    low = next((age for age, one in points if one.high >= share), None)
    high = next((age for age, one in points if one.low >= share), None)
    if first is not None:
        low, high = (first if low is None else min(low, first)), (None if high is None else max(high, first))
    return Age(share, first, low, high)
