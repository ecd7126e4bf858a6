"""Windows: spans of time of one length that follow on each other, each counted once it is closed.

They begin at multiples of their length since 1970, UTC, so that everybody means the same ones: windows of a day begin
at midnight, of an hour on the hour, of a week on Thursdays, as 1970 did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backstay.core.times import instant_text


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A span [start, end), in microseconds, UTC."""

    start: int
    end: int

    def __str__(self) -> str:
        """The day, of a window that begins at midnight; else its start."""
        return instant_text(self.start).removesuffix("T00:00:00Z")

    @classmethod
    def of(cls, at: int, width: int) -> Window:
        """The window that a moment is in."""
        start = at // width * width
        return cls(start, start + width)


def closed(width: int, since: int, until: int) -> Iterator[Window]:
    """The windows that begin at or after `since`, and are over by `until`, in order.

    >>> [str(one) for one in closed(86_400_000_000, 1, 3 * 86_400_000_000 + 5)]
    ['1970-01-02', '1970-01-03']
    """
    start = -(-since // width) * width
    while start + width <= until:
        yield Window(start, start + width)
        start += width
