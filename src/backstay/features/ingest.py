"""Events as they come, brought into the form of the events record, or refused with the reason.

Adds `event_time` and `known_time` (microseconds, UTC), keeps the declared columns in the declared order and types.
"""

from __future__ import annotations

import polars as pl

from backstay.core.errors import InputError
from backstay.definitions import EventSource

UTC = pl.Datetime("us", "UTC")


def prepare(source: EventSource, events: pl.DataFrame) -> pl.DataFrame:
    """`events` in the form of the record. Raises `InputError` and changes nothing if any row does not fit."""
    where = f"source {source.name!r}"
    event_time = _time(source, events, source.event_time, where)
    if source.known_time is not None:
        known_time = _time(source, events, source.known_time, where)
    else:
        known_time = event_time + pl.duration(microseconds=source.delay)
    columns = [_column(source, events, name, kind, where) for name, kind in source.schema.items()]
    try:
        frame = events.select(event_time.alias("event_time"), known_time.alias("known_time"), *columns)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"the events do not fit: {str(error).splitlines()[0]}", where=where) from None
    for name in ("event_time", "known_time"):
        nulls = frame.get_column(name).null_count()
        if nulls:
            raise InputError(
                f"{nulls} of {frame.height} events have no {name}", where=where, fix="drop them, or give them a time"
            )
    _finite(frame, where)
    return frame


def _require(events: pl.DataFrame, name: str, where: str) -> pl.DataType:
    if name not in events.columns:
        raise InputError(
            f"there is no column {name!r}", where=where, expected=f"{name!r} among {events.columns}", fix="add it"
        )
    return events.schema[name]


def _time(source: EventSource, events: pl.DataFrame, name: str, where: str) -> pl.Expr:
    kind = _require(events, name, where)
    if not isinstance(kind, pl.Datetime):
        raise InputError(
            f"column {name!r} is of type {kind}", where=where, expected="a time", fix="parse it to a datetime"
        )
    if kind.time_zone is not None:
        return pl.col(name).dt.convert_time_zone("UTC").cast(UTC)
    if source.timezone is None:
        raise InputError(
            f"the times in column {name!r} carry no time zone",
            where=where,
            expected="times with a zone, or a zone declared for the source",
            fix='declare EventSource(..., timezone="America/New_York") or convert the column',
        )
    return pl.col(name).dt.replace_time_zone(source.timezone).dt.convert_time_zone("UTC").cast(UTC)


def _column(source: EventSource, events: pl.DataFrame, name: str, kind: pl.DataType, where: str) -> pl.Expr:
    came = _require(events, name, where)
    widening = (kind == pl.Float64 and came.is_numeric()) or (kind == pl.Int64 and came.is_integer())
    if isinstance(kind, pl.Datetime) and isinstance(came, pl.Datetime):
        return _time(source, events, name, where).alias(name)
    if came == kind or came == pl.Null or widening:
        return pl.col(name).cast(kind)
    raise InputError(f"column {name!r} is of type {came}", where=where, expected=str(kind), fix="convert the column")


def _finite(frame: pl.DataFrame, where: str) -> None:
    for name, kind in frame.schema.items():
        if kind == pl.Float64:
            bad = int((~frame.get_column(name).is_finite()).sum())
            if bad:
                raise InputError(
                    f"column {name!r} holds {bad} values that are NaN or infinite",
                    where=where,
                    expected="finite numbers, or null where there is none",
                    fix=f'pl.col("{name}").fill_nan(None)',
                )
