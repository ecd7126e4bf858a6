"""Which events can matter to some rows at all: what is older than every window, or became known after every T, cannot.

A training set of one month over years of history computes with that month, and with the last event before it of each
entity: it tells whether the entity had been seen, and when.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from backstay.features.cells import micros
from backstay.features.exact import Bools, Ints
from backstay.features.views import ViewPlan

_MANY = 100_000  # events from which leaving some out pays,
_SHARE = 0.8  # if no more than this share of them is left


def needed(plan: ViewPlan, segment: Ints, segments: int, events: pl.DataFrame, at: Ints) -> Bools | None:
    """Which events some row may need; None where all are taken.

    events: in the order of their sequence, without corrections: the version that a correction replaces may lie in
            another time.
    """
    if events.height < _MANY or not len(at):
        return None
    earliest, latest = int(at.min()), int(at.max())
    begin = min((window.begin(earliest) for window in plan.question.windows), default=earliest)
    happened, known = (pl.col(name).to_physical() for name in ("event_time", "known_time"))
    old = (happened < begin) & (known <= earliest)
    found = events.select(old=old, keep=~old & (happened < latest) & (known <= latest))
    if found["keep"].sum() > _SHARE * events.height:
        return None
    keep, past = found["keep"].to_numpy(writable=True), np.flatnonzero(found["old"].to_numpy())
    some = events.select("event_time", "known_time").filter(found["old"])
    entity, event_time, known_time = segment[past], micros(some, "event_time"), micros(some, "known_time")
    newest = np.full(segments, np.iinfo(np.int64).min)
    np.maximum.at(newest, entity, event_time)
    tied = event_time == newest[entity]
    past, entity, known_time = past[tied], entity[tied], known_time[tied]
    order = np.lexsort((known_time, entity))
    last = np.append(entity[order][1:] != entity[order][:-1], True)[: len(order)]
    keep[past[order][last]] = True
    return keep
