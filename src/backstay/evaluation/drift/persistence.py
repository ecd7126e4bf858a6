"""Does it last? One odd window is none of anybody's business: an alarm takes k of the last m.

Windows that say nothing (NO_DATA, UNDERPOWERED) neither raise an alarm nor end one: they are passed over, so that a
quiet weekend does not heal a column that has drifted since Tuesday.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import InputError
from backstay.evaluation.states import State


@dataclass(frozen=True, slots=True)
class Persistence:
    """What the last windows of one column said. `update` gives the next state, and `alarm` is whether it has lasted.

    needed, among: so many of the last so many windows that said something must be DRIFT
    recent:  what they said, the last one last: True is DRIFT
    since:   when the first drifted window among them began, microseconds; None where none has drifted

    >>> column = Persistence()
    >>> for day, said in enumerate([State.DRIFT, State.OK, State.UNDERPOWERED, State.DRIFT]):
    ...     column = column.update(said, at=day)
    >>> column.alarm, column.since
    (True, 0)
    """

    needed: int = 2
    among: int = 3
    recent: tuple[tuple[int, bool], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.needed <= self.among:
            raise InputError(
                f"{self.needed} of {self.among} windows", where="Persistence", expected="1 <= needed <= among"
            )

    def update(self, state: State, at: int) -> Persistence:
        """With one more window, which began at `at` (microseconds). The windows come in order."""
        if state in (State.NO_DATA, State.UNDERPOWERED):
            return self
        recent = (*self.recent, (at, state is State.DRIFT))[-self.among :]
        return Persistence(self.needed, self.among, recent)

    @property
    def alarm(self) -> bool:
        return sum(drifted for _, drifted in self.recent) >= self.needed

    @property
    def since(self) -> int | None:
        return next((at for at, drifted in self.recent if drifted), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back."""
        return {"needed": self.needed, "among": self.among, "recent": [list(one) for one in self.recent]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Persistence:
        recent = tuple((int(at), bool(drifted)) for at, drifted in data["recent"])
        return cls(int(data["needed"]), int(data["among"]), recent)
