"""Entities in parts, computed side by side: the same bits as all at once, whatever part an entity falls into."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest

from backstay.definitions import Count, FeatureSet, Max, Windowed
from backstay.features import cells, offline, parts
from backstay.features.offline import feature_rows
from backstay.features.rows import RowEngine
from backstay.features.views import Computed
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


def test_entities_without_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers are among those of the others, and before them all: what is not needed was left out."""
    source = SOURCES["things"]
    features = FeatureSet("few", [Windowed(source, by=world.SINGLE, over="5h", n=Count(), most=Max("x"))])
    (plan,) = RowEngine(features).plans
    segment, hours = np.array([2, 4, 2, 5, 5, 4]), np.arange(1, 7) * HOUR
    values = np.column_stack([np.arange(6.0)] * len(plan.view.values))
    rows, at = np.arange(-1, 7).repeat(3) + 1, np.tile([2 * HOUR, 5 * HOUR, 9 * HOUR], 8)
    rows[rows == 7] = 0
    found = []
    for many in (1 << 40, 1):
        monkeypatch.setattr(parts, "_MANY", many)
        monkeypatch.setattr(parts, "_PART", 2)
        told = parts.Told(parts.Grouped(segment, 6), [hours, hours, values])
        out = Computed.of(len(rows), 2)
        parts.compute_parts(plan, told, parts.Grouped(rows, 7), at, out)
        found.append((out.values.tobytes(), out.statuses.tobytes(), out.event_time.tobytes()))
        counts = dict(zip(zip(rows.tolist(), at.tolist(), strict=True), out.values[:, 0], strict=True))
        assert [counts[3, moment * HOUR] for moment in (2, 5, 9)] == [1.0, 2.0, 0.0]
        assert [counts[1, moment * HOUR] for moment in (2, 5, 9)] == [0.0, 0.0, 0.0]
    assert found[0] == found[1]


def test_more_parts_than_events_and_an_error_in_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    grouped = parts.Grouped(np.array([2, 0, 2, 1]), 4)
    assert (grouped.places.tolist(), grouped.before.tolist()) == ([1, 3, 0, 2], [0, 1, 2, 4, 4])

    def fails() -> int:
        raise ValueError("of a part")

    with pytest.raises(ValueError, match="of a part"):
        parts.in_threads([lambda: 1, fails])
