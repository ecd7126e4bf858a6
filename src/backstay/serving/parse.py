"""Request bodies, checked field by field: what comes out is of the declared types, or the error names the field.

The body of an entity-keyed request:

    {"keys": {"carrier": "UA", ...}, "fields": {"distance": 1400, ...}}

`keys` are the entity keys (null where there is none), `fields` the request-time inputs. `at` (T) is taken in replay
only; in production T is the server's clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import EventSource, FeatureSet, Model
from backstay.definitions.sources import type_name
from backstay.features.ingest import BAD, row_text
from backstay.features.lookup import Asked

_decode = msgspec.json.Decoder().decode
_EARLIEST, _LATEST = (instant(moment.replace(tzinfo=UTC)) for moment in (datetime.min, datetime.max))


def body(data: bytes) -> dict[str, Any]:
    """The JSON object in a request body."""
    try:
        value = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        name = _not_finite(data)
        if name:
            raise InputError(
                f"the body is not JSON: the value at {name} is NaN or infinite",
                where=name,
                expected="a finite number, or null where there is none",
                fix="send null, or leave NaN out before the request is made",
            ) from None
        raise InputError(
            f"the body is not JSON: {error}", where="body", expected="a JSON object", fix="check it with a JSON parser"
        ) from None
    except RecursionError:
        raise InputError("the body is nested too deeply", where="body", expected="a flat JSON object") from None
    if not isinstance(value, dict):
        raise InputError(f"the body is {_kind(value)}", where="body", expected='an object such as {"keys": {...}}')
    return value


def _not_finite(data: bytes) -> str:
    """Where the first NaN or Infinity stands in a body that is JSON but for these; empty if something else is wrong."""
    try:
        value = json.loads(data)  # takes NaN and Infinity, as many clients write them
    except (ValueError, RecursionError):
        return ""
    path: list[str] = []
    while isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        found = next(((name, part) for name, part in parts if _holds_not_finite(part)), None)
        if found is None:
            return ""
        path.append(f"[{found[0]}]" if isinstance(value, list) else f".{found[0]}")
        value = found[1]
    return "".join(path).lstrip(".") or "body"


def _holds_not_finite(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds_not_finite(part) for part in parts)


class RequestParser:
    """Parses the requests of one model."""

    def __init__(self, model: Model, *, replay: bool) -> None:
        self._replay = replay
        schemas: dict[str, pl.DataType] = {model.label.key: model.ask.source.schema[model.label.key]}
        for view in reversed(model.features.views):
            schemas |= {key: view.source.schema[key] for key in view.entity.keys}
        self._keys = {name: (_reader(schemas[name]), True) for name in model.keys}
        self._fields = {f.name: (_reader(f.dtype), f.optional) for f in model.features.requests}
        self._allowed = {"keys", "fields", "at"} if replay else {"keys", "fields"}

    def parse(self, data: bytes, now: int) -> Asked:
        """One request; T is `now`, or the request's own `at` in replay."""
        request = body(data)
        _only(request, self._allowed, "body", "at" if not self._replay else None)
        keys = _values(_object(request, "keys"), self._keys, "keys")
        fields = _values(
            _object(request, "fields") if self._fields or "fields" in request else {}, self._fields, "fields"
        )
        return Asked(keys, fields, _moment(request) if self._replay else now)


