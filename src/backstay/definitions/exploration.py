"""Exploration: of a small share of entities, decisions are turned over by lot, so that others can be judged later."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from backstay.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Explore:
    """What a route explores; it goes on whatever shares are set, until it is ended.

    share: of the entities, above 0
    flip:  the probability with which each of their decisions is turned over

    Whoever is asked about is explored with the probability share x flip: the logged `chance` of a decision that was
    turned over is that, and of any other 1 less that.
    """

    share: float
    flip: float = 0.5

    def __post_init__(self) -> None:
        for name, value in (("share", self.share), ("flip", self.flip)):
            if isinstance(value, bool) or not isinstance(value, Real):
                raise InputError(
                    f"the {name} is {value!r}", where="explore", expected="a number between 0 and 1",
                    fix="say 0.01 for 1%",
                )  # fmt: skip
        if not (0 < self.share <= 1 and 0 < self.flip < 1 and self.rare < 0.5):
            raise InputError(
                f"{100 * self.share:.6g}% of the entities, turned over with the probability {self.flip:g}",
                where="explore", expected="a share above 0%, and fewer than half of all decisions turned over",
                fix="such as 1%",
            )  # fmt: skip

    @property
    def rare(self) -> float:
        """The probability, given the score, that a decision is turned over."""
        return self.share * self.flip

    def as_dict(self) -> dict[str, Any]:
        return {"share": self.share, "flip": self.flip, "chance": self.rare}
