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
from backstay.features.offline import asked_types, feature_rows
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents

Events = Mapping[EventSource, Sequence[Mapping[str, Any]]]


class FeatureValues(dict[str, Any]):
    """Values by feature; `statuses` has the status of each ("OK", "NULL", "MISSING", "EXPIRED")."""

    statuses: dict[str, str]


def features_at(features: FeatureSet, at: str | datetime | int, events: Events, **asked: Any) -> FeatureValues:
    """The features of one row at T, made of these events and nothing else, by the code that training and serving run.

    events: by source, each event as a mapping with its event time (ISO text with a zone, a datetime, or microseconds)
            and the columns that matter; columns left out are null. A source with a `known_time` column may leave it
            out:
            then the event was known when it happened. A source with a delay has its delay.
    asked:  entity keys and request-time inputs; what is left out is null.

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
    record = MemoryEvents()
    for source in features.sources:
        record.append(source.name, prepare(source, _frame(source, events.get(source, ()))))
    if unknown := [source.name for source in events if source not in features.sources]:
        raise InputError(f"the feature set reads no source {unknown[0]!r}", where=features.where, fix="leave it out")
    kinds = asked_types(features)
    for name in asked:
        if name not in kinds:
            raise InputError(
                f"{name!r} is neither a key nor an input", where=features.where, expected=f"one of {', '.join(kinds)}"
            )
    columns = [_series(name, [asked.get(name)], kind) for name, kind in kinds.items()]
    moment = pl.Series("at", [instant(at, where="at")], pl.Int64)
    rows = feature_rows(features, pl.DataFrame([moment, *columns]), record).rows
    out = FeatureValues(rows.frame().row(0, named=True))
    out.statuses = {one.name: Status(code).name for one, code in zip(features, rows.statuses[0], strict=True)}
    return out


def _frame(source: EventSource, events: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Events as a frame of the declared types; whatever else they carry is an error."""
    times = [source.event_time, *([source.known_time] if source.known_time else [])]
    for event in events:
        if unknown := sorted(event.keys() - source.schema.keys() - set(times)):
            raise InputError(f"an event has the unknown column {unknown[0]!r}", where=source.where, fix="remove it")
        if source.event_time not in event:
            raise InputError(f"an event has no {source.event_time!r}", where=source.where, fix="give it a time")
    columns = []
    for name in times:
        values = [instant(event.get(name, event[source.event_time]), where=source.where) for event in events]
        columns.append(_series(name, values, pl.Datetime("us", "UTC")))
    columns += [
        _series(name, [e.get(name) for e in events], kind) for name, kind in source.schema.items() if name not in times
    ]
    return pl.DataFrame(columns)


def _series(name: str, values: Sequence[Any], kind: pl.DataType) -> pl.Series:
    if isinstance(kind, pl.Datetime):
        values = [None if value is None else instant_datetime(instant(value, where=name)) for value in values]
    try:
        return pl.Series(name, values, kind, strict=True)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{name!r} does not fit: {str(error).splitlines()[0]}", where=name, expected=str(kind)
        ) from None
