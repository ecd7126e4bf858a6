"""Windowed and latest features of one view, from a history: the same call offline, online and in parity.

Every value carries a status:

    OK       a value
    NULL     known to be null: the last event has no value, or there is nothing in the window to average
    MISSING  the entity was never seen
    EXPIRED  the last event is older than the feature's max age

Counts and sums of nothing are 0 (with MISSING if the entity was never seen); everything else of nothing is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from backstay.definitions import Feature, FeatureSet
from backstay.features.history import Answer, Bools, Floats, History, Ints

Statuses = npt.NDArray[np.uint8]


class Status(IntEnum):
    OK = 0
    NULL = 1
    MISSING = 2
    EXPIRED = 3


@dataclass(slots=True)
class Computed:
    """Values (NaN: null) and statuses of one view's features, shape (rows, features), and when the last event was."""

    values: Floats
    statuses: Statuses
    event_time: Ints
    """event time of the last visible event; -1 where none is visible"""


class ViewPlan:
    """Which features of a set come from one view, in the order of declaration."""

    def __init__(self, features: FeatureSet, view: int) -> None:
        self.view = features.views[view]
        self.features: list[Feature] = [feature for feature in features if feature.view == view]
        self.columns = len(self.view.values)
        lengths = list(dict.fromkeys(f.window for f in self.features if f.window is not None))
        self.lengths = np.array(lengths, np.int64)
        self._of_kind = {
            kind: _Places(
                np.array([place for place, f in enumerate(self.features) if f.kind in kinds], np.intp),
                np.array(
                    [lengths.index(f.window) if f.window else 0 for f in self.features if f.kind in kinds], np.intp
                ),
                np.array([f.column for f in self.features if f.kind in kinds], np.intp),
            )
            for kind, kinds in {
                "count": ("count",),
                "sum": ("sum",),
                "mean": ("mean", "share"),
                "latest": ("latest",),
            }.items()
        }
        ages = [f.max_age for f in self.features if f.kind == "latest"]
        self._max_age = np.array([_FOREVER if age is None else age for age in ages], np.int64)

    def nothing(self, rows: int) -> Answer:
        return Answer.nothing(rows, len(self.lengths), self.columns)

    def ask(self, history: History | None, segment: Ints, at: Ints) -> Answer:
        """What the history says at each (segment, T); a segment of -1 is an entity that was never seen."""
        known = segment >= 0
        if history is not None and known.all():
            return history.ask(segment, at, self.lengths)
        out = self.nothing(len(at))
        if history is not None and known.any():
            out.put(known, history.ask(segment[known], at[known], self.lengths))
        return out

    def compute(self, answer: Answer, at: Ints) -> Computed:
        """The features, from what the history says."""
        rows, seen = len(at), answer.seen[:, None]
        values = np.empty((rows, len(self.features)))
        statuses = np.empty((rows, len(self.features)), np.uint8)
        statuses[:] = np.where(seen, _OK, _MISSING)
        for kind, of in self._of_kind.items():
            if not len(of.place):
                continue
            if kind == "count":
                values[:, of.place] = answer.count[:, of.window]
            elif kind == "sum":
                values[:, of.place] = answer.sums[:, of.window, of.column]
            elif kind == "mean":
                valid = answer.valid[:, of.window, of.column]
                empty = valid == 0
                mean = answer.sums[:, of.window, of.column] / np.where(empty, 1, valid)
                mean[empty] = np.nan
                values[:, of.place] = mean
                statuses[:, of.place] = np.where(seen, np.where(empty, _NULL, _OK), _MISSING)
            else:
                values[:, of.place], statuses[:, of.place] = self._latest(answer, at, of, seen)
        return Computed(values, statuses, answer.event_time)

    def _latest(self, answer: Answer, at: Ints, of: _Places, seen: Bools) -> tuple[Floats, Statuses]:
        value = answer.last[:, of.column]
        status = np.where(np.isnan(value), _NULL, _OK)
        status[(at - answer.event_time)[:, None] > self._max_age] = _EXPIRED
        status = np.where(seen, status, _MISSING)
        return np.where(status == _OK, value, np.nan), status


@dataclass(frozen=True, slots=True)
class _Places:
    """Features of one kind: their places in the view, and the window and value column of each."""

    place: npt.NDArray[np.intp]
    window: npt.NDArray[np.intp]
    column: npt.NDArray[np.intp]


_FOREVER = np.iinfo(np.int64).max
_OK, _NULL, _MISSING, _EXPIRED = (np.uint8(status) for status in Status)
