"""A **harm test**: is the candidate's rate of harm above the champion's? It may be looked at after every block.

Harm is a loss of a request in [0, 1]: an error is 1, a success 0. The requests come in **blocks** (what each arm
served since the last look), in which the two arms run side by side; the shares may change from block to block, and so
may the rates. What the test doubts, and gives up only for good reason, is that in every block

    candidate's mean <= ratio x champion's mean + margin

It bets against that. A bet on the odds t multiplies the stake by a for each harm of the candidate, by b for each
of the champion's, where r = ratio x candidate's requests / champion's requests:

    a = t (1 + r) / (1 + t r)        b = (1 + r) / (1 + t r)

and by exp(-margin (a - 1)) for each request of the candidate.

This is the likelihood ratio of a Poisson count given the two arms' total (Przyborowski and Wilenski 1940; for streams
Lindon and Malek 2022). For losses in [0, 1] it is a fair bet or worse, since a**x <= 1 + x (a - 1) <= exp(x (a - 1))
and ratio x n (a - 1) + m (b - 1) = 0, whatever the rates are: no count has to be rare, and no rate to be known. The
**e-value** is the mean of the stakes over odds t (a mixture in the manner of Robbins 1970). By Ville's inequality
(1939) it ever reaches 1 / alpha with a probability of at most alpha where there is no harm, however often one looks.

    ok       one block a minute, looked at each minute                the level holds for all the looks together
    ok       one loss an entity: the share of its requests that failed    whose requests lean on each other
    not ok   today's candidate against yesterday's champion           another day is another rate
    not ok   a test of fixed size at every look                       it cries harm eight times as often as it says

>>> test = HarmTest()
>>> for _ in range(20):
...     test = test.update(candidate=Counts(100, 4), champion=Counts(100, 2))
>>> test.shown, round(test.e_value, 1)
(True, 270.7)
>>> HarmTest.from_dict(test.as_dict()) == test
True
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown

Floats = NDArray[np.float64]

ODDS = (1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""How many times the rate that is allowed the bets are on. Harm of less than about 1.025 times is not found."""
WEIGHTS = (0.05, 0.10, 0.20, 0.25, 0.20, 0.10, 0.05, 0.03, 0.02)
"""The share of the first stake on each: most on what a canary is there to find."""


@dataclass(frozen=True, slots=True)
class Counts(Shown):
    """What one arm served in one block: requests, and the sum of their losses, each in [0, 1]."""

    requests: int
    harms: float

    def __post_init__(self) -> None:
        if self.requests < 0 or not 0.0 <= self.harms <= self.requests:  # refuses NaN too
            found = f"{self.harms} harms in {self.requests} requests"
            raise InputError(f"there are {found}", where="counts", expected="between 0 and 1 harm a request")

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.requests + other.requests, self.harms + other.harms)


