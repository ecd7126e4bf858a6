"""The canonical form of expressions, pinned: what a feature set's hash covers does not change with Polars."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from backstay import Count, Derived, Entity, EventSource, FeatureSet, Latest, Request, Windowed
from backstay.core.errors import DefinitionError
from backstay.definitions.expressions import canonical

x, y = pl.col("x"), pl.col("y")
X, Y = ["column", "x"], ["column", "y"]

FORMS: dict[str, tuple[pl.Expr, Any]] = {
    "a column": (x, X),
    "another name": (x.alias("z"), X),
    "a whole number": (x + 1, ["binary", "Plus", X, ["literal", "int", 1]]),
    "a number": (x * 0.5, ["binary", "Multiply", X, ["literal", "float", 0.5]]),
    "a text": (x == "a", ["binary", "Eq", X, ["literal", "String", "a"]]),
    "a quotient": (x / y, ["binary", "TrueDivide", X, Y]),
    "a whole quotient": (x // y, ["binary", "FloorDivide", X, Y]),
    "a remainder": (x % y, ["binary", "Modulus", X, Y]),
    "a type": (x.cast(pl.Int64), ["cast", {"Literal": "Int64"}, "Strict", X]),
    "a function": (x.is_null(), ["call", {"Boolean": "IsNull"}, X]),
    "a function of several": (pl.max_horizontal(x, y), ["call", "MaxHorizontal", X, Y]),
    "an hour": (
        x.dt.convert_time_zone("UTC").dt.hour(),
        ["call", {"TemporalExpr": "Hour"}, ["call", {"TemporalExpr": {"ConvertTimeZone": {"inner": "UTC"}}}, X]],
    ),
    "a time in a text": (
        x.str.to_datetime("%Y", strict=False).dt.year(),
        [
            "call",
            {"TemporalExpr": "Year"},
            [
                "call",
                {
                    "StringExpr": {
                        "Strptime": [
                            {"Literal": {"Datetime": ["Microseconds", None]}},
                            {"cache": True, "exact": True, "format": "%Y", "strict": False},
                        ]
                    }
                },
                X,
                ["literal", "String", "raise"],
            ],
        ],
    ),
    "conditions": (
        (x > 1) & (y <= 2),
        ["binary", "And", ["binary", "Gt", X, ["literal", "int", 1]], ["binary", "LtEq", Y, ["literal", "int", 2]]],
    ),
    "one of two": (
        pl.when(x > y).then(x).otherwise(None),
        ["if", ["binary", "Gt", X, Y], X, ["literal", "Null", None]],
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_form_is_pinned(name: str) -> None:
    expression, form = FORMS[name]
    assert canonical(expression) == form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (x + 1, x + 1.0),
        (x + 1, 1 + x),
        (x.cast(pl.Int64), x.cast(pl.Int32)),
        (x.round(1), x.round(2)),
        (x.is_in([1, 2]), x.is_in([1, 3])),
        (x.fill_null(0), x.fill_null(1)),
        (x.clip(0, 1), x.clip(0, 2)),
        (x.dt.hour(), x.dt.weekday()),
        (x.dt.convert_time_zone("UTC").dt.hour(), x.dt.convert_time_zone("Europe/Berlin").dt.hour()),
        (x.str.contains("a"), x.str.contains("b")),
        (x.log(), x.log(2)),
        (pl.max_horizontal(x, y), pl.min_horizontal(x, y)),
    ],
)
def test_what_says_something_else_has_another_form(one: pl.Expr, other: pl.Expr) -> None:
    assert canonical(one) == canonical(one)
    assert canonical(one) != canonical(other)


@pytest.mark.parametrize(
    "expression",
    [
        *(x.sum(), x - x.mean(), x.max().over("y"), x.rolling_mean(3), x.sort(), x.filter(y > 0), x.head(2), pl.len()),
        *(x.map_elements(abs, return_dtype=pl.Float64), pl.when(x.sum() > 0).then(1), x.first(), x.n_unique()),
        *(x.fill_null(x.mean()), x.fill_null(strategy="forward"), x.shift(1), x.diff(), x.rank(), x.cum_sum()),
        *(x.is_unique(), x.is_first_distinct(), x.shuffle(), x.interpolate(), x.reverse(), x.ewm_mean(com=1)),
        *(pl.int_range(pl.len()), pl.lit(pl.Series([1.0, 2.0])), pl.sum_horizontal(pl.all()), pl.col("x", "y")),
        *((x > 1).any(), x.arg_max(), x.null_count(), x.pct_change(), x.gather_every(2), x.rle_id(), x.mode()),
    ],
    ids=str,
)
def test_what_looks_at_other_rows_is_refused(expression: pl.Expr) -> None:
    with pytest.raises(DefinitionError):
        FeatureSet("f", [Request(x="float", y="float"), Derived(z=expression)])


def test_the_hash_covers_what_decides_a_value_and_nothing_else() -> None:
    def made(name: str = "f", delay: str = "0s", kind: str = "float", window: str = "1h", **more: Any) -> FeatureSet:
        source = EventSource("s", schema={"a": "string", "x": kind}, delay=delay, owner=more.pop("owner", ""))
        by = Entity("a")
        blocks = [Windowed(source, by=by, over=window, n=Count()), Latest(source, by=by, max_age="2h", x="x")]
        return FeatureSet(name, blocks, **more)

    plain = made().hash
    assert {made("g").hash, made(owner="me").hash, made(description="what").hash, made(tags="pii").hash} == {plain}
    others = [made(kind="int"), made(window="2h"), made(defaults={"a_x": 1.0}), made(defaults={"a_n_1h": 1})]
    assert len({plain, *(one.hash for one in others)}) == 5


def test_the_hash_of_a_set_is_pinned() -> None:
    """A change of it is a change of what served models mean: raise SEMANTICS, and this."""
    source = EventSource("s", schema={"a": "string", "x": "float"})
    features = FeatureSet(
        "f", [Windowed(source, by=Entity("a"), over="1h", n=Count()), Derived(half=pl.col("a_n_1h") / 2)]
    )
    assert features.hash == "a1a718cb1a117cbbed55bc86178fe93df04c7a754b7d09cfdc830303246a2134"
