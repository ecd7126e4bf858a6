"""A pandas frame comes back as it was, index, names and types, with the features beside it."""

from __future__ import annotations

import pandas as pd
import polars as pl
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
