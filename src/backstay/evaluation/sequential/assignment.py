"""An **assignment test**: do the arms get the shares that they were meant to get? It may be looked at at any time.

A canary of 5% that sees 4% of the entities was not drawn by lot: retries, crashes, a cache or a bug choose who is in
it, and then no comparison of the arms means anything. The field calls it a sample-ratio mismatch.

The test is that of Lindon and Malek (2022): the likelihood of the counts under shares drawn from a Dirichlet
distribution about the shares that were meant, over that under those very shares. It is an e-process: where the lot is
fair it ever reaches 1 / alpha with a probability of at most alpha. When the shares are changed (1%, 5%, 25%) a new
stage begins, and the stages' e-values are multiplied.

    ok       counts of entities, each counted when it is first seen    they are what is drawn by lot
    not ok   counts of requests                                        ten of one entity are one draw, not ten

>>> test = AssignmentTest().update([50, 950], shares=[0.05, 0.95]).update([30, 970], shares=[0.05, 0.95])
>>> test.shown, round(test.e_value, 3)
(False, 2.677)
>>> test.update([900, 13_100], shares=[0.05, 0.95]).shown
True
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.quantiles import log_gamma

Floats = NDArray[np.float64]

CONCENTRATION = 1_000.0
"""How near to the shares that were meant the others are: as if known from so many draws."""


@dataclass(frozen=True, slots=True)
class AssignmentTest(Shown):
    """The state of one test: a few plain numbers, to be kept as `as_dict()` and taken up again by `from_dict`.

    alpha:       how often a mismatch may be shown where there is none, over all looks together
    shares:      those meant at this stage, one an arm, and `counts`, the entities that each arm got in it
    log_before:  the logarithm of the e-value of the stages before
    log_highest: the logarithm of the highest e-value that there was at any look
    """

    alpha: float = 0.001
    shares: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()
    log_before: float = 0.0
    log_highest: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise InputError(f"alpha is {self.alpha}", where="alpha", expected="between 0 and 1, such as 0.001")

    def update(self, counts: Sequence[int], shares: Sequence[float]) -> AssignmentTest:
        """The test after so many entities more in each arm, when these were the shares meant.

        Raises `InputError` for a count below 0, for shares that are not above 0 or do not sum to 1, or for another
        number of arms than of shares.
        """
        _check(counts, shares)
        new = tuple(float(share) for share in shares)
        if new == self.shares:
            after = replace(self, counts=tuple(a + int(b) for a, b in zip(self.counts, counts, strict=True)))
        else:
            given = tuple(int(count) for count in counts)
            after = replace(self, shares=new, counts=given, log_before=self.log_e)
        return replace(after, log_highest=max(self.log_highest, after.log_e))

    @property
    def log_e(self) -> float:
        """The logarithm of the e-value."""
        return self.log_before + (float(log_stage(self.counts, self.shares)) if self.counts else 0.0)

    @property
    def e_value(self) -> float:
        """How many times likelier other shares make what was seen; 1 at the start."""
        return math.exp(min(self.log_e, math.log(sys.float_info.max) - 1.0))

    @property
    def p_value(self) -> float:
        """The anytime-valid p: at most x with a probability of at most x where the lot is fair."""
        return math.exp(-self.log_highest)

    @property
    def shown(self) -> bool:
        """Is a mismatch shown at alpha, now or at an earlier look? False does not say that there is none."""
        return self.log_highest >= -math.log(self.alpha)

    def as_dict(self) -> dict[str, Any]:
        """What it says, and the state, as plain values; `from_dict` takes the state back."""
        return {
            "shown": self.shown,
            "p_value": self.p_value,
            "e_value": self.e_value,
            "alpha": self.alpha,
            "shares": list(self.shares),
            "counts": list(self.counts),
            "log_before": self.log_before,
            "log_highest": self.log_highest,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> AssignmentTest:
        """The test that these plain values are the state of."""
        shares, counts = tuple(told["shares"]), tuple(told["counts"])
        return cls(told["alpha"], shares, counts, told["log_before"], told["log_highest"])


def log_stage(counts: ArrayLike, shares: ArrayLike) -> Floats:
    """The logarithm of one stage's e-value: counts of shape (..., arms), shares of shape (arms), to shape (...).

    log [B(c + n) / B(c)] - sum n log share, where B is the multivariate beta function, c = `CONCENTRATION` x shares.
    """
    n, meant = np.asarray(counts, np.float64), np.asarray(shares, np.float64)
    prior = CONCENTRATION * meant
    arms = log_gamma(prior + n) - log_gamma(prior) - n * np.log(meant)
    total = log_gamma(CONCENTRATION + n.sum(axis=-1)) - log_gamma(CONCENTRATION)
    return np.asarray(arms.sum(axis=-1) - total, np.float64)


def _check(counts: Sequence[int], shares: Sequence[float]) -> None:
    if len(counts) != len(shares) or len(counts) < 2:
        found = f"{len(counts)} counts for {len(shares)} shares"
        raise InputError(f"there are {found}", where="counts", expected="one an arm, of two arms or more")
    if any(count < 0 or count != int(count) for count in counts):
        raise InputError(f"the counts are {list(counts)}", where="counts", expected="whole numbers of 0 or more")
    if not (all(share > 0.0 for share in shares) and math.isclose(math.fsum(shares), 1.0, abs_tol=1e-9)):
        found = f"the shares are {list(shares)}"
        raise InputError(found, where="shares", expected="each above 0, with the sum 1", fix="leave out an arm without")
