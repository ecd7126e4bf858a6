"""Rows that a user asks about online, checked: what comes out is of the declared types, or the error names the row.

Numbers and booleans of NumPy are taken for what they are. A key may be None; then the entity is not known. So may an
input that is optional.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import EARLIEST, LATEST, instant
from backstay.definitions import FeatureSet
from backstay.definitions.sources import type_name
from backstay.features.lookup import Asked

_KINDS: dict[type[pl.DataType], tuple[type, ...]] = {
    pl.String: (str,),
    pl.Int64: (int,),
    pl.Float64: (float, int),
    pl.Boolean: (bool,),
    pl.Datetime: (datetime, str, int),
}
_NONE = type(None)
_EXACT = _KINDS | {pl.Float64: (float,), pl.Datetime: (int,)}
"""types of values that are taken as they are"""


_BOUNDS: dict[type[pl.DataType], tuple[Any, Any]] = {
    pl.Int64: (-(2**63), 2**63 - 1),
    pl.Float64: (-sys.float_info.max, sys.float_info.max),
    pl.Datetime: (EARLIEST, LATEST),
}
_RANGES: dict[type[pl.DataType], str] = {
    pl.String: "text that is Unicode",
    pl.Int64: "a number that 64 bits hold",
    pl.Float64: "a finite number",
}


class RowReader:
    """Reads the rows asked of one feature set: entity keys and request-time inputs by name."""

    def __init__(self, features: FeatureSet) -> None:
        self._features = features
        schemas = {key: view.source.schema[key] for view in features.views for key in view.entity.keys}
        self._keys = {name: schemas[name] for name in features.keys}
        self._inputs = {one.name: one.dtype for one in features.requests}
        self._required = {one.name for one in features.requests if not one.optional}
        declared = self._keys | self._inputs
        kinds = {
            name: {*_EXACT[dtype.base_type()], *(() if name in self._required else (_NONE,))}
            for name, dtype in declared.items()
        }
        self._bounds = [
            (itemgetter(name), *_BOUNDS[dtype.base_type()])
            for name, dtype in self._inputs.items()
            if dtype.base_type() in _BOUNDS
        ]
        self._key_kinds = [(itemgetter(name), kinds[name]) for name in self._keys]
        self._all_kinds = [(itemgetter(name), some) for name, some in kinds.items()]

    def plain(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether every key is there and of its own type, so that `asked` would change nothing of it."""
        return isinstance(rows, Sequence) and _all_of(rows, self._key_kinds)

    def asked(self, rows: Sequence[Mapping[str, Any]], at: int) -> list[Asked]:
        """The rows at T. Raises `InputError` for what is missing or of another type than declared."""
        if isinstance(rows, Mapping):
            raise InputError(
                "one row is given", where=self._where, expected="a list of rows", fix="put it into brackets: [row]"
            )
        if not isinstance(rows, Sequence):
            raise InputError(
                f"the rows are a {type(rows).__name__}",
                where=self._where,
                expected="a list of rows",
                fix="list(rows); of a frame, give its rows: frame.to_dicts(), or in pandas frame.to_dict('records')",
            )
        if _all_of(rows, self._all_kinds) and _all_within(rows, self._bounds):  # almost always, several times faster
            keys, inputs = list(self._keys), list(self._inputs)
            return [Asked({key: row[key] for key in keys}, {name: row[name] for name in inputs}, at) for row in rows]
        return self.read(rows, at)

    def read(self, rows: Sequence[Mapping[str, Any]], at: int) -> list[Asked]:
        """The same, value by value: each is looked at, texts too."""
        out = []
        for place, row in enumerate(rows):
            if not isinstance(row, Mapping):
                raise InputError(
                    f"row {place} is a {type(row).__name__}",
                    where=self._where,
                    expected='a mapping such as {"customer": "c7"}',
                    fix="of a frame, give its rows: frame.to_dicts(), or in pandas frame.to_dict('records')",
                )
            known = {name: self._value(row, name, dtype, place) for name, dtype in self._keys.items()}
            given = {name: self._value(row, name, dtype, place) for name, dtype in self._inputs.items()}
            out.append(Asked(known, given, at))
        return out

    @property
    def _where(self) -> str:
        return f"rows asked of {self._features.where}"

    def _value(self, row: Mapping[str, Any], name: str, dtype: pl.DataType, place: int) -> Any:
        if name not in row:
            raise InputError(
                f"{name!r} is missing in row {place}",
                where=self._where,
                expected="every key and input; None if unknown",
                fix="add it",
            )
        value: Any = row[name]
        if isinstance(value, np.generic):
            value = value.item()
        if value is None and name not in self._required:
            return None
        kinds = _kinds(dtype)
        right = isinstance(value, kinds) and (type(value) is not bool or bool in kinds)
        if not right:
            raise InputError(
                f"{name!r} of row {place} is {'' if value is None else f'a {type(value).__name__}, '}{value!r}"[:200],
                where=self._where,
                expected=f"{type_name(dtype)}, as it is declared{'' if name in self._required else ', or None'}",
                fix="give it its default, or declare it as optional"
                if value is None
                else "convert it, or mend the declaration",
            )
        if isinstance(dtype, pl.Datetime):
            return instant(value, where=f"{self._where}, input {name!r} of row {place}")
        if not _holds(dtype, value):
            raise InputError(
                f"{name!r} of row {place} is {value!r}"[:200],
                where=self._where,
                expected=_RANGES[dtype.base_type()],
                fix="leave the row out, or mend the value where it comes from",
            )
        return float(value) if dtype == pl.Float64 else value


def _all_of(rows: Sequence[Mapping[str, Any]], kinds: Sequence[tuple[Callable[[Any], Any], set[type]]]) -> bool:
    """Whether all rows have all these values, of these types."""
    try:
        return all(allowed.issuperset(map(type, map(get, rows))) for get, allowed in kinds)
    except (KeyError, TypeError):
        return False


def _all_within(rows: Sequence[Mapping[str, Any]], bounds: Sequence[tuple[Callable[[Any], Any], Any, Any]]) -> bool:
    """Whether all rows have all these values, or none, in their bounds. NaN is in none."""
    return all(value is None or low <= value <= high for get, low, high in bounds for value in map(get, rows))


def _holds(dtype: pl.DataType, value: Any) -> bool:
    """Whether a column of this type can hold the value, and it says something."""
    if isinstance(value, str):
        return not any("\ud800" <= character <= "\udfff" for character in value)
    low, high = _BOUNDS.get(dtype.base_type(), (value, value))
    return bool(low <= value <= high)


def _kinds(dtype: pl.DataType) -> tuple[type, ...]:
    return _KINDS[dtype.base_type()]
