"""A view is all that a feature set asks of one (source, entity) pair: what online state is kept for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.definitions.entities import Entity
from backstay.definitions.expressions import as_expression, canonical
from backstay.definitions.sources import EventSource, type_name

INSTANT = pl.Datetime("us", "UTC")
_WIDE = (pl.UInt64, pl.UInt128, pl.Int128)


@dataclass(frozen=True, slots=True)
class Value:
    """One value column of a view: what is taken of each event.

    dtype: the type a feature of it has ("Float64", "Int64", "Boolean", "String" or an instant).
    coded: kept as the number of an entry in a list of words, since it does not fit a float (texts, 64-bit integers).
    where: of the feature that asked for it first, for messages
    """

    expression: pl.Expr
    form: Any
    dtype: pl.DataType
    coded: bool
    where: str = ""


@dataclass(slots=True, eq=False)
class View:
    """The values that features read of a source's events, by entity. `longest` is the longest window over them."""

    source: EventSource
    entity: Entity
    values: list[Value] = field(default_factory=list)
    longest: int = 0

    def column(self, value: str | pl.Expr, where: str, *, any_type: bool, condition: bool = False) -> int:
        """The place of a value among this view's columns; it is added if it is new."""
        expression = as_expression(value, where=where)
        form = canonical(expression, where=where)
        dtype = self._dtype(expression, where)
        what = f"{str(value)!r} is of type {type_name(dtype)}"
        number = dtype.is_numeric() or dtype == pl.Boolean
        if not (number or any_type):
            raise DefinitionError(
                what,
                where=where,
                expected="a number or a condition",
                fix="encode it as a number, or take First, Last or Distinct of it",
            )
        if condition and dtype != pl.Boolean:
            raise DefinitionError(
                what,
                where=where,
                expected="a condition",
                fix='compare it, such as Share(pl.col("arr_delay") >= 30)',
            )
        if any_type and dtype in _WIDE:
            raise DefinitionError(
                what, where=where, expected="a number that 64 bits hold with its sign", fix="cast it: .cast(pl.Int64)"
            )
        coded = any_type and dtype in (pl.String, pl.Int64)
        for place, known in enumerate(self.values):
            if known.form == form and known.coded == coded:
                return place
        self.values.append(Value(expression, form, _kept(dtype, where), coded, where))
        return len(self.values) - 1

    def _dtype(self, expression: pl.Expr, where: str) -> pl.DataType:
        empty = pl.DataFrame(schema=self.source.schema)
        try:
            return empty.select(value=expression).schema["value"]
        except pl.exceptions.PolarsError as error:
            raise DefinitionError(
                f"the expression does not fit {self.source.where}: {str(error).splitlines()[0]}",
                where=where,
                expected=f"columns of {list(self.source.schema)}",
                fix="correct the name or the type, or add the column to the source's schema",
            ) from None

    @property
    def name(self) -> str:
        return f"{self.source.name}.{self.entity.name}"

    def canonical(self) -> dict[str, Any]:
        """What of this view decides values, in plain data."""
        values = [[value.form, str(value.dtype), value.coded] for value in self.values]
        return {"source": self.source.canonical(), "keys": list(self.entity.keys), "values": values}


def _kept(dtype: pl.DataType, where: str) -> pl.DataType:
    """The type in which a value of this type is kept."""
    if dtype.is_float():
        return pl.Float64()
    if dtype.is_integer():
        return pl.Int64()
    if dtype in (pl.Boolean, pl.String) or dtype == INSTANT:
        return dtype
    raise DefinitionError(
        f"the value is of type {dtype}", where=where, expected="a float, int, bool, string or datetime", fix="cast it"
    )
