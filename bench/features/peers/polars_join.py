"""A bare Polars `join_asof`: the least that a training set of latest values can cost. No statuses, no known times."""

from __future__ import annotations

import polars as pl

from bench.clock import timed
from bench.features.sizes import COLUMNS, DATA, SOURCES


def latest(labels: str, out: str | None = None) -> dict[str, float]:
    """The last event before each label, of both sources."""
    rows = pl.read_parquet(DATA / f"{labels}.parquet")

    def work() -> pl.DataFrame:
        frame = rows.lazy().set_sorted("at")
        for source in SOURCES:
            events = pl.scan_parquet(DATA / f"{source}.parquet").set_sorted("event_time")
            events = events.rename({name: f"{source}_{name}" for name in COLUMNS})
            frame = frame.join_asof(
                events, left_on="at", right_on="event_time", by="entity", strategy="backward", check_sortedness=False
            ).drop("event_time", strict=False)
        return frame.collect()

    seconds, made = timed(work)
    if out is not None:
        made.write_parquet(out)
    return {"seconds": seconds}
