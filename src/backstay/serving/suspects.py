"""Suspects: whose rows a worker was scoring when it died, or when it had stopped answering, by its marks on the board.

A worker cannot judge what ends it or holds it up, so its supervisor does.

    hung     a batch that is scored for far longer than any should: whoever watches kills the worker, and this was why
    crash    the worker ended by itself with the mark set. One such death is enough, where it says whose it was: it is
             the second where it may have been another's (the machine's, which was short of memory, or an operator's, as
             SIGKILL is sent from outside; or that of another version that was being scored in another thread)
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from backstay.serving.board import Board, Mark

LOOK = 0.5
"""How often, in seconds, the supervisor looks."""
_LOOKS = 2
"""How often a batch must be seen overdue: if the whole machine was asleep, it is not blamed for that."""
_WITHIN = 600.0
"""Seconds in which a second death is the same version's: what takes longer to come again is as likely the machine's."""


@dataclass(frozen=True, slots=True)
class Death:
    """Why a share or a shadow goes.

    value, bound: seconds, of one that hung; else how many deaths there were, and how many are put up with
    """

    mark: Mark
    code: int
    value: float
    bound: float
    hung: bool = False


class Suspects:
    """What the marks of all workers say, from look to look and from death to death."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._seen: dict[Mark, int] = {}
        self._deaths: dict[tuple[int, int, bool], float] = {}

    def hung(self, slots: Sequence[int], now: float) -> dict[int, Mark]:
        """By its slot, what a worker hangs on. now: monotonic

        Only the first of what hangs in a worker: others may only wait for the interpreter, which it holds.
        """
        late = {slot: [one for one in self._board.marks(slot) if now > one.since + one.bound] for slot in slots}
        self._seen = {one: self._seen.get(one, 0) + 1 for marks in late.values() for one in marks}
        out = {}
        for slot, marks in late.items():
            found = [one for one in marks if self._seen[one] >= _LOOKS]
            if found:
                out[slot] = min(found, key=lambda one: one.since)
        return out

    def guilty(self, slot: int, code: int, now: float) -> list[Death]:
        """Who goes, as the worker of this slot ended by itself with this code. now: monotonic"""
        marks = self._board.marks(slot)
        sure = len(marks) == 1 and code != -signal.SIGKILL
        out = []
        for one in marks:
            whose = one.entry, one.number, one.shadow
            before = self._deaths.get(whose)
            self._deaths[whose] = now
            if sure:
                out.append(Death(one, code, 1, 0))
            elif before is not None and now - before <= _WITHIN:
                out.append(Death(one, code, 2, 1))
        return out
