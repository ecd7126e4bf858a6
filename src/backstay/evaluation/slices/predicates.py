"""A **predicate** says which rows a slice has: one condition on each of a few features, all of which must hold.

It is data, so that a slice that was found once can be kept in a record and be read there by people, and holds for rows
that nobody had seen when it was found. A missing value (null or NaN) meets no condition but "is missing".

>>> far, ev = Condition("distance", low=1089.0), Condition("carrier", values=("EV",))
>>> print(Predicate((far, ev)))
distance >= 1,089 and carrier = 'EV'
>>> frame = pl.DataFrame({"distance": [500, 1089, 2000, None], "carrier": ["EV", "EV", "UA", "EV"]})
>>> Predicate((far, ev)).mask(frame).tolist()
[False, True, False, False]
>>> Predicate.of(Predicate((far, ev)).as_dict()) == Predicate((far, ev))
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backstay.core.errors import InputError

Value = str | int | float | bool
_SHOWN = 3
"""So many of the values that a slice does not have are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What one feature must be: between two limits, one of some values, none of them, or missing.

    low, high: low <= value < high; None: no limit. Times are microseconds since 1970, dates are days
    above:     the lower limit is not itself in: low < value
    values:    one of these; `other`: any value that is none of these
    missing:   no value at all, which no other condition is met by
    kind:      how limits are shown: "number", "time" or "date"
    """

    feature: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    values: tuple[Value, ...] = ()
    other: bool = False
    missing: bool = False
    kind: str = "number"

    def expression(self, dtype: pl.DataType) -> pl.Expr:
        """Whether a row meets it, as a Polars expression over a column of this type; never null."""
        column = comparable(pl.col(self.feature), dtype)
        there = column.is_not_null()
        if self.missing:
            return ~there
        if self.values:
            among = column.is_in([one if isinstance(one, bool | str) else float(one) for one in self.values])
            return there & (~among if self.other else among)
        met = there
        if self.low is not None:
            met = met & (column > self.low if self.above else column >= self.low)
        return met if self.high is None else met & (column < self.high)

    def __str__(self) -> str:
        if self.missing:
            return f"{self.feature} is missing"
        if self.values:
            shown = [self._text(one) for one in self.values[:_SHOWN]]
            more = f" and {len(self.values) - _SHOWN} more" if len(self.values) > _SHOWN else ""
            if self.other:
                return f"{self.feature} is none of {', '.join(shown)}{more}"
            one = len(self.values) == 1
            return f"{self.feature} = {shown[0]}" if one else f"{self.feature} is one of {', '.join(shown)}{more}"
        low = "" if self.low is None else self._text(self.low)
        high = "" if self.high is None else self._text(self.high)
        if low and high:
            return f"{low} {'<' if self.above else '<='} {self.feature} < {high}"
        if low:
            return f"{self.feature} {'>' if self.above else '>='} {low}"
        return f"{self.feature} < {high}" if high else f"{self.feature} is there"

    def _text(self, value: Value) -> str:
        if isinstance(value, bool | str):
            return repr(value)
        if self.kind == "time":
            moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=value)
            return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
        if self.kind == "date":
            return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
        return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:,.6g}"

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values: what says nothing is left out."""
        out: dict[str, Any] = {"feature": self.feature}
        for name in ("low", "high"):
            if getattr(self, name) is not None:
                out[name] = getattr(self, name)
        out |= {name: True for name in ("above", "other", "missing") if getattr(self, name)}
        out |= {"values": list(self.values)} if self.values else {}
        return out | ({} if self.kind == "number" else {"kind": self.kind})


@dataclass(frozen=True, slots=True)
class Predicate:
    """Conditions on different features, all of which a row must meet."""

    conditions: tuple[Condition, ...]

    @classmethod
    def of(cls, plain: Sequence[Mapping[str, Any]]) -> Predicate:
        """The predicate that these plain values stand for; `InputError` if they stand for none."""
        try:
            return cls(tuple(Condition(**{**one, "values": tuple(one.get("values", ()))}) for one in plain))
        except (TypeError, AttributeError) as error:
            expected = "a list of conditions, as as_dict() gives them"
            raise InputError(f"this is no predicate: {error}", expected=expected) from None

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(one.feature for one in self.conditions)

    def mask(self, frame: pl.DataFrame) -> NDArray[np.bool_]:
        """Which rows of a frame meet it; `InputError` if a feature of it is not there."""
        for name in self.features:
            if name not in frame.columns:
                raise InputError(
                    f"the rows have no {name!r}", where=str(self), expected=f"one of {', '.join(frame.columns)}",
                    fix="unpin the slice, or bring the feature back",
                )  # fmt: skip
        met = pl.repeat(True, pl.len(), dtype=pl.Boolean)
        for one in self.conditions:
            met = met & one.expression(frame.schema[one.feature])
        try:
            return frame.select(met.alias("met")).to_series().to_numpy()
        except pl.exceptions.PolarsError as error:
            types = ", ".join(f"{name}: {frame.schema[name]}" for name in self.features)
            what = f"the values can't be compared: {error}".splitlines()[0]
            raise InputError(
                what, where=str(self), expected=f"features of the types it was made for, not {types}"
            ) from None

    def as_dict(self) -> list[dict[str, Any]]:
        """The same as plain values, for a record or JSON."""
        return [one.as_dict() for one in self.conditions]

    def __str__(self) -> str:
        return " and ".join(map(str, self.conditions)) or "every row"


def comparable(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A column as what conditions compare: numbers (float64), text or flags; what is missing is null.

    Times become microseconds, dates days, categories text, NaN null. Whole numbers above 2^53 lose their last digits.
    """
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if dtype.is_float():
        return column.cast(pl.Float64).fill_nan(None)
    if isinstance(dtype, pl.Datetime):
        return column.dt.cast_time_unit("us").cast(pl.Int64).cast(pl.Float64)
    if isinstance(dtype, pl.Duration):
        return column.dt.total_microseconds().cast(pl.Float64)
    if isinstance(dtype, pl.Date):
        return column.cast(pl.Int32).cast(pl.Float64)
    return column.cast(pl.Float64) if dtype.is_numeric() else column
