"""The window kernel: what happened to entities, prepared so that any window at any T costs a few binary searches.

An event *counts* in a window of length w at T when it is visible (event_time < T, known_time <= T), no correction of it
is, and it is not older than the window (event_time >= T - w). With `visible = max(event_time + 1, known_time)`, and
`until` the moment a correction becomes visible, that is one interval of T:

    visible <= T <= min(until - 1, event_time + w)

An event whose interval is empty (it came later than the window is long) never counts. Late and corrected events need
nothing else: `totals` turns intervals into prefix sums, `distinct` unites them, `extremes` looks at what is not in
order.

Training asks a million rows of ten thousand entities at once, a server a single one of one: by the same code, and with
the same bits, because sums are exact (`exact`) and everything else picks a value.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from backstay.features.distinct import Distinct
from backstay.features.exact import Floats, Ints, taken
from backstay.features.extremes import NEVER, Extremes, Values
from backstay.features.index import Order, by_segment
from backstay.features.moments import Moments
from backstay.features.question import Answer, Pick, Question, Window
from backstay.features.totals import Found, Numbers, Totals

_MANY = 4_096  # asked rows from which sorting them pays


class History:
    """The events of one or more entities (*segments*), asked one question.

    segment:  the entity of each event, 0..segments-1.
    sequence: None: the events stand in its order.
    values:   shape (events, columns); NaN means null.
    until:    when a correction of the event becomes visible; NEVER if there is none; None: there are no corrections.
    visible:  when each event becomes visible, in canonical order
    """

    def __init__(
        self,
        question: Question,
        segment: Ints,
        event_time: Ints,
        known_time: Ints,
        sequence: Ints | None,
        values: Floats,
        segments: int,
        until: Ints | None = None,
    ) -> None:
        visible = np.maximum(event_time + 1, known_time)
        by_time = Order.by(segment, event_time, segments)
        places = _canonical(by_time, known_time, sequence)
        if places is not None:
            segment, event_time, visible = segment.take(places), event_time.take(places), visible.take(places)
            until = None if until is None else until.take(places)
        self._given, self._places = values, places
        self._question, self._segments = question, segments
        self._segment, self._event_time, self.visible = segment, event_time, visible
        self._until = None if until is None or not len(until) or until.min() == NEVER else until
        self._lateness = int((visible - event_time).max()) if len(segment) else 0
        self._happened = Order(by_time.index, None)
        self._by_visible = Order.by(segment, visible, segments)
        self._totals: dict[Window, Totals] = {}
        self._distinct: dict[Pick, Distinct] = {}
        self._extreme: dict[tuple[float, int], Values] = {}

    def ask(self, segment: Ints, at: Ints) -> Answer:
        """The last visible event, totals and picks of each (segment, T)."""
        if len(at) < _MANY or self._segments == 1 or (segment[1:] >= segment[:-1]).all():
            return self._ask(segment, at)
        # Entity by entity, neighbouring rows find neighbouring events: several times faster than in any order.
        places = by_segment(segment, self._segments)
        return self._ask(segment[places], at[places]).placed(places)

    def _ask(self, segment: Ints, at: Ints) -> Answer:
        asked = self._question
        if not len(self._event_time):  # none is needed: every T is before all of them
            return Answer.nothing(len(at), asked)
        moments = Moments(segment, at, self._by_visible.index, self._happened.index)
        out = self._last_seen(moments)
        if not asked.windows:
            return out
        found = self._window_totals(moments)
        out.count, (out.sums, out.valid) = found.count, asked.sums(found, self.numbers)
        for place, pick in enumerate(asked.picks):
            if pick.kind not in ("min", "max"):
                out.picked[:, place] = self._picked(pick, moments, found)
        for window, picks in asked.extremes.items():
            columns = [self._signed(asked.picks[place]) for place in picks]
            each = self._extremes.smallest(moments, moments.since(window), columns)
            for place, smallest in zip(picks, each, strict=True):
                smallest[np.isinf(smallest)] = np.nan
                out.picked[:, place] = _sign(asked.picks[place]) * smallest + 0.0
        return out

    @cached_property
    def _values(self) -> Floats:
        """The values in canonical order."""
        return self._given if self._places is None else taken(self._given.T, self._places).T

    def _last_seen(self, moments: Moments) -> Answer:
        """Whether and when the last visible event was, and its values, as far as they are asked."""
        asked = self._question
        if self._until is None and not asked.dated:
            return Answer.last_seen(moments.entered > moments.starts, np.full(len(moments.at), -1), asked)
        newest = self._newest(moments)
        seen = newest >= 0
        out = Answer.last_seen(seen, np.where(seen, self._event_time.take(newest, mode="wrap"), -1), asked)
        if asked.latest:
            out.last = self._given[newest if self._places is None else self._places[newest]]
            out.last[~seen] = np.nan
        return out

    def _newest(self, moments: Moments) -> Ints:
        """The place of the last event that counts; -1 where none does."""
        if self._until is not None:
            return self._extremes.last(moments, moments.starts)
        last = moments.entered - 1
        ranks = last if self._by_visible.places is None else self._newest_ranks.take(last, mode="wrap")
        return np.where(last >= moments.starts, ranks, -1)

    @cached_property
    def _newest_ranks(self) -> Ints:
        """In the order of becoming visible, the last in canonical order so far."""
        assert self._by_visible.places is not None
        return np.maximum.accumulate(self._by_visible.places)

    def _window_totals(self, moments: Moments) -> Found:
        windows = self._question.windows
        if all(map(self._whole, windows)):
            left = np.stack([moments.since(window) for window in windows], axis=1)
            return self._shared_totals.between(moments.entered, left)
        return Found.beside([self._totals_of(window, moments) for window in windows])

    def _totals_of(self, window: Window, moments: Moments) -> Found:
        if self._whole(window):
            return self._shared_totals.between(moments.entered, moments.since(window))
        if window not in self._totals:
            self._totals[window] = self._totals_apart(window)
        if self._until is not None:
            return self._totals[window].at(moments.segment, moments.at)
        return self._totals[window].between(moments.entered, moments.since(window))

    def _whole(self, window: Window) -> bool:
        """Whether every event counts in the window at some T, and they leave it in the order they happened.

        Then one set of prefix sums serves all such windows.
        """
        return self._until is None and self._lateness <= window.length

    def _totals_apart(self, window: Window) -> Totals:
        """Prefix sums of a window which some events are too late for."""
        leaves = self._leaves(window)
        counts = self.visible <= leaves
        if self._until is None:  # orders are those of all events; those that never count add nothing
            return Totals(self._by_visible, self._happened, self.numbers.rows, counts)
        some = self._segment[counts]
        return Totals(
            Order.by(some, self.visible[counts], self._segments),
            Order.by(some, leaves[counts], self._segments),
            self.numbers.rows[:, counts],
        )

    @cached_property
    def _shared_totals(self) -> Totals:
        return Totals(self._by_visible, self._happened, self.numbers.rows)

    def _leaves(self, window: Window) -> Ints:
        """The last T at which each event counts in the window."""
        leaves = window.leaves(self._event_time)
        return leaves if self._until is None else np.minimum(leaves, self._until - 1)

    @cached_property
    def numbers(self) -> Numbers:
        """What is added up of each event, in canonical order."""
        rows = len(self._segment)
        most = rows if self._segments == 1 else int(np.bincount(self._segment).max(initial=0))
        return Numbers.of(self._question.columns_summed(self._values), most, rows)

    @cached_property
    def _extremes(self) -> Extremes:
        return Extremes(
            self._segment, self._by_visible, self._happened.index, self.visible, self._until, self._segments
        )

    def _picked(self, pick: Pick, moments: Moments, found: Found) -> Floats:
        window = self._question.windows[pick.window]
        if pick.kind == "std":
            return self._question.deviation(pick, found, self.numbers)
        if pick.kind == "distinct":
            if pick not in self._distinct:
                self._distinct[pick] = Distinct(
                    self._segment, self.visible, self._leaves(window), self._values[:, pick.column], self._segments
                )
            return self._distinct[pick].count(moments.segment, moments.at)
        find = self._extremes.first if pick.kind == "first" else self._extremes.last
        place = find(moments, moments.since(window))
        return np.where(place >= 0, self._values[place, pick.column], np.nan)

    def _signed(self, pick: Pick) -> Values:
        """The values whose smallest is the extreme or its negative."""
        key = (_sign(pick), pick.column)
        if key not in self._extreme:
            values = self._values[:, pick.column]
            self._extreme[key] = self._extremes.values(np.where(np.isnan(values), np.inf, key[0] * values))
        return self._extreme[key]


def _sign(pick: Pick) -> float:
    return -1.0 if pick.kind == "max" else 1.0


def _canonical(by_time: Order, known_time: Ints, sequence: Ints | None) -> Ints | None:
    """The order (segment, event_time, known_time, sequence), or None where the rows stand in it (almost always)."""
    tied, group = by_time.index.ties()
    if not len(tied):
        return by_time.places
    places = np.arange(len(known_time)) if by_time.places is None else by_time.places
    some = places[tied]
    times = (known_time[some], group)
    again = np.lexsort(times if sequence is None else (sequence[some], *times))
    places[tied] = some[again]
    return places
