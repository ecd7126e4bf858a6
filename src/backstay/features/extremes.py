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
from backstay.features.index import Order
from backstay.features.moments import Moments

NEVER = np.iinfo(np.int64).max
_BLOCK = 16
_CHUNK = 1 << 22
"""Candidates looked at together: what bounds the memory."""


@dataclass(slots=True)
class _Others:
    """The events that are not regular, in canonical order; `rank` is their place among all."""

    rank: Ints
    visible: Ints
    until: Ints


@dataclass(slots=True)
class Within:
    """Some rows' T, the regular events that count at it, and among the others those that may: first, and after last."""

    at: Ints
    regular: tuple[Ints, Ints]
    others: tuple[Ints, Ints] | None


class Extremes:
    """Answers about events given in canonical order (segment, event_time, known_time, sequence).

    An event counts at T if visible <= T < until. `since` is how many events come before the first that may count, one
    a row.
    """

    def __init__(self, segment: Ints, by_visible: Order, visible: Ints, until: Ints, segments: int) -> None:
        regular = _regular(segment, visible, until, segments)
        self._ranks = np.flatnonzero(regular)
        self._before = _counts(regular)
        """how many of the first events are regular"""
        self._entered = self._before if by_visible.places is None else _counts(regular[by_visible.places])
        """how many of those that became visible first are"""
        others = np.flatnonzero(~regular)
        self._others = _Others(others, visible[others], until[others]) if len(others) else None

    def last(self, moments: Moments, since: Ints) -> Ints:
        """The rank of the last event that counts; -1 where none does."""
        low, high = self._range(moments, since)
        best = np.where(low < high, _at(self._ranks, high - 1), -1)
        if self._others is None:
            return best
        low, high = self._candidates(moments, since)
        low = np.maximum(low, self._others.rank.searchsorted(best, "right"))
        ranks: Ints = self._better(best, low, high, moments.at, self._others.rank, np.maximum, -1)
        return ranks

    def first(self, moments: Moments, since: Ints) -> Ints:
        """The rank of the first event that counts; -1 where none does."""
        low, high = self._range(moments, since)
        best = np.where(low < high, _at(self._ranks, low), NEVER)
        if self._others is not None:
            low, high = self._candidates(moments, since)
            high = np.minimum(high, self._others.rank.searchsorted(best))
            best = self._better(best, low, high, moments.at, self._others.rank, np.minimum, NEVER)
        best[best == NEVER] = -1
        return best

    def within(self, moments: Moments, since: Ints) -> Within:
        """Where each row's events are found, for any number of `smallest`."""
        others = None if self._others is None else self._candidates(moments, since)
        return Within(moments.at, self._range(moments, since), others)

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
        return Ranges(values[self._ranks])

    def _range(self, moments: Moments, since: Ints) -> tuple[Ints, Ints]:
        """The regular events that count: they are a range of the regular ones."""
        high = self._entered[moments.entered]
        return np.minimum(self._before[since], high), high

    def _candidates(self, moments: Moments, since: Ints) -> tuple[Ints, Ints]:
        """Among the others, a range that holds all that count."""
        return since - self._before[since], moments.happened - self._before[moments.happened]

    def _better(
        self, best: npt.NDArray[Any], low: Ints, high: Ints, at: Ints, keys: npt.NDArray[Any], pick: np.ufunc, none: Any
    ) -> Any:
        """`best`, or what is better among the others that count."""
        others = self._others
        assert others is not None
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
