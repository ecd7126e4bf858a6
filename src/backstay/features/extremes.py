"""First, last, smallest and largest over windows, where events may be late and corrected.

Events whose order of becoming visible is their order in time are *regular*: those that count at T are a contiguous
range of them, and the smallest of a range is found in a table of blocks. The few *others*, late ones and those whose
place a correction took, are looked at one by one, as far as they lie in the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.features.exact import Bools, Floats, Ints
from backstay.features.index import Index

NEVER = np.iinfo(np.int64).max
_ALWAYS = -(2**61)
_BLOCK = 16
_CHUNK = 1 << 22
"""Candidates looked at together: what bounds the memory."""


@dataclass(slots=True)
class _Events:
    """Some of the events, in canonical order; `rank` is their place among all."""

    rank: Ints
    visible: Ints
    until: Ints | None
    by_time: Index
    by_visible: Index | None

    @classmethod
    def of(
        cls, keep: Bools, segment: Ints, event_time: Ints, visible: Ints, until: Ints | None, segments: int
    ) -> _Events:
        rank = np.flatnonzero(keep)
        segment, visible = segment[rank], visible[rank]
        return cls(
            rank,
            visible,
            None if until is None else until[rank],
            Index(segment, event_time[rank], segments),
            Index(segment, visible, segments) if until is None else None,
        )


@dataclass(slots=True)
class Within:
    """Some rows' T, the regular events that count at it, and among the others those that may: first, and after last."""

    at: Ints
    regular: tuple[Ints, Ints]
    others: tuple[Ints, Ints] | None


class Extremes:
    """Answers about events given in canonical order (segment, event_time, known_time, sequence).

    An event counts at T if visible <= T < until. `begin` is the earliest event time that counts, one a row; None: any.
    """

    def __init__(self, segment: Ints, event_time: Ints, visible: Ints, until: Ints, segments: int) -> None:
        regular = _regular(segment, visible, until, segments)
        self._regular = _Events.of(regular, segment, event_time, visible, None, segments)
        self._others: _Events | None = None
        if not regular.all():
            self._others = _Events.of(~regular, segment, event_time, visible, until, segments)

    def last(self, segment: Ints, at: Ints, begin: Ints | None) -> Ints:
        """The rank of the last event that counts; -1 where none does."""
        low, high = self._range(segment, at, begin)
        best = np.where(low < high, _at(self._regular.rank, high - 1), -1)
        if self._others is None:
            return best
        low, high = self._candidates(segment, at, begin)
        low = np.maximum(low, self._others.rank.searchsorted(best, "right"))
        ranks: Ints = self._better(best, low, high, at, self._others.rank, np.maximum, -1)
        return ranks

    def first(self, segment: Ints, at: Ints, begin: Ints | None) -> Ints:
        """The rank of the first event that counts; -1 where none does."""
        low, high = self._range(segment, at, begin)
        best = np.where(low < high, _at(self._regular.rank, low), NEVER)
        if self._others is not None:
            low, high = self._candidates(segment, at, begin)
            high = np.minimum(high, self._others.rank.searchsorted(best))
            best = self._better(best, low, high, at, self._others.rank, np.minimum, NEVER)
        best[best == NEVER] = -1
        return best

    def within(self, segment: Ints, at: Ints, begin: Ints) -> Within:
        """Where each row's events are found, for any number of `smallest`."""
        others = None if self._others is None else self._candidates(segment, at, begin)
        return Within(at, self._range(segment, at, begin), others)

    def smallest(self, within: Within, values: Floats, table: Ranges) -> Floats:
        """The smallest of the values that count, infinity where there is none; null is infinity in `values`."""
        best = table.smallest(*within.regular)
        if self._others is None or within.others is None:
            return best
        low, high = within.others
        found: Floats = self._better(best, low, high, within.at, values[self._others.rank], np.minimum, np.inf)
        return found

    def table(self, values: Floats) -> Ranges:
        """The table of the regular events' values that `smallest` needs."""
        return Ranges(values[self._regular.rank])

    def _range(self, segment: Ints, at: Ints, begin: Ints | None) -> tuple[Ints, Ints]:
        """The regular events that count: they are a range of the regular ones."""
        assert self._regular.by_visible is not None
        high = self._regular.by_visible.before(segment, at + 1)
        low = self._regular.by_time.before(segment, np.full_like(at, _ALWAYS) if begin is None else begin)
        return np.minimum(low, high), high

    def _candidates(self, segment: Ints, at: Ints, begin: Ints | None) -> tuple[Ints, Ints]:
        """Among the others, a range that holds all that count."""
        assert self._others is not None
        low = self._others.by_time.before(segment, np.full_like(at, _ALWAYS) if begin is None else begin)
        return low, self._others.by_time.before(segment, at)

    def _better(
        self, best: npt.NDArray[Any], low: Ints, high: Ints, at: Ints, keys: npt.NDArray[Any], pick: np.ufunc, none: Any
    ) -> Any:
        """`best`, or what is better among the others that count."""
        others = self._others
        assert others is not None
        assert others.until is not None
        for rows, starts, row, place in _expanded(low, high):
            moment = at[row]
            counts = (others.visible[place] <= moment) & (moment < others.until[place])
            best[rows] = pick(best[rows], pick.reduceat(np.where(counts, keys[place], none), starts))
        return best


