"""What must be unique and is there twice: found alike by columns and row by row."""

from __future__ import annotations

import polars as pl
import pytest

from backstay.definitions import Contract, EventSource, Expect
from backstay.features.contracts import Seen


@pytest.mark.parametrize("columns", [("order",), ("order", "shop"), ("order", "shop", "weight")])
def test_in_an_empty_record_and_in_one_that_holds_others_the_same_rows_are_repeated(columns: tuple[str, ...]) -> None:
    schema = {"order": pl.Int64, "shop": pl.String, "weight": pl.Float64}
    source = EventSource("orders", schema=schema, contract=Contract(Expect.unique(*columns)))
    nan = float("nan")
    rows = pl.DataFrame(
        {
            "order": [1, 2, 1, None, 2, None, 3, 1], "shop": ["a", "a", "b", "a", "a", "a", "c", "a"],
            "weight": [0.0, 1.0, 2.0, 1.0, 1.0, 1.0, nan, -0.0],
        },
        schema=schema,
    )  # fmt: skip
    fresh, other = Seen(source), Seen(source)
    other.appended(pl.DataFrame({"order": [9], "shop": ["z"], "weight": [9.0]}, schema=schema), 1, 1)
    found = fresh.repeated(columns, rows)
    assert found.to_list() == other.repeated(columns, rows).to_list()
    expected = {1: [2, 4, 7], 2: [4, 7], 3: [4, 7]}[len(columns)]
    assert found.arg_true().to_list() == expected
    assert fresh.repeated(columns, rows.clear()).to_list() == []
