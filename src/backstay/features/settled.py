"""One entity's history as a few sorted arrays, for a T at which all that had happened was known."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np

from backstay.features.exact import Floats, Ints
from backstay.features.question import Pick
from backstay.features.totals import Numbers, prefix_sums

_SHORT = 16  # values of which Python finds the smallest sooner than NumPy


Column = tuple[int, int, int, int]
"""Where the first and the last limb of a column's sums stand, their bits, and its scale; see `exact.Fixed`."""


@dataclass(slots=True)
class Settled:
    """In canonical order. `cells` and `prefix` are read one number at a time, as Python's own."""

    visible: array[int]
    """when the event and all before it have become visible"""
    event_time: array[int]
    in_order: bool
    """whether events become visible in canonical order"""
    values: Floats
    cells: memoryview
    """of `values`"""
    sums: Ints
    prefix: memoryview
    """of `sums`: prefix sums of `Numbers`, shape (events + 1, numbers); of one entity they never wrap"""
    columns: tuple[Column, ...]
    """one a summed column"""
    _signed: dict[tuple[str, int], tuple[Floats, memoryview]] = field(default_factory=dict)

    @classmethod
    def of(cls, visible: Ints, event_time: Ints, in_order: bool, values: Floats, numbers: Numbers) -> Settled:
        sums = prefix_sums(numbers.matrix)
        columns = tuple((part.begin, part.end - 1, part.bits, int(part.scale)) for part in numbers.parts)
        return cls(
            array("q", np.maximum.accumulate(visible).tobytes()), array("q", event_time.tobytes()), in_order,
            values, values.data, sums, sums.data, columns,
        )  # fmt: skip

    def entered(self, at: int) -> int:
        """How many events are visible at T: the first ones; -1 if it's not just the first ones."""
        if self.in_order:
            return bisect_right(self.visible, at)
        happened = bisect_left(self.event_time, at)
        return happened if not happened or self.visible[happened - 1] <= at else -1

    def pick(self, pick: Pick, left: int, entered: int) -> float:
        """One value of the events left..entered-1; NaN is null."""
        if pick.kind == "distinct":
            some = self.values[left:entered, pick.column]
            return float(len(set(some[some == some].tolist())))
        if left >= entered:
            return np.nan
        if pick.kind in ("first", "last"):
            return float(self.cells[left if pick.kind == "first" else entered - 1, pick.column])
        known = self._signed.get((pick.kind, pick.column))
        if known is None:
            values = self.values[:, pick.column]
            signed = np.where(np.isnan(values), np.inf, values if pick.kind == "min" else -values)
            known = self._signed[pick.kind, pick.column] = signed, signed.data
        short = entered - left <= _SHORT
        found: float = min(known[1][left:entered]) if short else float(_smallest(known[0][left:entered]))
        return np.nan if found == np.inf else (found if pick.kind == "min" else -found) + 0.0


_smallest = np.minimum.reduce  # half the time of .min() on the few events of a window
