"""A table's rows as questions: what is wrong with one row is told about that row, and the others go on."""

from __future__ import annotations

import polars as pl

from backstay import FeatureSet, Request
from backstay.features.asking import Asking


def test_an_integer_of_more_than_64_bits_is_told_about_its_row() -> None:
    features = FeatureSet("inputs", [Request(n="int")])
    table = pl.DataFrame({"n": pl.Series([1, 2**63, None], dtype=pl.UInt64)})
    asked, error = Asking(features, table.schema, at=5, now=5, where="a table").frame(table)
    assert asked["n"].to_list() == [1, None, None]
    assert error.to_list() == [None, "n is not read as int", "n is null"]