class RowsParser:
    """Parses lookups of one feature set: `{"rows": [{"keys": {...}, "fields": {...}}, ...]}`."""

    def __init__(self, features: FeatureSet, *, replay: bool) -> None:
        self._replay = replay
        schemas = {key: view.source.schema[key] for view in features.views for key in view.entity.keys}
        self._keys = {name: (_reader(schemas[name]), True) for name in features.keys}
        self._fields = {f.name: (_reader(f.dtype), f.optional) for f in features.requests}
        self._allowed = {"rows", "at"} if replay else {"rows"}

    def parse(self, data: bytes, now: int) -> tuple[int, list[Asked]]:
        """T, and the rows; T is `now`, or the request's own `at` in replay."""
        request = body(data)
        _only(request, self._allowed, "body", "at" if not self._replay else None)
        at = _moment(request) if self._replay else now
        rows = request.get("rows")
        if not isinstance(rows, list):
            raise InputError(f"'rows' is {_kind(rows)}", where="rows", expected="a list of objects")
        return at, [self._row(row, f"rows[{place}]", at) for place, row in enumerate(rows)]

    def _row(self, row: Any, where: str, at: int) -> Asked:
        if not isinstance(row, dict):
            raise InputError(f"the row is {_kind(row)}", where=where, expected='an object such as {"keys": {...}}')
        _only(row, {"keys", "fields"}, where)
        keys = _object(row, "keys", where) if self._keys or "keys" in row else {}
        fields = _object(row, "fields", where) if self._fields or "fields" in row else {}
        return Asked(_values(keys, self._keys, f"{where}.keys"), _values(fields, self._fields, f"{where}.fields"), at)


def _moment(request: Mapping[str, Any]) -> int:
    """The T of a replayed request."""
    if not isinstance(request.get("at"), (str, int)):
        raise InputError("a replayed request needs its own T", where="at", expected="an ISO 8601 time with a zone")
    return _instant(request["at"], "at")


def _object(request: Mapping[str, Any], name: str, within: str = "") -> dict[str, Any]:
    where = f"{within}.{name}".lstrip(".")
    if name not in request:
        raise InputError(f"{name!r} is missing", where=where, expected="an object", fix=f'send {{"{name}": {{...}}}}')
    value = request[name]
    if not isinstance(value, dict):
        raise InputError(f"{name!r} is {_kind(value)}", where=where, expected="an object")
    return value


def _only(
    given: Mapping[str, Any], allowed: Mapping[str, Any] | set[str], where: str, refused: str | None = None
) -> None:
    for name in given:
        if name not in allowed:
            if name == refused:
                raise InputError(
                    "a client's own T is taken in replay only", where=name, fix="leave it out: T is the server's clock"
                )
            raise InputError(
                f"{name!r} is unknown",
                where=f"{where}.{name}",
                expected=f"only {', '.join(sorted(allowed))}",
                fix="remove it",
            )


Reader = Callable[[Any, str], Any]


def _values(given: Mapping[str, Any], declared: Mapping[str, tuple[Reader, bool]], where: str) -> dict[str, Any]:
    out = {}
    for name, (read, optional) in declared.items():
        try:
            value = given[name]
        except KeyError:
            raise InputError(
                f"{name!r} is missing",
                where=f"{where}.{name}",
                expected=f"{where} to have {', '.join(declared)}",
                fix="add it, or send null if there is none" if optional else "add it",
            ) from None
        if value is None and not optional:
            raise InputError(f"{name!r} is null", where=f"{where}.{name}", expected="a value")
        out[name] = None if value is None else read(value, f"{where}.{name}")
    if len(out) != len(given):
        _only(given, declared.keys() | set(), where)
    return out


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{_shown(value)} is {_kind(value)}", where=where, expected="a number", fix="send a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{_shown(value)} is not finite", where=where, expected="a finite number", fix="send one")
    return number


