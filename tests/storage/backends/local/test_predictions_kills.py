"""Processes that log predictions, and compact them, killed anywhere: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.predicted import NAMES
from tests.warm import Warm

from backstay.storage.backends.local import LocalPredictions
from backstay.storage.backends.local.modes import FLUSH_SECONDS

ROUNDS = 25  # of two kills each

WRITER = """
import os, sys, time
from tests.predicted import prediction
from backstay.storage.backends.local import LocalPredictions, series
series.SEGMENT_BYTES = int(sys.argv[4])
log, me = LocalPredictions(sys.argv[1], sys.argv[2]), int(sys.argv[3])
sys.stdin.readline()
for n in range(10**9):
    log.append([prediction(me * 10**9 + n * 10 + k) for k in range(1 + n % 7)])
    os.write(1, b"%d\\n" % n)
    time.sleep(float(sys.argv[5]))
"""
COMPACTOR = """
import os, sys, time
from tests.predicted import NAMES
from tests.warm import Warm
from backstay.storage.backends.local import LocalPredictions, predictions, table
predictions.COMMIT_BYTES, table.SMALL_FILES = 20_000, 4  # every path, many times a second
log = LocalPredictions(sys.argv[1])
sys.stdin.readline()
while True:
    done = log.compact(NAMES, lambda *_: None).predictions
    os.write(1, b"%d\\n" % done) if done else time.sleep(0.001)
"""


def acknowledged(process: Warm, me: int) -> set[int]:
    """The numbers of the predictions whose append had returned."""
    lines = process.stdout.read().splitlines()
    return {me * 10**9 + n * 10 + k for n in map(int, lines) for k in range(1 + n % 7)}


def found(directory: Path) -> list[int]:
    numbers = [int(one.id, 16) for one in LocalPredictions(directory).scan()]
    assert len(set(numbers)) == len(numbers)
    by: dict[int, list[int]] = {}
    for number in numbers:
        by.setdefault(number // 10**9, []).append(number)
    for me, one in by.items():  # what each had appended, in order, with nothing left out before the end
        assert one == list(itertools.islice(appended(me), len(one)))
    return numbers


def appended(me: int) -> Iterator[int]:
    return (me * 10**9 + n * 10 + k for n in itertools.count() for k in range(1 + n % 7))


def go(process: Warm) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.parametrize("mode", ["durable", "sync", "lossy"])
def test_three_writers_killed(tmp_path: Path, warm: Any, mode: str) -> None:
    """What is acknowledged is there; what is there beside it was under way. Lossy loses, and only the end."""
    dice, told = random.Random(5), set()
    patience = 0.01 if mode != "lossy" else 3 * FLUSH_SECONDS  # some are killed before they have written, some after

    def writers(at: int) -> list[tuple[int, Any]]:
        return [(3 * at + k, warm(WRITER, tmp_path, mode, 3 * at + k, 20_000, 0)) for k in range(3)]

    coming = writers(0)
    for at in range(8):
        working, coming = coming, writers(at + 1) if at < 7 else []  # the next ones load while these work
        for _, process in working:
            go(process)
            process.stdout.readline()
        for _, process in dice.sample(working, 3):
            time.sleep(dice.random() * patience)
            process.kill()
        found(tmp_path)
        for me, process in working:
            process.wait()
            told |= acknowledged(process, me)
    there = set(found(tmp_path))
    assert len(told) > 24 * 5
    if mode == "lossy":
        assert there
    else:
        assert told <= there
        assert len(there - told) <= 24 * 9  # the first line of each was read above, and one append was under way


def test_fifty_kills_of_compactions(tmp_path: Path, warm: Any) -> None:
    dice, told, ended = random.Random(3), set(), 0

    def pair(at: int) -> list[Any]:
        return [warm(WRITER, tmp_path, "durable", at, 4_000, 0.01), warm(COMPACTOR, tmp_path)]

    coming = pair(0)
    for at in range(ROUNDS):
        working, coming = coming, pair(at + 1)
        for process in working:
            go(process)
        working[0].stdout.readline()
        if at % 2:  # every other compactor gets to its second compaction at least: some are slow to begin
            ended += int(working[1].stdout.readline())
        for process in dice.sample(working, 2):
            time.sleep(dice.random() * 0.15)
            process.kill()
        for process in working:
            process.wait()
        told |= acknowledged(working[0], at)
        ended += sum(int(line) for line in working[1].stdout.read().splitlines())
        assert told <= set(found(tmp_path))
    assert ended > 0
    log = LocalPredictions(tmp_path)
    log.compact(NAMES, lambda *_: None)
    there = found(tmp_path)
    assert told <= set(there)
    assert not list((tmp_path / "_segments").glob("*.seg"))
    table = pl.scan_delta(str(tmp_path)).sort("sequence").collect()
    assert table["sequence"].to_list() == list(range(1, table.height + 1))
    assert [int(one, 16) for one in table["id"]] == there
