"""One resolved feature of a set: its name, type, and where its values come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

from backstay.definitions.aggregates import AggregateKind

Kind = AggregateKind | Literal["latest", "request", "derived"]


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """One resolved feature of a set. `column` is its place among its view's value columns (-1: none)."""

    name: str
    kind: Kind
    dtype: pl.DataType
    view: int = -1
    column: int = -1
    window: int | None = None
    hop: int | None = None
    max_age: int | None = None
    default: float | int | bool | str | None = None
    expression: pl.Expr | None = None
    optional: bool = False
    description: str = ""
    tags: frozenset[str] = frozenset()
    """its own and those inherited from what it is made of, less those removed explicitly"""
