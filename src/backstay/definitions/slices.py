"""A declared slice: rows that somebody knows to matter, by an expression over the features. Pure data.

It says where a model is looked at, not what it is: no hash, manifest or parity depends on it, and it may change at any
time. The gate asks of a candidate that it is not worse than the champion on any of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.definitions.expressions import canonical
from backstay.definitions.names import check_name
from backstay.definitions.places import declared_at, located


class Slice:
    """The rows of which an expression over the model's features and entity keys is true.

    >>> night = Slice("night", where=pl.col("hour") >= 22, description="few planes, and no spare ones")
    >>> night.name, night.features
    ('night', ('hour',))

    Rows for which it is null are not in it. An expression that looks at other rows than its own, as an aggregation
    does, is a `DefinitionError`, and so is one that reads nothing.
    """

    def __init__(self, name: str, *, where: pl.Expr, description: str = "") -> None:
        self.place = declared_at()
        self.name, self.description = check_name(name, "slice"), description
        if not isinstance(where, pl.Expr):
            raise DefinitionError(
                f"where={where!r} is no expression", where=self.where, expected="a Polars expression over features",
                fix='write for example where=pl.col("hour") >= 22',
            )  # fmt: skip
        self.form = canonical(where, where=self.where)
        self.expression, self.features = where, tuple(dict.fromkeys(where.meta.root_names()))
        if not self.features:
            raise DefinitionError("the expression reads no feature", where=self.where, expected="at least one")

    @property
    def where(self) -> str:
        """The slice with its file and line, as errors name it."""
        return located(f"slice {self.name!r}", self.place)

    def __str__(self) -> str:
        return f"{self.name}: {self.expression}"

    def __repr__(self) -> str:
        return f"Slice({self.name!r})"


def checked_slices(slices: Iterable[Slice], known: Iterable[str], where: str) -> tuple[Slice, ...]:
    """The slices of a model, each name once, over what its rows have."""
    out: dict[str, Slice] = {}
    for one in slices:
        if not isinstance(one, Slice):
            raise DefinitionError(
                f"{one!r} is no slice", where=where, expected='Slice(name, where=pl.col("hour") >= 22)'
            )
        if one.name in out:
            raise DefinitionError(f"two slices are called {one.name!r}", where=where, expected="each name once")
        if unknown := sorted({*one.features} - {*known}):
            raise DefinitionError(
                f"slice {one.name!r} reads {unknown[0]!r}, which is no feature", where=where,
                expected=f"one of {', '.join(sorted(known))}", fix="name a feature, or an entity key",
            )  # fmt: skip
        out[one.name] = one
    return tuple(out.values())
