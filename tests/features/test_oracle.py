"""Time-correct features against a brute-force oracle that imports nothing from `backstay.features`."""

from __future__ import annotations

from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstay.features import plainly
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.offline import feature_rows
from backstay.features.online import OnlineWriter
from backstay.features.prepared import FEW
from backstay.storage.backends.memory import MemoryEvents
from backstay.storage.ports import OnlineState
from tests.features import oracle, world
from tests.features.world import HOUR, SETS, SOURCES, START

NAMES = st.sampled_from(sorted(SETS))
Rows = list[oracle.Event]
AskedRows = list[tuple[int, str | None, str]]


@settings(max_examples=150, deadline=None)
@given(NAMES, world.events(), world.ASKED)
def test_every_value_and_status_is_the_oracles(name: str, rows: Rows, asked: AskedRows) -> None:
    source, features = SOURCES[name], SETS[name]
    got = feature_rows(features, world.asked_frame(asked), world.store(source, rows)).rows
    frame = got.frame()
    for place, (at, a, b) in enumerate(asked):
        world.check(features, frame, got.statuses, place, world.expected(source, rows, at, a, b))


@settings(max_examples=60, deadline=None)
@given(NAMES, world.events(), world.ASKED)
def test_a_row_does_not_depend_on_the_others(name: str, rows: Rows, asked: AskedRows) -> None:
    """Whole, one by one, and in a frame of one-row chunks: the same bits, derived features too."""
    frame, features = world.asked_frame(asked), SETS[name]
    record = world.store(SOURCES[name], rows)
    whole = feature_rows(features, frame, record).rows.frame()
    single = pl.concat([feature_rows(features, frame[place], record).rows.frame() for place in range(frame.height)])
    chunked = pl.concat([frame[place] for place in range(frame.height)], rechunk=False)
    for other in (single, feature_rows(features, chunked, record).rows.frame()):
        for column in whole.columns:
            ours, again = whole[column], other[column]
            if ours.dtype == pl.Float64:
                ours, again = ours.reinterpret(signed=True), again.reinterpret(signed=True)
            assert ours.equals(again, null_equal=True), column


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, rows=world.events(), batches=st.integers(1, 6), asked=world.ASKED, few=st.sampled_from([0, 3, FEW]))
def test_online_state_gives_the_bits_of_the_record(
    online: OnlineState, name: str, rows: Rows, batches: int, asked: AskedRows, few: int
) -> None:
    """Applied in any number of batches, whatever came late or was corrected: the values of the whole record, in
    windows of many events, of few, and of some that are many and some that are few."""
    source, features = SOURCES[name], SETS[name]
    online.clear()
    record = world.store(source, rows)
    table, writer = record.read(source.name), OnlineWriter(online, [features])
    step = -(-table.height // batches) or 1
    for begin in range(0, table.height, step):
        writer.apply(source, table[begin : begin + step])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plainly, "FEW", few)
        same_bits(OnlineLookup(features, online), record, asked)


@pytest.mark.parametrize("name", sorted(SETS))
def test_online_replay_gives_the_bits_of_the_training_set(
    name: str, online: OnlineState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two days of events in the order they became known, asked in between: on every online store there is."""
    source, features = SOURCES[name], SETS[name]
    random = Random(7)
    record = world.store(source, history(random))
    table = record.read(source.name)
    writer, lookup = OnlineWriter(online, [features]), OnlineLookup(features, online)
    known, done = table.get_column("known_time").to_physical().to_numpy(), 0
    for begin in range(START, START + 50 * HOUR, 2 * HOUR):
        upto = int(known.searchsorted(begin + 2 * HOUR, "right"))
        writer.apply(source, table[done:upto])
        done = upto
        monkeypatch.setattr(plainly, "FEW", random.choice([0, 10, FEW]))
        entities = ["1", "11", "2", "9", None]
        asked = [
            (begin + step * HOUR // 9, random.choice(entities), random.choice(["12", "2", "3"]))
            for step in range(1, 18)
        ]
        same_bits(lookup, record, asked)


def history(random: Random) -> Rows:
    """800 events of two days, numbered in the order they became known, many late, some corrected and moved."""
    rows: list[Any] = []
    for number in range(800):
        at = START + number * HOUR // 20 + random.randrange(-3, 4) * HOUR // 2
        late = random.choice([0, 0, 0, HOUR // 3, 2 * HOUR, 30 * HOUR])
        x = random.choice([None, 46.0, random.uniform(-9, 99)])
        values = (
            x, float(random.randrange(-30, 300)), random.choice(["u", "v", "w", None]), random.choice([2**60 + 1, 3]),
            random.random() < 0.5, START + number,
        )  # fmt: skip
        name = f"n{random.randrange(600)}"
        rows.append((at, late, random.choice(["1", "11", "2", None]), random.choice(["12", "2"]), values, name))
    rows.sort(key=lambda row: row[0] + row[1])
    return [world.event(place + 1, *row) for place, row in enumerate(rows)]


def same_bits(lookup: OnlineLookup, record: MemoryEvents, asked: AskedRows) -> None:
    """Looked up alone and together: the same values, statuses and model input as from the whole record."""
    want = feature_rows(lookup.features, world.asked_frame(asked), record).rows
    requests = [Asked({"a": a, "b": b}, {}, at) for at, a, b in asked]
    together = lookup.lookup(requests).rows
    alone = [lookup.lookup([one]).rows for one in requests]
    wanted = by_bits(want.values())
    assert by_bits(together.values()) == wanted
    assert [by_bits(one.values())[0] for one in alone] == wanted
    assert together.statuses.tobytes() == want.statuses.tobytes() == b"".join(one.statuses.tobytes() for one in alone)
    assert together.vector().tobytes() == want.vector().tobytes()


def by_bits(values: list[list[Any]]) -> list[list[Any]]:
    """Values by their bits."""
    return [[world.bits(value) for value in row] for row in values]
