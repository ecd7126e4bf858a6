"""Rows for which an expression raises are set apart, whatever there is beside them, and the others are judged."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay import Contract, EventSource, Expect
from backstay.core.times import instant
from backstay.features.ingest import screen
from backstay.features.raising import raising

NUMBER = pl.col("w").cast(pl.Float64)
SAID = "conversion from `str` to `f64` failed in column 'w'"
SCHEMA = {"w": "string", "x": "int"}
AT = instant("2024-05-01T12:00Z")


def frame(texts: list[str | None]) -> pl.DataFrame:
    time = pl.lit(AT).cast(pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"w": texts, "x": range(len(texts))}, schema={"w": pl.String, "x": pl.Int64})
    return rows.with_columns(event_time=time)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["1", "-2", "abc", "", None]), max_size=40))
def test_the_rows_are_those_that_raise_alone(texts: list[str | None]) -> None:
    told = raising(frame(texts), NUMBER)
    alone = [text in ("abc", "") for text in texts]
    assert {words: mask.to_list() for words, mask in told.items()} == ({SAID: alone} if any(alone) else {})


def test_few_bad_rows_among_many_take_few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str | None] = list(map(str, range(100_000)))
    for place in random.Random(1).sample(range(len(texts)), 3):
        texts[place] = f"abc {place}"
    asked: list[int] = []
    select = pl.DataFrame.select
    monkeypatch.setattr(
        pl.DataFrame, "select", lambda self, *given: (asked.append(self.height), select(self, *given))[1]
    )
    assert raising(frame(texts), NUMBER)[SAID].sum() == 3
    assert len(asked) < 150
    asked.clear()
    assert raising(frame(["abc", "1"] * 50_000), NUMBER)[SAID].sum() == 50_000
    assert len(asked) < 10


def test_a_check_that_raises_sets_its_rows_apart() -> None:
    positive, small = Expect.check("positive", NUMBER > 0), Expect.check("small", pl.col("x") < 5)
    source = EventSource("pays", schema=SCHEMA, contract=Contract(positive, Expect.not_null("w"), small))
    parted = screen(source, frame(["1", "abc", "2", "-3", None, "4", "x"]), now=AT)
    assert parted.good.get_column("w").to_list() == ["1", "2"]
    assert parted.bad.select("expectation", "reason").rows() == [
        ("positive", f"positive cannot be judged: {SAID}"), ("positive", "positive does not hold"),
        ("w_not_null", "w is null"), ("small", "small does not hold"),
        ("positive", f"positive cannot be judged: {SAID}"),
    ]  # fmt: skip
    assert parted.bad.get_column("row").str.json_path_match("$.w").to_list() == ["abc", "-3", None, "4", "x"]
    assert parted.counts[f"positive cannot be judged: {SAID}"] == 2
