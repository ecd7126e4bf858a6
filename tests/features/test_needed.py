"""Events that no row can need are left out of the computation, and change no bit."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest

from backstay.definitions import Count, Entity, EventSource, FeatureSet, First, Latest, Max, Mean, Sum, Windowed
from backstay.features import needed as module
from backstay.features.historical import historical
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
@pytest.mark.parametrize("span", [(60, 80), (0, 300), (190, 230), (120, 230)])
def test_no_bit_changes(by: Entity, span: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(11)
    record, chosen = world.store(PLAIN, history(random)), features(by)
    asked = world.asked_frame(
        [
            (START + random.randrange(*span) * HOUR // 4, random.choice(["1", "11", "2", "9", None]), "12")
            for _ in range(200)
        ]
    )
    windows = FeatureSet("windows", [Windowed(PLAIN, by=by, over=["1h", "5h"], n=Count(), most=Max("x"))])
    told, undated = [], []
    for many, share in ((1 << 40, 0.8), (0, 1.0), (0, 0.8), (0, 0.5)):
        monkeypatch.setattr(module, "_MANY", many)
        monkeypatch.setattr(module, "_SHARE", share)
        told.append(feature_rows(chosen, asked, record))
        undated.append(historical(windows, asked, record, statuses=True).digest)
    whole, *parts = told
    for part in parts:
        assert whole.rows.values() == part.rows.values()
        assert whole.rows.vector().tobytes() == part.rows.vector().tobytes()
        assert whole.rows.statuses.tobytes() == part.rows.statuses.tobytes()
        for one, other in zip(whole.computed, part.computed, strict=True):
            assert one.event_time.tolist() == other.event_time.tolist()
    assert len(set(undated)) == 1


@pytest.mark.parametrize("dated", [True, False])
def test_what_is_left_out(dated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MANY", 0)
    table = pl.DataFrame(
        {
            "event_time": [1, 2, 2, 50 * HOUR, 99 * HOUR, 3],
            "known_time": [1, 4, 3, 50 * HOUR, 99 * HOUR, 60 * HOUR],
            "sequence": [1, 2, 3, 4, 5, 6],
        }
    )
    features = FeatureSet("one", [Windowed(PLAIN, by=SINGLE, over="5h", n=Count())])
    (plan,) = RowEngine(features, dated=dated).plans
    segment, kept = needed(plan, np.zeros(6, np.int64), 1, table, np.array([52 * HOUR, 53 * HOUR]))
    # The second is the last before the window; if nobody asks when that was, the third tells as well that the entity
    # was seen. The fourth is in the window. The fifth and sixth are known after every T.
    assert kept["sequence"].to_list() == [2 if dated else 3, 4]
    assert segment.tolist() == [0, 0]


@pytest.mark.parametrize("dated", [True, False])
def test_events_that_stand_together_are_not_copied(dated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record in the order of its times: what is left out of it is its beginning, but for one event an entity."""
    monkeypatch.setattr(module, "_MANY", 0)
    hours = np.arange(1, 101)
    table = pl.DataFrame({"event_time": hours * HOUR, "known_time": hours * HOUR, "sequence": hours})
    features = FeatureSet("one", [Windowed(PLAIN, by=SINGLE, over="5h", n=Count())])
    (plan,) = RowEngine(features, dated=dated).plans
    segment, kept = needed(plan, hours % 3, 3, table, np.array([52 * HOUR, 100 * HOUR]))
    assert kept["sequence"].to_list() == [44, 45, 46, *range(47, 101)]
    assert segment.tolist() == [number % 3 for number in kept["sequence"]]
    assert kept["event_time"].get_chunks()[1].to_numpy().ctypes.data == table["event_time"][46:].to_numpy().ctypes.data


def test_rows_before_every_event_need_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training set may begin before its record does."""
    monkeypatch.setattr(module, "_MANY", 0)
    source, rows = SOURCES["things"], [world.event(1, START, 0, "1", "2", (1.0, *[None] * 5), None)]
    asked = [(START - HOUR, "1", "2"), (START, "2", "2")]
    got = feature_rows(world.SETS["things"], world.asked_frame(asked), world.store(source, rows)).rows
    for place, (at, a, b) in enumerate(asked):
        world.check(world.SETS["things"], got.frame(), got.statuses, place, world.expected(source, rows, at, a, b))
