"""The blocks a feature set is declared from: windowed aggregates, latest values, request-time inputs, derived features.

Features are named `{entity}_{name}_{window}` and `{entity}_{name}`; without an entity, `global_{name}_{window}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.core.times import duration
from backstay.definitions.aggregates import Aggregate
from backstay.definitions.entities import GLOBAL, Entity
from backstay.definitions.places import declared_at, located
from backstay.definitions.sources import EventSource, dtype


class Windowed:
    """Aggregates over the events of one entity in `[T - window, T)`, for several windows at once.

    by:   whose events; without it the events of all, a *global* feature.
    over: one window or several ("3h", ["1d", "7d"]).
    hop:  the window's tail is moved back to a multiple of this since the epoch, UTC: `[floor((T - window) / hop) * hop,
          T)`. Such a feature is named for it: `{entity}_{name}_{window}_hop_{hop}`. Exact without.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        over: str | timedelta | Sequence[str | timedelta],
        by: Entity | None = None,
        hop: str | timedelta | None = None,
        **aggregates: Aggregate,
    ) -> None:
        self.place = declared_at()
        self.entity = _entity("Windowed", source, by, self.place)
        where = located(f"Windowed({source.name}, by={self.entity.name})", self.place)
        windows = list(over) if isinstance(over, (list, tuple)) else [over]
        if not windows or not aggregates:
            raise DefinitionError(
                "a window needs at least one duration and one aggregate", where=where, fix='over=["3h"], x=Mean("x")'
            )
        self.source, self.aggregates = source, aggregates
        self.windows = tuple(_length(window, where) for window in windows)
        self.hop = None if hop is None else _length(hop, where)
        if len(set(self.windows)) < len(self.windows):
            raise DefinitionError(f"a window is named twice: {windows}", where=where, fix="name each once")
        for name, aggregate in aggregates.items():
            if not isinstance(aggregate, Aggregate):
                raise DefinitionError(
                    f"{name}={aggregate!r} is not an aggregate",
                    where=where,
                    expected="Count(), Sum, Mean, Share, Min, Max, Std, First, Last or Distinct",
                    fix=f'write for example {name}=Mean("column")',
                )


class Latest:
    """Values of the last visible event of an entity, EXPIRED when it is older than `max_age`.

    `Latest(weather, by=origin, max_age="3h", wind="wind_speed")` makes the feature `origin_wind`. Values may be of any
    type that a column can have.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        by: Entity | None = None,
        max_age: str | timedelta | None = None,
        **values: str | pl.Expr,
    ) -> None:
        self.place = declared_at()
        self.source, self.entity, self.values = source, _entity("Latest", source, by, self.place), values
        where = located(f"Latest({source.name}, by={self.entity.name})", self.place)
        if not values:
            raise DefinitionError("no value is named", where=where, fix='name a column: wind="wind_speed"')
        self.max_age = None if max_age is None else _length(max_age, where)


class Request:
    """Inputs that come with the request: name to type. All are required; a value may be null only where `optional`."""

    def __init__(self, *, optional: str | Sequence[str] = (), **fields: Any) -> None:
        self.place = declared_at()
        if not fields:
            raise DefinitionError(
                "no input is named",
                where=located("Request", self.place),
                expected="inputs and their types",
                fix='write for example Request(amount="float"), or leave the block out',
            )
        optional = [optional] if isinstance(optional, str) else optional
        if unknown := sorted(set(optional) - fields.keys()):
            raise DefinitionError(
                f"optional names inputs that do not exist: {unknown}",
                where=located("Request", self.place),
                expected=f"some of {list(fields)}",
                fix="declare the input, or take it out of optional",
            )
        self.fields = {
            name: dtype(kind, where=located(f"Request({name})", self.place)) for name, kind in fields.items()
        }
        self.optional = frozenset(optional)


class Derived:
    """Row-wise Polars expressions of features declared before, named by keyword."""

    def __init__(self, **expressions: pl.Expr) -> None:
        self.place = declared_at()
        if not expressions:
            raise DefinitionError(
                "no expression is named",
                where=located("Derived", self.place),
                expected="Polars expressions of features",
                fix='write for example Derived(minutes=pl.col("amount") / 60), or leave the block out',
            )
        for name, expression in expressions.items():
            if not isinstance(expression, pl.Expr):
                raise DefinitionError(
                    f"{name}={expression!r} is not an expression",
                    where=located(f"Derived({name})", self.place),
                    expected="a Polars expression of features",
                    fix=f'write for example {name}=pl.col("amount") / 60',
                )
        self.expressions = expressions


def _entity(block: str, source: Any, by: Any, place: str) -> Entity:
    """Whose events a block is about; its source and entity are what they should be, or it is refused."""
    if not isinstance(source, EventSource):
        raise DefinitionError(
            f"{source!r} is not a source",
            where=located(block, place),
            expected="an EventSource",
            fix=f'declare it, payments = EventSource("payments", schema=...), and give it: {block}(payments, ...)',
        )
    if by is None:
        return GLOBAL
    if not isinstance(by, Entity):
        raise DefinitionError(
            f"by={by!r} is not an entity",
            where=located(f"{block}({source.name})", place),
            expected="an Entity",
            fix=f"write by=Entity({str(by)!r})",
        )
    return by


def _length(given: Any, where: str) -> int:
    """Microseconds of a duration in words, that is longer than nothing."""
    length = duration(given, where=where) if isinstance(given, (str, timedelta)) else 0
    if not length:
        raise DefinitionError(
            f"{given!r} is not a length of time",
            where=where,
            expected="more than nothing",
            fix='write for example "3h"',
        )
    return length
