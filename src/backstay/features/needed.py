"""Which events can matter to some rows at all: what is older than every window, or became known after every T, cannot.

A training set of one month over years of history computes with that month, and with the last event before it of each
entity: it tells whether the entity had been seen, and when.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from backstay.features.cells import micros
from backstay.features.exact import Ints
from backstay.features.views import ViewPlan

_MANY = 100_000  # events from which leaving some out pays,
_SHARE = 0.8  # if no more than this share of them is left


def needed(plan: ViewPlan, segment: Ints, segments: int, events: pl.DataFrame, at: Ints) -> Ints | None:
    """The places of the events that some row may need, in their order; None where all are taken.

    Only of events without corrections: the version that a correction replaces may lie in another time.
    """
    if events.height < _MANY or not len(at):
        return None
    event_time, known_time = micros(events, "event_time"), micros(events, "known_time")
    earliest, latest = int(at.min()), int(at.max())
    begin = min((window.begin(earliest) for window in plan.question.windows), default=earliest)
    visible = np.maximum(event_time + 1, known_time)
    keep = (event_time >= begin) | (visible > earliest)
    keep &= visible <= latest
    if keep.sum() > _SHARE * len(keep):
        return None
    past = np.flatnonzero((event_time < begin) & (visible <= earliest))
    entity, happened = segment[past], event_time[past]
    newest = np.full(segments, np.iinfo(np.int64).min)
    np.maximum.at(newest, entity, happened)
    tied = happened == newest[entity]
    past, entity = past[tied], entity[tied]
    order = np.lexsort((events.get_column("sequence").to_numpy()[past], known_time[past], entity))
    last = np.append(entity[order][1:] != entity[order][:-1], True)[: len(order)]
    keep[past[order][last]] = True
    return np.flatnonzero(keep)
