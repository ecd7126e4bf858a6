"""The window kernel: what happened to entities, prepared so that any window at any T costs a few binary searches.

An event is *active* in a window of length w at T when it is visible (event_time < T, known_time <= T) and not older
than the window (event_time >= T - w). With `visible = max(event_time + 1, known_time)` that is one interval of T:

    visible <= T <= event_time + w

so a count or a sum over the active events is a difference of two prefix sums: over the events by the time they become
visible, minus over the events by the time they leave the window. An event that would leave before it becomes visible
(it came later than the window is long) is never active and is left out of both. Late events need nothing else.

Sums are exact. Values are scaled to integers, prefix sums of integers have no rounding, and the result is rounded to a
float once: it is the correctly rounded sum of the values (what `math.fsum` returns), whatever their order. That is why
training and serving give the same bits although one asks a million rows at once and the other a single one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_SCALES = (0, 4, 12, 20, 32, 44)


class History:
    """The events of one or more entities (*segments*), in canonical order (event_time, known_time, sequence).

    segment:  the entity of each event, 0..segments-1.
    values:   shape (events, columns); NaN means null.
    """

    def __init__(
        self, segment: Ints, event_time: Ints, known_time: Ints, sequence: Ints, values: Floats, segments: int
    ) -> None:
        order = np.lexsort((sequence, known_time, event_time, segment)) if segments > 1 else _order(
            event_time, known_time, sequence
        )  # fmt: skip
        if order is not None:
            segment, event_time, known_time, values = (
                segment[order],
                event_time[order],
                known_time[order],
                values[order],
            )
        self.segments = segments
        self.event_time = event_time
        self.values = values
        self._segment = segment
        self._visible = np.maximum(event_time + 1, known_time)
        self._full = _Axis.build(segment, event_time, self._visible, values, segments)
        self._latest = np.maximum.accumulate(self._full.by_visible) if len(segment) else np.empty(0, np.int64)
        self._lateness = int((self._visible - event_time).max()) if len(segment) else 0
        self._axes: dict[int, _Axis] = {}

    def ask(self, segment: Ints, at: Ints, lengths: Ints) -> Answer:
        """The last visible event, and exact totals over `[T - w, T)` for each length w, of each (segment, T)."""
        entered, base = self._full.visible.count(segment, at, right=True)
        seen = entered > 0
        last = self._latest[base + entered - 1]  # where nothing is seen this is any event: `seen` says so
        if not len(lengths):
            count, valid, sums = _no_totals(len(at), self.values.shape[1])
        elif self._lateness <= lengths.min():
            count, valid, sums = self._full.totals(segment, at, lengths)
        else:
            parts = [self._axis(length).totals(segment, at, lengths[[place]]) for place, length in enumerate(lengths)]
            count, valid, sums = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        return Answer(seen, np.where(seen, self.event_time[last], -1), self.values[last], count, valid, sums)

    def _axis(self, length: int) -> _Axis:
        if self._lateness <= length:
            return self._full
        if length not in self._axes:
            keep = self._visible <= self.event_time + length
            self._axes[length] = _Axis.build(
                self._segment[keep], self.event_time[keep], self._visible[keep], self.values[keep], self.segments
            )
        return self._axes[length]


@dataclass(slots=True)
class Answer:
    """What a history says about asked (segment, T), one row each."""

    seen: Bools
    """whether anything is visible"""
    event_time: Ints
    """when the last visible event happened; -1 where nothing is visible"""
    last: Floats
    """shape (rows, columns): its values"""
    count: Ints
    """shape (rows, windows): events in the window"""
    valid: Ints
    """shape (rows, windows, columns): how many of the values are not null"""
    sums: Floats
    """shape (rows, windows, columns): the exact sum of the non-null values, rounded once"""

    @classmethod
    def nothing(cls, rows: int, windows: int, columns: int) -> Answer:
        """The answer about entities that were never seen."""
        count, shape = np.zeros((rows, windows), np.int64), (rows, windows, columns)
        return cls(
            np.zeros(rows, bool), np.full(rows, -1, np.int64), np.full((rows, columns), np.nan),
            count, np.zeros(shape, np.int64), np.zeros(shape),
        )  # fmt: skip

    def put(self, rows: Any, part: Answer) -> None:
        """Write the answers of some rows."""
        self.seen[rows], self.event_time[rows], self.last[rows] = part.seen, part.event_time, part.last
        self.count[rows], self.valid[rows], self.sums[rows] = part.count, part.valid, part.sums


def _no_totals(rows: int, columns: int) -> tuple[Ints, Ints, Floats]:
    return np.empty((rows, 0), np.int64), np.empty((rows, 0, columns), np.int64), np.empty((rows, 0, columns))


def _order(event_time: Ints, known_time: Ints, sequence: Ints) -> Ints | None:
    """The canonical order of one segment, or None where it already stands in it (almost always)."""
    if len(event_time) < 2:
        return None
    step = np.diff(event_time)
    if step.min() > 0:
        return None
    return np.lexsort((sequence, known_time, event_time))


class _Times:
    """Sorted times a segment; counts how many lie before an instant, for many (segment, instant) at once."""

    __slots__ = ("_codes", "_distinct", "_offsets", "_times")

    def __init__(self, segment: Ints, times: Ints, segments: int) -> None:
        self._times = times
        self._codes: Ints | None = None
        if segments > 1:
            # Ranks instead of times: (segment, rank) fits one integer, so one binary search serves all segments.
            self._distinct, rank = np.unique(times, return_inverse=True)
            self._codes = segment * (len(self._distinct) + 1) + rank
            self._offsets = np.searchsorted(segment, np.arange(segments))

    def count(self, segment: Ints, at: Ints, *, right: bool) -> tuple[Ints, Ints]:
        """How many times of the segment are < `at` (<= with `right`), and where the segment begins.

        `segment` has the shape of `at`, or broadcasts to it.
        """
        side: Any = "right" if right else "left"
        if self._codes is None:
            return self._times.searchsorted(at, side), _ZERO
        rank = self._distinct.searchsorted(at, side)
        base = self._offsets[segment]
        return self._codes.searchsorted(segment * (len(self._distinct) + 1) + rank) - base, base


_ZERO = np.zeros(1, np.int64)


@dataclass(slots=True)
class _Axis:
    """Prefix sums along both orders: by the time events become visible, and by event time.

    The matrices hold the events, the non-null values a column, and the scaled values a column, side by side; `exact`
    holds the columns whose sums need more than 64 bits.
    """

    visible: _Times
    events: _Times
    by_visible: Ints
    entering: Ints
    leaving: Ints
    scales: Ints
    exact: dict[int, tuple[npt.NDArray[Any], npt.NDArray[Any], int]]

    @classmethod
    def build(cls, segment: Ints, event_time: Ints, visible: Ints, values: Floats, segments: int) -> _Axis:
        # Canonical order is event-time order, so only the visible order has to be made.
        rows, columns = values.shape
        in_order = segments == 1 and (rows < 2 or bool((visible[1:] >= visible[:-1]).all()))
        by_visible = np.arange(rows) if in_order else np.lexsort((visible, segment))
        null = np.isnan(values)
        filled = np.where(null, 0.0, values)
        numbers = np.empty((rows, 1 + 2 * columns), np.int64)
        numbers[:, 0] = 1
        numbers[:, 1 : 1 + columns] = ~null
        scales, exact = np.zeros(columns, np.int64), {}
        for column in range(columns):
            integers, scale = _integers(filled[:, column])
            if integers.dtype == object:
                exact[column] = (_prefix(integers[by_visible]), _prefix(integers), scale)
                integers = np.zeros(rows, np.int64)
            else:
                scales[column] = scale
            numbers[:, 1 + columns + column] = integers
        leaving = _prefix(numbers)
        return cls(
            _Times(segment, visible if in_order else visible[by_visible], segments),
            _Times(segment, event_time, segments),
            by_visible,
            leaving if in_order else _prefix(numbers[by_visible]),
            leaving,
            scales,
            exact,
        )

    def totals(self, segment: Ints, at: Ints, lengths: Ints) -> tuple[Ints, Ints, Floats]:
        """Counts (rows, windows), non-null counts and sums (rows, windows, columns)."""
        entered, base = self.visible.count(segment, at, right=True)
        left, left_base = self.events.count(segment[:, None], at[:, None] - lengths, right=False)
        entered, left = (entered + base)[:, None], left + left_base
        total = self.entering[entered] - self.leaving[left]
        columns = len(self.scales)
        sums = total[:, :, 1 + columns :].astype(np.float64)
        if self.scales.any():
            sums = np.ldexp(sums, -self.scales)
        for column, (entering, leaving, scale) in self.exact.items():
            sums[:, :, column] = _rounded(entering[entered] - leaving[left], scale)
        return total[:, :, 0], total[:, :, 1 : 1 + columns], sums


def _prefix(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Prefix sums with a leading zero. 64-bit sums over many segments may wrap; their differences do not."""
    out = np.zeros((len(numbers) + 1, *numbers.shape[1:]), numbers.dtype)
    np.cumsum(numbers, axis=0, out=out[1:])
    return out


def _integers(values: Floats) -> tuple[npt.NDArray[Any], int]:
    """Finite values as integers times 2^-scale: 64-bit where every possible sum fits, Python's integers otherwise."""
    largest = float(np.abs(values).max()) if len(values) else 0.0
    for scale in _SCALES:
        if largest * 2.0**scale * max(len(values), 1) >= 2.0**62:
            break
        scaled = values if scale == 0 else np.ldexp(values, scale)
        integers = scaled.astype(np.int64)
        if (integers == scaled).all():
            return integers, scale
    pairs = [value.as_integer_ratio() for value in values.tolist()]
    scale = max((denominator.bit_length() - 1 for _, denominator in pairs), default=0)
    exact = np.empty(len(pairs), object)
    exact[:] = [numerator << (scale - denominator.bit_length() + 1) for numerator, denominator in pairs]
    return exact, scale


def _rounded(total: npt.NDArray[Any], scale: int) -> Floats:
    """Python's integers times 2^-scale as floats, correctly rounded."""
    unit = 1 << scale
    return np.array([_divide(int(number), unit) for number in total.ravel()], np.float64).reshape(total.shape)


def _divide(number: int, unit: int) -> float:
    try:
        return number / unit  # Python rounds the quotient of two integers correctly
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
