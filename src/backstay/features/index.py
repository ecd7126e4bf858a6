"""Sorted times by entity: how many lie before an instant, for many (entity, instant) at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.features.exact import Ints

_LIMIT = 2**62


class Index:
    """Times sorted by (segment, time). A segment is the number of an entity.

    Entity and time are put into one integer, so one binary search serves all entities; where time and the number of
    entities together need more than 62 bits, the ranks of the distinct times stand for the times.
    """

    __slots__ = ("_base", "_codes", "_distinct", "_segments", "_span", "_starts")

    def __init__(self, segment: Ints, times: Ints, segments: int) -> None:
        self._segments = segments
        self._distinct: Ints | None = None
        self._starts: Ints | None = None
        self._base, self._span = 0, 1
        self._codes = times
        if segments > 1 and len(times):
            self._base = int(times.min())
            self._span = int(times.max()) - self._base + 2
            offset = times - self._base
            if self._span * segments >= _LIMIT:
                self._distinct, offset = np.unique(times, return_inverse=True)
                self._span = len(self._distinct) + 1
            self._codes = segment * self._span + offset

    def before(self, segment: Ints, at: Ints) -> Ints:
        """How many entries come before (segment, at): those of earlier segments, and the times < at of this one.

        `segment` has the shape of `at`, or broadcasts to it.
        """
        if self._segments == 1:
            return self._codes.searchsorted(at)
        if self._distinct is not None:
            return self._codes.searchsorted(segment * self._span + self._distinct.searchsorted(at))
        return self._codes.searchsorted(segment * self._span + np.clip(at - self._base, 0, self._span - 1))

    def starts(self, segment: Ints) -> Ints:
        """How many entries earlier segments have."""
        if self._segments == 1:
            return np.zeros(len(segment), np.int64)
        if self._starts is None:
            self._starts = self._codes.searchsorted(np.arange(self._segments) * self._span)
        return self._starts[segment]


@dataclass(slots=True)
class Order:
    """Events in the order of some time of theirs: an index over it, and their places in canonical order (None:
    same)."""

    index: Index
    places: Ints | None

    @classmethod
    def by(cls, segment: Ints, times: Ints, segments: int) -> Order:
        places = order(segment, times, segments)
        if places is None:
            return cls(Index(segment, times, segments), None)
        return cls(Index(segment[places], times[places], segments), places)


def order(segment: Ints, times: Ints, segments: int) -> Ints | None:
    """The stable order by (segment, time), or None where the rows stand in it already."""
    later = times[1:] >= times[:-1]
    if segments == 1:
        return None if later.all() else times.argsort(kind="stable")
    if (later & (segment[1:] == segment[:-1]) | (segment[1:] > segment[:-1])).all():
        return None
    if later.all():
        return by_segment(segment, segments)
    by_time = times.argsort(kind="stable")
    return by_time[by_segment(segment[by_time], segments)]


def by_segment(segment: Ints, segments: int) -> Ints:
    """A stable order by segment; small numbers are sorted by radix, in linear time."""
    low = segment.astype(np.uint16).argsort(kind="stable")
    if segments <= 1 << 16:
        return low
    return low[(segment[low] >> 16).argsort(kind="stable")]