@dataclass(frozen=True, slots=True)
class HarmTest(Shown):
    """The state of one test: a few plain numbers, to be kept as `as_dict()` and taken up again by `from_dict`.

    ratio, margin: the candidate may harm as often as `ratio` times the champion's rate plus `margin`
    alpha:         how often harm may be shown where there is none, over all looks together
    log_stakes:    the logarithm of the stake on each of `ODDS`
    log_highest:   the logarithm of the highest e-value that there was at any look
    blocks, alone: the blocks that counted, and those in which an arm served nothing, which say nothing
    candidate, champion: what the arms served in the blocks that counted

    Raises `InputError` for an allowance or a level that makes no sense.
    """

    ratio: float = 1.0
    margin: float = 0.0
    alpha: float = 0.01
    log_stakes: tuple[float, ...] = (0.0,) * len(ODDS)
    log_highest: float = 0.0
    blocks: int = 0
    alone: int = 0
    candidate: Counts = Counts(0, 0)
    champion: Counts = Counts(0, 0)

    def __post_init__(self) -> None:
        if not (0.0 < self.ratio < math.inf and 0.0 <= self.margin < 1.0):
            found = f"a ratio of {self.ratio} and a margin of {self.margin}"
            raise InputError(f"{found} allow nothing", expected="a ratio above 0 (1: no harm), a margin in [0, 1)")
        if not 0.0 < self.alpha < 1.0:
            raise InputError(f"alpha is {self.alpha}", where="alpha", expected="between 0 and 1, such as 0.01")
        if len(self.log_stakes) != len(ODDS):
            found = f"{len(self.log_stakes)} stakes for {len(ODDS)} odds"
            raise InputError(f"there are {found}", where="log_stakes", fix="start the test anew")

    def update(self, candidate: Counts, champion: Counts) -> HarmTest:
        """The test after one block more, in which both arms were served side by side."""
        if not (candidate.requests and champion.requests):
            return replace(self, alone=self.alone + 1)
        won = log_bets(candidate.requests, candidate.harms, champion.requests, champion.harms, self.ratio, self.margin)
        stakes = np.array(self.log_stakes) + won
        return replace(
            self,
            log_stakes=tuple(stakes.tolist()),
            log_highest=max(self.log_highest, float(log_mixture(stakes))),
            blocks=self.blocks + 1,
            candidate=self.candidate.plus(candidate),
            champion=self.champion.plus(champion),
        )

    @property
    def e_value(self) -> float:
        """The stake now, of 1 at the start: how many times likelier harm makes what was seen."""
        return _exp(float(log_mixture(np.array(self.log_stakes))))

    @property
    def p_value(self) -> float:
        """The anytime-valid p: at most x with a probability of at most x without harm, at whatever look one stops."""
        return math.exp(-self.log_highest)

    @property
    def shown(self) -> bool:
        """Is harm shown at alpha, now or at an earlier look? False does not say that there is none."""
        return self.log_highest >= -math.log(self.alpha)

    def as_dict(self) -> dict[str, Any]:
        """What it says, and the state, as plain values; `from_dict` takes the state back."""
        return {
            "shown": self.shown,
            "p_value": self.p_value,
            "e_value": self.e_value,
            "ratio": self.ratio,
            "margin": self.margin,
            "alpha": self.alpha,
            "log_stakes": list(self.log_stakes),
            "log_highest": self.log_highest,
            "blocks": self.blocks,
            "alone": self.alone,
            "candidate": self.candidate.as_dict(),
            "champion": self.champion.as_dict(),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> HarmTest:
        """The test that these plain values are the state of."""
        return cls(
            ratio=told["ratio"],
            margin=told["margin"],
            alpha=told["alpha"],
            log_stakes=tuple(told["log_stakes"]),
            log_highest=told["log_highest"],
            blocks=told["blocks"],
            alone=told["alone"],
            candidate=Counts(**told["candidate"]),
            champion=Counts(**told["champion"]),
        )


def log_bets(
    candidate_requests: ArrayLike,
    candidate_harms: ArrayLike,
    champion_requests: ArrayLike,
    champion_harms: ArrayLike,
    ratio: float = 1.0,
    margin: float = 0.0,
) -> Floats:
    """The logarithm of what one block multiplies each stake by, shape (..., odds); counts of any one shape (...).

    Both arms have at least one request in every block.
    """
    n, m = (np.asarray(one, np.float64)[..., None] for one in (candidate_requests, champion_requests))
    x, y = (np.asarray(one, np.float64)[..., None] for one in (candidate_harms, champion_harms))
    odds, share = np.array(ODDS), ratio * n / m
    spread = np.log1p(share) - np.log1p(odds * share)  # log b
    won = x * (np.log(odds) + spread) + y * spread
    return np.asarray(won - n * margin * (odds - 1.0) / (1.0 + odds * share), np.float64)


def log_mixture(log_stakes: Floats) -> Floats:
    """The logarithm of the e-value: the mean stake over odds, by `WEIGHTS`; shape (..., odds) to (...)."""
    return np.asarray(np.logaddexp.reduce(log_stakes + np.log(WEIGHTS), axis=-1), np.float64)


def _exp(log: float) -> float:
    """e to this power, at most the largest number that there is: JSON knows no infinity."""
    return math.exp(log) if log < math.log(sys.float_info.max) else sys.float_info.max
