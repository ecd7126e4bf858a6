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


def needed(plan: ViewPlan, segment: Ints, segments: int, events: pl.DataFrame, at: Ints) -> tuple[Ints, pl.DataFrame]:
    """The events that some row may need, and their entities; all of them where leaving some out does not pay.

    events: in the order of their sequence, as those that are left; without corrections: the version that a correction
            replaces may lie in another time.
    """
    if events.height < _MANY or not len(at):
        return segment, events
    earliest, latest = int(at.min()), int(at.max())
    begin = min((window.begin(earliest) for window in plan.question.windows), default=earliest)
    happened, known = (pl.col(name).to_physical() for name in ("event_time", "known_time"))
    is_old = (happened < begin) & (known <= earliest)
    found = events.select(old=is_old, keep=~is_old & (happened < latest) & (known <= latest))
    old, left = found["old"].to_numpy(), found["keep"].sum()
    if left > _SHARE * events.height:
        return segment, events
    first = int(old.argmin())  # the first that is not old, if any is
    if left > _SHARE * (events.height - first):  # what is left stands together: it is not copied
        last = np.sort(_last_of(slice(first), plan, segment, segments, events))
        return np.concatenate([segment[last], segment[first:]]), pl.concat([events[last], events[first:]])
    keep = found["keep"].to_numpy(writable=True)
    keep[_last_of(np.flatnonzero(old), plan, segment, segments, events)] = True
    return segment[keep], events.filter(keep)


def _last_of(old: Ints | slice, plan: ViewPlan, segment: Ints, segments: int, events: pl.DataFrame) -> Ints:
    """Of each entity one of these events of the past, all visible: the last, where it matters which that is."""
    entity = segment[old]
    past = np.arange(len(entity)) if isinstance(old, slice) else old
    if not plan.question.dated:
        one = np.full(segments, -1)
        one[entity] = past
        return one[one >= 0]
    some = events.select("event_time", "known_time")[past]
    event_time, known_time = micros(some, "event_time"), micros(some, "known_time")
    newest = np.full(segments, np.iinfo(np.int64).min)
    np.maximum.at(newest, entity, event_time)
    tied = event_time == newest[entity]
    past, entity, known_time = past[tied], entity[tied], known_time[tied]
    order = np.lexsort((known_time, entity))
    last = np.append(entity[order][1:] != entity[order][:-1], True)[: len(order)]
    found: Ints = past[order][last]
    return found
