"""Admission: how much may be in the server at once, and until when an answer is worth having.

What cannot be answered in time is refused before its body is parsed: a refusal must cost far less than an answer, or
refusing would itself be the overload. The limit is in rows (one request may bring many), and it is found, not set: it
is what is answered, at the rate that is measured, in a turn of the loop that takes two fifths of the latency objective,
beside what it takes to read its sockets and to refuse. As long may a request have waited in the system's buffers before
it is read. What is answered while the loop reads its sockets counts until it has read them all.

Where refusing alone would take most of that, a third as long as it takes goes to answers still: later, but not to
nobody. A stall (a neighbour on the machine, a collection of garbage) is one slow turn among many and hardly moves the
rate; a limit that followed the slowest answers would refuse requests because of it, and nobody would be served faster.
"""

from __future__ import annotations

from math import inf
from time import monotonic

from backstay.serving.refusal import Late, Overloaded

_FIRST, _LEAST = 256, 4
_SHARE, _LEFT = 0.4, 1 / 3
"""Of the objective, what a turn of the loop may take; of what reading and refusing takes, what answers get at least."""
_MEMORY = 256
"""Rows over which the rate is averaged."""
_FADES = 0.75
"""What is left, a turn later, of the longest time that was read and refused for: short turns come among long ones."""
_REFUSAL = 20e-6
_FEW = 4
"""So many rows take hardly longer than one. Taken for a measure of what many take, a night of lone requests would have
the first burst of the morning refused, from a server that is idle."""


class Limiter:
    """Rows in flight, and how many there may be.

    objective: seconds within which answers are wanted
    largest:   rows that may be in flight at most, however fast the answers are
    """

    def __init__(self, objective: float, largest: int) -> None:
        self.within = _SHARE * objective
        """Seconds that a request may wait until it is read, and as many until it is answered."""
        self._largest = largest
        self.limit = float(min(_FIRST, largest))
        self.rows = 0
        self.spent = 0
        """Rows that were answered since the loop began to read its sockets."""
        self.computed = 0.0
        """Seconds that the loop has ever computed, of whatever model: it is one loop for all."""
        self.pending = 0
        """Requests that were read, and not yet taken up."""
        self.each = self.within / _FIRST
        """Seconds that a row takes: a guess at first, then measured."""
        self.beside = 0.0
        """Seconds of a turn of the loop in which it reads its sockets, and refuses."""
        self.refused = 0
        """Requests that were ever refused as they were read."""
        self._refused = 0
        """of them, those before the turn that is measured next"""
        self.refusal = _REFUSAL
        """Seconds that a refusal takes: a guess at first, then measured."""

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

    def served(self, rows: int, seconds: float, beside: float) -> None:
        """In a turn of the loop so many rows were answered in so many seconds, and others went to its sockets."""
        # Whatever is slower than this leaves the least as well; a lone stall of a second would be felt for minutes.
        each = min(seconds / max(rows, _FEW), self.within / _LEAST)
        self.each += (each - self.each) * min(1.0, rows / _MEMORY)
        self.beside = max(beside, self.beside * _FADES)
        refused, self._refused = self.refused - self._refused, self.refused
        if refused and beside:  # what is let in takes about as long to read; a stall takes longer, and is neither
            self.refusal += (min(beside / (rows + refused), self.each) - self.refusal) * min(1.0, refused / _MEMORY)
        left = max(self.within - self.beside, min(self.beside * _LEFT, self.within))
        self.limit = min(self._largest, max(_LEAST, left / self.each))


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
