"""Rows of a user's table as questions to a feature set, each checked as a server checks its requests.

What is wrong with a column refuses the table. What is wrong with one row is told about that row, and the others go on.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import instant_text
from backstay.definitions import FeatureSet
from backstay.definitions.sources import type_name
from backstay.features.historical import typed
from backstay.features.offline import asked_types
from backstay.features.shaping import UTC, converted, text_time

_ZONE = "2013-04-01T12:00:00Z"


class Asking:
    """Turns rows with these columns into asked rows of a feature set: `at`, keys and request-time inputs.

    at:    the column of each row's T (a time with a zone), or one T for all rows, in microseconds
    now:   T is never after it
    texts: the columns are texts, as CSV has them, and are read as what is declared

    Raises `InputError` for a column that is missing, or of a type that is not the declared one.
    """

    def __init__(
        self,
        features: FeatureSet,
        columns: Mapping[str, pl.DataType],
        *,
        at: str | int,
        now: int,
        where: str,
        texts: bool = False,
    ) -> None:
        self._at, self._now, self._where, self._texts = at, now, where, texts
        self._types = asked_types(features)
        self._needed = {one.name for one in features.requests if not one.optional}
        for name, kind in self._types.items():
            self._check(columns, name, kind, features.where)
        if isinstance(at, str):
            self._check(columns, at, UTC, "each row's T")

    def _check(self, columns: Mapping[str, pl.DataType], name: str, kind: pl.DataType, of: str) -> None:
        if name not in columns:
            raise InputError(
                f"there is no column {name!r}", where=self._where, expected=f"{name}: {type_name(kind)}, for {of}",
                fix=f"add it, or rename the one that it is of {list(columns)}",
            )  # fmt: skip
        came = columns[name]
        if self._texts or came == pl.Null:
            return
        if isinstance(kind, pl.Datetime) and isinstance(came, pl.Datetime) and came.time_zone is None:
            raise InputError(
                f"the times in column {name!r} carry no time zone",
                where=self._where,
                expected="times with a zone",
                fix=f'write it with one: pl.col("{name}").dt.replace_time_zone("UTC"), or the zone they are in',
            )
        if typed(pl.Series(name, [], came), kind).dtype != kind:
            raise InputError(
                f"column {name!r} is of type {came}",
                where=self._where,
                expected=f"{type_name(kind)} ({kind}), for {of}",
                fix="convert the column",
            )

    def check_filled(self, columns: Mapping[str, pl.DataType]) -> None:
        """Raise `InputError` for a column of the table, which has rows, that must hold something and holds nulls alone.

        Its type says so: no row of it could be asked.
        """
        for name in (*([self._at] if isinstance(self._at, str) else []), *sorted(self._needed)):
            if columns[name] == pl.Null:
                kind = UTC if name == self._at else self._types[name]
                raise InputError(
                    f"column {name!r} holds nothing but nulls", where=self._where, expected=type_name(kind),
                    fix="fill it: no row can be asked without it",
                )  # fmt: skip

    def frame(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """The asked rows, as many as came, and for each why it can't be answered (null: it can).

        `at` is in microseconds. Cells that can't be read are null.
        """
        out, wrong = [], []
        if isinstance(self._at, str):
            times = self._cell(rows.get_column(self._at), UTC)
            micros = times.to_physical()
            wrong += [
                self._unread(rows.get_column(self._at), times, UTC),
                _said(times.is_null(), f"{self._at} is null"),
            ]
            wrong.append(_said((micros > self._now).fill_null(False), f"{self._at} is after {instant_text(self._now)}"))
            out.append(micros.alias("at"))
        else:
            out.append(pl.repeat(self._at, rows.height, dtype=pl.Int64, eager=True).alias("at"))
        for name, kind in self._types.items():
            came = rows.get_column(name)
            cell = self._cell(came, kind)
            wrong.append(self._unread(came, cell, kind))
            if name in self._needed:
                wrong.append(_said(cell.is_null(), f"{name} is null"))
            if kind == pl.Float64:
                wrong.append(_said(~cell.is_finite().fill_null(True), f"{name} is not finite"))
            out.append(cell.alias(name))
        return pl.DataFrame(out), pl.select(pl.coalesce(wrong)).to_series().alias("error")

    def _cell(self, came: pl.Series, kind: pl.DataType) -> pl.Series:
        if not self._texts or came.dtype != pl.String:
            return typed(came, kind)
        if isinstance(kind, pl.Datetime):
            return pl.select(text_time(pl.lit(came), None)).to_series()
        value = converted(pl.lit(came), pl.String(), kind) if kind != pl.String else None
        return came if value is None else pl.select(value).to_series()

    def _unread(self, came: pl.Series, cell: pl.Series, kind: pl.DataType) -> pl.Series:
        expected = f"a time with a zone, such as {_ZONE}" if isinstance(kind, pl.Datetime) else type_name(kind)
        return _said(came.is_not_null() & cell.is_null(), f"{came.name} is not read as {expected}")


def _said(mask: pl.Series, text: str) -> pl.Series:
    return pl.select(pl.when(mask).then(pl.lit(text))).to_series()
