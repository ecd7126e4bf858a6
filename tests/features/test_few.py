"""The few rows of requests in flight: what many rows give, made another way."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import polars as pl
import pytest

from backstay import Count, Derived, Entity, EventSource, FeatureSet, Request, Windowed
from backstay.features import few, short
from backstay.features.few import FewEngine
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.offline import feature_rows
from backstay.features.rows import RowEngine
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline
from backstay.testing import features_at

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
    found = FewEngine(engine.features, []).rows([], rows)
    many = engine.rows([], pl.DataFrame(rows, schema=plain, orient="row").cast(kinds))
    assert found.values() == many.values()
    assert found.statuses.tobytes() == many.statuses.tobytes()
    assert found.vector().tobytes() == many.vector().tobytes()
    assert found.frame().equals(many.frame(), null_equal=True)


@pytest.mark.parametrize("number", [1, 300])
def test_what_float32_does_not_hold_is_infinite(number: int) -> None:
    features = FeatureSet("few", [Request(x="float")])
    many = RowEngine(features).rows([], pl.DataFrame({"x": [1e308] * number}))
    for rows in (FewEngine(features, []).rows([], [[1e308]] * number), many):
        assert rows.vector().tolist() == [[float("inf")]] * number  # and no warning, which would fail the test
        assert rows.values() == [[1e308]] * number


@pytest.mark.parametrize("number", [1, 3])
def test_literals_beside_stored_features_that_no_expression_reads(number: int) -> None:
    """They are as many as the rows, though nothing tells an expression how many these are."""
    source = EventSource("s", schema={"k": "string", "x": "float"})
    features = FeatureSet("bias", [Windowed(source, by=Entity("k"), over="1h", n=Count()), Derived(bias=pl.lit(1.5))])
    told = features_at(features, 10, {source: [{"event_time": 5, "k": "a", "x": 1.0}]}, k="a")
    assert told == {"k_n_1h": 1, "bias": 1.5}
    state = MemoryOnline()
    found = OnlineLookup(features, state).lookup([Asked({"k": "a"}, {}, 10)] * number).rows
    assert found.values() == [[0, 1.5]] * number
    asked = pl.DataFrame({"at": [10] * number, "k": ["a"] * number})
    assert feature_rows(features, asked, MemoryEvents()).rows.values() == found.values()


@pytest.mark.parametrize("rows", [ROWS[:1], ROWS], ids=["alone", "together"])
@pytest.mark.parametrize("derived", DERIVED.values(), ids=DERIVED)
def test_the_public_way_of_polars_gives_the_same(
    derived: list[Derived], rows: list[list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    features = FeatureSet("few", [INPUTS, *derived])
    shorter = FewEngine(features, []).rows([], rows)
    assert short.ways() != short.PUBLIC  # this Polars is called the shorter way
    monkeypatch.setattr(few, "ways", lambda: short.PUBLIC)
    public = FewEngine(features, []).rows([], rows)
    assert shorter.values() == public.values()
    assert shorter.statuses.tobytes() == public.statuses.tobytes()
    assert shorter.vector().tobytes() == public.vector().tobytes()


def test_importing_backstay_asks_nothing_of_the_engine() -> None:
    """Its threads are not started: a process that has them cannot be forked."""
    code = """
import glob, backstay, backstay.project, backstay.features.lookup
print([open(one).read().strip() for one in glob.glob('/proc/self/task/*/comm')])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'python'" in told
    assert "polars-0" not in told
