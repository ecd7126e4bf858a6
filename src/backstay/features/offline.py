"""Features of many rows at once, from the events record: for training sets, batch scoring and parity.

A row asks for its entity keys and request fields at its own `at` (T). Rows come back as they came: none lost, doubled
or reordered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.definitions import EventSource, FeatureSet
from backstay.features.cells import coded, micros, spelled, superseded, view_columns, view_values
from backstay.features.exact import Ints
from backstay.features.history import History
from backstay.features.rows import RowEngine, Rows
from backstay.features.views import Computed, ViewPlan


class EventReader(Protocol):
    """What of the events record is needed here; `backstay.storage.ports.EventStore` has it."""

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame: ...


@dataclass(slots=True)
class FeatureRows:
    """The features of asked rows, in the order asked."""

    rows: Rows
    computed: list[Computed]
    """per view, with the time of the last event used"""


def feature_rows(
    features: FeatureSet,
    asked: pl.DataFrame,
    events: EventReader,
    *,
    known_until: int | None = None,
    watermark: Mapping[str, int] | None = None,
) -> FeatureRows:
    """The features of every asked row at its `at` (Int64 microseconds).

    asked:       columns `at`, the entity keys, and the request-time inputs.
    known_until: leave out events known later (rows never see them; this only saves reading).
    watermark:   per source, the highest sequence that counts: what a server had seen.
    """
    _check(features, asked)
    at = asked.get_column("at").to_numpy()
    engine = RowEngine(features)
    limits = watermark or {}
    tables = {
        source.name: _events(features, source, events, known_until, limits.get(source.name))
        for source in features.sources
    }
    computed = [_view(plan, asked, at, tables[plan.view.source.name]) for plan in engine.plans]
    requests = asked.select("at", *(feature.name for feature in features.requests))
    return FeatureRows(engine.rows(computed, requests), computed)


def _check(features: FeatureSet, asked: pl.DataFrame) -> None:
    where = f"rows asked of feature set {features.name!r}"
    for name in ("at", *features.keys, *(feature.name for feature in features.requests)):
        if name not in asked.columns:
            raise InputError(f"there is no column {name!r}", where=where, fix="add it to the frame")
    if asked.schema["at"] != pl.Int64:
        raise InputError(
            f"column 'at' is of type {asked.schema['at']}", where=where, expected="Int64 microseconds, UTC"
        )
    if asked.get_column("at").null_count():
        raise InputError("some rows have no 'at'", where=where, fix="drop them or give them a time")


def _events(
    features: FeatureSet, source: EventSource, events: EventReader, known_until: int | None, sequence_until: int | None
) -> pl.DataFrame:
    """What the views read of a source's events; with `_until` where events may be corrected."""
    read = [name for view in features.views if view.source is source for name in view_columns(view)]
    columns = list(dict.fromkeys(["event_time", "known_time", "sequence", *read]))
    table = events.read(source.name, columns=columns, known_until=known_until, sequence_until=sequence_until)
    if source.event_id is None:
        return table
    return table.with_columns(pl.Series("_until", superseded(table, source.event_id)))


def _view(plan: ViewPlan, asked: pl.DataFrame, at: Ints, events: pl.DataFrame) -> Computed:
    keys = list(plan.view.entity.keys)
    events = events.drop_nulls(keys) if keys else events
    if not events.height:
        return plan.compute(plan.nothing(asked.height), at)
    segment, row_segment, segments = _segments(events, asked, keys)
    values, texts = view_values(plan.view, events)
    words = {}
    for column, text in texts.items():
        values[:, column], words[column] = coded(text)
    history = History(
        plan.question,
        segment,
        micros(events, "event_time"),
        micros(events, "known_time"),
        events.get_column("sequence").to_numpy(),
        values,
        segments,
        events.get_column("_until").to_numpy() if plan.view.source.event_id is not None else None,
    )
    computed = plan.compute(plan.ask(history, row_segment, at), at)
    for place, column in plan.coded:
        computed.coded[place] = spelled(computed.values[:, place], words[column])
    return computed


def _segments(events: pl.DataFrame, asked: pl.DataFrame, keys: list[str]) -> tuple[Ints, Ints, int]:
    """The number of each event's entity, and of each row's (-1 for one that has no events), and how many there are.

    A null key is no entity. Without keys everything is one entity.
    """
    if not keys:
        return np.zeros(events.height, np.int64), np.zeros(asked.height, np.int64), 1
    entities = events.select(keys).unique().with_row_index("_segment")
    found = []
    for frame in (events, asked):
        joined = frame.select(keys).join(entities, on=keys, how="left", maintain_order="left")
        found.append(joined.get_column("_segment").cast(pl.Int64).fill_null(-1).to_numpy())
    return found[0], found[1], entities.height
