"""The example asks its question for other delays, and of nothing else."""

from __future__ import annotations

from imbalance import MISSED, late
from models import late30


def test_the_question_for_another_delay() -> None:
    for minutes in MISSED:
        model = late(minutes, late30)
        assert model.name == f"late{minutes}"
        assert model.features is late30.features
        assert (model.label.key, model.label.void, model.label.horizon) == (
            "flight",
            late30.label.void,
            late30.label.horizon,
        )
        assert str(minutes) in str(model.label.value)
