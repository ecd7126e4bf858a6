"""The as-of join for events in order: taken when it may be, and then the bits of the general way."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from backstay.definitions import Entity, EventSource, FeatureSet, Latest
from backstay.features import historical, inorder, offline
from backstay.features.historical import views
from backstay.features.offline import feature_rows
from tests.features import world
from tests.features.world import HOUR, PAIR, SINGLE, SOURCES, START

PLAIN = SOURCES["things"]


def latest(by: Entity, source: EventSource = PLAIN) -> FeatureSet:
    return FeatureSet(
        "inorder",
        [
            Latest(source, by=by, max_age="2h", x="x", word="word", moment="moment"),
            Latest(source, by=by, y="y", big="big", flag="flag"),
        ],
    )


def history(random: Random, *, late: int = 0, ties: bool = False) -> list[Any]:
    rows = []
    for number in range(200):
        values = (
            random.choice([None, random.uniform(-9, 99)]), -0.0, random.choice([None, "u", "v"]),
            random.choice([None, 2**60 + number]), random.choice([None, True]), START + number,
        )  # fmt: skip
        at = START + (number // 3 if ties else number) * HOUR // 10
        keys = random.choice(["1", "11", "2", None]), random.choice(["12", "2", None])
        rows.append(world.event(number + 1, at, late if number % 50 == 9 else HOUR // 3, *keys, values, None))
    return rows


@pytest.mark.parametrize("step", [1, 7, 1 << 18])
@pytest.mark.parametrize("by", [SINGLE, PAIR], ids=["single", "pair"])
@pytest.mark.parametrize(("late", "ties", "taken"), [(0, False, True), (0, True, True), (5 * HOUR, False, False)])
def test_the_same_bits(
    by: Entity, late: int, ties: bool, taken: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Random(7)
    monkeypatch.setattr(inorder, "STEP", step)
    rows = history(random, late=late or HOUR // 3, ties=ties)
    record, features = world.store(PLAIN, rows), latest(by)
    asked = world.asked_frame(
        [
            (START + step * HOUR // 20, random.choice(["1", "11", "2", "9", None]), random.choice(["12", "2", "3"]))
            for step in random.sample(range(-5, 500), 400)
        ]
    )
    answers = []

    def counted(*arguments: Any) -> Any:
        answers.append(kept(*arguments))
        return answers[-1]

    kept = offline.latest_in_order
    monkeypatch.setattr(offline, "latest_in_order", counted)
    ours = feature_rows(features, asked, record).rows
    assert len(answers) == taken
    parted = read_in_parts(features, asked, record)
    monkeypatch.setattr(offline, "answerable", lambda *_: False)
    monkeypatch.setattr(historical, "answerable", lambda *_: False)
    general = feature_rows(features, asked, record).rows
    assert ours.values() == general.values() == parted.values()
    assert parted.statuses.tobytes() == general.statuses.tobytes()
    assert ours.vector().tobytes() == general.vector().tobytes()
    assert ours.statuses.tobytes() == general.statuses.tobytes()
    assert set(ours.statuses.ravel().tolist()) == {0, 1, 2, 3}


def test_corrections_are_left_to_the_general_way() -> None:
    source = SOURCES["versions"]
    (plan,) = offline.RowEngine(latest(SINGLE, source)).plans
    assert not inorder.answerable(plan, world.asked_frame([(START + HOUR, "1", "12")]))


def test_no_more_is_read_than_rows_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inorder, "STEP", 10)
    events = [
        world.event(number + 1, START + number * HOUR, 0, "1", "12", (1.0 * number, 0.0, "u", 1, True, START), None)
        for number in range(100)
    ]
    record, read = world.store(PLAIN, events), []

    def counted(*arguments: Any, **bounds: Any) -> Any:
        read.append((bounds["sequence_after"], bounds["sequence_until"]))
        return kept(*arguments, **bounds)

    kept = record.batches
    monkeypatch.setattr(record, "batches", counted)
    asked = world.asked_frame([(START + hour * HOUR + 1, "1", "12") for hour in (45, 47, 20)])
    rows = read_in_parts(latest(SINGLE), asked, record)
    assert [row[0] for row in rows.values()] == [45.0, 47.0, 20.0]
    assert sorted(set(read)) == [(20, 21), (40, 48)]


def read_in_parts(features: FeatureSet, asked: Any, record: Any) -> Any:
    """As training sets do."""
    engine = offline.RowEngine(features)
    return engine.filled(views(engine, asked, record, as_of=None, memory=None), asked)
