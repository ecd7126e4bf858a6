"""What a feature set asks of the history of one view: windows, totals, picks, and the last event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.definitions import Feature
from backstay.features.exact import Bools, Floats, Ints, in_two, integers, rounded
from backstay.features.spread import deviation, exactly, squarable, squares
from backstay.features.totals import Found, Numbers

PICKS = frozenset({"min", "max", "first", "last", "distinct", "std"})
"""Kinds that are answered one by one; count, sum, mean and share come out of shared totals."""


@dataclass(frozen=True, slots=True)
class Window:
    """`[T - length, T)`; with a hop, its tail moved back to a multiple of it: `[floor((T - length) / hop) * hop,
    T)`."""

    length: int
    hop: int | None = None

    def leaves(self, event_time: Ints) -> Ints:
        """The last T at which an event of this time is still in the window."""
        if self.hop is None:
            return event_time + self.length
        return (event_time // self.hop + 1) * self.hop - 1 + self.length

    def begins(self, at: Ints) -> Ints:
        """The earliest event time that is in the window at each T."""
        begin = at - self.length
        return begin if self.hop is None else begin // self.hop * self.hop

    def begin(self, at: int) -> int:
        """The earliest event time that is in the window at T."""
        begin = at - self.length
        return begin if self.hop is None else begin // self.hop * self.hop


@dataclass(frozen=True, slots=True)
class Pick:
    """One aggregate of one window that is answered for itself."""

    kind: str
    window: int
    column: int


class Question:
    """What is asked of a view's history, made once for a feature set.

    dated: whether it is asked when the last visible event happened; it always is where latest values are
    """

    def __init__(self, features: list[Feature], columns: int, *, dated: bool = True) -> None:
        windowed = [(Window(one.window, one.hop), one) for one in features if one.window is not None]
        self.windows = list(dict.fromkeys(window for window, _ in windowed))
        self.summed = sorted({one.column for _, one in windowed if one.kind in ("sum", "mean", "share")})
        picks = (Pick(one.kind, self.windows.index(window), one.column) for window, one in windowed)
        self.picks = list(dict.fromkeys(pick for pick in picks if pick.kind in PICKS))
        self.extremes: dict[Window, list[int]] = {}
        """by window the places of its smallest and largest among the picks: found together"""
        for place, pick in enumerate(self.picks):
            if pick.kind in ("min", "max"):
                self.extremes.setdefault(self.windows[pick.window], []).append(place)
        self.spread = sorted({one.column for _, one in windowed if one.kind == "std"})
        self.latest = any(one.kind == "latest" for one in features)
        self.dated = dated or self.latest
        self.columns = columns if self.latest else 0
        """how many values of the last event are told"""

    def columns_summed(self, values: Floats) -> list[Floats]:
        """What is added up, from values of shape (events, columns): of the standard deviation also the squares."""
        columns = [values[:, column] for column in self.summed]
        for column in self.spread:
            some = squarable(values[:, column])
            columns += [some, *squares(some)]
        return columns

    def sums(self, found: Found, numbers: Numbers) -> tuple[Floats, Ints]:
        """The sums asked for, and of how many values, shape (rows, windows, summed) both."""
        out = np.empty((*found.count.shape, len(self.summed)))
        valid = np.empty(out.shape, np.int64)
        for place in range(len(self.summed)):
            part = numbers.parts[place]
            out[..., place] = rounded(found.sums[..., part.begin : part.end], part.scale, part.bits)
            valid[..., place] = found.valid(numbers.there[place])
        return out, valid

    def deviation(self, pick: Pick, found: Found, numbers: Numbers) -> Floats:
        """The standard deviation asked for, shape (rows,)."""
        place = len(self.summed) + 3 * self.spread.index(pick.column)
        parts = numbers.parts[place : place + 3]
        sums = [found.sums[:, pick.window, part.begin : part.end] for part in parts]
        number, squared = (found.valid(there)[:, pick.window] for there in numbers.there[place : place + 2])
        pairs = [in_two(some, part.scale, part.bits) for some, part in zip(sums, parts, strict=True)]
        out, cancels = deviation(number, *pairs)
        rows = np.flatnonzero(cancels & (number == squared))
        if len(rows):
            whole = [integers(some[rows], part.bits) for some, part in zip(sums, parts, strict=True)]
            scales = [int(part.scale) for part in parts]
            told = zip(number[rows].tolist(), *whole, strict=True)
            out[rows] = [exactly(count, *zip(each, scales, strict=True)) for count, *each in told]
        return np.where(number == squared, out, np.nan)


@dataclass(slots=True)
class Answer:
    """What a history says about asked (entity, T), one row each."""

    seen: Bools
    """whether anything is visible"""
    event_time: Ints
    """when the last visible event happened; -1 where nothing is visible, or it is not asked"""
    last: Floats
    """shape (rows, columns): its values"""
    count: Ints
    """shape (rows, windows): events in the window"""
    valid: Ints
    """shape (rows, windows, summed columns): how many of the values are not null"""
    sums: Floats
    """shape (rows, windows, summed columns): the exact sum of the non-null values, rounded once"""
    picked: Floats
    """shape (rows, picks); NaN: null"""

    @classmethod
    def nothing(cls, rows: int, question: Question) -> Answer:
        """The answer about entities that were never seen."""
        windows, summed = len(question.windows), len(question.summed)
        picked = np.full((rows, len(question.picks)), np.nan)
        picked[:, [pick.kind == "distinct" for pick in question.picks]] = 0.0
        return cls(
            np.zeros(rows, bool), np.full(rows, -1, np.int64), np.full((rows, question.columns), np.nan),
            np.zeros((rows, windows), np.int64), np.zeros((rows, windows, summed), np.int64),
            np.zeros((rows, windows, summed)), picked,
        )  # fmt: skip

    @classmethod
    def last_seen(cls, seen: Bools, event_time: Ints, question: Question) -> Answer:
        """What is known without its values: room for these, to be filled."""
        rows, windows, summed = len(seen), len(question.windows), len(question.summed)
        return cls(
            seen, event_time, np.empty((rows, question.columns)), np.empty((rows, windows), np.int64),
            np.empty((rows, windows, summed), np.int64), np.empty((rows, windows, summed)),
            np.empty((len(question.picks), rows)).T,
        )  # fmt: skip

    def put(self, rows: slice | Ints | Bools | list[int], part: Answer) -> None:
        """Write the answers of some rows."""
        self.seen[rows], self.event_time[rows], self.last[rows] = part.seen, part.event_time, part.last
        self.count[rows], self.valid[rows], self.sums[rows] = part.count, part.valid, part.sums
        self.picked[rows] = part.picked

    def placed(self, places: Ints) -> Answer:
        """Each row put where `places` says."""

        def put(array: Any) -> Any:
            out = np.empty_like(array)
            out[places] = array
            return out

        parts = (self.seen, self.event_time, self.last, self.count, self.valid, self.sums, self.picked)
        return Answer(*map(put, parts))
