"""Request bodies, checked field by field: what comes out is of the declared types, or the error names the field.

The body of an entity-keyed request, of one row or of many:

    {"keys": {"carrier": "UA", ...}, "fields": {"distance": 1400, ...}}
    {"rows": [{"keys": {...}, "fields": {...}}, ...]}

`keys` are the entity keys (null where there is none), `fields` the request-time inputs. `at` (T) is taken in replay
only; in production T is the server's clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any

import msgspec
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import EARLIEST, LATEST, instant
from backstay.definitions import Feature, FeatureSet, Model
from backstay.features.lookup import Asked

_decode = msgspec.json.Decoder().decode


def body(data: bytes) -> dict[str, Any]:
    """The JSON object in a request body."""
    value = decoded(data)
    if not isinstance(value, dict):
        raise InputError(f"the body is {kind_of(value)}", where="body", expected='an object such as {"keys": {...}}')
    return value


def decoded(data: bytes | msgspec.Raw, where: str = "") -> Any:
    """The value that this JSON is, which stands `where` in a request; nowhere: it is the body."""
    place, noun = where or "body", where or "the body"
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = _not_finite(bytes(data))
        if found is not None:
            name = f"{where}{found}".lstrip(".") or place
            raise InputError(
                f"{noun} is not JSON: the value at {name} is NaN, infinite or too large",
                where=name,
                expected="a finite number, or null where there is none",
                fix="send null, or leave NaN out before the request is made",
            ) from None
        raise InputError(
            f"{noun} is not JSON: {error}", where=place, expected="JSON in UTF-8", fix="check it with a JSON parser"
        ) from None
    except RecursionError:
        raise InputError(f"{noun} is nested too deeply", where=place, expected="a flat JSON object") from None


def _not_finite(data: bytes) -> str | None:
    """Where the first number that is none stands in what is JSON but for these; None if something else is wrong.

    It is one walk without recursion: a body of a megabyte is anybody's, whatever its form.
    """
    try:
        value = json.loads(data.decode(), parse_int=float)  # takes NaN and Infinity, as many clients write them
    except (ValueError, RecursionError):
        return None
    path: list[str | int] = []
    inside: list[Iterator[tuple[str | int, Any]]] = [iter([("", value)])]
    while inside:
        for name, part in inside[-1]:
            if isinstance(part, float) and not math.isfinite(part):
                told = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in (*path, name)[1:])
                return told.encode(errors="backslashreplace").decode()  # half a surrogate has no bytes
            if isinstance(part, (dict, list)):
                path.append(name)
                inside.append(iter(part.items() if isinstance(part, dict) else enumerate(part)))
                break
        else:
            inside.pop()
            del path[-1:]
    return None


def key_readers(model: Model) -> dict[str, Reader]:
    """How each key of a model is read: the entity keys, and the label's."""
    label = {model.label.key: reader(model.ask.source.schema[model.label.key])}
    readers = label | entity_readers(model.features)
    return {name: readers[name] for name in model.keys}


def entity_readers(features: FeatureSet) -> dict[str, Reader]:
    """How each entity key of a feature set is read."""
    kinds = {key: view.source.schema[key] for view in features.views for key in view.entity.keys}
    return {name: reader(kinds[name]) for name in features.keys}


class RequestParser:
    """Parses the requests of one model, of one row or of many; of many, at most `limit`."""

    def __init__(self, model: Model, *, replay: bool, limit: int = 1_024) -> None:
        self._replay = replay
        self._rows = RowsParser(key_readers(model), model.features.requests, replay=replay, limit=limit)
        self._fast = None if replay else Typed(self._rows.keys, self._rows.fields)
        self._allowed = {"keys", "fields", "at"} if replay else {"keys", "fields"}

    def parse(self, data: bytes, now: int) -> tuple[list[Asked], bool]:
        """The rows, and whether they came as many; T is `now`, or the request's own `at` in replay."""
        if self._fast is not None and (asked := self._fast.parse(data, now)) is not None:
            return [asked], False
        request = body(data)
        if "rows" in request:
            return self._rows.read(request, now)[1], True
        only(request, self._allowed, "body", "at" if not self._replay else None)
        asked = self._rows.row(request, "", now, needed=True)
        if self._replay:
            asked.at = _moment(request)
        return [asked], False


class Typed:
    """The way of a good request of one row, several times faster: decoded straight into its types.

    Whatever does not fit is left to the general way, which finds what is wrong, or reads it after all.
    """

    def __init__(self, keys: Mapping[str, tuple[Reader, bool]], fields: Mapping[str, tuple[Reader, bool]]) -> None:
        self._keys, self._fields = tuple(keys), tuple(fields)
        self._times = [
            (part, name)
            for part, declared in enumerate((keys, fields))
            for name, (read, _) in declared.items()
            if read is time_reader
        ]
        parts = [("keys", _struct("Keys", keys)), ("fields", _struct("Fields", fields))]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Body", parts, forbid_unknown_fields=True)).decode

    def parse(self, data: bytes, now: int) -> Asked | None:
        """The request, or None where this way does not do."""
        request: Any
        try:
            request = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        keys = dict(zip(self._keys, msgspec.structs.astuple(request.keys), strict=True))
        fields = dict(zip(self._fields, msgspec.structs.astuple(request.fields), strict=True))
        for part, name in self._times:
            there = fields if part else keys
            if (text := there[name]) is not None:
                there[name] = time_reader(text, f"{'fields' if part else 'keys'}.{name}")
        return Asked(keys, fields, now)


