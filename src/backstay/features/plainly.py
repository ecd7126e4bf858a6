"""A few rows of one view in plain numbers: what `History.ask` and `ViewPlan.compute` say, several times faster.

An array of one row costs more than what is in it. So what is asked for the requests in flight is answered entity by
entity, from histories of which all that had happened at T was known at T, with Python's own integers and floats: the
same differences of the same prefix sums, rounded once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import nan
from operator import itemgetter
from typing import Any

import numpy as np

from backstay.features.exact import quotient, quotient_in_two
from backstay.features.history import History
from backstay.features.question import Pick
from backstay.features.settled import Column, Settled
from backstay.features.spread import deviation_of
from backstay.features.views import Computed, Status, ViewPlan

_ONE = np.zeros(1, np.int64)
_OK, _NULL, _MISSING, _EXPIRED = (int(code) for code in (Status.OK, Status.NULL, Status.MISSING, Status.EXPIRED))


@dataclass(slots=True)
class Cells:
    """Values (NaN: null) and statuses of one view's features, a list a row, and when the last event was (-1: never)."""

    values: list[list[float]]
    statuses: list[list[int]]
    event_time: list[int]
    coded: dict[int, list[Any]] = field(default_factory=dict)
    """by place, the values of features whose cells are the numbers of words"""

    @classmethod
    def of(cls, computed: Computed) -> Cells:
        """Words are left to the caller."""
        return cls(computed.values.tolist(), computed.statuses.tolist(), computed.event_time.tolist())

    @classmethod
    def unavailable(cls, rows: int, features: int) -> Cells:
        """What is known of no entity at all: null, not zero."""
        codes = [int(Status.UNAVAILABLE)] * features
        return cls([[nan] * features for _ in range(rows)], [codes.copy() for _ in range(rows)], [-1] * rows)

    def marked(self, old: Status, new: Status) -> None:
        """Give every status `old` the name `new`."""
        self.statuses = [[new if code == old else code for code in row] for row in self.statuses]


class PlainView:
    """Answers few rows of a view."""

    def __init__(self, plan: ViewPlan) -> None:
        self._plan, asked = plan, plan.question
        self._windows = [(one.length, one.hop) for one in asked.windows]
        self._summed, self._picks = len(asked.summed), asked.picks
        self._columns = range(asked.columns) if asked.latest else None
        self._nulls = [nan] * asked.columns
        self._ordered = picker(plan.order)
        self._ages = plan.limits
        count = len(asked.windows)
        empty = [*[0.0] * count * (1 + self._summed), *[nan] * count * self._summed]  # counts, sums, means
        picked = [0.0 if pick.kind == "distinct" else nan for pick in asked.picks]
        self._nothing = self._ordered([*self._nulls, *(empty if count else ()), *picked])
        self._missing = [_MISSING] * len(self._nothing)

    def rows(self, histories: Sequence[History | None], at: Sequence[int]) -> Cells:
        """What each history says at its own T; None is an entity that was never seen."""
        out = Cells([], [], [])
        values, statuses, event_time = out.values.append, out.statuses.append, out.event_time.append
        for history, moment in zip(histories, at, strict=True):
            settled = None if history is None else history.settled
            entered = 0 if history is None else -1 if settled is None else settled.entered(moment)
            if not entered:
                values(self._nothing.copy())
                statuses(self._missing.copy())
                event_time(-1)
            elif settled is None or entered < 0:
                assert history is not None
                one = self._in_full(history, moment)
                values(one.values[0])
                statuses(one.statuses[0])
                event_time(one.event_time[0])
            else:
                then = settled.event_time[entered - 1]
                row = self._row(settled, entered, moment)
                codes = [_NULL if value != value else _OK for value in row]
                for place, limit in self._ages:
                    if moment - then > limit:
                        row[place], codes[place] = nan, _EXPIRED
                values(row)
                statuses(codes)
                event_time(then)
        return out

    def _in_full(self, history: History, at: int) -> Cells:
        """What came late, or was corrected, is left to the kernel."""
        moment = np.array([at])
        return Cells.of(self._plan.compute(history.ask(_ONE, moment), moment))

    def _row(self, settled: Settled, entered: int, at: int) -> list[float]:
        """The values, from the events 0..entered-1."""
        cells, last = settled.cells, entered - 1
        pool = self._nulls if self._columns is None else [cells[last, column] for column in self._columns]
        if not self._windows:
            return self._ordered(pool)
        counts, sums, means, lefts = [], [], [], []
        prefix, event_time, columns = settled.prefix, settled.event_time, settled.columns[: self._summed]
        for length, hop in self._windows:
            begin = at - length
            # With what is known by a delay, the window may begin behind the last event that is visible.
            left = min(bisect_left(event_time, begin if hop is None else begin // hop * hop), entered)
            lefts.append(left)
            counts.append(float(prefix[entered, 0] - prefix[left, 0]))
            for place, column in enumerate(columns, 1):
                exact, valid = quotient(_total(prefix, column, left, entered), column[3]), prefix[entered, place]
                valid -= prefix[left, place]
                sums.append(exact)
                means.append(exact / valid if valid else nan)
        picked = [
            self._deviation(settled, pick, lefts[pick.window], entered)
            if pick.kind == "std"
            else settled.pick(pick, lefts[pick.window], entered)
            for pick in self._picks
        ]
        return self._ordered([*pool, *counts, *sums, *means, *picked])

    def _deviation(self, settled: Settled, pick: Pick, left: int, entered: int) -> float:
        place = self._summed + 3 * self._plan.question.spread.index(pick.column)
        prefix = settled.prefix
        number, squared = (prefix[entered, 1 + one] - prefix[left, 1 + one] for one in (place, place + 1))
        if number != squared:  # a square is beyond the floats
            return nan
        columns = settled.columns[place : place + 3]
        parts = [quotient_in_two(_total(prefix, one, left, entered), one[3]) for one in columns]
        return deviation_of(number, *parts)


def _total(prefix: memoryview, column: Column, left: int, entered: int) -> int:
    """The exact sum of a column over the events left..entered-1, times a power of two."""
    first, last, bits, _ = column
    total: int = prefix[entered, last] - prefix[left, last]
    for limb in range(last - 1, first - 1, -1):
        total = (total << bits) + prefix[entered, limb] - prefix[left, limb]
    return total


def picker(order: Sequence[int]) -> Callable[[Sequence[Any]], list[Any]]:
    """Takes the parts at these places out of a sequence, as a list."""
    if not order:
        return lambda _: []
    if len(order) == 1:
        (place,) = order
        return lambda parts: [parts[place]]
    taken = itemgetter(*order)
    return lambda parts: list(taken(parts))