def _integer(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(
            f"{_shown(value)} is not an integer", where=where, expected="an integer", fix="send a whole number"
        )
    if not -(2**63) <= value < 2**63:
        raise InputError(f"{_shown(value)} is too large", where=where, expected="a 64-bit integer")
    return value


def _boolean(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InputError(
            f"{_shown(value)} is {_kind(value)}", where=where, expected="true or false", fix="send a JSON boolean"
        )
    return value


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{_shown(value)} is {_kind(value)}", where=where, expected="a string", fix="put it in quotes")
    return value


def _time(value: Any, where: str, zone: str | None = None) -> int:
    if not isinstance(value, str):
        raise InputError(
            f"{_shown(value)} is {_kind(value)}",
            where=where,
            expected="an ISO 8601 time with a zone",
            fix='send a string such as "2013-04-01T12:00:00Z"',
        )
    return _instant(value, where, zone)


def _instant(value: str | int, where: str, zone: str | None = None) -> int:
    """The instant, if the calendar has it: every later step may then show it as a date."""
    moment = instant(value, where=where, zone=zone)
    if not _EARLIEST <= moment <= _LATEST:
        raise InputError(
            f"{_shown(value)} is outside the years 1 to 9999 in UTC",
            where=where,
            expected="a time of the calendar",
            fix="check the unit of the time: a number is microseconds since 1970",
        )
    return moment


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _reader(kind: pl.DataType, time: Reader = _time) -> Reader:
    if isinstance(kind, pl.Datetime):
        return time
    readers: dict[str, Reader] = {"Float64": _number, "Int64": _integer, "Boolean": _boolean, "String": _string}
    return readers[str(kind)]


@dataclass(frozen=True, slots=True, eq=False)
class Pushed:
    """Events of one request: `frame` of those that could be read, and `came`, the same as they stood in the request.

    unread: what could not be read, with the reason, in the form of `backstay.features.ingest.BAD`
    """

    frame: pl.DataFrame
    came: list[Any]
    unread: pl.DataFrame

    def texts(self, mask: pl.Series) -> list[str]:
        """Some rows of the frame as they stood in the request."""
        return [row_text(self.came[place]) for place in mask.arg_true()]


class EventParser:
    """Parses pushed events of one source, `{"events": [{...}, ...]}` or one alone, into a frame.

    What cannot be read refuses the request; of a source with a contract, only a name that is missing or unknown does.
    """

    def __init__(self, source: EventSource, *, replay: bool) -> None:
        self._source = source
        self._schema = source.schema
        time: Reader = partial(_time, zone=source.timezone)
        self._readers = {name: (_reader(kind, time), True) for name, kind in source.schema.items()}
        self._times: dict[str, tuple[Reader, bool]] = {"event_time": (time, False)}
        self._parts = source.contract is not None and not replay  # in replay, events come out of the record
        if replay:
            self._times |= {"known_time": (_time, False)}
            self._readers |= {"sequence": (_integer, False)}

    def parse(self, data: bytes) -> Pushed:
        """The events of a request body."""
        request = body(data)
        if "event_time" in request and "events" not in request:
            request = {"events": [request]}
        _only(request, {"events"}, "body")
        events = request.get("events")
        if not isinstance(events, list):
            raise InputError(f"'events' is {_kind(events)}", where="events", expected="a list of objects")
        readers = {**self._times, **self._readers}
        rows, came, unread = [], [], []
        for place, event in enumerate(events):
            try:
                if not isinstance(event, dict):
                    raise InputError(f"the event is {_kind(event)}", where=f"events[{place}]", expected="an object")
                rows.append(_values(event, readers, f"events[{place}]"))
                came.append(event)
            except InputError as error:
                if not self._parts or (isinstance(event, dict) and event.keys() != readers.keys()):
                    raise self._located(error) from None
                unread.append((*self._reason(event, error), row_text(event)))
        times = set(self._times) | {n for n, kind in self._schema.items() if isinstance(kind, pl.Datetime)}
        schema = {name: pl.Int64() if name in times or name == "sequence" else self._schema[name] for name in readers}
        frame = pl.DataFrame({name: [row[name] for row in rows] for name in readers}, schema=schema)
        frame = frame.with_columns(pl.col(sorted(times)).cast(pl.Datetime("us", "UTC")))
        return Pushed(frame, came, pl.DataFrame(unread, schema=BAD, orient="row"))

    def _located(self, error: InputError) -> InputError:
        """The error, which names the field, with the source that it is measured by."""
        expected = f"{error.expected or 'what is declared'}, as an event of {self._source.where}"
        return InputError(error.what, where=error.where, expected=expected, fix=error.fix or "send it as declared")

    def _reason(self, event: Any, error: InputError) -> tuple[str, str]:
        """Expectation and reason, in the words that an ingest has for the same."""
        name = error.where.rpartition(".")[2]
        if not isinstance(event, dict):
            return "type", "the event is not an object"
        if name == "event_time":
            zone = "with a zone" if self._source.timezone is None else f"of {self._source.timezone}, that occurs once"
            return "time", "there is no event_time" if event[name] is None else f"event_time is not a time {zone}"
        return "type", f"{name} is not read as {type_name(self._schema[name])}"
