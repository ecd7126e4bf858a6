"""Derived expressions must be row-wise, and that is checked, not trusted.

An expression is evaluated whole, split in two and in reverse order; the bits must be the same. `col - col.mean()` looks
row-wise to Polars, and would mix the customers that happen to be scored together.
"""

from __future__ import annotations

import polars as pl

from backstay.core.errors import DefinitionError
from backstay.definitions import FeatureSet
from backstay.features.rows import RowEngine

SAMPLE = 1_000


def check_rowwise(features: FeatureSet, base: pl.DataFrame) -> None:
    """Raise `DefinitionError` naming the derived feature that depends on other rows than its own.

    `base` holds the features that are not derived, real rows of them: the first thousand are used.
    """
    base = base.head(SAMPLE)
    if base.height < 3:
        return
    engine = RowEngine(features)
    whole = engine.derive(base)
    half = base.height // 2
    split = pl.concat([engine.derive(base[:half]), engine.derive(base[half:])])
    reverse = engine.derive(base.reverse()).reverse()
    for feature in features:
        if feature.kind != "derived":
            continue
        column = bits(whole.get_column(feature.name))
        for other in (split, reverse):
            if not column.equals(bits(other.get_column(feature.name)), null_equal=True):
                raise DefinitionError(
                    "the expression depends on other rows than its own",
                    where=f"feature set {features.name!r}, feature {feature.name!r}",
                    expected="a row-wise expression: the same bits whole, split and reversed",
                    fix="use only values of the same row, or declare a windowed feature",
                )


def bits(column: pl.Series) -> pl.Series:
    """The column's bits, so that NaN equals itself and 0.0 differs from -0.0."""
    if column.dtype == pl.Float64:
        return column.reinterpret(signed=True)
    return column
