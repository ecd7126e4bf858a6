"""An objective says how a model is served, and nothing of what it is."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from backstay import Ask, Count, Entity, EventSource, FeatureSet, Label, Model, Objective, Windowed
from backstay.core.errors import DefinitionError

pays = EventSource("pays", schema={"a": "string", "id": "string", "x": "float"})
features = FeatureSet("f", [Windowed(pays, by=Entity("a"), over="1h", n=Count())])


def model(**more: object) -> Model:
    label = Label("l", source=pays, key="id", value=pl.col("x") > 0, horizon="1h")
    return Model("m", features=features, label=label, ask=Ask(pays), estimator=dict, **more)  # type: ignore[arg-type]


def test_durations_are_parsed_as_others_are() -> None:
    one = Objective(latency=timedelta(milliseconds=50), over="1w", why="it is waited for")
    assert (one.latency, one.over) == (50_000, 7 * 86_400_000_000)
    assert str(one) == "99% within 50ms, 99.9% answered, over 7d"
    assert repr(one) == "Objective(99% within 50ms, 99.9% answered, over 7d, why='it is waited for')"


def test_a_model_may_have_one_and_is_the_same_model() -> None:
    promised = model(objective=Objective(latency="50ms", why="it is waited for"))
    assert promised.objective is not None
    assert model().objective is None
    assert promised.features.hash == model().features.hash


def test_what_is_no_objective_is_refused() -> None:
    with pytest.raises(DefinitionError, match="objective='50ms' is no objective") as caught:
        model(objective="50ms")
    assert "model 'm'" in caught.value.where
    assert "Objective(" in caught.value.fix
