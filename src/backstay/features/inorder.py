"""Latest values of events that came in order: as-of joins, by a library that does nothing faster.

Where no event of the record became visible before one that happened earlier, the last event in canonical order that is
visible at T is the last one that became visible by then. That is an as-of join on the moment of becoming visible.
Anything else (an event that came late, a correction, a window) is left to `history`.

The history is gone through backwards, a bounded part at a time, and no further than to where every row has found its
event: a training set of last month reads last month, and the days before it in which its quieter entities were heard
of last. Only the times are read of the whole record, to know that it is in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from backstay.features.cells import micros, value_columns, view_values
from backstay.features.exact import Ints
from backstay.features.views import Computed, ViewPlan

STEP = 1 << 17
"""Events that are read and joined together: those from one multiple of it to the next."""
_BLOCK = 1 << 15  # times that are compared together: as many as a processor's cache holds
_SORTABLE = (pl.String, pl.Int64, pl.Boolean)

Part = Callable[[int, int], pl.DataFrame]
"""The events from one place of the record up to another: the entity's keys, and what the view reads."""


@dataclass(frozen=True, slots=True)
class InOrder:
    """When each event happened and became visible, and its number, of events that came in order.

    sequence: None: they are numbered from 1 without gaps
    """

    event_time: Ints
    visible: Ints
    sequence: Ints | None

    @classmethod
    def of(cls, times: pl.DataFrame) -> InOrder | None:
        """None if an earlier event of the record became visible, or happened, after a later one.

        times: `event_time` and `known_time` of every event, in the order of their sequence; and `sequence`, unless all
        events of the record are there. Of the frame the first and the last are held on to at the most.
        """
        event_time, known_time = micros(times, "event_time"), micros(times, "known_time")
        sequence = times.get_column("sequence").to_numpy() if "sequence" in times.columns else None
        out = np.empty_like(event_time)
        for begin in range(0, len(out), _BLOCK):
            some = slice(begin, begin + _BLOCK + 1)  # one of the next block too
            happened, known = event_time[some], known_time[some]
            visible = np.maximum(happened + 1, known, out=out[some])
            step = happened[1:] - happened[:-1]
            if (step < 0).any() or (visible[1:] < visible[:-1]).any():
                return None
            tied = step == 0
            if tied.any() and (known[1:] < known[:-1])[tied].any():
                return None
        return cls(event_time, out, sequence)

    def numbers(self, low: int, high: int) -> tuple[int, int]:
        """The sequences of the events from one place up to another: (after, until]."""
        if self.sequence is None:
            return low, high
        return int(self.sequence[low]) - 1, int(self.sequence[high - 1])


def answerable(plan: ViewPlan, asked: pl.DataFrame) -> bool:
    """Whether the view is answered by as-of joins, if its events came in order."""
    keys, schema = plan.view.entity.keys, plan.view.source.schema
    typed = all(schema[key] in _SORTABLE and asked.schema[key] == schema[key] for key in keys)
    return bool(keys) and typed and not plan.question.windows and plan.view.source.event_id is None


def latest_in_order(
    plan: ViewPlan, asked: pl.DataFrame, at: Ints, events: InOrder, part: Part, out: Computed | None = None
) -> Computed:
    """What `offline.compute_view` gives, of a view that is answerable like this."""
    out = Computed.of(len(at), len(plan.features)) if out is None else out
    _Search(plan, asked.select(plan.view.entity.keys), at, out).through(events.visible, events.event_time, part)
    return out


@dataclass(slots=True)
class _Words:
    """The words of one feature as they are found: pieces, and of each row the place of its word in them all."""

    pieces: list[pl.Series] = field(default_factory=list)
    place: list[tuple[Ints, Ints]] = field(default_factory=list)
    held: int = 0

    def put(self, rows: Ints, words: pl.Series) -> None:
        self.pieces.append(words)
        self.place.append((rows, np.arange(self.held, self.held + len(words))))
        self.held += len(words)

    def spread(self, there: pl.Series, dtype: pl.DataType) -> pl.Series:
        """The words of all rows; null where there is none."""
        if not self.held:
            return pl.Series([None] * len(there), dtype=dtype)
        place = np.zeros(len(there), np.int64)
        for rows, number in self.place:
            place[rows] = number
        words = pl.concat(self.pieces)
        return words.gather(pl.Series(place)).zip_with(there, pl.Series([None], dtype=words.dtype))


