"""Who was refused is not read again at once, if refusing would take more of the time than it may.

A refusal says when to ask again, and few clients heed it. Read as fast as they come, a crowd of them would leave no
time for answers, however little one refusal takes. So refusing has a share of the time. While that lasts nobody waits.
What is beyond it is refused too, and then nothing more is read from its connection until the share has room for that,
and no longer than the refusal told it to wait: the system's buffers tell such a client to send no more.

What was sent meanwhile has waited, nobody knows how long. If that may be longer than any request may wait to be read,
it is refused when it is read, and what comes then is judged as ever: no answer is given late.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from typing import Protocol

from backstay.serving.admission import Limiter

_SHARE = 0.1
"""Of the time, what refusing takes until somebody has to wait."""
_KEPT = 0.02
"""Seconds of refusing that were not needed, and are kept for a burst. Of what was too much nothing is owed: those that
wait would come in crowds, with nothing to do for the loop between them."""
_TICK = 0.01
"""Seconds after which it is looked who may be read again."""
_TWICE = 2
"""Refusals that are expected of one who waited: of what has waited meanwhile, and most likely of the next."""


class Connection(Protocol):
    """One that can be left unread."""

    def hold(self) -> None:
        """Read nothing more."""

    def release(self, stale: bool) -> None:
        """Read on. stale: what has come meanwhile may have waited for too long."""

    def fresh(self) -> None:
        """What comes from now on is none of that."""


class Patience:
    """The connections of one loop that are not read for now, the first of them first.

    limiter: knows what a refusal takes, and how long a request may wait to be read
    longest: seconds for which one is left unread at most: less than refusals tell clients to wait
    """

    def __init__(self, limiter: Limiter, longest: float) -> None:
        self._limiter, self._longest = limiter, longest
        self._held: deque[tuple[float, Connection]] = deque()
        self._stale: list[Connection] = []
        self._left, self._since, self._charged = _KEPT, 0.0, 0
        """seconds that refusing may take, when that was, and how many refusals it has paid for"""
        self._ticking = False

    @property
    def held(self) -> int:
        """How many connections are not read."""
        return len(self._held)

    def refused(self, connection: Connection, loop: AbstractEventLoop) -> None:
        """A request of this connection was refused, which has not waited: the next one may have to."""
        now = self._earn(loop)
        if self._left > 0 and not self._held:  # or who came later would be read before those that wait
            return
        connection.hold()
        self._held.append((now, connection))
        if not self._ticking:
            self._ticking = True
            loop.call_later(_TICK, self._tick, loop)

    def _earn(self, loop: AbstractEventLoop) -> float:
        """What refusing may take by now; and when that is, on the loop's clock."""
        limiter, now = self._limiter, loop.time()
        earned = _SHARE * (now - self._since) - (limiter.refused - self._charged) * limiter.refusal
        self._left = min(_KEPT, max(0.0, self._left + earned))
        self._since, self._charged = now, limiter.refused
        return now

    def _tick(self, loop: AbstractEventLoop) -> None:
        """Read those again that there is time for, and those that have waited for long enough."""
        stale, self._stale = self._stale, []
        try:
            for connection in stale:
                connection.fresh()
            self._release(self._earn(loop))
        finally:
            if self._held or self._stale:
                loop.call_later(_TICK, self._tick, loop)
            else:
                self._ticking = False

    def _release(self, now: float) -> None:
        held, left = self._held, self._left
        while held and (left > 0 or now - held[0][0] >= self._longest):
            since, connection = held.popleft()
            left -= _TWICE * self._limiter.refusal
            stale = now - since > self._limiter.within
            if stale:
                self._stale.append(connection)
            connection.release(stale)
