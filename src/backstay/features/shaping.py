"""Events as they come, brought into the form of the events record.

The form: `event_time` and `known_time` (microseconds, UTC), then the declared columns in the declared order and types.
A column that is missing, or of another type as a whole, is refused here; a single cell that cannot be read becomes null
and is marked, and `ingest.py` decides what becomes of its row. So it does of times outside the years 1 to 9999.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import DAY, EARLIEST, LATEST
from backstay.definitions import CsvFiles, EventSource, SqlQuery
from backstay.definitions.sources import type_name

UTC = pl.Datetime("us", "UTC")
_ZONED = r"(?:[zZ]|[+-]\d\d:?\d\d)$"
_NOTHING = pl.lit(None, dtype=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Shaped:
    """`rows` in the form of the record, as many as came and in their order.

    unread: by column, which of the rows hold something there that could not be read; null in `rows`
    """

    rows: pl.DataFrame
    unread: dict[str, pl.Series]

    def at(self, places: pl.Series) -> Shaped:
        """The rows at these places, in this order."""
        return Shaped(
            self.rows[places], {name: mask[places] for name, mask in self.unread.items() if mask[places].any()}
        )


def shape(source: EventSource, events: pl.DataFrame, *, stamp: int | None = None) -> Shaped:
    """`events` in the form of the record; with `stamp`, all of them known at that moment. Raises `InputError` for what
    is wrong with the frame as a whole."""
    events = events.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))  # texts, kept as numbers of words
    came = {"event_time": source.event_time}
    cells = {"event_time": _time(source, events, source.event_time)}
    if stamp is not None:
        cells["known_time"] = pl.lit(stamp).cast(UTC)
    elif source.known_time is not None:
        came["known_time"] = source.known_time
        cells["known_time"] = _time(source, events, source.known_time)
    else:
        cells["known_time"] = cells["event_time"] + pl.duration(microseconds=source.delay)
    for name, kind in source.schema.items():
        came[name] = name
        cells[name] = _cell(source, events, name, kind)
    try:
        rows = events.select(**cells)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"the events do not fit: {str(error).splitlines()[0]}",
            where=source.where,
            expected=", ".join(f"{name}: {type_name(kind)}" for name, kind in source.schema.items()),
            fix="convert them before they are given",
        ) from None
    unread = {}
    for name, given in came.items():
        if rows.get_column(name).null_count() > events.get_column(given).null_count():
            unread[name] = rows.get_column(name).is_null() & events.get_column(given).is_not_null()
    return Shaped(rows, unread)


def pushed_frame(source: EventSource, events: pl.DataFrame, *, stamp: int) -> Shaped:
    """Live events of a frame, known at `stamp`; their time is called `event_time`, or what the source calls it.

    Raises `InputError` for a column that is not declared, too: nothing that was sent is silently left out.
    """
    time = source.event_time
    if time not in events.columns and "event_time" in events.columns:
        events = events.rename({"event_time": time})
    if unknown := [name for name in events.columns if name != time and name not in source.schema]:
        raise InputError(
            f"there is no column {unknown[0]!r} in the source",
            where=source.where,
            expected=", ".join([time, *source.schema]),
            fix="leave it out: live events are stamped with their known time"
            if unknown[0] == (source.known_time or "known_time")
            else "leave it out, or declare it in the source's schema",
        )
    return shape(source, events, stamp=stamp)


def loose(source: EventSource) -> bool:
    """Whether the source is read from something with other types than ours (texts, SQL), and cells are converted."""
    return isinstance(source.read, CsvFiles | SqlQuery)


def _require(source: EventSource, events: pl.DataFrame, name: str) -> pl.DataType:
    if name not in events.columns:
        raise InputError(
            f"there is no column {name!r}",
            where=source.where,
            expected=f"{name!r} among {events.columns}",
            fix="add it, or declare the source as its events now are",
        )
    return events.schema[name]


def _time(source: EventSource, events: pl.DataFrame, name: str) -> pl.Expr:
    kind = _require(source, events, name)
    if kind == pl.Null:
        return _NOTHING
    if loose(source) and kind == pl.String:
        return text_time(pl.col(name), source.timezone)
    value = _near(pl.col(name), kind)
    if kind == pl.Date:  # its first moment, by the source's clocks
        kind = pl.Datetime("us")
    if not isinstance(kind, pl.Datetime):
        raise InputError(
            f"column {name!r} is of type {kind}", where=source.where, expected="a time", fix="parse it to a datetime"
        )
    if kind.time_zone is not None:
        return value.dt.convert_time_zone("UTC").cast(UTC)
    if source.timezone is None:
        raise InputError(
            f"the times in column {name!r} carry no time zone",
            where=source.where,
            expected="times with a zone, or a zone declared for the source",
            fix='declare EventSource(..., timezone="America/New_York") or convert the column',
        )
    return _zoned(value.cast(pl.Datetime("us")), source.timezone)


def unit(kind: pl.DataType) -> int | None:
    """Microseconds in the unit that times of a type are counted in; None for what is no time, or is one always held.

    Nanoseconds end in the year 2262.
    """
    if kind == pl.Date:
        return DAY
    return {"us": 1, "ms": 1_000}.get(kind.time_unit) if isinstance(kind, pl.Datetime) else None


def _near(value: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """A time as it is, but where it is further than some days outside the years 1 to 9999, some days outside.

    There it is refused, or set apart, like any other. Polars panics where it converts what no calendar has, such as the
    "infinity" of a database, which is the largest integer.
    """
    if (micros := unit(kind)) is None:
        return value
    low, high = (end // micros for end in (EARLIEST - 9 * DAY, LATEST + 9 * DAY))
    return value.to_physical().clip(low, high).cast(kind)


def _zoned(naive: pl.Expr, timezone: str) -> pl.Expr:
    """Times of a clock on the wall; those that it never showed, or showed twice, are null."""
    aware = naive.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
    return aware.dt.convert_time_zone("UTC").cast(UTC)


def text_time(text: pl.Expr, timezone: str | None) -> pl.Expr:
    """Times written in ISO 8601; null where they are not, and where they carry no zone and the source has none."""
    seconds = text.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00")
    seconds = seconds.str.replace(r"([+-]\d\d)$", "${1}:00").str.replace(r"^(\d{4}-\d\d-\d\d):00$", "${1}")
    seconds = seconds.str.replace(r"^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d)([zZ]|[+-].*)?$", "${1}:00${2}")
    zoned = seconds.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    if timezone is None:
        return zoned
    naive = seconds.str.replace(" ", "T", literal=True)
    naive = naive.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    return pl.when(seconds.str.contains(_ZONED)).then(zoned).otherwise(_zoned(naive, timezone))


def _cell(source: EventSource, events: pl.DataFrame, name: str, kind: pl.DataType) -> pl.Expr:
    came = _require(source, events, name)
    if isinstance(kind, pl.Datetime) and came != pl.Null:
        return _time(source, events, name)
    if came == kind:
        return pl.col(name)
    widening = (kind == pl.Float64 and came.is_numeric()) or (kind == pl.Int64 and came.is_integer())
    if came == pl.Null or widening:
        return pl.col(name).cast(kind, strict=False)
    cell = pl.col(name)
    if isinstance(source.read, SqlQuery) and came == pl.String and kind == pl.Int64:
        cell = cell.str.replace(r"\.0+$", "")  # a NUMERIC of PostgreSQL, a REAL of SQLite
    said = converted(cell, came, kind) if loose(source) else None
    if said is not None:
        return said
    raise InputError(
        f"column {name!r} is of type {came}",
        where=source.where,
        expected=f"{type_name(kind)} ({kind})",
        fix="convert the column, or declare the type that it has",
    )


def converted(value: pl.Expr, came: pl.DataType, kind: pl.DataType) -> pl.Expr | None:
    """What a text or a number of SQL says as a value of `kind`; null where it says none; None if it never does."""
    if came == pl.String and kind == pl.Boolean:
        text = value.str.strip_chars().str.to_lowercase()
        said = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
        return text.replace_strict(said, default=None, return_dtype=pl.Boolean)
    if came == pl.String:
        return value.str.strip_chars().cast(kind, strict=False)
    if came.is_integer() and kind == pl.Boolean:  # SQLite has no other truth
        return value.replace_strict({0: False, 1: True}, default=None, return_dtype=pl.Boolean)
    if (came.is_decimal() or came.is_float()) and kind == pl.Int64:  # SUM() of integers, in DuckDB
        whole = value.cast(pl.Int64, strict=False)
        return pl.when(whole == value).then(whole)
    return None
