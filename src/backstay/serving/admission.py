"""Admission: how much may be in the server at once, and until when an answer is worth having.

What cannot be answered in time is refused before its body is parsed: a refusal must cost far less than an answer, or
refusing would itself be the overload. The limit is in rows (one request may bring many), and it is found, not set:
it is what is served in two fifths of the latency objective, at the rate that is measured turn by turn of the loop. As
long may a request have waited in the system's buffers before it is read: at full load that is what the turn before
took. What is answered while the loop reads its sockets counts until it has read them all: behind a crowd others wait.

A stall (a neighbour on the machine, a collection of garbage) is one slow turn among many and hardly moves the rate; a
limit that followed the slowest answers would refuse requests because of it, and nobody would be served faster.
"""

from __future__ import annotations

from math import inf
from time import monotonic

from backstay.serving.refusal import Late, Overloaded

_FIRST, _LEAST = 256, 4
_SHARE = 0.4
"""Of the objective: what is let in together is served within it."""
_MEMORY = 256
"""Rows over which the rate is averaged; four times as many where it rises. In a crowd that has to be refused there are
short turns among the long ones, and after each of them too much would be let in."""
_FEW = 4
"""So many rows take hardly longer than one. Taken for a measure of what many take, a night of lone requests would have
the first burst of the morning refused, from a server that is idle."""


class Limiter:
    """Rows in flight, and how many there may be.

    objective: seconds within which answers are wanted
    largest:   rows that may be in flight at most, however fast the answers are
    """

    def __init__(self, objective: float, largest: int) -> None:
        self._within, self._largest = _SHARE * objective, largest
        self.limit = float(min(_FIRST, largest))
        self.rows = 0
        self.spent = 0
        """Rows that were answered since the loop began to read its sockets."""
        self.pending = 0
        """Requests that were read, and not yet taken up."""
        self.each = self._within / _FIRST
        """Seconds that a row takes, everything counted: a guess at first, then measured."""

    @property
    def full(self) -> bool:
        """Whether one row more, behind those that were read, would be refused: asked before anything is parsed."""
        return self.rows + self.spent + self.pending + 1 > self.limit

    def admit(self) -> None:
        """Raise `Overloaded` if nothing more is taken: asked before the body is read."""
        if self.rows + self.spent + 1 > self.limit:
            raise Overloaded()

    def enter(self, rows: int, deadline: float) -> None:
        """Take rows in; a request larger than the limit is let in alone.

        Raises `Overloaded` if there are too many, `Late` if those before them will take longer than until the deadline.
        """
        before = self.rows + self.spent
        if before and before + rows > self.limit:
            raise Overloaded()
        if deadline != inf and monotonic() + self.rows * self.each >= deadline:
            raise Late("when it was admitted")
        self.rows += rows

    def leave(self, rows: int) -> None:
        """Rows that were taken in are answered."""
        self.rows -= rows

    def served(self, rows: int, seconds: float) -> None:
        """A turn of the loop in which so many rows were served took so long."""
        each = seconds / max(rows, _FEW)
        weight = min(1.0, rows / _MEMORY)
        self.each += (each - self.each) * (weight if each > self.each else weight / 4)
        self.limit = min(self._largest, max(_LEAST, self._within / self.each))


def deadline(milliseconds: bytes | None, since: float) -> float:
    """When an answer is worth nothing any more, from how long the client says it waits, `since` the request was read.

    Both are on the monotonic clock. One of 0 or less has passed. What is no number is no deadline: a header that a
    proxy mangled must not refuse what it stands on.
    """
    if milliseconds is None:
        return inf
    try:
        wait = float(milliseconds)
    except ValueError:
        return inf
    return since + wait / 1000 if wait == wait else inf
