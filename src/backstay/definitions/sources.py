"""An event source is a stream of things that happened, each with the time it happened and the time it became known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.contracts import Contract
from backstay.definitions.names import check_name
from backstay.definitions.places import declared_at, located
from backstay.definitions.readers import Reader
from backstay.definitions.tags import Tags, checked_tags

QUARANTINE, INGESTS = "quarantine_", "ingests_"
"""What the names of the records begin with that are kept beside a source's own."""
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


def _zone(name: str, where: str) -> str:
    """The name of a time zone, if there is one of that name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise DefinitionError(
            f"there is no time zone {name!r}", where=where, expected="a name of the tz database, or UTC",
            fix='write for example timezone="America/New_York"',
        ) from None  # fmt: skip
    return name


def _columns(schema: Mapping[str, Any], where: str) -> dict[str, pl.DataType]:
    """Columns and their types."""
    if not isinstance(schema, Mapping):
        raise DefinitionError(
            f"the schema is a {type(schema).__name__}", where=where, expected="columns and their types",
            fix='write schema={"amount": "float"}',
        )  # fmt: skip
    places = {name: f"{where}, column {name!r}" for name in schema}
    return {
        check_name(name, "column", where=places[name]): dtype(kind, where=places[name]) for name, kind in schema.items()
    }


def _times(event_time: str, known_time: str | None, where: str) -> tuple[str, str | None]:
    """The columns of the two times, if they are names, and two."""
    for role, name in (("event_time", event_time), ("known_time", known_time)):
        if not (name is None and role == "known_time") and (not isinstance(name, str) or not name):
            raise DefinitionError(
                f"{role}={name!r} is not a column's name", where=where, expected="text", fix=f'write {role}="created"'
            )
    if event_time == known_time:
        raise DefinitionError(
            f"event_time and known_time are both the column {event_time!r}",
            where=where,
            expected="when an event happened, and when it could first have been read",
            fix="leave known_time out: an event is then known when it happened, or after its delay",
        )
    return event_time, known_time


class EventSource:
    """A stream of events, kept as one append-only table.

    schema:     the columns of an event besides its times, name to type ("float", "int", "bool", "string", "datetime").
    event_time: the column, in the frames that are ingested, that says when it happened.
    known_time: the column that says when it could first have been read; or
    delay:      how long after its event time an event becomes known ("1h"; "0s", the default: at once).
    timezone:   the zone of times that carry none. Without it a naive time is refused.
    event_id:   the column that identifies an event. A later event of the same id is a *correction*: of those visible
                at T, the one with the highest (known_time, sequence) counts, and the others do not.
    sequence:   the column with the producer's own number, rising from event to event (an offset): one that does not
                rise is a duplicate, and refused; so is an event without one.
    read:       where the source's history comes from, for `backstay ingest`: a reader (`ParquetFiles`, `CsvFiles`,
                `DeltaTable`, `SqlQuery`) or a function that returns it as a frame.
    look_back:  how far behind the newest event a reader looks again for rows that turned up late: "7d" unless there is
                a known_time, which says so itself, and then "1h": a database shows a row when it is committed, which
                is after the transaction's time that most of them are stamped with.
    contract:   what must hold of each event; those that break it go to quarantine.
    freshness:  the objective: an alarm is raised when nothing became known for longer than this ("2h").
    tags:       such as "pii": of the whole source, or by column. Features inherit them.

    An event is visible at T if and only if event_time < T and known_time <= T.
    """

    __slots__ = (
        "contract", "delay", "description", "event_id", "event_time", "freshness", "known_time", "look_back", "name",
        "owner", "place", "read", "schema", "sequence", "tags", "timezone",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        *,
        schema: Mapping[str, Any],
        event_time: str = "event_time",
        known_time: str | None = None,
        delay: str | timedelta | None = None,
        timezone: str | None = None,
        event_id: str | None = None,
        sequence: str | None = None,
        read: Reader | Callable[[], pl.DataFrame] | None = None,
        look_back: str | timedelta | None = None,
        contract: Contract | None = None,
        freshness: str | timedelta | None = None,
        description: str = "",
        owner: str = "",
        tags: Tags = (),
    ) -> None:
        self.place = declared_at()
        self.name = check_name(name, "source")
        where = self.where
        self.schema = _columns(schema, where)
        if known_time is not None and delay is not None:
            raise DefinitionError(
                "known_time and delay are both given", where=where, expected="one of them", fix="remove one"
            )
        self.event_id = self._column(event_id, "event_id", (pl.String(), pl.Int64()))
        self.sequence = self._column(sequence, "sequence", (pl.Int64(),))
        self.event_time, self.known_time = _times(event_time, known_time, where)
        self.delay = duration(delay or "0s", where=where)
        self.timezone = None if timezone is None else _zone(timezone, where)
        self.read = read
        self.look_back = duration(
            ("7d" if known_time is None else "1h") if look_back is None else look_back, where=where
        )
        self.contract = contract
        self.freshness = None if freshness is None else duration(freshness, where=where)
        self.description = description
        self.owner = owner
        self.tags = checked_tags(tags, where)
        self._check()

    def _check(self) -> None:
        for prefix in (QUARANTINE, INGESTS):
            if self.name.startswith(prefix):
                raise DefinitionError(
                    f"names that begin with {prefix!r} are kept for records beside a source's own", where=self.where,
                    fix="name it otherwise",
                )  # fmt: skip
        if self.read is not None and not callable(self.read) and not isinstance(self.read, Reader):
            raise DefinitionError(
                f"read={self.read!r} does not say how to read", where=self.where,
                expected="ParquetFiles, CsvFiles, DeltaTable, SqlQuery or a function that returns a frame",
                fix='write for example read=CsvFiles("payments/*.csv")',
            )  # fmt: skip
        if self.contract is not None:
            if not isinstance(self.contract, Contract):
                raise DefinitionError(
                    f"the contract is a {type(self.contract).__name__}", where=self.where, expected="a Contract",
                    fix="write contract=Contract(Expect.not_null(...), ...)",
                )  # fmt: skip
            self.contract.check(self.schema, self.where)
            if self.event_id and any(one.columns == (self.event_id,) for one in self.contract.of_kind("unique")):
                raise DefinitionError(
                    f"{self.event_id!r} is the event_id, and the contract asks that it is unique", where=self.where,
                    expected="several events of one id: a later one corrects the earlier, and would go to quarantine",
                    fix=f'remove it, or name with the id what tells its events apart, such as Expect.unique('
                    f'"{self.event_id}", "version")',
                )  # fmt: skip
        unknown = sorted(self.tags.keys() - self.schema.keys()) if isinstance(self.tags, Mapping) else []
        if unknown:
            raise DefinitionError(
                f"tags for columns that do not exist: {unknown}", where=self.where,
                expected=f"some of {list(self.schema)}", fix="name a column of the schema",
            )  # fmt: skip

    def _column(self, name: str | None, role: str, kinds: tuple[pl.DataType, ...]) -> str | None:
        if name is not None and self.schema.get(name) not in kinds:
            raise DefinitionError(
                f"{role}={name!r} is {self.schema.get(name, 'not a column')}",
                where=self.where,
                expected=f"a column of the schema, of type {' or '.join(type_name(kind) for kind in kinds)}",
                fix=f"add it to schema, or name another column as {role}",
            )
        return name

    @property
    def quarantine(self) -> str:
        """The name of the events record that holds what was refused of this source."""
        return QUARANTINE + self.name

    @property
    def ingests(self) -> str:
        """The name of the events record that says which of this source's events were ingested."""
        return INGESTS + self.name

    @property
    def where(self) -> str:
        """The source with its file and line, as errors name it."""
        return located(f"source {self.name!r}", self.place)

    def canonical(self) -> dict[str, Any]:
        """What of this source decides the value of a feature."""
        schema = {column: str(kind) for column, kind in self.schema.items()}
        return {"name": self.name, "schema": schema, "event_id": self.event_id}

    def __repr__(self) -> str:
        return f"EventSource({self.name!r}, schema={list(self.schema)})"
