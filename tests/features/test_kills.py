"""Killed with SIGKILL at random moments: nothing acknowledged is lost, and nothing is counted twice."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import polars as pl
import pytest

from backstay.core.times import instant
from backstay.features.backfill import backfill
from backstay.features.historical import historical
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.online import OnlineWriter
from backstay.storage.backends.local import LocalEvents, LocalOnline
from backstay.storage.backends.memory import MemoryEvents
from tests.features import victim
from tests.features.victim import FEATURES, SOURCE
from tests.warm import Warm

KILLS = 50
END = instant("2026-01-01")


def killed(mode: str, folder: Path, after: float) -> int:
    """Run a victim until it has said something and `after` seconds more; what it said last."""
    process = Warm("import sys; from tests.features.victim import main; main(*sys.argv[1:])", mode, folder)
    said = [process.stdout.readline()]
    assert said[0], process.wait()
    time.sleep(after)
    process.kill()
    said += process.stdout.readlines()
    process.close()
    return int([line for line in said if line.endswith("\n")][-1])


def check(folder: Path, *, complete: bool) -> int:
    """The online state is what the record says up to its watermark, which is the record's end if it is complete."""
    events, online = LocalEvents(folder / "events"), LocalOnline(folder / "online")
    record = events.read("things")
    assert record["sequence"].to_list() == list(range(1, record.height + 1))
    assert record.drop("sequence").equals(victim.frame(1, record.height))
    mark = OnlineWriter(online, [FEATURES]).watermark(SOURCE)
    assert mark == record.height or not complete
    seen = MemoryEvents()
    seen.append("things", record.drop("sequence").head(mark))
    asked = pl.DataFrame({"at": [END] * 6, "e": list(range(6))})
    want = historical(FEATURES, asked, seen, statuses=True).frame
    found = OnlineLookup(FEATURES, online).lookup([Asked({"e": e}, {}, END) for e in range(6)]).rows
    assert found.frame().rows() == want.select("e_n_3650d", "e_x_3650d").rows()
    online.close()
    return record.height


@pytest.mark.parametrize("seed", range(2))
def test_push(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    for kill in range(KILLS // 2):
        acknowledged = killed("push", tmp_path, random.random() * 0.06)
        events, online = LocalEvents(tmp_path / "events"), LocalOnline(tmp_path / "online")
        assert events.last_sequence("things") >= acknowledged
        backfill([FEATURES], events, online, until=None, progress=lambda *_: None)
        online.close()
        if kill % 5 == 4:
            assert check(tmp_path, complete=True) >= acknowledged


@pytest.mark.parametrize("seed", range(2))
def test_backfill(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    events = LocalEvents(tmp_path / "events")
    events.append("things", victim.frame(1, 900))
    for _ in range(KILLS // 2):
        killed("backfill", tmp_path, random.random() * 0.06)
        check(tmp_path, complete=False)
    online = LocalOnline(tmp_path / "online")
    backfill([FEATURES], events, online, until=None, progress=lambda *_: None, rows=40)
    online.close()
    check(tmp_path, complete=True)
