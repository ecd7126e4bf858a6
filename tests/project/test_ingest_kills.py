"""Ingest, killed with SIGKILL at random moments: no row lost, none twice, in the record and in quarantine."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import polars as pl
import pytest
from tests.warm import Warm

from backstay import Contract, EventSource, Expect, FeatureSet, ParquetFiles, Sum, Windowed
from backstay.core.times import HOUR, instant
from backstay.features.backfill import backfill
from backstay.features.lookup import Asked, OnlineLookup
from backstay.project.ingestion import ingest_source
from backstay.storage.backends.local import LocalEvents
from backstay.storage.backends.memory import MemoryOnline

KILLS = 50
ROWS, BAD = 30, 4
"""in every file; of which break the contract"""
START = instant("2024-01-01")
SOURCE = EventSource(
    "orders",
    schema={"number": "int", "amount": "float"},
    read=ParquetFiles("orders"),
    contract=Contract(Expect.between("amount", 0), Expect.unique("number")),
)
FEATURES = FeatureSet("sums", [Windowed(SOURCE, over="3650d", amount=Sum("amount"))])

VICTIM = """
import sys
from pathlib import Path
from tests.project.test_ingest_kills import SOURCE, write
from backstay.project.ingestion import ingest_source
from backstay.storage.backends.local import LocalEvents, segments, table

segments.SEGMENT_ROWS, segments.APPEND_ROWS, table.SMALL_FILES = 200, 20, 4  # every path, many times a second
folder = Path(sys.argv[1])
store = LocalEvents(folder / "events")
while True:
    ingest_source(SOURCE, store, folder=folder)
    print(store.last_sequence("orders"), flush=True)
    write(folder, len(list((folder / "orders").glob("*.parquet"))))
"""


def write(folder: Path, number: int) -> None:
    """One more file, whole or not at all: half an hour of rows behind the file before, the bad ones among them."""
    numbers = [number * ROWS + place for place in range(ROWS)]
    frame = pl.DataFrame(
        {
            "event_time": pl.Series([START + (n * HOUR) // 60 for n in numbers]).cast(pl.Datetime("us", "UTC")),
            # one that is there already, in a file before or in this one; and some that are negative
            "number": [*numbers[:-1], max(numbers[0] - 1, 0)],
            "amount": [-1.0 if place in (3, 11, 17) else float(n) for place, n in enumerate(numbers)],
        }
    )
    aside = folder / "orders" / f".{number}"
    frame.write_parquet(aside)
    aside.rename(folder / "orders" / f"{number:05}.parquet")


def killed(folder: Path, after: float) -> int:
    """Run a victim until it has said something and `after` seconds more; the events it had acknowledged."""
    process = Warm(VICTIM, folder)
    said = [process.stdout.readline()]
    assert said[0], process.wait()
    time.sleep(after)
    process.kill()
    said += process.stdout.readlines()
    process.close()
    return int([line for line in said if line.endswith("\n")][-1])


def expected(folder: Path) -> tuple[pl.DataFrame, int]:
    """The good rows of all files there are, in order, and how many are bad."""
    rows = pl.concat(pl.read_parquet(file) for file in sorted((folder / "orders").glob("*.parquet")))
    seen: set[int] = set()
    good = []
    for place, (number, amount) in enumerate(rows.select("number", "amount").rows()):
        if amount >= 0 and number not in seen:
            good.append(place)
            seen.add(number)
    return rows[good], rows.height - len(good)


@pytest.mark.parametrize("seed", range(2))
def test_no_row_is_lost_and_none_is_there_twice(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    (tmp_path / "orders").mkdir()
    write(tmp_path, 0)
    for kill in range(KILLS // 2):
        acknowledged = killed(tmp_path, random.random() * 0.12)
        store = LocalEvents(tmp_path / "events")
        assert store.last_sequence("orders") >= acknowledged
        if kill % 5 == 4:
            ingest_source(SOURCE, store, folder=tmp_path)
            rows, bad = expected(tmp_path)
            record = store.read("orders")
            assert record.get_column("sequence").to_list() == list(range(1, rows.height + 1))
            assert record.select(rows.columns).equals(rows)
            held = store.read("quarantine_orders")
            assert held.height == bad
            assert held.get_column("row").n_unique() == bad
            assert ingest_source(SOURCE, store, folder=tmp_path).added == 0
    online = MemoryOnline()
    backfill([FEATURES], store, online, until=None, progress=lambda *_: None)
    end = int(record.get_column("event_time").dt.epoch("us").max()) + 1  # type: ignore[operator,arg-type]
    found = OnlineLookup(FEATURES, online).lookup([Asked({}, {}, end)]).rows
    assert found.values() == [[rows.get_column("amount").sum()]]
