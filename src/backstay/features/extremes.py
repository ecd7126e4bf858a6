"""First, last, smallest and largest over windows, where events may be late and corrected.

Events whose order of becoming visible is their order in time are *regular*: those that count at T are a contiguous
range of them, and the smallest of a range is found in a table of blocks. The few *others*, late ones and those whose
place a correction took, are looked at one by one, as far as they lie in the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.features.exact import Bools, Floats, Ints
from backstay.features.index import Index, Order
from backstay.features.moments import Moments

NEVER = np.iinfo(np.int64).max
_BLOCK = 16
_LEVEL = np.array([0, *(length.bit_length() - 1 for length in range(1, _BLOCK + 1))])
"""By length, at the most that of a block, the power of two of which two cover it."""
_CHUNK = 1 << 16
"""Candidates looked at together: what is made of them stays in the caches."""


@dataclass(slots=True)
class _Others:
    """The events that are not regular, in canonical order; `rank` is their place among all."""

    rank: Ints
    index: Index
    """of their times"""
    visible: Ints
    until: Ints | None


@dataclass(slots=True)
class Values:
    """A column whose smallest values are asked, infinity where it is null."""

    regular: Ranges
    others: Floats


class Extremes:
    """Answers about events given in canonical order (segment, event_time, known_time, sequence).

    An event counts at T if visible <= T < until. `since` is how many events come before the first that may count, one
    a row.

    until: None where nothing is ever replaced.
    """

    def __init__(
        self, segment: Ints, by_visible: Order, by_time: Index, visible: Ints, until: Ints | None, segments: int
    ) -> None:
        regular = _regular(segment, visible, until, segments)
        self._ranks = np.flatnonzero(regular)
        self._before = _counts(regular)
        """how many of the first events are regular"""
        self._entered = self._before if by_visible.places is None else _counts(regular.take(by_visible.places))
        """how many of those that became visible first are"""
        others = np.flatnonzero(~regular)
        self._others: _Others | None = None
        if len(others):
            ends = None if until is None else until[others]
            self._others = _Others(others, by_time.some(others), visible[others], ends)

    def last(self, moments: Moments, since: Ints) -> Ints:
        """The rank of the last event that counts; -1 where none does."""
        low, high = self._range(moments, since)
        best = np.where(low < high, _at(self._ranks, high - 1), -1)
        if self._others is None:
            return best
        low, high = self._candidates(moments, since)
        low = np.maximum(low, self._others.rank.searchsorted(best, "right"))
        self._better([best], low, high, moments.at, [self._others.rank], np.maximum, -1)
        return best

    def first(self, moments: Moments, since: Ints) -> Ints:
        """The rank of the first event that counts; -1 where none does."""
        low, high = self._range(moments, since)
        best = np.where(low < high, _at(self._ranks, low), NEVER)
        if self._others is not None:
            low, high = self._candidates(moments, since)
            high = np.minimum(high, self._others.rank.searchsorted(best))
            self._better([best], low, high, moments.at, [self._others.rank], np.minimum, NEVER)
        best[best == NEVER] = -1
        return best

    def smallest(self, moments: Moments, since: Ints, columns: Sequence[Values]) -> list[Floats]:
        """Of each column the smallest of the values that count, infinity where there is none."""
        spans = Spans(*self._range(moments, since), len(self._ranks))
        best = [column.regular.smallest(spans) for column in columns]
        if self._others is not None:
            low, high = self._candidates(moments, since)
            self._better(best, low, high, moments.at, [column.others for column in columns], np.minimum, np.inf)
        return best

    def values(self, values: Floats) -> Values:
        """A column as `smallest` takes it; null is infinity."""
        others = values[:0] if self._others is None else values[self._others.rank]
        return Values(Ranges(values.take(self._ranks)), others)

    def _range(self, moments: Moments, since: Ints) -> tuple[Ints, Ints]:
        """The regular events that count: they are a range of the regular ones."""
        high = self._entered.take(moments.entered)
        return np.minimum(self._before.take(since), high), high

    def _candidates(self, moments: Moments, since: Ints) -> tuple[Ints, Ints]:
        """Among the others, a range that holds all that count."""
        others = self._others
        assert others is not None
        return since - self._before.take(since), others.index.before(moments.segment, moments.at)

    def _better(
        self,
        best: Sequence[npt.NDArray[Any]],
        low: Ints,
        high: Ints,
        at: Ints,
        keys: Sequence[npt.NDArray[Any]],
        pick: np.ufunc,
        none: Any,
    ) -> None:
        """Put what is better among the others that count into each `best`, by its own keys."""
        others = self._others
        assert others is not None
        for rows, starts, row, place in _expanded(low, high):
            moment = at[row]
            counts = others.visible[place] <= moment
            if others.until is not None:
                counts &= moment < others.until[place]
            for one, key in zip(best, keys, strict=True):
                one[rows] = pick(one[rows], pick.reduceat(np.where(counts, key[place], none), starts))


def _regular(segment: Ints, visible: Ints, until: Ints | None, segments: int) -> Bools:
    """Events that nothing replaces and that become visible no later than every later one of their entity."""
    lasting = None if until is None else until == NEVER
    if segments == 1:
        soonest = (visible if lasting is None else np.where(lasting, visible, NEVER))[::-1]
        regular = visible <= np.minimum.accumulate(soonest)[::-1]
        return np.asarray(regular if lasting is None else regular & lasting)
    # Entities are told apart in one integer: later entities never make an event late.
    rank = visible - visible.min(initial=NEVER)
    span = int(rank.max(initial=0)) + 2
    if span * segments >= 2**62:
        rank, span = np.unique(visible, return_inverse=True)[1], len(visible) + 1
    code = segment * span + (rank if lasting is None else np.where(lasting, rank, span - 1))
    regular = code <= np.minimum.accumulate(code[::-1])[::-1]
    return np.asarray(regular if lasting is None else regular & lasting)


def _counts(flags: Bools) -> Ints:
    """How many of the first 0, 1, 2, ... are true."""
    out = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=out[1:])
    return out


def _at(array: Ints, place: Ints) -> Ints:
    """array[place], anything where the place is none."""
    return array[np.clip(place, 0, len(array) - 1)] if len(array) else np.full_like(place, -1)


def _expanded(low: Ints, high: Ints) -> Iterator[tuple[Ints, Ints, Ints, Ints]]:
    """The places low..high-1 of each row, a bounded number at once.

    Yields the rows that have any, where the places of each begin, and for each place its row and itself.
    """
    rows = np.flatnonzero(high > low)
    length = high[rows] - low[rows]
    ends = np.cumsum(length)
    begin = 0
    while begin < len(rows):
        done = ends[begin - 1] if begin else 0
        end = max(int(ends.searchsorted(done + _CHUNK)), begin + 1)
        some, lengths = rows[begin:end], length[begin:end]
        starts = np.cumsum(lengths) - lengths
        place = np.arange(int(lengths.sum())) + np.repeat(low[some] - starts, lengths)
        yield some, starts, np.repeat(some, lengths), place
        begin = end


class Spans:
    """Ranges low..high-1 of so many places, and where their smallest values are looked up, whatever the values.

    A range of up to 32 places is covered by two of 1, 2, 4, 8 or 16 places (`fine`); a longer one by its first 16, its
    last 16, and the whole blocks of 16 between, of which two of some power of two cover all (`coarse`).
    """

    def __init__(self, low: Ints, high: Ints, places: int) -> None:
        self.low, self.high, self._places = low, high, places

    @cached_property
    def fine(self) -> tuple[Ints, Ints]:
        """In a table of levels, by its place in all of them, the two entries that cover each range or its ends."""
        length, begins = self.high - self.low, _LEVEL * self._places
        first = begins.take(length, mode="clip") + self.low
        return first, (begins - (1 << _LEVEL)).take(length, mode="clip") + self.high

    @cached_property
    def levels(self) -> int:
        """How many levels of the table are looked at."""
        return 1 + int(_LEVEL.take((self.high - self.low).max(initial=0), mode="clip"))

    @cached_property
    def empty(self) -> Bools:
        return self.high <= self.low

    @cached_property
    def long(self) -> Ints:
        """The ranges whose ends do not cover them."""
        return np.flatnonzero(self.high - self.low > 2 * _BLOCK)

    @cached_property
    def coarse(self) -> tuple[Ints, Ints]:
        """The same of the blocks in the long ranges."""
        first, last = (self.low[self.long] + _BLOCK - 1) // _BLOCK, self.high[self.long] // _BLOCK
        level = _log2(last - first)
        begins = level * -(-self._places // _BLOCK)
        return begins + first, begins + last - (np.int64(1) << level)


class Ranges:
    """The smallest value of any range of places, in a few look-ups; see `Spans`."""

    def __init__(self, values: Floats) -> None:
        self._values = values
        self._fine = values[None]

    def _levels(self, number: int) -> Floats:
        """The first levels of the table, and whatever was made of it before."""
        if number > len(self._fine):
            self._fine = _powers(self._values, number)
        return self._fine

    @cached_property
    def _coarse(self) -> Floats:
        blocks = self._levels(_BLOCK.bit_length())[-1, ::_BLOCK]
        return _powers(blocks, max(len(blocks).bit_length(), 1))

    def smallest(self, spans: Spans) -> Floats:
        """The smallest value of each range, infinity where that is empty."""
        if len(spans.low) == 1:
            return np.array([self._values[spans.low[0] : spans.high[0]].min(initial=np.inf)])
        if not len(self._values):
            return np.full(len(spans.low), np.inf)
        out = _smaller(self._levels(spans.levels), spans.fine)
        out[spans.empty] = np.inf
        if len(spans.long):
            out[spans.long] = np.minimum(out[spans.long], _smaller(self._coarse, spans.coarse))
        return out


def _smaller(table: Floats, places: tuple[Ints, Ints]) -> Floats:
    """The smaller of the two entries that cover each range; anything where it is empty."""
    flat = table.ravel()
    found: Floats = flat.take(places[0], mode="clip")
    return np.minimum(found, flat.take(places[1], mode="clip"), out=found)


def _powers(values: Floats, levels: int) -> Floats:
    """Row k: at each place the smallest of the 2**k values from it on."""
    out = np.empty((levels, len(values)))
    out[0] = values
    for level in range(1, levels):
        step = 1 << (level - 1)
        below, here = out[level - 1], out[level]
        np.minimum(below[:-step], below[step:], out=here[:-step])
        here[-step:] = below[-step:]
    return out


def _log2(length: Ints) -> Ints:
    """The whole part of the logarithm of positive numbers."""
    return np.frexp(length.astype(np.float64))[1].astype(np.int64) - 1
