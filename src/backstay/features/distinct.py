"""Distinct values over windows: how many different values count at T.

A value counts from the moment its first event becomes visible until its last one leaves. The intervals of the events
with one value are united, so that each T lies in at most one of them; then the number of values that count at T is the
number of united intervals begun, less those ended.
"""

from __future__ import annotations

import numpy as np

from backstay.features.exact import Floats, Ints
from backstay.features.index import Order


class Distinct:
    """Counts different values of one column over one window."""

    def __init__(self, segment: Ints, enters: Ints, leaves: Ints, values: Floats, segments: int) -> None:
        keep = (values == values) & (enters <= leaves)  # NaN is null
        segment, enters, leaves = segment[keep], enters[keep], leaves[keep]
        bits = (values[keep] + 0.0).view(np.int64)  # -0.0 is 0.0
        by_value = np.lexsort((enters, bits, segment))
        segment, enters, leaves, bits = segment[by_value], enters[by_value], leaves[by_value], bits[by_value]
        starts = np.ones(len(segment), bool)
        starts[1:] = (segment[1:] != segment[:-1]) | (bits[1:] != bits[:-1])
        ends = _furthest(np.cumsum(starts), leaves)
        starts[1:] |= enters[1:] > ends[:-1]
        final = np.append(starts[1:], True) if len(starts) else starts
        self._begun = Order.by(segment[starts], enters[starts], segments).index
        self._ended = Order.by(segment[final], ends[final], segments).index

    def count(self, segment: Ints, at: Ints) -> Floats:
        """How many different values count at each (segment, T)."""
        return (self._begun.before(segment, at + 1) - self._ended.before(segment, at)).astype(np.float64)


def _furthest(group: Ints, leaves: Ints) -> Ints:
    """The furthest end so far within each group; groups are numbered in order."""
    distinct, rank = np.unique(leaves, return_inverse=True)
    code = np.maximum.accumulate(group * (len(distinct) + 1) + rank)
    return distinct[code - group * (len(distinct) + 1)] if len(distinct) else leaves
