"""Events that no row can need are left out of the computation, and change no bit."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from backstay.definitions import Count, Entity, EventSource, FeatureSet, First, Latest, Max, Mean, Sum, Windowed
from backstay.features import needed as module
from backstay.features.needed import needed
from backstay.features.offline import feature_rows
from backstay.features.rows import RowEngine
from tests.features import world
from tests.features.world import HOUR, PAIR, SINGLE, SOURCES, START

PLAIN = SOURCES["things"]


def features(by: Entity, source: EventSource = PLAIN) -> FeatureSet:
    aggregates = {"n": Count(), "total": Sum("x"), "mean": Mean("x"), "most": Max("y"), "first": First("x")}
    return FeatureSet(
        "needed",
        [
            Windowed(source, by=by, over=["1h", "5h"], **aggregates),
            Windowed(source, by=by, over="4h", hop="2h", late=Count()),
            Latest(source, by=by, max_age="9h", x="x", word="word"),
        ],
    )


def history(random: Random) -> list[Any]:
    rows = []
    for number in range(400):
        values = random.choice([None, random.uniform(-9, 99)]), 1.0, random.choice(["u", "v"]), 1, True, START
        keys = random.choice(["1", "11", "2", None]), random.choice(["12", "2"])
        late = random.choice([0, 0, 0, HOUR, 9 * HOUR])
        rows.append(world.event(number + 1, START + number // 2 * HOUR // 4, late, *keys, values, None))
    return rows


@pytest.mark.parametrize("by", [SINGLE, PAIR], ids=["single", "pair"])
@pytest.mark.parametrize("span", [(60, 80), (0, 300), (190, 230)])
def test_no_bit_changes(by: Entity, span: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(11)
    record, chosen = world.store(PLAIN, history(random)), features(by)
    asked = world.asked_frame(
        [
            (START + random.randrange(*span) * HOUR // 4, random.choice(["1", "11", "2", "9", None]), "12")
            for _ in range(200)
        ]
    )
    told = []
    for many, share in ((1 << 40, 0.8), (0, 1.0)):
        monkeypatch.setattr(module, "_MANY", many)
        monkeypatch.setattr(module, "_SHARE", share)
        told.append(feature_rows(chosen, asked, record))
    whole, part = told
    assert whole.rows.values() == part.rows.values()
    assert whole.rows.vector().tobytes() == part.rows.vector().tobytes()
    assert whole.rows.statuses.tobytes() == part.rows.statuses.tobytes()
    for one, other in zip(whole.computed, part.computed, strict=True):
        assert one.event_time.tolist() == other.event_time.tolist()


def test_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MANY", 0)
    table = pl.DataFrame(
        {
            "event_time": [1, 2, 2, 50 * HOUR, 99 * HOUR, 3],
            "known_time": [1, 4, 3, 50 * HOUR, 99 * HOUR, 60 * HOUR],
            "sequence": [1, 2, 3, 4, 5, 6],
        }
    )
    (plan,) = RowEngine(FeatureSet("one", [Windowed(PLAIN, by=SINGLE, over="5h", n=Count())])).plans
    kept = needed(plan, np.zeros(6, np.int64), 1, table, np.array([52 * HOUR, 53 * HOUR]))
    # The second is the last before the window, the fourth in it; the fifth and sixth are known after every T.
    assert kept is not None
    assert np.flatnonzero(kept).tolist() == [1, 3]


def test_rows_before_every_event_need_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training set may begin before its record does."""
    monkeypatch.setattr(module, "_MANY", 0)
    source, rows = SOURCES["things"], [world.event(1, START, 0, "1", "2", (1.0, *[None] * 5), None)]
    asked = [(START - HOUR, "1", "2"), (START, "2", "2")]
    got = feature_rows(world.SETS["things"], world.asked_frame(asked), world.store(source, rows)).rows
    for place, (at, a, b) in enumerate(asked):
        world.check(world.SETS["things"], got.frame(), got.statuses, place, world.expected(source, rows, at, a, b))
