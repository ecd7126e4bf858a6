"""A declared slice is an expression over a row's features, and no part of what a model is."""

from __future__ import annotations

import polars as pl
import pytest

from backstay import Ask, Count, Entity, EventSource, FeatureSet, Label, Model, Request, Slice, Windowed
from backstay.core.errors import DefinitionError

pays = EventSource("pays", schema={"a": "string", "id": "string", "x": "float"})
features = FeatureSet("f", [Windowed(pays, by=Entity("a"), over="1h", n=Count()), Request(x="float")])


def model(*slices: object) -> Model:
    label = Label("l", source=pays, key="id", value=pl.col("x") > 0, horizon="1h")
    return Model("m", features=features, label=label, ask=Ask(pays), estimator=dict, slices=slices)  # type: ignore[arg-type]


def test_a_model_has_its_slices_and_is_the_same_model() -> None:
    large = Slice("large", where=(pl.col("x") > 100) & (pl.col("a") == "shop1"), description="they complain")
    assert [one.name for one in model(large).slices] == ["large"]
    assert large.features == ("x", "a")
    assert model(large).features.hash == model().features.hash
    assert model().slices == ()


@pytest.mark.parametrize(
    ("where", "what"),
    [
        (pl.col("x") > pl.col("x").mean(), "an aggregation over rows"),
        (pl.col("x").rank() > 3, "looks at other rows"),
        (pl.lit(True), "reads no feature"),
        ("x > 3", "is no expression"),
    ],
)
def test_what_is_no_row_wise_expression_is_refused(where: object, what: str) -> None:
    with pytest.raises(DefinitionError, match=what) as caught:
        Slice("large", where=where)  # type: ignore[arg-type]
    assert "slice 'large' (" in caught.value.where


def test_what_is_no_slice_of_the_model_is_refused() -> None:
    with pytest.raises(DefinitionError, match="reads 'y', which is no feature"):
        model(Slice("large", where=pl.col("y") > 1))
    with pytest.raises(DefinitionError, match="two slices are called 'large'"):
        model(Slice("large", where=pl.col("x") > 1), Slice("large", where=pl.col("x") > 2))
    with pytest.raises(DefinitionError, match="'large' is no slice"):
        model("large")
    with pytest.raises(DefinitionError, match="cannot name a slice"):
        Slice("Large ones", where=pl.col("x") > 1)
