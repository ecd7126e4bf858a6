"""Latest values of events that came in order: an as-of join, by a library that does nothing faster.

Where no event of the record became visible before one that happened earlier, the last event in canonical order that is
visible at T is the last one that became visible by then. That is an as-of join on the moment of becoming visible, and
costs no more than one. Anything else (an event that came late, a correction, a window) is left to `history`.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from backstay.features.cells import micros, view_values
from backstay.features.exact import Ints
from backstay.features.question import Answer
from backstay.features.views import Computed, ViewPlan

_SORTABLE = (pl.String, pl.Int64, pl.Boolean)


def latest_in_order(plan: ViewPlan, asked: pl.DataFrame, at: Ints, events: pl.DataFrame) -> Computed | None:
    """What `offline.compute_view` gives; None where it is not latest values of events in order."""
    keys = list(plan.view.entity.keys)
    typed = all(events.schema[key] in _SORTABLE and asked.schema[key] == events.schema[key] for key in keys)
    if plan.question.windows or plan.view.source.event_id is not None or not keys or not typed:
        return None
    visible = _visible(events)
    if visible is None:
        return None
    place = _last(asked.select(keys), at, events.select(keys), visible)
    seen = place >= 0
    found = events[np.where(seen, place, 0)]
    values, words = view_values(plan.view, found)
    for column, word in words.items():
        values[:, column] = np.where(word.is_null().to_numpy(), np.nan, 0.0)
    answer = Answer.nothing(len(at), plan.question)
    answer.seen, answer.event_time = seen, np.where(seen, micros(found, "event_time"), -1)
    values[~seen] = np.nan
    answer.last = values
    computed = plan.compute(answer, at)
    for number, column in plan.coded:
        there = pl.Series(~np.isnan(computed.values[:, number]))
        computed.coded[number] = words[column].zip_with(there, pl.Series([None], dtype=words[column].dtype))
    return computed


def _visible(events: pl.DataFrame) -> Ints | None:
    """When each event became visible; None if an earlier one of the record did so, or happened, after a later one."""
    event_time, known_time = micros(events, "event_time"), micros(events, "known_time")
    sequence = events.get_column("sequence").to_numpy()
    if (event_time[1:] < event_time[:-1]).any() or (sequence[1:] <= sequence[:-1]).any():
        return None
    tied = event_time[1:] == event_time[:-1]
    if tied.any() and (known_time[1:] < known_time[:-1])[tied].any():
        return None
    visible = np.maximum(event_time + 1, known_time)
    return None if (visible[1:] < visible[:-1]).any() else visible


def _last(asked: pl.DataFrame, at: Ints, events: pl.DataFrame, visible: Ints) -> Ints:
    """For each (entity, T) the place of the last event of the entity that was visible; -1 if there is none."""
    order = None if (at[1:] >= at[:-1]).all() else np.argsort(at, kind="stable")
    left = asked.with_columns(pl.Series("_at", at))
    left = (left if order is None else left[order]).with_columns(pl.col("_at").set_sorted())
    right = events.with_columns(pl.Series("_visible", visible).set_sorted(), _place=pl.int_range(len(visible)))
    joined = left.join_asof(
        right, left_on="_at", right_on="_visible", by=asked.columns, strategy="backward", check_sortedness=False
    )
    found = joined.get_column("_place").fill_null(-1).to_numpy()
    if order is None:
        return found
    out = np.empty_like(found)
    out[order] = found
    return out
