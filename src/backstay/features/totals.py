"""Counts and exact sums over windows, as differences of prefix sums.

An event counts at T from the moment it becomes visible until it leaves the window (or a correction takes its place):
one interval of T. So the total over the events that count at T is a difference of two prefix sums: over the events by
the time they enter, minus over the events by the time they leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backstay.features.exact import Bools, Floats, Ints, fixed, taken
from backstay.features.index import Order


@dataclass(frozen=True, slots=True)
class Part:
    """Where the limbs of one column stand in `Numbers`, and how they are read; see `exact.Fixed`."""

    begin: int
    end: int
    scale: int | Ints
    bits: int


@dataclass(slots=True)
class Numbers:
    """What is added up of each event: the limbs of each value, and whether it is there, where some are null."""

    rows: Ints
    """shape (numbers, events): each number of all events in one piece"""
    parts: list[Part]
    """one a column"""
    there: list[int | None]
    """of each column the row that tells whether its value is there; None: it always is"""

    @classmethod
    def of(cls, values: Sequence[Floats], most: int, events: int) -> Numbers:
        """`values`: columns of shape (events,), NaN null. `most`: how many events a window can hold."""
        blocks: list[Ints] = [np.empty((0, events), np.int64)]
        parts: list[Part] = []
        tells: list[int | None] = []
        begin = 0
        for column in values:
            there = column == column  # NaN is null
            whole = bool(there.all())
            part = fixed(column if whole else np.where(there, column, 0.0), most)
            blocks.append(part.limbs.T)
            parts.append(Part(begin, begin + part.limbs.shape[1], part.scale, part.bits))
            begin = parts[-1].end
            tells.append(None if whole else begin)
            if not whole:
                blocks.append(there.astype(np.int64)[None])
                begin += 1
        return cls(np.concatenate(blocks), parts, tells)


@dataclass(slots=True)
class Found:
    """What is in some windows: how many events, shape (rows, windows), and the sum of each number, shape (rows,
    windows, numbers), where each number of all rows lies in one piece."""

    count: Ints
    sums: Ints

    def valid(self, there: int | None) -> Ints:
        """How many of a column's values are not null, shape (rows, windows); see `Numbers.there`."""
        return self.count if there is None else self.sums[..., there]

    @classmethod
    def beside(cls, each: Sequence[Found]) -> Found:
        """Of several windows, what was found in each alone: shapes (rows,) and (rows, numbers)."""
        if len(each) == 1:
            return cls(each[0].count[:, None], each[0].sums[:, None])
        sums = np.stack([one.sums.T for one in each], axis=1).T
        return cls(np.stack([one.count for one in each], axis=1), sums)


class Totals:
    """Prefix sums along both orders: by the time events enter, and by the time they leave."""

    def __init__(self, enters: Order, leaves: Order, numbers: Ints, counts: Bools | None = None) -> None:
        """`counts`: which events ever count; None: all."""
        self._enters, self._leaves = enters.index, leaves.index
        self._counts = counts is not None
        numbers = numbers if counts is None else np.concatenate([counts[None], numbers * counts])
        self._entering = prefix_sums(numbers, enters.places)
        same = enters.places is None and leaves.places is None
        self._leaving = self._entering if same else prefix_sums(numbers, leaves.places)

    def at(self, segment: Ints, at: Ints) -> Found:
        """What counts at each (segment, T)."""
        return self.between(self._enters.before(segment, at + 1), self._leaves.before(segment, at))

    def between(self, entered: Ints, left: Ints) -> Found:
        """Totals of the first `entered` events of the one order, less the first `left` of the other.

        `entered` has a shape that `left` begins with: all windows share it.
        """
        entering, sums = taken(self._entering, entered), taken(self._leaving, left)
        shared = left.ndim > 1
        np.subtract(entering[..., None] if shared else entering, sums, out=sums)
        if self._counts:
            return Found(sums[0], np.moveaxis(sums[1:], 0, -1))
        return Found((entered[..., None] if shared else entered) - left, np.moveaxis(sums, 0, -1))


def prefix_sums(numbers: Ints, places: Ints | None = None) -> Ints:
    """Prefix sums with a leading zero, shape (numbers, events + 1), of the events in this order. They may wrap; their
    differences do not."""
    out = np.empty((len(numbers), numbers.shape[1] + 1), np.int64)
    out[:, 0] = 0
    for row, into in zip(numbers, out, strict=True):  # row by row, as `taken`
        np.cumsum(row if places is None else row.take(places), out=into[1:])
    return out
