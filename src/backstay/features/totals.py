"""Counts and exact sums over windows, as differences of prefix sums.

An event counts at T from the moment it becomes visible until it leaves the window (or a correction takes its place):
one interval of T. So the total over the events that count at T is a difference of two prefix sums: over the events by
the time they enter, minus over the events by the time they leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backstay.features.exact import Floats, Ints, fixed
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
    """What is added up of each event, side by side: 1, whether each value is there, and the limbs of each value."""

    matrix: Ints
    """shape (rows, 1 + columns + limbs of all columns)"""
    parts: list[Part]
    """one a column"""

    @classmethod
    def of(cls, values: Sequence[Floats], most: int, rows: int) -> Numbers:
        """`values`: columns of shape (rows,), NaN null. `most`: how many events a window can hold."""
        matrix = np.empty((rows, 1 + len(values)), np.int64)
        matrix[:, 0] = 1
        blocks, parts, begin = [matrix], [], 1 + len(values)
        for place, column in enumerate(values):
            there = column == column  # NaN is null
            matrix[:, 1 + place] = there
            part = fixed(column if there.all() else np.where(there, column, 0.0), most)
            blocks.append(part.limbs)
            parts.append(Part(begin, begin + part.limbs.shape[1], part.scale, part.bits))
            begin = parts[-1].end
        return cls(np.concatenate(blocks, axis=1) if values else matrix, parts)


class Totals:
    """Prefix sums along both orders: by the time events enter, and by the time they leave."""

    def __init__(self, enters: Order, leaves: Order, numbers: Ints) -> None:
        self._enters, self._leaves = enters.index, leaves.index
        self._entering = prefix_sums(numbers, enters.places)
        same = enters.places is None and leaves.places is None
        self._leaving = self._entering if same else prefix_sums(numbers, leaves.places)

    def at(self, segment: Ints, at: Ints) -> Ints:
        """Totals of what counts at each (segment, T), shape (rows, numbers)."""
        return self.between(self._enters.before(segment, at + 1), self._leaves.before(segment, at))

    def between(self, entered: Ints, left: Ints) -> Ints:
        """Totals of the first `entered` events of the one order, less the first `left` of the other.

        `entered` has a shape that `left` begins with; the result has one axis more than `left`, of the numbers.
        """
        totals = self._entering[entered]
        return (totals[:, None] if left.ndim > 1 else totals) - self._leaving[left]


def prefix_sums(numbers: Ints, places: Ints | None = None) -> Ints:
    """Prefix sums with a leading zero, shape (events + 1, numbers). They may wrap; their differences do not."""
    out = np.zeros((len(numbers) + 1, numbers.shape[1]), np.int64)
    np.cumsum(numbers if places is None else numbers[places], axis=0, out=out[1:])
    return out
