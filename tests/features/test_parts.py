"""Entities in parts, computed side by side: the same bits as all at once, whatever part an entity falls into."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest

from backstay.features import cells, offline, parts
from backstay.features.offline import feature_rows
from tests.features import world
from tests.features.world import HOUR, SETS, SOURCES, START


@pytest.mark.parametrize("name", sorted(SETS))
@pytest.mark.parametrize("size", [1, 7, 60, 300])
def test_the_bits_do_not_depend_on_the_parts(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one entity has most of the events, and where rows ask about entities that were never seen."""
    random = Random(size)
    rows = []
    for number in range(400):
        values = (random.uniform(-9, 99), random.choice([None, 1.5]), "w", 2**60 + number, True, START + number)
        entity = random.choice(["1", "1", "1", "11", "2", None])
        late = random.choice([0, 0, 0, HOUR])
        rows.append(
            world.event(number + 1, START + number * HOUR // 20, late, entity, "12", values, f"n{number % 300}")
        )
    record = world.store(SOURCES[name], rows)
    asked = world.asked_frame(
        [(START + step * HOUR // 9, random.choice(["1", "11", "2", "9", None]), "12") for step in range(300)]
    )
    whole = feature_rows(SETS[name], asked, record).rows
    monkeypatch.setattr(parts, "_MANY", 1)
    monkeypatch.setattr(parts, "_PART", size)
    monkeypatch.setattr(parts, "_ROWS", 3 * size)
    for module in (cells, offline):  # few events are numbered otherwise than many
        monkeypatch.setattr(module, "FEW", 0)
    divided = feature_rows(SETS[name], asked, record).rows
    assert whole.vector().tobytes() == divided.vector().tobytes()
    assert whole.statuses.tobytes() == divided.statuses.tobytes()
    ours, again = whole.frame(), divided.frame()
    for column in ours.columns:
        left, right = ours[column], again[column]
        if left.dtype == pl.Float64:
            left, right = left.reinterpret(signed=True), right.reinterpret(signed=True)
        assert left.equals(right, null_equal=True), column


def test_more_parts_than_events_and_an_error_in_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [piece.tolist() for piece in parts._divided(np.array([2, 0, 2, 1], np.uint8), 4)] == [[1], [3], [0, 2], []]

    def fails() -> int:
        raise ValueError("of a part")

    with pytest.raises(ValueError, match="of a part"):
        parts.in_threads([lambda: 1, fails])
