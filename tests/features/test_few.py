"""The few rows of requests in flight: what many rows give, made another way."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from backstay import Derived, FeatureSet, Request
from backstay.features.rows import RowEngine

INPUTS = Request(x="float", n="int", flag="bool", word="string", moment="datetime")
ROWS: list[list[Any]] = [[1.5, 2, True, "a", 5], [None] * 5, [0.1, 3, False, "b", 86_400_000_000]]
DERIVED = {
    "literals alone": [Derived(one=pl.lit(1.0), name=pl.lit("z"))],
    "a literal and a column": [Derived(one=pl.lit(1.0), ratio=pl.col("x") / 3)],
    "one of another": [Derived(ratio=pl.col("x") / 3), Derived(more=pl.col("ratio") / 7, one=pl.lit(2))],
    "literals of no other": [Derived(ratio=pl.col("x") / 3), Derived(one=pl.lit(2))],
    "times": [Derived(later=pl.col("moment").dt.offset_by("1d"), hour=pl.col("moment").dt.hour())],
    "none": [],
}


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS], ids=["alone", "together"])
@pytest.mark.parametrize("derived", DERIVED.values(), ids=DERIVED)
def test_few_rows_are_what_many_are(derived: list[Derived], rows: list[list[Any]]) -> None:
    engine = RowEngine(FeatureSet("few", [INPUTS, *derived]))
    kinds = {feature.name: feature.dtype for feature in engine.features.requests}
    plain = {name: pl.Int64() if kind == pl.Datetime else kind for name, kind in kinds.items()}
    few, many = engine.few([], rows), engine.rows([], pl.DataFrame(rows, schema=plain, orient="row").cast(kinds))
    assert few.values() == many.values()
    assert few.statuses.tolist() == many.statuses.tolist()
    assert few.frame().equals(many.frame(), null_equal=True)
