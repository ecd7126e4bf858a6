"""Events handed over in process as mappings, such as `{"event_time": now, "customer": "c7", "amount": 12.5}`.

They are read as a request's events are over HTTP: every declared column is there, and no other; a cell of another type
than declared is a fault of its own row, which the source's contract may set apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import DAY, instant
from backstay.definitions import EventSource
from backstay.definitions.sources import type_name
from backstay.features.ingest import BAD, row_text
from backstay.features.shaping import UTC, Shaped


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """`rows` in the form of the record, and `came`, the same events as they came.

    unread: what could not be read, with the reason, in the form of `backstay.features.ingest.BAD`
    """

    rows: Shaped
    came: list[Mapping[str, Any]]
    unread: pl.DataFrame

    def texts(self, mask: pl.Series) -> list[str]:
        """Some rows as they came."""
        return [row_text(self.came[place]) for place in mask.arg_true()]


def read_mappings(source: EventSource, events: Sequence[Any], *, stamp: int) -> Read:
    """Live events, known at `stamp` (microseconds).

    The time of an event is called `event_time`, or what the source calls it: an aware datetime, ISO 8601 text, or
    integer microseconds (within a year of 1970 they are taken for another unit); naive where the source declares a
    zone. Raises `InputError` for a name that is missing or unknown, and without a contract for every cell that cannot
    be read.
    """
    time = _named(source, events)
    kinds: dict[str, pl.DataType] = {"event_time": UTC, **source.schema}
    faults: dict[int, str] = {}
    columns = []
    for name, kind in kinds.items():
        cells = [event[time if name == "event_time" else name] for event in events]
        column = _column(source, name, cells, kind, faults)
        columns.append(column)
    if faults and source.contract is None:
        place, name = next(iter(faults.items()))
        raise _unread(source, f"events[{place}].{name}", events[place][time if name == "event_time" else name], kinds)
    frame = pl.DataFrame(columns)
    known = pl.lit(stamp).cast(UTC).alias("known_time")
    frame = frame.select("event_time", known, *source.schema)
    told = []
    for place, name in sorted(faults.items()):
        cell = events[place][time if name == "event_time" else name]
        told.append((*_reason(source, name, cell), row_text(events[place])))
    unread = pl.DataFrame(told, schema=BAD, orient="row")
    came = list(events)
    if faults:
        good = [place for place in range(len(came)) if place not in faults]
        frame, came = frame[good], [came[place] for place in good]
    return Read(Shaped(frame, {}), came, unread)


def _named(source: EventSource, events: Sequence[Any]) -> str:
    """What the time is called here. Raises for an event that has not the columns that are declared, and no other."""
    times = dict.fromkeys(["event_time", source.event_time])
    first = events[0] if events and isinstance(events[0], Mapping) else {}
    time = next((name for name in reversed(times) if name in first), "event_time")
    declared = {time, *source.schema}
    for place, event in enumerate(events):
        if not isinstance(event, Mapping):
            raise InputError(
                f"event {place} is a {type(event).__name__}", where=source.where, expected="a mapping of its columns",
                fix='write for example {"event_time": ..., "amount": 12.5}',
            )  # fmt: skip
        if event.keys() != declared:
            missing, unknown = declared - event.keys(), event.keys() - declared
            name = min(missing or unknown)
            raise InputError(
                f"{name!r} is {'missing' if missing else 'unknown'} in event {place}", where=source.where,
                expected=", ".join([time, *source.schema]),
                fix="add it, None if there is none" if missing else "remove it, or declare it in the source's schema",
            )  # fmt: skip
    return time


def _column(source: EventSource, name: str, cells: list[Any], kind: pl.DataType, faults: dict[int, str]) -> pl.Series:
    """A column; of a cell that is none of its kind, null, and its place among the faults unless that has one."""
    if isinstance(kind, pl.Datetime):
        cells = _each(cells, _micros(source, name), faults, name)
        if name == "event_time":
            for place, cell in enumerate(cells):
                if cell is None:
                    faults.setdefault(place, name)
        return pl.Series(name, cells, pl.Int64).cast(kind)
    right, convert = _KINDS[type_name(kind)]
    if not set(map(type, cells)) <= {right, type(None)}:
        cells = _each(cells, convert, faults, name)
    try:
        return pl.Series(name, cells, kind, strict=True)
    except (TypeError, OverflowError, UnicodeError, pl.exceptions.PolarsError):  # 65 bits, or half a character
        return pl.Series(name, _each(cells, lambda cell: pl.Series([cell], dtype=kind)[0], faults, name), kind)


def _each(cells: list[Any], read: Callable[[Any], Any], faults: dict[int, str], name: str) -> list[Any]:
    out = []
    for place, cell in enumerate(cells):
        try:
            out.append(None if cell is None else read(cell))
        except (InputError, TypeError, ValueError, OverflowError):
            faults.setdefault(place, name)
            out.append(None)
    return out


def _of(*kinds: type) -> Callable[[Any], Any]:
    """Reads a value of one of these types, or of NumPy's, as the first of them."""

    def read(cell: Any) -> Any:
        cell = cell.item() if isinstance(cell, np.generic) else cell
        if type(cell) not in kinds:
            raise TypeError
        return kinds[0](cell)

    return read


_KINDS = {
    "float": (float, _of(float, int)),
    "int": (int, _of(int)),
    "bool": (bool, _of(bool)),
    "string": (str, _of(str)),
}
"""By type of column: the type of value that is taken as it is, and what reads others"""


def _micros(source: EventSource, name: str) -> Callable[[Any], int]:
    def read(cell: Any) -> int:
        if not isinstance(cell, (datetime, str, int)):
            raise TypeError
        micros = instant(cell, zone=source.timezone)
        if name == "event_time" and isinstance(cell, int) and abs(cell) < 365 * DAY:
            raise ValueError  # any time since 1970 in seconds or milliseconds would be in its first weeks
        return micros

    return read


def _reason(source: EventSource, name: str, cell: Any) -> tuple[str, str]:
    """Expectation and reason, in the words that an ingest has for the same."""
    if name == "event_time" and isinstance(cell, int):
        return "time", "event_time is not a time in microseconds since 1970"
    if name != "event_time":
        return "type", f"{name} is not read as {type_name(source.schema[name])}"
    zone = f"of {source.timezone}, that occurs once" if source.timezone else "with a zone"
    return "time", f"event_time is not a time {zone}"


def _unread(source: EventSource, where: str, cell: Any, kinds: Mapping[str, pl.DataType]) -> InputError:
    name = where.rpartition(".")[2]
    if isinstance(kinds[name], pl.Datetime) and isinstance(cell, int):
        expected = "microseconds since 1970, or an ISO 8601 time with a zone"
        fix = "check the unit: multiply seconds by 1_000_000, milliseconds by 1_000"
    elif isinstance(kinds[name], pl.Datetime):
        zone = f"of {source.timezone} that occurs once" if source.timezone else "with a zone"
        fix = "give its offset" if source.timezone else 'give its offset, or declare EventSource(..., timezone="UTC")'
        expected = f"a time {zone}"
    else:
        expected, fix = f"{type_name(kinds[name])}, as declared, or None", "convert it, or mend the declaration"
    text = cell.isoformat() if isinstance(cell, datetime) else repr(cell)
    what = f"{name!r} is {text if len(text) <= 60 else text[:57] + '...'}"
    return InputError(what, where=f"{where}, {source.where}", expected=expected, fix=fix)
