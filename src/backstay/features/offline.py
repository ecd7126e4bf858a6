"""Features of many rows at once, from the events record: for training sets, batch scoring and parity.

A row asks for its entity keys and request fields at its own `at` (T). Rows come back as they came: none lost, doubled
or reordered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError, NotFoundError
from backstay.definitions import EventSource, FeatureSet, View
from backstay.features.cells import (
    FEW,
    check_recorded,
    coded,
    micros,
    spelled,
    superseded,
    value_columns,
    view_columns,
    view_values,
)
from backstay.features.exact import Ints
from backstay.features.inorder import InOrder, answerable, latest_in_order
from backstay.features.needed import needed
from backstay.features.parts import Grouped, Told, beside, compute_parts
from backstay.features.rows import RowEngine, Rows
from backstay.features.views import Computed, ViewPlan
from backstay.storage.schema import INSTANT

TIMES = ("event_time", "known_time")


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
    check_asked(features, asked)
    at = asked.get_column("at").to_numpy()
    engine = RowEngine(features)
    limits = watermark or {}
    tables = {}
    for source in features.sources:
        read = source_columns(features, source)
        limit = limits.get(source.name)
        try:
            table = events.read(source.name, columns=read, known_until=known_until, sequence_until=limit)
        except NotFoundError:  # its first event has not come yet: no entity was ever seen
            table = no_events(source, read)
        tables[source.name] = corrected(source, table)
    room = engine.room(asked.height)
    for plan, out in zip(engine.plans, room.computed, strict=True):
        compute_view(plan, asked, at, tables[plan.view.source.name], out)
    return FeatureRows(engine.filled(room, asked), room.computed)


def check_asked(features: FeatureSet, asked: pl.DataFrame) -> None:
    """Raise `InputError` if the asked rows lack a column or have one of another type than declared."""
    where = f"rows asked of {features.where}"
    for name in ("at", *features.keys, *(feature.name for feature in features.requests)):
        if name not in asked.columns:
            raise InputError(f"there is no column {name!r}", where=where, fix="add it to the frame")
    if asked.schema["at"] != pl.Int64:
        raise InputError(
            f"column 'at' is of type {asked.schema['at']}",
            where=where,
            expected="times with a zone, or Int64 microseconds, UTC",
            fix='pl.col("at").str.to_datetime(time_zone="UTC"), if it is text',
        )
    if asked.get_column("at").null_count():
        raise InputError("some rows have no 'at'", where=where, fix="drop them or give them a time")
    for name, kind in asked_types(features).items():
        if asked.schema[name] != kind:
            raise InputError(
                f"column {name!r} is of type {asked.schema[name]}",
                where=where,
                expected=f"{kind}, as it is declared",
                fix=f'pl.col("{name}").cast(pl.{kind})',
            )


def check_given(features: FeatureSet, asked: pl.DataFrame) -> None:
    """Raise `InputError` if a request-time input is null where it is required, or is not finite: a server refuses such
    a request."""
    where = f"rows asked of {features.where}"
    for feature in features.requests:
        column, name = asked.get_column(feature.name), feature.name
        if not feature.optional and column.null_count():
            raise InputError(
                f"{name!r} is null in {_places(column.is_null())}",
                where=where,
                expected="a value in every row, since the input is required",
                fix=f"give it, leave such rows out, or declare Request(..., optional=[{name!r}])",
            )
        if feature.dtype == pl.Float64 and (strange := ~column.is_finite().fill_null(value=True)).any():
            null = f' (pl.col("{name}").fill_nan(None))' if feature.optional else ""
            raise InputError(
                f"{name!r} is {column.filter(strange)[0]} in {_places(strange)}",
                where=where,
                expected="finite numbers" + (", or null where there is none" if feature.optional else ""),
                fix=f"give {'null' if feature.optional else 'a number'}{null}, or leave such rows out",
            )


def _places(rows: pl.Series) -> str:
    number = int(rows.sum())
    return f"row {rows.arg_true()[0]}{f', and in {number - 1} more' if number > 1 else ''}"


def asked_types(features: FeatureSet) -> dict[str, pl.DataType]:
    """The types of the entity keys and request-time inputs."""
    kinds = {key: view.source.schema[key] for view in features.views for key in view.entity.keys}
    return kinds | {feature.name: feature.dtype for feature in features.requests}


def source_columns(features: FeatureSet, source: EventSource) -> list[str]:
    """What the views read of a source's events: their number only where a correction is found by it."""
    read = [name for view in features.views if view.source is source for name in view_columns(view)]
    return list(dict.fromkeys([*TIMES, *([] if source.event_id is None else ["sequence"]), *read]))


def no_events(source: EventSource, columns: Sequence[str]) -> pl.DataFrame:
    """The record of a source that never had an event."""
    kinds = {"event_time": INSTANT, "known_time": INSTANT, "sequence": pl.Int64(), **source.schema}
    return pl.DataFrame(schema={name: kinds[name] for name in columns})


def corrected(source: EventSource, table: pl.DataFrame) -> pl.DataFrame:
    """The events, with `_until` where they may be corrected."""
    if source.event_id is None:
        return table
    return table.with_columns(pl.Series("_until", superseded(table, source.event_id)))