def _regular(segment: Ints, visible: Ints, until: Ints, segments: int) -> Bools:
    """Events that nothing replaces and that become visible no later than every later one of their entity."""
    lasting = until == NEVER
    if segments == 1:
        soonest = np.where(lasting, visible, NEVER)[::-1]
        return np.asarray(lasting & (visible <= np.minimum.accumulate(soonest)[::-1]))
    # Entities are told apart in one integer: later entities never make an event late.
    rank = visible - visible.min(initial=NEVER)
    span = int(rank.max(initial=0)) + 2
    if span * segments >= 2**62:
        rank, span = np.unique(visible, return_inverse=True)[1], len(visible) + 1
    code = segment * span + np.where(lasting, rank, span - 1)
    return np.asarray(lasting & (code <= np.minimum.accumulate(code[::-1])[::-1]))


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


class Ranges:
    """The smallest value of any range of places, in a few look-ups.

    A range of up to 32 places is covered by two of 1, 2, 4, 8 or 16 places (`fine`); a longer one by its first 16, its
    last 16, and the whole blocks of 16 between, of which two of some power of two cover all (`coarse`).
    """

    def __init__(self, values: Floats) -> None:
        self._values = values

    @cached_property
    def _fine(self) -> Floats:
        return _powers(self._values, _BLOCK.bit_length())

    @cached_property
    def _coarse(self) -> Floats:
        blocks = self._fine[-1, ::_BLOCK]
        return _powers(blocks, max(len(blocks).bit_length(), 1))

    def smallest(self, low: Ints, high: Ints) -> Floats:
        """The smallest value at low..high-1, infinity where that is empty."""
        if len(low) == 1:
            return np.array([self._values[low[0] : high[0]].min(initial=np.inf)])
        if not len(self._values):
            return np.full(len(low), np.inf)
        length = high - low
        out = self._two(self._fine, low, high, np.minimum(_log2(np.maximum(length, 1)), _BLOCK.bit_length() - 1))
        out[length <= 0] = np.inf
        long = np.flatnonzero(length > 2 * _BLOCK)
        if len(long):
            first, last = (low[long] + _BLOCK - 1) // _BLOCK, high[long] // _BLOCK
            out[long] = np.minimum(out[long], self._two(self._coarse, first, last, _log2(last - first)))
        return out

    @staticmethod
    def _two(table: Floats, low: Ints, high: Ints, level: Ints) -> Floats:
        """The smaller of the two entries of a level that begin with a range and end with it."""
        flat, wide = table.ravel(), table.shape[1]
        row = level * wide
        begins = flat.take(row + low, mode="clip")
        found: Floats = np.minimum(begins, flat.take(row + high - (np.int64(1) << level), mode="clip"))
        return found


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
