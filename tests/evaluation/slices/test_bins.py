"""Bins: every row is in the one bin whose condition it meets, and what has no bins says why."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.evaluation.slices import Condition, Predicate
from backstay.evaluation.slices.bins import binned

NUMBERS = st.none() | st.sampled_from([0.0, -0.0, 1.0, 2.5, math.nan, math.inf, -math.inf]) | st.floats(-1e9, 1e9)
COLUMNS = [
    (NUMBERS, pl.Float64),
    (st.none() | st.integers(-5, 40), pl.Int64),
    (st.none() | st.booleans(), pl.Boolean),
    (st.none() | st.sampled_from(["a", "b", "", "it's", "d", "e"]), pl.String),
    (st.none() | st.integers(0, 10**9).map(lambda s: datetime(2020, 1, 1) + timedelta(seconds=s)), pl.Datetime("ms")),
    (st.none() | st.integers(0, 10**4).map(lambda d: date(2020, 1, 1) + timedelta(days=d)), pl.Date),
    (st.none() | st.sampled_from(["x", "y"]), pl.Categorical),
]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_row_meets_the_condition_of_its_bin_and_no_other(data: st.DataObject) -> None:
    values, dtype = data.draw(st.sampled_from(COLUMNS))
    column = data.draw(st.lists(values, min_size=2, max_size=60))
    frame = pl.DataFrame({"x": pl.Series(column, dtype=dtype, strict=False)})
    reference = np.array(data.draw(st.lists(st.booleans(), min_size=len(column), max_size=len(column))))
    found, without = binned(frame, reference, bins=4, words=2)
    if without:
        assert without["x"] in ("every value is missing", "one value only")
        return
    (one,) = found
    for place, condition in enumerate(one.conditions):
        told = Predicate.of(json.loads(json.dumps(Predicate((condition,)).as_dict(), allow_nan=False)))
        assert np.array_equal(told.mask(frame), one.codes == place), str(condition)


def shown(values: Any, bins: int = 4, **more: Any) -> list[str]:
    frame = pl.DataFrame({"x": values})
    found, _ = binned(frame, np.ones(frame.height, bool), bins=bins, **more)
    return [str(one) for one in found[0].conditions]


def test_a_heavy_value_has_a_bin_of_its_own() -> None:
    values = [0.0] * 60 + list(np.arange(1, 41) / 2)
    assert shown(values) == ["x < 0", "x = 0", "0 < x < 7.5", "x >= 7.5", "x is missing"]
    assert shown([1089] * 2 + list(range(1090, 1110)))[-2] == "x >= 1,104"


def test_words_that_have_no_bin_are_together_and_it_is_said() -> None:
    frame = pl.DataFrame({"who": [f"w{n // 3}" for n in range(9000)]})
    (one,), without = binned(frame, np.ones(9000, bool), words=3)
    assert [str(c) for c in one.conditions] == [
        "who = 'w0'", "who = 'w1'", "who = 'w10'", "who is none of 'w0', 'w1', 'w10'", "who is missing",
    ]  # fmt: skip
    assert one.note == "2,997 of 3,000 values are looked at together"
    assert not without


def test_times_and_dates_are_shown_as_such() -> None:
    moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(100)]
    assert shown(moments)[1] == "2024-01-02 00:00:00 <= x < 2024-01-03 01:00:00"
    assert shown([date(2024, 1, 1) + timedelta(days=n) for n in range(3)])[0] == "x = 2024-01-01"


def test_what_has_no_bins_says_why() -> None:
    frame = pl.DataFrame(
        {"gone": pl.Series([None] * 4, dtype=pl.Float64), "nan": [math.nan] * 4, "same": [7] * 4, "list": [[1]] * 4,
         "nothing": [None] * 4, "half": [1, 1, None, None]}
    )  # fmt: skip
    found, without = binned(frame, np.ones(4, bool))
    assert [one.feature for one in found] == ["half"]
    assert without == {
        "gone": "every value is missing", "nan": "every value is missing", "same": "one value only",
        "list": "values of type List(Int64) have no bins", "nothing": "values of type Null have no bins",
    }  # fmt: skip


def test_wrong_input_is_an_error() -> None:
    frame = pl.DataFrame({"x": [1, 2]})
    with pytest.raises(InputError, match="bins is 1"):
        binned(frame, np.ones(2, bool), bins=1)
    with pytest.raises(InputError, match="the reference has 3 rows of 2"):
        binned(frame, np.ones(3, bool))
    with pytest.raises(InputError, match="the rows have no 'y'"):
        Predicate((Condition("y", missing=True),)).mask(frame)
    with pytest.raises(InputError, match="the values can't be compared"):
        Predicate((Condition("x", values=("a",)),)).mask(frame)
    with pytest.raises(InputError, match="this is no predicate"):
        Predicate.of([{"what": 1}])


def test_a_predicate_without_conditions_is_every_row() -> None:
    assert Predicate(()).mask(pl.DataFrame({"x": [1, 2]})).tolist() == [True, True]
    assert str(Predicate(())) == "every row"
