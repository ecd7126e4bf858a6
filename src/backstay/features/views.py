"""Windowed and latest features of one view, from a history: the same call offline, online and in parity.

Every value carries a status:

    OK       a value
    NULL     known to be null: the last event has no value, or there is nothing in the window to average
    MISSING  the entity was never seen
    EXPIRED  the last event is older than the feature's max age

and two more that only a server gives, while its online state cannot be asked:

    LAST_KNOWN   a value, of what was read before
    UNAVAILABLE  not known: the declared default, or null

Counts and sums of nothing are 0 (with MISSING if the entity was never seen); everything else of nothing is null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature, FeatureSet
from backstay.features.exact import Floats, Ints
from backstay.features.history import History
from backstay.features.question import Answer, Pick, Question, Window

Statuses = npt.NDArray[np.uint8]


class Status(IntEnum):
    OK = 0
    NULL = 1
    MISSING = 2
    EXPIRED = 3
    LAST_KNOWN = 4
    UNAVAILABLE = 5


@dataclass(slots=True)
class Computed:
    """Values (NaN: null) and statuses of one view's features, shape (rows, features), and when the last event was."""

    values: Floats
    statuses: Statuses
    event_time: Ints
    """event time of the last visible event; -1 where none is visible; nothing at all where it is not asked"""
    coded: dict[int, pl.Series] = field(default_factory=dict)
    """by place, the values of features whose matrix column holds the numbers of words"""

    @classmethod
    def of(cls, rows: int, features: int) -> Computed:
        """Room for so many rows, feature by feature, still to be filled; every status is OK."""
        return cls(np.empty((features, rows)).T, np.zeros((features, rows), np.uint8).T, np.empty(rows, np.int64))

    def put(self, rows: slice | Ints, part: Computed) -> None:
        """Write some rows, once, feature by feature, as they lie in memory; words are left to the caller."""
        for place in range(part.values.shape[1]):  # into a column by itself: half the time of one beside its number
            self.values[:, place][rows] = part.values[:, place]
            if part.statuses[:, place].any():
                self.statuses[:, place][rows] = part.statuses[:, place]
        if len(self.event_time):
            self.event_time[rows] = part.event_time


class ViewPlan:
    """Which features of a set come from one view, in the order of declaration."""

    def __init__(self, features: FeatureSet, view: int, *, dated: bool = True) -> None:
        """`dated`: see `Question`."""
        self.view = features.views[view]
        self.features: list[Feature] = [feature for feature in features if feature.view == view]
        self.question = Question(self.features, len(self.view.values), dated=dated)
        self.order = [self._place(feature) for feature in self.features]
        """of each feature its place in what `compute` lays side by side"""
        self._as_kept = not self.question.windows and self.order == list(range(self.question.columns))
        """whether the features are the view's values, in their order: then nothing is moved"""
        self._latest = np.array([p for p, feature in enumerate(self.features) if feature.kind == "latest"], np.intp)
        ages = [f.max_age for f in self.features if f.kind == "latest"]
        self.limits = [
            (p, f.max_age) for p, f in enumerate(self.features) if f.kind == "latest" and f.max_age is not None
        ]
        """(place, max age) of features that expire"""
        self._max_age = np.array([_FOREVER if age is None else age for age in ages], np.int64)
        self.coded = [
            (place, one.column)
            for place, one in enumerate(self.features)
            if one.kind in ("latest", "first", "last") and self.view.values[one.column].coded
        ]
        """(place among the features, value column) of features that are words"""

    def _place(self, feature: Feature) -> int:
        """Where a feature's value stands among all that `compute` lays side by side."""
        asked = self.question
        if feature.window is None:
            return feature.column
        windows, summed = len(asked.windows), len(asked.summed)
        window = asked.windows.index(Window(feature.window, feature.hop))
        place = asked.columns
        if feature.kind == "count":
            return place + window
        place += windows
        if feature.kind in ("sum", "mean", "share"):
            place += windows * summed * (feature.kind != "sum")
            return place + window * summed + asked.summed.index(feature.column)
        return place + 2 * windows * summed + asked.picks.index(Pick(feature.kind, window, feature.column))

    def nothing(self, rows: int) -> Answer:
        return Answer.nothing(rows, self.question)

    def ask(self, history: History | None, segment: Ints, at: Ints) -> Answer:
        """What the history says at each (segment, T); a segment of -1 is an entity that was never seen."""
        known = segment >= 0
        if history is not None and known.all():
            return history.ask(segment, at)
        out = self.nothing(len(at))
        if history is not None and known.any():
            out.put(known, history.ask(segment[known], at[known]))
        return out

    def compute(self, answer: Answer, at: Ints) -> Computed:
        """The features, from what the history says."""
        rows = len(at)
        blocks: list[npt.NDArray[Any]] = [answer.last]
        if self.question.windows:
            flat = (rows, answer.sums.shape[1] * answer.sums.shape[2])
            sums, valid = answer.sums.reshape(flat), answer.valid.reshape(flat)
            means = np.full_like(sums, np.nan)
            np.divide(sums, valid, out=means, where=valid != 0)
            blocks += [answer.count, sums, means, answer.picked]
        values = answer.last
        if not self._as_kept:  # feature by feature in memory, as frames take them
            columns = [column for block in blocks for column in block.T]
            values = np.concatenate([columns[place] for place in self.order]).reshape(len(self.order), rows).T
        out = Computed(values, np.empty(values.shape[::-1], np.uint8).T, answer.event_time)
        self.judge(out, answer.seen, at)
        return out

    def judge(self, out: Computed, seen: npt.NDArray[np.bool_], at: Ints) -> None:
        """Set the statuses from the values, and take values that are too old."""
        values, statuses = out.values, out.statuses
        np.isnan(values, out=statuses.view(bool))  # OK is 0, NULL is 1
        if len(self._latest):
            age = at - out.event_time
            oldest = age.max(initial=0)
            for place, limit in zip(self._latest.tolist(), self._max_age.tolist(), strict=True):
                if oldest > limit:
                    expired = age > limit
                    values[expired, place] = np.nan
                    statuses[expired, place] = _EXPIRED
        if not seen.all():
            statuses[~seen] = _MISSING


_FOREVER = np.iinfo(np.int64).max
_MISSING, _EXPIRED = np.uint8(Status.MISSING), np.uint8(Status.EXPIRED)
