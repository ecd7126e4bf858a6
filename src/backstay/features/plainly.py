"""A few rows of one view in plain numbers: what `History.ask` and `ViewPlan.compute` say, several times faster.

An array of one row costs more than what is in it. So what is asked for the requests in flight is answered entity by
entity, from histories of which all that had happened at T was known at T (`prepared`), with Python's own integers and
floats: the same exact sums, rounded once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import fsum, nan
from typing import Any, NamedTuple

import numpy as np

from backstay.features.prepared import FEW, Prepared
from backstay.features.question import Window
from backstay.features.views import Computed, Status, ViewPlan

_OK, _NULL, _MISSING, _EXPIRED = (int(code) for code in (Status.OK, Status.NULL, Status.MISSING, Status.EXPIRED))
_ZERO = frozenset({"count", "sum", "distinct"})
"""kinds that are 0 of an entity that was never seen"""
_FIELDS = {"sum": "sums", "mean": "means", "share": "means"}


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


class _Column(NamedTuple):
    """What a window asks of one column, by kind: of each feature its place in the row."""

    column: int
    sums: list[int]
    means: list[int]
    min: list[int]
    max: list[int]
    distinct: list[int]
    std: list[int]
    first: list[int]
    last: list[int]


class PlainView:
    """Answers few rows of a view."""

    def __init__(self, plan: ViewPlan) -> None:
        self._plan = plan
        self._latest = [(place, one.column) for place, one in enumerate(plan.features) if one.kind == "latest"]
        self._windows = [_asked_of(plan, window) for window in plan.question.windows]
        self._ages = plan.limits
        self._blank = [nan] * len(plan.features)
        self._nothing = [0.0 if one.kind in _ZERO else nan for one in plan.features]
        self._missing, self._fine = ([code] * len(plan.features) for code in (_MISSING, _OK))

    def rows(self, histories: Sequence[Prepared | None], at: Sequence[int]) -> Cells:
        """What each history says at its own T; None is an entity that was never seen."""
        out = Cells([], [], [])
        values, statuses, event_time = out.values.append, out.statuses.append, out.event_time.append
        for history, moment in zip(histories, at, strict=True):
            entered = 0 if history is None else history.entered(moment)
            if not entered or history is None:
                values(self._nothing.copy())
                statuses(self._missing.copy())
                event_time(-1)
            elif entered < 0:
                one = self._in_full(history, moment)
                values(one.values[0])
                statuses(one.statuses[0])
                event_time(one.event_time[0])
            else:
                then = history.event_time[entered - 1]
                row = self._row(history, entered, moment)
                whole = sum(row)  # NaN if one of them is
                codes = self._fine.copy() if whole == whole else [_NULL if one != one else _OK for one in row]
                for place, limit in self._ages:
                    if moment - then > limit:
                        row[place], codes[place] = nan, _EXPIRED
                values(row)
                statuses(codes)
                event_time(then)
        return out

    def _in_full(self, history: Prepared, at: int) -> Cells:
        """What came late, or was corrected, is left to the kernel."""
        moment = np.array([at])
        return Cells.of(self._plan.compute(history.in_full(moment), moment))

    def _row(self, history: Prepared, entered: int, at: int) -> list[float]:
        """The values, from the events 0..entered-1."""
        row = self._blank.copy()
        for place, column in self._latest:
            row[place] = history.columns[column][entered - 1]
        for length, hop, counts, columns in self._windows:
            begin = at - length
            # With what is known by a delay, the window may begin behind the last event that is visible.
            left = bisect_left(history.event_time, begin if hop is None else begin // hop * hop, 0, entered)
            for place in counts:
                row[place] = float(entered - left)
            for asked in columns:
                _fill(row, asked, history, left, entered)
        return row


def _asked_of(plan: ViewPlan, window: Window) -> tuple[int, int | None, list[int], list[_Column]]:
    """A window's length and hop, the places of counts of its events, and what it asks of columns."""
    counts: list[int] = []
    columns: dict[int, _Column] = {}
    for place, one in enumerate(plan.features):
        if one.window is None or Window(one.window, one.hop) != window:
            continue
        if one.kind == "count":
            counts.append(place)
        else:
            asked = columns.setdefault(one.column, _Column(one.column, [], [], [], [], [], [], [], []))
            getattr(asked, _FIELDS.get(one.kind, one.kind)).append(place)
    return window.length, window.hop, counts, list(columns.values())


def _fill(row: list[float], asked: _Column, history: Prepared, left: int, entered: int) -> None:
    """The values that a column has in a window: of few events from these as they are, of many by sums and arrays."""
    column, sums, means, least, most, distinct, *others = asked
    few = entered - left <= FEW
    some = history.values(column, left, entered) if few or distinct else ()
    if sums or means:
        total, valid = _added(some) if few else (nan, 0)
        if total != total:
            total, valid = history.total(column, left, entered)
        for place in sums:
            row[place] = total
        for place in means:
            row[place] = total / valid if valid else nan
    for place in least:
        row[place] = history.smallest(column, left, entered) if not few else min(some) + 0.0 if some else nan
    for place in most:
        row[place] = history.largest(column, left, entered) if not few else max(some) + 0.0 if some else nan
    for place in distinct:
        row[place] = float(len(set(some)))
    if any(others):
        _others(row, asked, history, left, entered)


def _added(some: Sequence[float]) -> tuple[float, int]:
    """The sum, rounded once, and of how many; NaN where it overflows, on the way or in the end."""
    try:
        return fsum(some), len(some)
    except OverflowError:
        return nan, 0


def _others(row: list[float], asked: _Column, history: Prepared, left: int, entered: int) -> None:
    """Deviations, and the values at either end of a window."""
    for place in asked.std:
        row[place] = history.deviation(asked.column, left, entered)
    if left < entered:
        values = history.columns[asked.column]
        for place in asked.first:
            row[place] = values[left]
        for place in asked.last:
            row[place] = values[entered - 1]
