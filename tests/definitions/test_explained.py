"""What `backstay why` is told of in a model's definition: the position, and the outcome that pays."""

from __future__ import annotations

from typing import Any

import pytest

from backstay import Ask, EventSource, FeatureSet, Label, Metric, Model, Request
from backstay.core.errors import DefinitionError

SHOWN = EventSource("shown", schema={"item": "string", "place": "int", "price": "float"})
CLICKS = EventSource("clicks", schema={"item": "string"})


def _model(**more: Any) -> Model:
    label = Label("clicked", source=CLICKS, key="item", occurs=True, horizon="1h")
    return Model("rank", features=FeatureSet("f", [Request(price="float")]), label=label, ask=Ask(SHOWN),
                 estimator=lambda: None, **more)  # fmt: skip


def test_a_position_is_a_column_of_numbers_of_the_asked_rows() -> None:
    assert _model(position="place").position == "place"
    assert _model().position is None
    for wrong in ("item", "rank"):
        with pytest.raises(DefinitionError, match="no column of numbers"):
            _model(position=wrong)


def test_the_outcome_that_pays_is_a_sources_column() -> None:
    paid = Metric("orders.amount", better="higher", within="14d")
    assert _model(business=paid).business is paid
    with pytest.raises(DefinitionError, match="no outcome of a source"):
        _model(business=Metric("outcome", better="higher"))


def test_neither_is_part_of_what_a_version_is() -> None:
    assert _model(position="place").features.hash == _model().features.hash
