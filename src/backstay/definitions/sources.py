"""An event source is a stream of things that happened, each with the time it happened and the time it became known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.names import check_name

DTYPES: dict[str, pl.DataType] = {
    "float": pl.Float64(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "string": pl.String(),
    "datetime": pl.Datetime("us", "UTC"),
}
_PYTHON = {float: "float", int: "int", bool: "bool", str: "string"}


def dtype(kind: Any, *, where: str) -> pl.DataType:
    """The column type meant by a name ("float"), a Python type (`float`) or a Polars type.

    Floats are 64-bit, integers are 64-bit, times are microseconds in UTC.
    """
    name = _PYTHON.get(kind, kind) if isinstance(kind, type) else kind
    if isinstance(name, str) and name in DTYPES:
        return DTYPES[name]
    if isinstance(kind, (pl.DataType, type(pl.Float64))):
        if kind == pl.Datetime:
            return DTYPES["datetime"]
        for known in DTYPES.values():
            if kind == known:
                return known
    raise DefinitionError(
        f"{kind!r} is not a type that a column can have",
        where=where,
        expected=", ".join(DTYPES),
        fix='write for example "float"',
    )


def type_name(kind: pl.DataType) -> str:
    """The name that a column's type is declared by.

    >>> type_name(pl.Datetime("us", "UTC"))
    'datetime'
    """
    return next((name for name, known in DTYPES.items() if known == kind), str(kind))


class EventSource:
    """A stream of events, kept as one append-only table.

    schema:     the columns of an event besides its times, name to type ("float", "int", "bool", "string", "datetime").
    event_time: the column, in the frames that are ingested, that says when it happened.
    known_time: the column that says when it could first have been read; or
    delay:      how long after its event time an event becomes known ("1h"; "0s", the default: at once).
    timezone:   the zone of times that carry none. Without it a naive time is refused.
    read:       a function that returns the source's history as a frame, for `backstay ingest`.

    An event is visible at T if and only if event_time < T and known_time <= T.
    """

    __slots__ = ("delay", "description", "event_time", "known_time", "name", "owner", "read", "schema", "timezone")

    def __init__(
        self,
        name: str,
        *,
        schema: Mapping[str, Any],
        event_time: str = "event_time",
        known_time: str | None = None,
        delay: str | timedelta | None = None,
        timezone: str | None = None,
        read: Callable[[], pl.DataFrame] | None = None,
        description: str = "",
        owner: str = "",
    ) -> None:
        self.name = check_name(name, "source")
        where = f"source {name!r}"
        self.schema = {
            check_name(c, "column"): dtype(kind, where=f"{where}, column {c!r}") for c, kind in schema.items()
        }
        if known_time is not None and delay is not None:
            raise DefinitionError(
                "known_time and delay are both given", where=where, expected="one of them", fix="remove one"
            )
        self.event_time = event_time
        self.known_time = known_time
        self.delay = duration(delay or "0s", where=where)
        self.timezone = timezone
        self.read = read
        self.description = description
        self.owner = owner

    def canonical(self) -> dict[str, Any]:
        """What of this source decides the value of a feature."""
        return {"name": self.name, "schema": {column: str(kind) for column, kind in self.schema.items()}}

    def __repr__(self) -> str:
        return f"EventSource({self.name!r}, schema={list(self.schema)})"
