"""A frame of a million rows, and of one: the oracle's values, and the bits of the replay on every online store."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest

from backstay.features.historical import historical
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.online import OnlineWriter
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents
from backstay.storage.ports import OnlineState
from tests.features import oracle, world
from tests.features.test_oracle import by_bits, history
from tests.features.world import HOUR, PLAIN, SETS, START, TIME

MILLION = 1_000_000
ASKED = [
    (START + step * HOUR, a, b) for step in range(0, 60, 4) for a in ("1", "11", "2", "9", None) for b in ("12", "2")
]
"""ten questions at each of fifteen moments"""
NAMES = [feature.name for feature in SETS["things"]]

Made = tuple[list[oracle.Event], MemoryEvents, pl.DataFrame]


def bits(frame: pl.DataFrame) -> pl.DataFrame:
    """Floats by their bits."""
    floats = [name for name, kind in frame.schema.items() if kind == pl.Float64]
    return frame.with_columns(pl.col(floats).reinterpret(signed=True))


@pytest.fixture(scope="module")
def made() -> Made:
    """Events, their record, and the features of the questions, each asked alone in a frame of one row."""
    rows = history(Random(11))
    record = world.store(PLAIN, rows)
    asked = world.asked_frame(ASKED).with_columns(pl.col("at").cast(TIME))
    alone = [historical(SETS["things"], asked[place], record, statuses=True).frame for place in range(len(ASKED))]
    return rows, record, pl.concat(alone)


def test_one_row_is_the_oracles(made: Made) -> None:
    rows, _, alone = made
    codes = {status.name: status for status in Status}
    statuses = np.array([[codes[one] for one in row] for row in alone.select(pl.col("^.*__status$")).rows()])
    for place, (at, a, b) in enumerate(ASKED):
        world.check(SETS["things"], alone.select(NAMES), statuses, place, world.expected(PLAIN, rows, at, a, b))


def test_a_million_rows_are_what_each_is_alone(made: Made) -> None:
    _, record, alone = made
    places = pl.Series("place", np.random.default_rng(3).integers(0, len(ASKED), MILLION))
    asked = alone.select("at", "a", "b")[places].with_columns(places)
    whole = historical(SETS["things"], asked, record).frame
    assert whole.select(asked.columns).equals(asked)
    want = bits(alone.select(NAMES))[places]
    for name, column in zip(NAMES, bits(whole.select(NAMES)), strict=True):
        assert column.equals(want.get_column(name), null_equal=True), name


def test_the_replay_has_the_bits_on_every_online_store(made: Made, online: OnlineState) -> None:
    """Asked while the events come in, in the order in which they became known."""
    _, record, alone = made
    table = record.read(PLAIN.name)
    known, done = table.get_column("known_time").to_physical().to_numpy(), 0
    writer, lookup = OnlineWriter(online, [SETS["things"]]), OnlineLookup(SETS["things"], online)
    want = by_bits([list(row) for row in alone.select(pl.col(NAMES).to_physical()).rows()])
    for begin in range(0, len(ASKED), 10):  # those of one moment
        upto = int(known.searchsorted(ASKED[begin][0], "right"))
        writer.apply(PLAIN, table[done:upto])
        done = upto
        found = lookup.lookup([Asked({"a": a, "b": b}, {}, at) for at, a, b in ASKED[begin : begin + 10]]).rows
        assert by_bits(found.values()) == want[begin : begin + 10]
        told = alone[begin : begin + 10].select(pl.col("^.*__status$")).rows()
        assert [tuple(Status(code).name for code in row) for row in found.statuses] == told