def compute_view(
    plan: ViewPlan, asked: pl.DataFrame, at: Ints, events: pl.DataFrame, out: Computed | None = None
) -> Computed:
    """The features of one view for asked rows, from the events of (at least) their entities.

    events: in the order of their sequence; `event_time`, `known_time`, what `cells.view_columns` names, and `_until`
            (see `corrected`).
    out:    where the features go, if there is room for them already.
    """
    check_recorded(plan.view, events)
    out = Computed.of(len(at), len(plan.features)) if out is None else out
    keys = list(plan.view.entity.keys)
    if any(events.get_column(key).null_count() for key in keys):
        events = events.drop_nulls(keys)
    if not events.height:
        out.put(slice(None), plan.compute(plan.nothing(asked.height), at))
        kinds = {place: plan.features[place].dtype for place, _ in plan.coded}
        out.coded = {place: pl.Series([None] * asked.height, dtype=kind) for place, kind in kinds.items()}
        return out
    if answerable(plan, asked) and (in_order := InOrder.of(events)) is not None:
        return latest_in_order(plan, asked, at, in_order, lambda low, high: events[low:high], out)
    segment, row_segment, segments = _segments(events, asked, keys)
    corrections = ["_until"] if "_until" in events.columns else []
    events = events.select(*dict.fromkeys([*TIMES, *value_columns(plan.view), *corrections]))
    with beside(len(at)) as group:
        group(rows := Grouped(row_segment, segments + 1))
        if not corrections:
            segment, events = needed(plan, segment, segments, events, at)
        group(grouped := Grouped(segment, segments))
        columns, words = _columns(plan.view, events)
    compute_parts(plan, Told(grouped, columns), rows, at, out)
    for place, column in plan.coded:
        out.coded[place] = spelled(out.values[:, place], words[column])
    return out


def _columns(view: View, events: pl.DataFrame) -> tuple[list[npt.NDArray[Any]], dict[int, pl.Series]]:
    """What `History` takes of the events, and by column the words that its codes stand for."""
    values, texts = view_values(view, events.select(value_columns(view) or TIMES))  # nothing else is copied for them
    words = {}
    for column, text in texts.items():
        values[:, column], words[column] = coded(text)
    until = [events.get_column("_until").to_numpy()] if view.source.event_id is not None else []
    return [micros(events, "event_time"), micros(events, "known_time"), values, *until], words


def _segments(events: pl.DataFrame, asked: pl.DataFrame, keys: list[str]) -> tuple[Ints, Ints, int]:
    """The number of each event's entity, and of each row's from 1 (0: it has no events), and how many there are.

    A null key is no entity. Without keys everything is one entity.
    """
    if not keys:
        return np.zeros(events.height, np.int64), np.ones(asked.height, np.int64), 1
    if len(keys) == 1 and (numbered := _numbered(events.get_column(keys[0]), asked.get_column(keys[0]))) is not None:
        return numbered
    if max(events.height, asked.height) <= FEW and all(events.schema[key] in (pl.String, pl.Int64) for key in keys):
        return _numbered_one_by_one(events.select(keys), asked.select(keys))
    entities = events.select(keys).unique().with_row_index("_segment")
    own, wanted = (
        frame.select(keys)
        .join(entities, on=keys, how="left", maintain_order="left")
        .get_column("_segment")
        .cast(pl.Int64)
        for frame in (events, asked)
    )
    return own.to_numpy(), (wanted + 1).fill_null(0).to_numpy(), entities.height


def _numbered_one_by_one(events: pl.DataFrame, asked: pl.DataFrame) -> tuple[Ints, Ints, int]:
    """As `_segments`, of few. An asked row with a null in its key finds no entity: none of the events has one."""
    known: dict[tuple[object, ...], int] = {}
    found = [known.setdefault(row, len(known)) for row in events.rows()]
    wanted = [known.get(row, -1) + 1 for row in asked.rows()]
    return np.array(found, np.int64), np.array(wanted, np.int64), len(known)


def _numbered(events: pl.Series, asked: pl.Series) -> tuple[Ints, Ints, int] | None:
    """Integer keys that lie close together number their entities themselves."""
    if events.dtype != pl.Int64 or asked.dtype != pl.Int64:
        return None
    low, high = events.min(), events.max()
    assert isinstance(low, int)
    assert isinstance(high, int)
    if high - low >= 2 * len(events):
        return None
    rows = _less(asked.fill_null(low), low)  # what is far out comes round, and is out of bounds all the same
    rows += 1
    rows[(rows < 1) | (rows > high - low + 1)] = 0
    if asked.null_count():
        rows[asked.is_null().to_numpy()] = 0
    return _less(events, low), rows, high - low + 1


def _less(column: pl.Series, low: int) -> Ints:
    """The column less a number, without a copy of the column on the way."""
    out, begin = np.empty(len(column), np.int64), 0
    for chunk in column.get_chunks():
        np.subtract(chunk.to_numpy(), low, out=out[begin : begin + len(chunk)])
        begin += len(chunk)
    return out
