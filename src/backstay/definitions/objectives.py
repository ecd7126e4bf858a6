"""An objective: how fast and how reliably a model is to answer, over how long, and why. Pure data.

It says how a model is served, not what it is: no hash, manifest or parity depends on it, and it may change at any time.
"""

from __future__ import annotations

from datetime import timedelta

from backstay.core.errors import DefinitionError
from backstay.core.times import DAY, HOUR, duration, duration_text
from backstay.definitions.places import declared_at, located

LONGEST = 90 * DAY
"""The longest time an error budget is for: what servers count is kept as long."""


class Objective:
    """What a deployment promises whoever asks it, and how much of it may fail.

    latency:      within which an answer is good, from the request read to the answer written
    share:        of the answers, how many are that fast
    availability: of the requests that were asked properly, how many are answered
    over:         the time for which the budget of what may fail is, from 1h to 90d
    why:          what depends on it; without a reason nobody can tell later whether it still has to hold

    >>> objective = Objective(latency="50ms", availability=0.999, why="the checkout waits for it")
    >>> objective.latency, objective.over
    (50000, 2592000000000)
    >>> str(objective)
    '99% within 50ms, 99.9% answered, over 30d'

    A share that leaves nothing to fail is refused, and so is an objective without a reason: both are `DefinitionError`.
    """

    def __init__(
        self,
        *,
        latency: str | timedelta | int,
        share: float = 0.99,
        availability: float = 0.999,
        over: str | timedelta | int = "30d",
        why: str,
    ) -> None:
        self.place = declared_at()
        self.latency, self.over = duration(latency, where=self.where), duration(over, where=self.where)
        if not self.latency:
            raise DefinitionError(
                "nothing is answered within no time", where=self.where, expected="a latency above 0",
                fix='write for example latency="50ms"',
            )  # fmt: skip
        if not HOUR <= self.over <= LONGEST:
            raise DefinitionError(
                f"the budget is for {duration_text(self.over)}", where=self.where, expected="over from 1h to 90d",
                fix='write for example over="30d"',
            )  # fmt: skip
        self.share, self.availability = self._share("share", share), self._share("availability", availability)
        if not isinstance(why, str) or not why.strip():
            raise DefinitionError(
                "the objective has no reason", where=self.where, expected="why, in words",
                fix='say what depends on it, for example why="the checkout waits for it"',
            )  # fmt: skip
        self.why = why.strip()

    @property
    def where(self) -> str:
        """The objective with its file and line, as errors name it."""
        return located("Objective", self.place)

    def _share(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise DefinitionError(
                f"{name} is {value!r}", where=self.where, expected="above 0 and below 1: some of it may always fail",
                fix=f"write for example {name}=0.999",
            )  # fmt: skip
        return float(value)

    def __str__(self) -> str:
        fast, answered = (f"{100 * one:.10g}%" for one in (self.share, self.availability))
        return f"{fast} within {duration_text(self.latency)}, {answered} answered, over {duration_text(self.over)}"

    def __repr__(self) -> str:
        return f"Objective({self}, why={self.why!r})"
