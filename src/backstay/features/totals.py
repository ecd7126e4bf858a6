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
    """What is added up of each event: 1, whether each value is there, and the limbs of each value."""

    rows: Ints
    """shape (1 + columns + limbs of all columns, events): each number of all events in one piece"""
    parts: list[Part]
    """one a column"""

    @classmethod
    def of(cls, values: Sequence[Floats], most: int, events: int) -> Numbers:
        """`values`: columns of shape (events,), NaN null. `most`: how many events a window can hold."""
        counts = np.empty((1 + len(values), events), np.int64)
        counts[0] = 1
        blocks, parts, begin = [counts], [], 1 + len(values)
        for place, column in enumerate(values):
            there = column == column  # NaN is null
            counts[1 + place] = there
            part = fixed(column if there.all() else np.where(there, column, 0.0), most)
            blocks.append(part.limbs.T)
            parts.append(Part(begin, begin + part.limbs.shape[1], part.scale, part.bits))
            begin = parts[-1].end
        return cls(np.concatenate(blocks) if values else counts, parts)


class Totals:
    """Prefix sums along both orders: by the time events enter, and by the time they leave."""

    def __init__(self, enters: Order, leaves: Order, numbers: Ints, counts: Bools | None = None) -> None:
        """`counts`: which events ever count; None: all."""
        self._enters, self._leaves = enters.index, leaves.index
        self._entering = prefix_sums(numbers, enters.places, counts)
        same = enters.places is None and leaves.places is None
        self._leaving = self._entering if same else prefix_sums(numbers, leaves.places, counts)

    def at(self, segment: Ints, at: Ints) -> Ints:
        """Totals of what counts at each (segment, T), shape (rows, numbers)."""
        return self.between(self._enters.before(segment, at + 1), self._leaves.before(segment, at))

    def between(self, entered: Ints, left: Ints) -> Ints:
        """Totals of the first `entered` events of the one order, less the first `left` of the other.

        `entered` has a shape that `left` begins with; the result has one axis more than `left`, of the numbers, each of
        which lies in one piece.
        """
        entering, out = taken(self._entering, entered), taken(self._leaving, left)
        np.subtract(entering[..., None] if left.ndim > 1 else entering, out, out=out)
        return np.moveaxis(out, 0, -1)


def prefix_sums(numbers: Ints, places: Ints | None = None, counts: Bools | None = None) -> Ints:
    """Prefix sums with a leading zero, shape (numbers, events + 1), of the events that count. They may wrap; their
    differences do not."""
    out = np.empty((len(numbers), numbers.shape[1] + 1), np.int64)
    out[:, 0] = 0
    for row, into in zip(numbers, out, strict=True):  # row by row, as `taken`
        some = row if counts is None else row * counts
        np.cumsum(some if places is None else some.take(places), out=into[1:])
    return out
