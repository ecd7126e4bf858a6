"""A process to be killed: pushes events, or fills the online state, and says what it has acknowledged.

main("push", FOLDER)        appends batches of 7 and applies them, for ever; prints the last sequence of each
main("backfill", FOLDER)    fills the state again and again as the record grows; prints each frame applied
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from backstay.definitions import Count, Entity, EventSource, FeatureSet, Sum, Windowed
from backstay.features.backfill import backfill
from backstay.features.online import OnlineWriter, apply_appended
from backstay.storage.backends.local import LocalEvents, LocalOnline

SOURCE = EventSource("things", schema={"e": "int", "x": "float", "id": "string"}, event_id="id")
FEATURES = FeatureSet("kills", [Windowed(SOURCE, by=Entity("e"), over="3650d", n=Count(), x=Sum("x"))])
START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


def frame(first: int, rows: int) -> pl.DataFrame:
    """Events first..first+rows-1; every third is a correction of the one before, at another entity."""
    numbers = range(first, first + rows)
    times = [START + timedelta(seconds=number) for number in numbers]
    columns = {
        "event_time": times,
        "known_time": times,
        "e": [n % 5 for n in numbers],
        "x": [float(n) for n in numbers],
    }
    ids = [f"n{n - 1 if n % 3 == 0 else n}" for n in numbers]
    return pl.DataFrame({**columns, "id": ids}).with_columns(pl.col("event_time", "known_time").cast(TIME))


def main(mode: str, folder: str) -> None:
    events, online = LocalEvents(Path(folder) / "events"), LocalOnline(Path(folder) / "online")

    def told(_what: str, done: int, _all: int) -> None:
        print(done, flush=True)  # noqa: T201

    if mode == "backfill":
        while True:
            backfill([FEATURES], events, online, until=None, progress=told, rows=40)
            online.clear()
    writer = OnlineWriter(online, [FEATURES])
    while True:
        rows = frame(events.last_sequence("things") + 1, 7)
        numbered = events.append("things", rows)
        sequence = pl.int_range(numbered.first, numbered.last + 1, dtype=pl.Int64)
        apply_appended(SOURCE, events, writer, rows.with_columns(sequence=sequence))
        print(numbered.last, flush=True)  # noqa: T201
