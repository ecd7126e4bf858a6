"""Sorted times by entity: how many lie before an instant, for many (entity, instant) at once."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np

from backstay.features.exact import Ints

_LIMIT = 2**62


class Index:
    """Times in the order (segment, time): given in it, or brought into it by `sort`. A segment is the number of an
    entity.

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

    def sort(self) -> Ints | None:
        """Bring the times into order. Where each stood, ties as they came; None where all stood in order already."""
        if (self._codes[1:] >= self._codes[:-1]).all():
            return None
        places = self._codes.argsort(kind="stable")  # fast, because most stand in order
        self._codes = self._codes.take(places)
        return places

    def ties(self) -> tuple[Ints, Ints]:
        """The entries that are not alone at their (segment, time), and numbers that rise with it."""
        same = self._codes[1:] == self._codes[:-1]
        if not same.any():
            return np.empty(0, np.int64), np.empty(0, np.int64)
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        return tied, self._codes[tied]

    def some(self, places: Ints) -> Index:
        """Some of the entries, in their order."""
        out = copy(self)
        out._codes, out._starts = self._codes[places], None
        return out

    def before(self, segment: Ints, at: Ints) -> Ints:
        """How many entries come before (segment, at): those of earlier segments, and the times < at of this one.

        `segment` has the shape of `at`, or broadcasts to it.
        """
        if self._segments == 1:
            return self._codes.searchsorted(at)
        if self._distinct is not None:
            return self._codes.searchsorted(segment * self._span + self._distinct.searchsorted(at))
        code = at - self._base
        np.clip(code, 0, self._span - 1, out=code)
        code += segment * self._span
        return self._codes.searchsorted(code)

    def starts(self, segment: Ints) -> Ints:
        """How many entries earlier segments have."""
        if self._segments == 1:
            return np.zeros(len(segment), np.int64)
        if self._starts is None:
            self._starts = self._codes.searchsorted(np.arange(self._segments) * self._span)
        return self._starts.take(segment)


@dataclass(slots=True)
class Order:
    """Events in the order of some time of theirs: an index over it, and their places in canonical order (None:
    same)."""

    index: Index
    places: Ints | None

    @classmethod
    def by(cls, segment: Ints, times: Ints, segments: int) -> Order:
        index = Index(segment, times, segments)
        return cls(index, index.sort())


def by_segment(segment: Ints, segments: int) -> Ints:
    """A stable order by segment; small numbers are sorted by radix, in linear time."""
    low = segment.astype(np.uint16).argsort(kind="stable")
    if segments <= 1 << 16:
        return low
    return low[(segment[low] >> 16).argsort(kind="stable")]
