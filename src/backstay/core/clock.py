"""Time is a parameter: every component takes its clock from outside.

With `SystemClock` it is production; with `ReplayClock` the same code runs over history, deterministically.
All times inside Backstay are integers: microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000


class ReplayClock:
    """A clock that stands still until it is moved, and never moves back.

    >>> clock = ReplayClock(1_000_000)
    >>> clock.advance(2_000_000)
    >>> clock.now()
    2000000
    """

    def __init__(self, start: int) -> None:
        self._now = start

    def now(self) -> int:
        return self._now

    def advance(self, to: int) -> None:
        if to < self._now:
            raise ValueError(f"a replayed clock never moves back: {to} < {self._now}")
        self._now = to
