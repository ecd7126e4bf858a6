"""Processes that append and compact, killed at random points: nothing acknowledged is lost, nothing counts twice."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import polars as pl
from tests.warm import Warm

from backstay.storage.backends.local import LocalEvents

ROUNDS = 25  # of two kills each

WRITER = """
import os, sys
import polars as pl
from backstay.storage.backends.local import LocalEvents, segments, table
segments.SEGMENT_ROWS, segments.APPEND_ROWS, table.SMALL_FILES = 400, 30, 5  # every path, many times a second
store, me, compacts = LocalEvents(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "compacts"
sys.stdin.readline()
for n in range(10**9):
    rows = 1 + n * 7 % 13 if n % 40 else 50
    times = pl.Series([n] * rows).cast(pl.Datetime("us", "UTC"))
    done = store.append("s", pl.DataFrame({
        "event_time": times, "known_time": times,
        "by": [me] * rows, "n": [n] * rows, "k": range(rows), "of": [rows] * rows,
    }))
    os.write(1, b"%d %d %d\\n" % (done.first, done.last, n))
    if compacts and n % 3 == 0:
        store.compact("s")
"""


def acknowledged(process: Warm, me: int, first_line: str) -> pl.DataFrame:
    lines = [first_line, *process.stdout.read().splitlines()]
    rows = [tuple(map(int, line.split())) for line in lines]
    return pl.DataFrame(rows, schema=["first", "last", "n"], orient="row").with_columns(by=pl.lit(me, dtype=pl.Int64))


def check(events: pl.DataFrame, told: pl.DataFrame) -> None:
    """Numbered without gaps; every append whole, once, in one piece; every acknowledgement true."""
    assert events["sequence"].to_list() == list(range(1, events.height + 1))
    appends = events.group_by("by", "n").agg(
        pl.col("sequence").min().alias("first"),
        pl.col("sequence").max().alias("last"),
        pl.col("of").first(),
        pl.len(),
        (pl.col("k") == pl.int_range(pl.len())).all().alias("ordered"),
    )
    whole = (pl.col("len") == pl.col("of")) & (pl.col("last") - pl.col("first") + 1 == pl.col("of")) & pl.col("ordered")
    assert appends.filter(~whole).is_empty()
    assert told.join(appends, on=["by", "n", "first", "last"], how="anti").is_empty()


def test_fifty_kills(tmp_path: Path, warm: Any) -> None:
    dice, told = random.Random(3), []

    def pair(at: int) -> list[tuple[int, Any]]:
        return [
            (2 * at, warm(WRITER, tmp_path, 2 * at, "appends")),
            (2 * at + 1, warm(WRITER, tmp_path, 2 * at + 1, "compacts")),
        ]

    beside, coming = LocalEvents(tmp_path), pair(0)
    for at in range(ROUNDS):
        working, coming = coming, pair(at + 1)  # the next ones load while these work
        for _, process in working:
            process.stdin.write("go\n")
            process.stdin.flush()
        begun = [process.stdout.readline() for _, process in working]
        for _, process in dice.sample(working, 2):
            time.sleep(dice.random() * 0.15)
            seen = beside.read("s", columns=["sequence"])["sequence"]
            process.kill()
            assert seen.to_list() == list(range(1, len(seen) + 1))
        told += [acknowledged(process, me, line) for (me, process), line in zip(working, begun, strict=True)]
        events = LocalEvents(tmp_path).read("s")
        check(events, pl.concat(told))
        assert beside.read("s").equals(events)
    # Not a count of rows, which tells how fast the machine is: most were killed after something was acknowledged.
    assert sum(one.height > 0 for one in told) > ROUNDS
    store = LocalEvents(tmp_path)
    store.version("s")
    check(store.read("s"), pl.concat(told))
    assert pl.scan_delta(str(tmp_path / "s")).sort("sequence").collect().equals(store.read("s"))
