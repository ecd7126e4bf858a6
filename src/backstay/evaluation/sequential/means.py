"""A **confidence sequence**: an interval after every block, and all of them hold the truth together.

Of a usual interval of 95%, looked at after every block, one or another misses the truth sooner or later. These may be
looked at whenever one likes, and acted on at once. There are two kinds, and the bounds decide which:

    empirical Bernstein   of values between two bounds that are known before; holds whatever n is (Howard et al. 2021;
                          the bets are those of Waudby-Smith and Ramdas 2023, theorem 2, fixed before each block)
    asymptotic            of values without bounds, such as a latency; narrower, and holds as n grows (Waudby-Smith,
                          Arbour, Sinha, Kennedy and Ramdas 2024); `LEAST` rows an arm come before the first

`MeanDifference` is of two arms that ran side by side. In each block the arms' means are compared, and the block weighs
n m / (n + m), so that neither the shares nor the level of the metric need to stay as they were. `PairedDifference` is
of one difference a row: a shadow's score less the champion's on the same request.

The estimate is candidate less champion. `reading` turns it so that above 0 is better, and holds it against a margin:
0 or above asks for superiority, below 0 is the loss that is put up with (non-inferiority).

    ok       one value an entity, or a day: its rows' mean    rows that lean on each other are one row
    not ok   a mean of latencies as bounded by [0, 60]        unless what is longer counts as 60, for both arms

>>> sequence = MeanDifference(bounds=(0.0, 1.0))
>>> for _ in range(10):
...     sequence = sequence.update(candidate=Moments(400, 0.7, 84.0), champion=Moments(600, 0.6, 144.0))
>>> print(sequence.interval())
+0.1000 [+0.0675, +0.1325]
>>> print(sequence.reading(margin=-0.01).shown, sequence.reading(better="lower").shown)
True False
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.interval import Estimate, Interval, NotEnough, estimated
from backstay.evaluation.power import shown
from backstay.evaluation.quantiles import level_tails
from backstay.evaluation.sequential.moments import Moments

LEAST = 100
"""Rows of each arm before the first asymptotic interval."""
BOLDEST = 0.5
"""No bet of an empirical Bernstein sequence is above this; 1 would be ruin."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What the blocks add up to.

    weight, squares:         effective rows, and squared deviations from the mean that was known before each block (of
                             bounded values in units of the bounds' width squared)
    staked, total, penalty:  the weights and the differences, each times its block's bet, and what the bets cost
    """

    weight: float = 0.0
    squares: float = 0.0
    staked: float = 0.0
    total: float = 0.0
    penalty: float = 0.0

    def step(self, weight: float, total: float, squares: float, bet: float) -> Walk:
        # An asymptotic sequence bets 1 on every block and pays nothing: its reach is made of the squares.
        cost = -math.log1p(-bet) - bet if bet < 1.0 else 0.0
        return Walk(
            self.weight + weight,
            self.squares + squares,
            self.staked + bet * weight,
            self.total + bet * total,
            self.penalty + cost * squares,
        )


_NOTHING, _START = Moments(), Walk()


@dataclass(frozen=True, slots=True)
class Reading(Shown):
    """The gain (above 0: the candidate is better), and whether it is above the margin; None: these rows can't tell."""

    gain: Estimate
    margin: float
    shown: bool | None


@dataclass(frozen=True, slots=True)
class _Sequence(Shown, ABC):
    """The state of one sequence: a few plain numbers, to be kept as `as_dict()` and taken up again by `from_dict`.

    level:     how often all the intervals hold the truth together
    bounds:    of each value; None: an asymptotic sequence
    narrowest: at how many effective rows an asymptotic interval is narrowest for what it must hold; n m / (n + m) of
               two arms of n and m, n of differences
    candidate: the values so far (of pairs: the differences), and those of the `champion` (of pairs: none)
    alone:     blocks in which there was nothing to compare

    Raises `InputError` for a level, bounds or rows that make no sense.
    """

    level: float = 0.95
    bounds: tuple[float, float] | None = None
    narrowest: float = 2_000.0
    candidate: Moments = _NOTHING
    champion: Moments = _NOTHING
    walk: Walk = _START
    alone: int = 0

    def __post_init__(self) -> None:
        level_tails(self.level)
        if self.bounds is not None and not -math.inf < self.bounds[0] < self.bounds[1] < math.inf:
            raise InputError(f"the bounds are {self.bounds}", where="bounds", expected="two numbers, the lower first")
        if not 0.0 < self.narrowest < math.inf:
            raise InputError(f"narrowest is {self.narrowest}", where="narrowest", expected="a number of rows above 0")

    @property
    def kind(self) -> str:
        return "asymptotic" if self.bounds is None else "empirical Bernstein"

    def interval(self) -> Interval:
        """The difference of means, candidate less champion, with the interval of this look; `NotEnough` without."""
        rows = self.candidate.n + self.champion.n
        if self.walk.weight <= 0.0:
            raise NotEnough("no block has had rows to compare", expected="a block with rows of both")
        middle = self.walk.total / self.walk.staked
        least, most = self._extremes()
        reach = self._asymptotic() if self.bounds is None else self._bernstein(self.bounds[1] - self.bounds[0])
        low, high = max(middle - reach, min(least, middle)), min(middle + reach, max(most, middle))
        return Interval(middle, low, high, self.level, rows, rows)

    def reading(self, margin: float = 0.0, better: str = "higher") -> Reading:
        """Is the candidate better by more than the margin? Below 0, the margin is the loss that is put up with.

        better: 'higher' or 'lower', the way in which the metric points. Raises `InputError` for any other.
        """
        if better not in ("higher", "lower"):
            raise InputError(f"better is {better!r}", where="better", expected="'higher' or 'lower'")
        gain = estimated(self.interval, self.candidate.n + self.champion.n)
        if not isinstance(gain, Interval):
            return Reading(gain, margin, None)
        if better == "lower":
            gain = replace(gain, estimate=-gain.estimate, low=-gain.high, high=-gain.low)
        return Reading(gain, margin, shown(gain, margin))

    def as_dict(self) -> dict[str, Any]:
        """What it says, and the state, as plain values; `from_dict` takes the state back."""
        return {
            "kind": self.kind,
            "interval": estimated(self.interval, self.candidate.n + self.champion.n).as_dict(),
            "level": self.level,
            "bounds": None if self.bounds is None else list(self.bounds),
            "narrowest": self.narrowest,
            "candidate": self.candidate.as_dict(),
            "champion": self.champion.as_dict(),
            "walk": {name: getattr(self.walk, name) for name in Walk.__slots__},
            "alone": self.alone,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """The sequence that these plain values are the state of."""
        bounds = told["bounds"]
        return cls(
            level=told["level"],
            bounds=None if bounds is None else (bounds[0], bounds[1]),
            narrowest=told["narrowest"],
            candidate=Moments.from_dict(told["candidate"]),
            champion=Moments.from_dict(told["champion"]),
            walk=Walk(**told["walk"]),
            alone=told["alone"],
        )

    @abstractmethod
    def _extremes(self) -> tuple[float, float]:
        """The least and the most that the difference can be."""

    def _deviations(self, before: Moments, block: Moments) -> float:
        """The block's squared deviations from the mean before it, in units of the bounds' width squared.

        The mean before is drawn to the bounds' middle by one row; without bounds, the first block's is its own.
        """
        if self.bounds is not None:
            low, high = self.bounds
            _check_inside(block, low, high)
            centre = ((low + high) / 2.0 + before.n * before.mean) / (before.n + 1)
            return block.about(centre) / (high - low) ** 2
        if before.n:
            return block.about(before.mean)
        return block.squares * block.n / (block.n - 1) if block.n > 1 else 0.0

    def _stepped(self, weight: float, total: float, squares: float) -> Walk:
        if self.bounds is None:
            return self.walk.step(weight, total, squares, bet=1.0)
        variance = (0.25 + self.walk.squares) / (1.0 + self.walk.weight)
        rows = self.walk.weight + weight
        bet = math.sqrt(2.0 * math.log(2.0 / (1.0 - self.level)) / (variance * rows * math.log1p(rows)))
        return self.walk.step(weight, total, squares, min(bet, BOLDEST))

    def _bernstein(self, width: float) -> float:
        return width * (math.log(2.0 / (1.0 - self.level)) + self.walk.penalty) / self.walk.staked

    def _asymptotic(self) -> float:
        """The reach of the paper's Gaussian mixture, with the rho that makes it narrowest at so many rows."""
        arms = [one.n for one in (self.candidate, self.champion) if one.n]
        if min(arms) < LEAST:
            raise NotEnough(f"there are {min(arms)} rows of an arm", expected=f"at least {LEAST}")
        if self.walk.squares <= 0.0:
            raise NotEnough("every value is the same", expected="values that spread")
        asked = -2.0 * math.log(1.0 - self.level)
        grown = self.walk.weight * (asked + math.log1p(asked)) / self.narrowest
        spread = self.walk.squares * (grown + 1.0) / grown
        return math.sqrt(spread * (math.log1p(grown) + asked)) / self.walk.weight


@dataclass(frozen=True, slots=True)
class MeanDifference(_Sequence):
    """The difference between the means of two arms that run side by side; fields and errors as for every sequence."""

    def update(self, candidate: Moments, champion: Moments) -> MeanDifference:
        """The sequence after one block more. Raises `InputError` for moments that no values within the bounds have."""
        n, m = candidate.n, champion.n
        if not (n and m):
            return replace(self, alone=self.alone + 1)
        weight, mine, theirs = n * m / (n + m), m / (n + m), n / (n + m)
        squares = mine**2 * self._deviations(self.candidate, candidate)
        squares += theirs**2 * self._deviations(self.champion, champion)
        walk = self._stepped(weight, weight * (candidate.mean - champion.mean), squares)
        return replace(self, candidate=self.candidate.plus(candidate), champion=self.champion.plus(champion), walk=walk)

    def _extremes(self) -> tuple[float, float]:
        width = math.inf if self.bounds is None else self.bounds[1] - self.bounds[0]
        return -width, width


@dataclass(frozen=True, slots=True)
class PairedDifference(_Sequence):
    """The mean of one difference a row, candidate less champion, `bounds` being those of differences."""

    def update(self, differences: Moments) -> PairedDifference:
        """The sequence after one block more. Raises `InputError` for moments that no values within the bounds have."""
        if not differences.n:
            return replace(self, alone=self.alone + 1)
        squares = self._deviations(self.candidate, differences)
        walk = self._stepped(differences.n, differences.n * differences.mean, squares)
        return replace(self, candidate=self.candidate.plus(differences), walk=walk)

    def _extremes(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.bounds is None else self.bounds


def _check_inside(block: Moments, low: float, high: float) -> None:
    """Values in [low, high] have their mean there, and spread at most as Bhatia and Davis (2000) say."""
    spread = block.n * (high - block.mean) * (block.mean - low)
    if not low <= block.mean <= high or block.squares > spread * (1.0 + 1e-9) + 1e-12:
        found = f"a block's mean is {block.mean:g} and its squares {block.squares:g}"
        raise InputError(
            f"{found}: not all values are inside the bounds", where="bounds", expected=f"{low:g} to {high:g}"
        )
