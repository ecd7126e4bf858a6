"""Rows that a user asks about online, checked: what comes out is of the declared types, or the error names the row.

Numbers and booleans of NumPy are taken for what they are. A key may be None; then the entity is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import instant
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


class RowReader:
    """Reads the rows asked of one feature set: entity keys and request-time inputs by name."""

    def __init__(self, features: FeatureSet) -> None:
        self._features = features
        schemas = {key: view.source.schema[key] for view in features.views for key in view.entity.keys}
        self._keys = {name: schemas[name] for name in features.keys}
        self._inputs = {one.name: one.dtype for one in features.requests}
        declared = self._keys | self._inputs
        kinds = {name: {_NONE, *_EXACT[dtype.base_type()]} for name, dtype in declared.items()}
        self._key_kinds = [(itemgetter(name), kinds[name]) for name in self._keys]
        self._all_kinds = [(itemgetter(name), some) for name, some in kinds.items()]

    def plain(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Whether every key is there and of its own type, so that `asked` would change nothing of it."""
        return _all_of(rows, self._key_kinds)

    def asked(self, rows: Sequence[Mapping[str, Any]], at: int) -> list[Asked]:
        """The rows at T. Raises `InputError` for what is missing or of another type than declared."""
        if isinstance(rows, Mapping):
            raise InputError(
                "one row is given", where=self._where, expected="a list of rows", fix="put it into brackets: [row]"
            )
        if _all_of(rows, self._all_kinds):  # almost always, and several times faster
            keys, inputs = list(self._keys), list(self._inputs)
            return [Asked({key: row[key] for key in keys}, {name: row[name] for name in inputs}, at) for row in rows]
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
        if value is None:
            return None
        kinds = _kinds(dtype)
        right = isinstance(value, kinds) and (type(value) is not bool or bool in kinds)
        if not right:
            raise InputError(
                f"{name!r} of row {place} is a {type(value).__name__}, {value!r}"[:200],
                where=self._where,
                expected=f"{type_name(dtype)}, as it is declared, or None",
                fix="convert it, or mend the declaration",
            )
        if isinstance(dtype, pl.Datetime):
            return instant(value, where=f"{self._where}, input {name!r} of row {place}")
        return float(value) if dtype == pl.Float64 else value


def _all_of(rows: Sequence[Mapping[str, Any]], kinds: Sequence[tuple[Callable[[Any], Any], set[type]]]) -> bool:
    """Whether all rows have all these values, of these types."""
    try:
        return all(allowed.issuperset(map(type, map(get, rows))) for get, allowed in kinds)
    except (KeyError, TypeError):
        return False


def _kinds(dtype: pl.DataType) -> tuple[type, ...]:
    return _KINDS[dtype.base_type()]
