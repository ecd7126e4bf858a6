"""What is computed over the events of a window. Nulls are left out; NaN is null.

| aggregate | of nothing | value |
| --- | --- | --- |
| `Count()` | 0 | events |
| `Sum(x)` | 0 | the exact sum, rounded once |
| `Mean(x)` | null | the exact sum, rounded once, divided by the number of values |
| `Share(c)` | null | of the events for which the condition is known, the share for which it holds |
| `Min(x)`, `Max(x)` | null | the smallest, the largest value |
| `Std(x)` | null (also of one) | the sample standard deviation (n - 1), from exact sums of x and x squared |
| `First(x)`, `Last(x)` | null | that of the first, the last event, in the order (event_time, known_time, sequence) |
| `Distinct(x)` | 0 | how many different values |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

AggregateKind = Literal["count", "sum", "mean", "share", "min", "max", "std", "first", "last", "distinct"]

ANY_TYPE = frozenset({"first", "last", "distinct", "latest"})
"""Kinds whose value may be of any type; all others need a number or a condition."""

COUNTS = frozenset({"count", "distinct"})
"""Kinds that are whole numbers, and 0 of nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """One aggregate and the value it is taken of; made by `Count`, `Sum`, `Mean` and the others of this module."""

    kind: AggregateKind
    value: str | pl.Expr | None = None


def Count() -> Aggregate:  # noqa: N802 - these read as declarations: delay=Mean("arr_delay")
    """The number of events in the window; 0 when there are none."""
    return Aggregate("count")


def Sum(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The exact sum of the non-null values, rounded once; 0 when there are none."""
    return Aggregate("sum", value)


def Mean(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The exact sum, rounded once, divided by the number of non-null values; null when there are none."""
    return Aggregate("mean", value)


def Share(condition: pl.Expr | str) -> Aggregate:  # noqa: N802
    """The share of events for which the condition holds, of those for which it is known; null when there are none."""
    return Aggregate("share", condition)


def Min(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The smallest non-null value; null when there are none."""
    return Aggregate("min", value)


def Max(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The largest non-null value; null when there are none."""
    return Aggregate("max", value)


def Std(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The sample standard deviation (n - 1) of the non-null values; null when there are fewer than two."""
    return Aggregate("std", value)


def First(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The value of the window's first event, in the order (event_time, known_time, sequence); null when none."""
    return Aggregate("first", value)


def Last(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """The value of the window's last event, in the order (event_time, known_time, sequence); null when none."""
    return Aggregate("last", value)


def Distinct(value: str | pl.Expr) -> Aggregate:  # noqa: N802
    """How many different non-null values there are; 0 when there are none."""
    return Aggregate("distinct", value)