class _Search:
    """Rows that look for the last event of their entity, the latest rows first."""

    def __init__(self, plan: ViewPlan, keys: pl.DataFrame, at: Ints, out: Computed) -> None:
        self._plan, self._at, self._out = plan, at, out
        self._order = None if (at[1:] >= at[:-1]).all() else np.argsort(at, kind="stable")
        self._moments = at if self._order is None else at[self._order]
        keys = keys if self._order is None else keys[self._order]
        self._rows = keys.with_columns(pl.Series("_at", self._moments).set_sorted())
        nameless = np.zeros(0, bool)
        if any(keys.get_column(name).null_count() for name in keys.columns):
            nameless = keys.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy()
        self._nameless = nameless
        self._seen = np.zeros(len(at), bool)
        self._words: dict[int, _Words] = {place: _Words() for place, _ in plan.coded}

    def through(self, visible: Ints, event_time: Ints, part: Part) -> None:
        """Look through the events, from the last one that any row can see."""
        begin, waiting, low = len(self._moments), np.empty(0, np.int64), len(visible)
        while low and (begin or len(waiting)):
            high = low
            if not len(waiting):
                high = min(high, int(visible.searchsorted(self._moments[begin - 1], "right")))
            if not high:
                break
            low = (high - 1) // STEP * STEP  # where a store's blocks end, or not: then more of them are read twice
            first = min(int(self._moments.searchsorted(visible[low])), begin)
            rows = np.concatenate([np.arange(first, begin), waiting])
            rows = rows[~self._nameless[rows]] if len(self._nameless) else rows
            begin = first
            if len(rows):
                waiting = self._answer(rows, part(low, high).rechunk(), visible[low:high], event_time[low:high])
        self._finish()

    def _answer(self, rows: Ints, events: pl.DataFrame, visible: Ints, event_time: Ints) -> Ints:
        """Give the rows what they find among some events; the rows that find nothing."""
        keys = self._rows.columns[:-1]
        place = pl.int_range(events.height, dtype=pl.Int64, eager=True).alias("_place")
        right = events.select(keys).with_columns(pl.Series("_visible", visible).set_sorted(), place)
        if any(right.get_column(key).null_count() for key in keys):
            right = right.drop_nulls(keys)
        last = int(rows[-1]) + 1 - len(rows)
        left = self._rows.slice(last, len(rows)) if last == rows[0] else self._rows[rows]
        joined = left.join_asof(
            right, left_on="_at", right_on="_visible", by=keys, strategy="backward", check_sortedness=False
        )
        found = joined.get_column("_place").fill_null(-1).to_numpy()
        lost = found < 0
        if lost.any():
            waiting, some, found = rows[lost], rows[~lost], found[~lost]
        else:
            waiting, some = rows[:0], rows
        if len(some):
            self._put(some if self._order is None else self._order[some], events, event_time, found)
        return waiting

    def _put(self, rows: Ints, events: pl.DataFrame, event_time: Ints, place: Ints) -> None:
        view = self._plan.view
        read = value_columns(view) or view.entity.keys  # a literal reads nothing, and is as long as what it is asked of
        values, words = view_values(view, events.select(read)[place])
        for column, word in words.items():
            values[:, column] = np.where(word.is_null().to_numpy(), np.nan, 0.0)
        for number, feature in enumerate(self._plan.features):
            self._out.values[rows, number] = values[:, feature.column]
        for number, column in self._plan.coded:
            self._words[number].put(rows, words[column])
        self._out.event_time[rows] = event_time[place]
        self._seen[rows] = True

    def _finish(self) -> None:
        out = self._out
        out.values[~self._seen] = np.nan
        out.event_time[~self._seen] = -1
        self._plan.judge(out, self._seen, self._at)
        for number, words in self._words.items():
            there = pl.Series(~np.isnan(out.values[:, number]))
            out.coded[number] = words.spread(there, self._plan.features[number].dtype)
