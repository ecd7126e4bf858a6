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
            segment, event_time, known_time, values = segment[order], event_time[order], known_time[order], values[order]
        self.segments = segments
        self.event_time = event_time
        self.values = values
        self._segment = segment
        self._visible = np.maximum(event_time + 1, known_time)
        self._full = _Axis.build(segment, event_time, self._visible, values, segments)
        self._latest = np.maximum.accumulate(self._full.by_visible) if len(segment) else np.empty(0, np.int64)
        self._lateness = int((self._visible - event_time).max()) if len(segment) else 0
        self._axes: dict[int, _Axis] = {}

    def last(self, segment: Ints, at: Ints) -> Ints:
        """Index of the last visible event of each asked (segment, T) in canonical order; -1: nothing is visible."""
        count, base = self._full.visible.count(segment, at, right=True)
        found: Ints = np.full(len(at), -1, np.int64)
        some = count > 0
        found[some] = self._latest[(base + count)[some] - 1]
        return found

    def windows(self, segment: Ints, at: Ints, lengths: tuple[int, ...]) -> list[Totals]:
        """Exact totals over `[T - w, T)` for each asked (segment, T), one `Totals` a window length."""
        return [self._axis(length).totals(segment, at, length) for length in lengths]

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
class Totals:
    """Totals over windows, one row an asked (segment, T)."""

    count: Ints
    valid: Ints
    """shape (rows, columns): how many of the values are not null"""
    sums: Floats
    """shape (rows, columns): the exact sum of the non-null values, rounded once"""


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
        """How many times of the segment are < `at` (<= with `right`), and where the segment begins."""
        side: Any = "right" if right else "left"
        if self._codes is None:
            return np.searchsorted(self._times, at, side), np.zeros(len(at), np.int64)
        rank = np.searchsorted(self._distinct, at, side)
        base = self._offsets[segment]
        return np.searchsorted(self._codes, segment * (len(self._distinct) + 1) + rank) - base, base


@dataclass(slots=True)
class _Axis:
    """Prefix sums along both orders: by the time events become visible, and by event time."""

    visible: _Times
    events: _Times
    by_visible: Ints
    entering: list[npt.NDArray[Any]]
    leaving: list[npt.NDArray[Any]]
    scales: list[int]

    @classmethod
    def build(cls, segment: Ints, event_time: Ints, visible: Ints, values: Floats, segments: int) -> _Axis:
        # Canonical order is event-time order, so only the visible order has to be made.
        if segments > 1:
            by_visible = np.lexsort((visible, segment))
        elif len(visible) < 2 or np.diff(visible).min() >= 0:
            by_visible = np.arange(len(visible))
        else:
            by_visible = np.argsort(visible, kind="stable")
        null = np.isnan(values)
        numbers, scales = [np.column_stack((np.ones(len(values), np.int64), ~null))], []
        for column in range(values.shape[1]):
            integers, scale = _integers(np.where(null[:, column], 0.0, values[:, column]))
            numbers.append(integers.reshape(-1, 1))
            scales.append(scale)
        return cls(
            _Times(segment, visible[by_visible], segments),
            _Times(segment, event_time, segments),
            by_visible,
            [_prefix(part[by_visible]) for part in numbers],
            [_prefix(part) for part in numbers],
            scales,
        )

    def totals(self, segment: Ints, at: Ints, length: int) -> Totals:
        entered, base = self.visible.count(segment, at, right=True)
        left, _ = self.events.count(segment, at - length, right=False)
        entered, left = entered + base, left + base
        counts: Ints = self.entering[0][entered] - self.leaving[0][left]
        sums = np.empty((len(at), len(self.scales)))
        for column, scale in enumerate(self.scales):
            total = self.entering[column + 1][entered, 0] - self.leaving[column + 1][left, 0]
            sums[:, column] = _rounded(total, scale)
        return Totals(counts[:, 0], counts[:, 1:], sums)


def _prefix(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Prefix sums with a leading zero. 64-bit sums over many segments may wrap; their differences do not."""
    out = np.zeros((len(numbers) + 1, numbers.shape[1]), numbers.dtype)
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
    """Integers times 2^-scale as floats, correctly rounded."""
    if total.dtype != object:
        as_float: Floats = total.astype(np.float64)
        return as_float if scale == 0 else np.ldexp(as_float, -scale)
    unit = 1 << scale
    return np.array([_divide(int(number), unit) for number in total], np.float64)


def _divide(number: int, unit: int) -> float:
    try:
        return number / unit  # Python rounds the quotient of two integers correctly
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
