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
from backstay.definitions import FeatureSet, View
from backstay.features.history import History, Ints
from backstay.features.rows import RowEngine, Rows, in_one_chunk
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
        source.name: events.read(source.name, known_until=known_until, sequence_until=limits.get(source.name))
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


def _view(plan: ViewPlan, asked: pl.DataFrame, at: Ints, events: pl.DataFrame) -> Computed:
    keys = list(plan.view.entity.keys)
    events = events.drop_nulls(keys)
    entities = events.select(keys).unique(maintain_order=True).with_row_index("_segment")
    if not entities.height:
        return plan.compute(plan.nothing(asked.height), at)
    segment = _segments(events, entities, keys)
    history = History(
        segment,
        _micros(events, "event_time"),
        _micros(events, "known_time"),
        events.get_column("sequence").to_numpy(),
        view_values(plan.view, events),
        entities.height,
    )
    return plan.compute(plan.ask(history, _segments(asked, entities, keys), at), at)


def _segments(frame: pl.DataFrame, entities: pl.DataFrame, keys: list[str]) -> Ints:
    """The number of each row's entity; -1 for one that has no events. A null key is no entity."""
    joined = frame.select(keys).join(entities, on=keys, how="left", maintain_order="left")
    return joined.get_column("_segment").cast(pl.Int64).fill_null(-1).to_numpy()


def view_values(view: View, events: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The view's value columns for each event, as floats with NaN for null."""
    out = np.empty((events.height, len(view.values)))
    if not view.values or not events.height:
        return out
    values = (
        in_one_chunk(events).select(**{str(place): value for place, value in enumerate(view.values)}).cast(pl.Float64)
    )
    for place in range(out.shape[1]):
        column = values.get_column(str(place)).head(events.height)
        out[:, place] = column.fill_nan(None).to_numpy()
    out[~np.isfinite(out)] = np.nan
    return out


def _micros(frame: pl.DataFrame, name: str) -> Ints:
    return frame.get_column(name).dt.epoch("us").to_numpy()
