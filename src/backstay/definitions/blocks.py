"""The blocks a feature set is declared from: windowed aggregates, latest values, request-time inputs, derived features.

Features are named `{entity}_{name}_{window}` and `{entity}_{name}`; without an entity, `global_{name}_{window}`.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        over: Sequence[str] | str,
        by: Entity | None = None,
        hop: str | None = None,
        **aggregates: Aggregate,
    ) -> None:
        self.place = declared_at()
        self.entity = _entity(by, self.place)
        where = located(f"Windowed({source.name}, by={self.entity.name})", self.place)
        windows = [over] if isinstance(over, str) else list(over)
        if not windows or not aggregates:
            raise DefinitionError(
                "a window needs at least one duration and one aggregate", where=where, fix='over=["3h"], x=Mean("x")'
            )
        self.source, self.aggregates = source, aggregates
        self.windows = tuple(duration(window, where=where) for window in windows)
        self.hop = None if hop is None else duration(hop, where=where)
        if min(self.windows) == 0 or self.hop == 0:
            raise DefinitionError("a window of length 0 holds nothing", where=where, expected="a positive duration")
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
        max_age: str | None = None,
        **values: str | pl.Expr,
    ) -> None:
        self.place = declared_at()
        self.source, self.entity, self.values = source, _entity(by, self.place), values
        where = located(f"Latest({source.name}, by={self.entity.name})", self.place)
        self.max_age = None if max_age is None else duration(max_age, where=where)


class Request:
    """Inputs that come with the request: name to type. All are required; a value may be null only where `optional`."""

    def __init__(self, *, optional: Sequence[str] = (), **fields: Any) -> None:
        self.place = declared_at()
        self.fields = {
            name: dtype(kind, where=located(f"Request({name})", self.place)) for name, kind in fields.items()
        }
        self.optional = frozenset(optional)


class Derived:
    """Row-wise Polars expressions of features declared before, named by keyword."""

    def __init__(self, **expressions: pl.Expr) -> None:
        self.place = declared_at()
        self.expressions = expressions


def _entity(by: Entity | None, place: str) -> Entity:
    if by is None:
        return GLOBAL
    if not isinstance(by, Entity):
        raise DefinitionError(f"by={by!r} is not an entity", where=place, expected="an Entity", fix=f'Entity("{by}")')
    return by
