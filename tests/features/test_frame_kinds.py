"""A pandas frame comes back as it was, index, names and types, with the features beside it."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from backstay.core.errors import InputError
from backstay.features.frames import given


def pandas() -> pd.DataFrame:
    frame = pd.DataFrame({"who": ["a", None, "b"], "n": [1, 2, 3]}, index=pd.Index(["x", "x", "y"], name="row"))
    frame["kind"] = pd.Categorical(["u", "v", "u"])
    frame["few"] = pd.array([1, None, 3], dtype="Int64")
    frame["small"] = frame["n"].astype("int8")
    frame["at"] = pd.to_datetime(["2024-03-10", "2024-03-11", None]).tz_localize("America/New_York")
    frame[7] = [0.5, None, 1.5]
    return frame


def test_what_came_is_untouched_and_what_is_new_stands_beside_it() -> None:
    frame = pandas()
    polars, back = given(frame, where="here")
    made = polars.with_columns(
        n=pl.Series([1.0, 2.0, 3.5]), count=pl.Series([5, 0, 1]), word=pl.Series(["p", None, "q"])
    )
    out = back(made)
    assert list(out.columns) == [*frame.columns, "count", "word"]
    pd.testing.assert_frame_equal(out.drop(columns=["n", "count", "word"]), frame.drop(columns="n"))
    assert (out["n"].tolist(), out["count"].tolist(), out["count"].dtype) == ([1.0, 2.0, 3.5], [5, 0, 1], "int64")
    assert out["word"].isna().tolist() == [False, True, False]
    assert list(frame.columns) == list(pandas().columns)  # the user's own is not changed
    empty, back = given(frame.head(0), where="here")
    assert back(empty).dtypes.equals(frame.dtypes)


def test_columns_that_cannot_be_taken_are_named() -> None:
    frame = pandas().assign(mixed=[{"a": 1}, "b", None])
    with pytest.raises(InputError, match="column 'mixed' holds what no column can") as caught:
        given(frame, where="here")
    assert caught.value.where == "here"
    assert caught.value.fix
    twice = pd.concat([pandas(), pandas()[["who"]]], axis=1)
    with pytest.raises(InputError, match="two columns are named 'who'"):
        given(twice, where="here")


def test_integers_and_conditions_with_nulls_lose_no_bit() -> None:
    polars, back = given(pandas(), where="here")
    big, none = pl.Series([2**53 + 1, None, -(2**63)]), pl.Series([None, None, None], dtype=pl.Int64)
    out = back(
        polars.with_columns(big=big, none=none, yes=pl.Series([True, None, False]), half=pl.Series([0.5, None, 1]))
    )
    assert (str(out["big"].dtype), str(out["none"].dtype), str(out["yes"].dtype)) == ("Int64", "Int64", "boolean")
    assert (out["big"].iloc[0], out["big"].iloc[2]) == (2**53 + 1, -(2**63))
    assert out[["big", "none", "yes"]].isna().to_numpy().tolist() == [
        [False, True, False],
        [True] * 3,
        [False, True, False],
    ]
    assert (out["half"].dtype, list(out.index)) == ("float64", ["x", "x", "y"])
    out.loc[out.index[2], "big"] = 7  # it is the user's own


def test_of_arrow_a_table_comes_back() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    for frame in (table, table.to_batches()[0]):
        polars, back = given(frame, where="here")
        assert back(polars).equals(table.cast(back(polars).schema))
    with pytest.raises(InputError, match="two columns have one name") as caught:
        given(pa.Table.from_arrays([*table.columns, table["a"]], names=["a", "b", "a"]), where="here")
    assert caught.value.fix
