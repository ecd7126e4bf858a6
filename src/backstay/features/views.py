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
from backstay.features.history import Bools, Floats, History, Ints, Totals

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
        self.lengths = tuple(dict.fromkeys(f.window for f in self.features if f.window is not None))

    def compute(self, history: History | None, segment: Ints, at: Ints) -> Computed:
        """The features for each asked (segment, T); a segment of -1 is an entity that was never seen."""
        known = segment >= 0
        if history is None or not known.any():
            return self._nothing(len(at))
        if known.all():
            return self._compute(history, segment, at)
        out = self._nothing(len(at))
        part = self._compute(history, segment[known], at[known])
        out.values[known], out.statuses[known], out.event_time[known] = part.values, part.statuses, part.event_time
        return out

    def _nothing(self, rows: int) -> Computed:
        empty = [0.0 if feature.kind in ("count", "sum") else np.nan for feature in self.features]
        return Computed(
            np.tile(np.array(empty), (rows, 1)),
            np.full((rows, len(empty)), Status.MISSING, np.uint8),
            np.full(rows, -1, np.int64),
        )

    def _compute(self, history: History, segment: Ints, at: Ints) -> Computed:
        last = history.last(segment, at)
        seen = last >= 0
        times = np.where(seen, history.event_time[last], -1)
        totals = dict(zip(self.lengths, history.windows(segment, at, self.lengths), strict=True))
        out = Computed(np.empty((len(at), len(self.features))), np.empty((len(at), len(self.features)), np.uint8), times)
        for place, feature in enumerate(self.features):
            if feature.kind == "latest":
                value, status = _latest(feature, history.values[last, feature.column], at - times, seen)
            else:
                assert feature.window is not None
                value, status = _windowed(feature, totals[feature.window], seen)
            out.values[:, place], out.statuses[:, place] = value, status
        return out


def _latest(feature: Feature, value: Floats, age: Ints, seen: Bools) -> tuple[Floats, Statuses]:
    status = np.where(np.isnan(value), Status.NULL, Status.OK).astype(np.uint8)
    if feature.max_age is not None:
        status[age > feature.max_age] = Status.EXPIRED
    status[~seen] = Status.MISSING
    return np.where(status == Status.OK, value, np.nan), status


def _windowed(feature: Feature, totals: Totals, seen: Bools) -> tuple[Floats, Statuses]:
    status = np.where(seen, Status.OK, Status.MISSING).astype(np.uint8)
    if feature.kind == "count":
        return totals.count.astype(np.float64), status
    total, valid = totals.sums[:, feature.column], totals.valid[:, feature.column]
    if feature.kind == "sum":
        return total, status
    value = np.full(len(total), np.nan)
    np.divide(total, valid, out=value, where=valid > 0)
    status[(valid == 0) & seen] = Status.NULL
    return value, status
