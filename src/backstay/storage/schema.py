"""The shape of an event frame: what every events backend accepts, and how a second append is held to the first.

A **source** is one append-only table, named `[a-z][a-z0-9_]*`. Its **schema** is the names of its columns in order and
their types. The first append fixes it; from then on a frame has exactly these columns or nothing of it is stored:

    ok      append(a: Int64, b: String), then append(a: Int64, b: String)
    not ok  ... then append(b: String, a: Int64)      the order is part of the schema
    not ok  ... then append(a: Int64)                 a missing column is not a column of nulls
    not ok  ... then append(a: Int64, b: Null)        a column of nulls has a type too: cast it

Only types that mean the same in every table format are kept. `Categorical` and `Enum` are `String` here, unsigned
integers the next larger signed one, other time units microseconds in UTC; a frame that differs is refused with the cast
to write, never cast behind the caller's back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from backstay.core.errors import InputError
from backstay.storage.ports import EVENT_TIME, KNOWN_TIME, SEQUENCE

INSTANT = pl.Datetime("us", "UTC")

# One table for both directions: the type in a frame, and its name in the Delta protocol (and in our messages).
TYPES: dict[pl.DataType, str] = {
    pl.Boolean(): "boolean",
    pl.Int8(): "byte",
    pl.Int16(): "short",
    pl.Int32(): "integer",
    pl.Int64(): "long",
    pl.Float32(): "float",
    pl.Float64(): "double",
    pl.String(): "string",
    pl.Binary(): "binary",
    pl.Date(): "date",
    INSTANT: "timestamp",
}

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999: what ISO 8601 can write


def check_source(source: str) -> None:
    """Refuse a name that is not safe as a folder, a table or an identifier."""
    if not isinstance(source, str) or not _NAME.fullmatch(source):
        raise InputError(
            f"{source!r} is not the name of a source",
            where="source",
            expected="lower-case letters, digits and underscores, beginning with a letter",
            fix='name it for example "flight_arrivals"',
        )


def check_events(source: str, events: pl.DataFrame) -> None:
    """Refuse a frame that is not an event frame, naming the column that is wrong."""
    if not isinstance(events, pl.DataFrame):
        raise InputError(f"events are a {type(events).__name__}", where=source, expected="a polars DataFrame")
    for name, dtype in events.schema.items():
        _check_column(source, name, dtype)
    folded = [name.casefold() for name in events.columns]
    if len(set(folded)) != len(folded):
        twice = sorted(name for name in events.columns if folded.count(name.casefold()) > 1)
        raise InputError(f"columns {twice} differ in letter case only", where=source, expected="distinct names")
    for name in (EVENT_TIME, KNOWN_TIME):
        _check_instant(source, name, events)


def check_same(source: str, recorded: pl.Schema, given: pl.Schema) -> None:
    """Refuse a frame whose columns differ from those that the first append fixed."""
    was, now = dict(recorded), dict(given)
    differences = [f"{name} is missing" for name in was if name not in now]
    differences += [f"{name} is new" for name in now if name not in was]
    differences += [f"{name} is {now[name]}, was {was[name]}" for name in was if name in now and was[name] != now[name]]
    if not differences and list(was) != list(now):
        differences = [f"the order is {list(now)}"]
    if differences:
        raise InputError(
            f"the columns of {source!r} differ from its first append: {'; '.join(differences)}",
            where=source,
            expected=", ".join(f"{name}: {dtype}" for name, dtype in was.items()),
            fix="select and cast to these columns, or append to a source of another name",
        )


def check_columns(source: str, schema: pl.Schema, columns: Sequence[str] | None) -> list[str]:
    """The columns to read, `sequence` last if all are wanted."""
    if columns is None:
        return list(schema)
    if isinstance(columns, str) or len(set(columns)) != len(columns):
        raise InputError(f"columns are {columns!r}", where=source, expected="a list of distinct names")
    unknown = [name for name in columns if name not in schema]
    if unknown:
        raise InputError(
            f"{source!r} has no column {unknown}", where="columns", expected=f"some of {list(schema)}",
            fix="declare the source with the columns of its first append, or one of another name for the new form",
        )  # fmt: skip
    return list(columns)


def _check_column(source: str, name: str, dtype: pl.DataType) -> None:
    if name == SEQUENCE:
        raise InputError(f"the store numbers events itself; {SEQUENCE!r} was given", where=source, fix="drop it")
    if not name:
        raise InputError("a column has no name", where=source, fix="name every column")
    inner = dtype
    while isinstance(inner, pl.List):
        inner = inner.inner  # type: ignore[assignment]
    if inner not in TYPES:
        raise InputError(
            f"{name} has the type {dtype}",
            where=f"{source}.{name}",
            expected=f"one of {', '.join(str(kind) for kind in TYPES)}, or a List of them",
            fix="cast it, for example " + _cast(name, inner),
        )


def _cast(name: str, dtype: pl.DataType) -> str:
    to = "pl.String"
    if isinstance(dtype, pl.Datetime) or name in (EVENT_TIME, KNOWN_TIME):
        to = 'pl.Datetime("us", "UTC")'
    elif isinstance(dtype, pl.Duration | pl.Time) or dtype.is_integer():
        to = "pl.Int64"
    elif isinstance(dtype, pl.Decimal | pl.Null):
        to = "pl.Float64"
    return f'pl.col("{name}").cast({to})'


def _check_instant(source: str, name: str, events: pl.DataFrame) -> None:
    where = f"{source}.{name}"
    if name not in events.schema:
        raise InputError(f"the column {name} is missing", where=where, expected=str(INSTANT))
    column = events[name]
    if column.dtype != INSTANT:
        fix = "declare the zone of naive times with .dt.replace_time_zone(...), then " + _cast(name, column.dtype)
        raise InputError(f"{name} is {column.dtype}", where=where, expected=str(INSTANT), fix=fix)
    if column.null_count():
        raise InputError(f"{name} is null in {column.null_count()} rows", where=where, expected="a time in every row")
    if not column.to_physical().is_between(_FIRST, _LAST).all():
        raise InputError(f"{name} is outside the years 1 to 9999", where=where, fix="check the unit of the times")