_INT64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def _struct(name: str, declared: Mapping[str, tuple[Reader, bool]]) -> type[msgspec.Struct]:
    types: dict[Reader, Any] = {_number: float, integer: _INT64, _boolean: bool, _string: str, time_reader: str}
    members = [
        (f"m{place}", types[read] | None if optional else types[read])
        for place, (read, optional) in enumerate(declared.values())
    ]
    names = {f"m{place}": one for place, one in enumerate(declared)}
    return msgspec.defstruct(name, members, rename=names, forbid_unknown_fields=True, gc=False)


class RowsParser:
    """Parses rows of keys and fields: `{"rows": [{"keys": {...}, "fields": {...}}, ...]}`."""

    def __init__(
        self, keys: Mapping[str, Reader], requests: Iterable[Feature], *, replay: bool, limit: int | None = None
    ) -> None:
        self._replay, self._limit = replay, limit
        self.keys = {name: (read, True) for name, read in keys.items()}
        self.fields = {one.name: (reader(one.dtype), one.optional) for one in requests}
        self._allowed = {"rows", "at"} if replay else {"rows"}

    def parse(self, data: bytes, now: int) -> tuple[int, list[Asked]]:
        """T, and the rows; T is `now`, or the request's own `at` in replay."""
        return self.read(body(data), now)

    def read(self, request: Mapping[str, Any], now: int) -> tuple[int, list[Asked]]:
        """The same of a body that is decoded."""
        only(request, self._allowed, "body", "at" if not self._replay else None)
        at = _moment(request) if self._replay else now
        rows = request.get("rows")
        if not isinstance(rows, list):
            raise InputError(f"'rows' is {kind_of(rows)}", where="rows", expected="a list of objects")
        if self._limit is not None and len(rows) > self._limit:
            raise InputError(
                f"there are {len(rows)} rows", where="rows", expected=f"at most {self._limit}",
                fix="send several requests, or raise serving.rows_limit",
            )  # fmt: skip
        return at, [self._row(row, f"rows[{place}]", at) for place, row in enumerate(rows)]

    def _row(self, row: Any, where: str, at: int) -> Asked:
        if not isinstance(row, dict):
            raise InputError(f"the row is {kind_of(row)}", where=where, expected='an object such as {"keys": {...}}')
        only(row, {"keys", "fields"}, where)
        return self.row(row, where, at)

    def row(self, row: Mapping[str, Any], where: str, at: int, *, needed: bool = False) -> Asked:
        """One row. `needed`: 'keys' has to be there even if there are none."""
        inside = f"{where}." if where else ""
        keys = _object(row, "keys", where) if needed or self.keys or "keys" in row else {}
        read = values(keys, self.keys, f"{inside}keys")
        fields = _object(row, "fields", where) if self.fields or "fields" in row else {}
        return Asked(read, values(fields, self.fields, f"{inside}fields"), at)


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
        raise InputError(f"{name!r} is {kind_of(value)}", where=where, expected="an object")
    return value


def only(
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


def values(given: Mapping[str, Any], declared: Mapping[str, tuple[Reader, bool]], where: str) -> dict[str, Any]:
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
        only(given, declared.keys() | set(), where)
    return out


def kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{_shown(value)} is {kind_of(value)}", where=where, expected="a number", fix="send a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{_shown(value)} is not finite", where=where, expected="a finite number", fix="send one")
    return number


def integer(value: Any, where: str) -> int:
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
            f"{_shown(value)} is {kind_of(value)}", where=where, expected="true or false", fix="send a JSON boolean"
        )
    return value


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(
            f"{_shown(value)} is {kind_of(value)}", where=where, expected="a string", fix="put it in quotes"
        )
    return value


def time_reader(value: Any, where: str, zone: str | None = None) -> int:
    if not isinstance(value, str):
        raise InputError(
            f"{_shown(value)} is {kind_of(value)}",
            where=where,
            expected="an ISO 8601 time with a zone",
            fix='send a string such as "2013-04-01T12:00:00Z"',
        )
    return _instant(value, where, zone)


def _instant(value: str | int, where: str, zone: str | None = None) -> int:
    """The instant, if the calendar has it: every later step may then show it as a date."""
    moment = instant(value, where=where, zone=zone)
    if not EARLIEST <= moment <= LATEST:
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


def reader(kind: pl.DataType, time: Reader = time_reader) -> Reader:
    if isinstance(kind, pl.Datetime):
        return time
    readers: dict[str, Reader] = {"Float64": _number, "Int64": integer, "Boolean": _boolean, "String": _string}
    return readers[str(kind)]
