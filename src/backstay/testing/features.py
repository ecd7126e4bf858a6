"""A feature set on a handful of events, for unit tests: `features_at`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import instant, instant_datetime
from backstay.definitions import EventSource, FeatureSet
from backstay.features.ingest import prepare
from backstay.features.offline import asked_types, check_given, feature_rows
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents

TIME = pl.Datetime("us", "UTC")
Events = Mapping[EventSource, Sequence[Mapping[str, Any]]]


class FeatureValues(dict[str, Any]):
    """Values by feature; `statuses` has the status of each ("OK", "NULL", "MISSING", "EXPIRED")."""

    statuses: dict[str, str]


def features_at(features: FeatureSet, at: str | datetime | int, events: Events, **asked: Any) -> FeatureValues:
    """The features of one row at T, made of these events and nothing else, by the code that training and serving run.

    events: by source, a list of events, each a mapping with its event time (ISO text, a datetime, or microseconds; with
            a zone, unless the source declares one) and the columns that matter; columns left out are null. A source
            with a `known_time` column may leave it out: then the event was known when it happened. A source with a
            delay has its delay.
    asked:  entity keys and request-time inputs; what is left out is null, which a required input may not be.

    >>> from backstay import Entity, Mean, Windowed
    >>> trips = EventSource("trips", schema={"driver": "string", "km": "float"})
    >>> busy = FeatureSet("busy", [Windowed(trips, by=Entity("driver"), over="1h", km=Mean("km"))])
    >>> day = "2024-05-01T"
    >>> driven = {trips: [{"event_time": day + "11:15Z", "driver": "ada", "km": 4.0},
    ...                   {"event_time": day + "12:00Z", "driver": "ada", "km": 9.0}]}
    >>> features_at(busy, day + "12:00Z", driven, driver="ada")
    {'driver_km_1h': 4.0}
    >>> features_at(busy, day + "12:00Z", driven, driver="bob").statuses
    {'driver_km_1h': 'MISSING'}
    """
    _check_events(features, events)
    record = MemoryEvents()
    for source in features.sources:
        record.append(source.name, prepare(source, _frame(source, events.get(source, ()))))
    kinds = asked_types(features)
    for name in asked:
        if name not in kinds:
            raise InputError(
                f"{name!r} is neither a key nor an input", where=features.where, expected=f"one of {', '.join(kinds)}"
            )
    columns = [_series(name, [asked.get(name)], kind) for name, kind in kinds.items()]
    moment = pl.Series("at", [instant(at, where="at")], pl.Int64)
    row = pl.DataFrame([moment, *columns])
    check_given(features, row)
    rows = feature_rows(features, row, record).rows
    out = FeatureValues(rows.frame().row(0, named=True))
    out.statuses = {one.name: Status(code).name for one, code in zip(features, rows.statuses[0], strict=True)}
    return out


def _check_events(features: FeatureSet, events: Events) -> None:
    """The events are given by source, in lists."""
    for source, some in events.items():
        if not isinstance(source, EventSource):
            raise InputError(
                f"events are given by {source!r}", where=features.where, expected="by source, the EventSource itself",
                fix="write {payments: [...]}, where payments = EventSource(...)",
            )  # fmt: skip
        if source not in features.sources:
            raise InputError(
                f"the feature set reads no source {source.name!r}", where=features.where, fix="leave it out"
            )
        if not isinstance(some, Sequence) or not all(isinstance(one, Mapping) for one in some):
            raise InputError(
                "the events are no list of mappings", where=source.where, expected='such as [{"event_time": ...}]',
                fix="put each event into a mapping, and these into brackets",
            )  # fmt: skip


def _frame(source: EventSource, events: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Events as a frame of the declared types; whatever else they carry is an error."""
    time = source.event_time
    times = [time, *([source.known_time] if source.known_time else [])]
    for event in events:
        if unknown := sorted(event.keys() - source.schema.keys() - set(times)):
            raise InputError(f"an event has the unknown column {unknown[0]!r}", where=source.where, fix="remove it")
        if event.get(time) is None:
            raise InputError(f"an event has no {time!r}", where=source.where, fix="give it a time")
    cells = {name: [event[time] if event.get(name) is None else event[name] for event in events] for name in times}
    cells = {name: [event.get(name) for event in events] for name in source.schema} | cells
    kinds = source.schema | dict.fromkeys(times, TIME)
    return pl.DataFrame([_series(name, values, kinds[name], source) for name, values in cells.items()])


def _series(name: str, values: Sequence[Any], kind: pl.DataType, source: EventSource | None = None) -> pl.Series:
    """A column of a source's events, or of what is asked. Naive times are in the source's zone, if it has one."""
    where, zone = (name, None) if source is None else (source.where, source.timezone)
    if isinstance(kind, pl.Datetime):
        values = [None if one is None else instant_datetime(instant(one, where=where, zone=zone)) for one in values]
    try:
        return pl.Series(name, values, kind, strict=True)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{name!r} does not fit: {str(error).splitlines()[0]}", where=name, expected=str(kind)
        ) from None
