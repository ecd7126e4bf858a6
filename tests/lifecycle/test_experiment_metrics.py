"""A metric over a source's column, read from its events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import polars as pl

from backstay.core.times import HOUR
from backstay.definitions.experiments import Metric
from backstay.lifecycle.experiments.metrics import Measure, Reader
from backstay.storage.backends.memory import MemoryEvents

TIME = pl.Datetime("us", "UTC")


def test_of_an_event_that_was_corrected_the_highest_version_counts() -> None:
    events = MemoryEvents()
    rows = [(1, 1, "a", "one", 10.0), (1, 3, "a", "one", 25.0), (2, 2, "a", "two", 1.0), (2, 9, "a", "two", 100.0)]
    table = pl.DataFrame(rows, schema=["event_time", "known_time", "shop", "id", "size"], orient="row")
    times = (pl.col("event_time", "known_time") * HOUR).cast(TIME)
    events.append("sales", table.with_columns(times))
    asked = pl.DataFrame({"at": [0, 0], "key.shop": ["a", "b"], "first": [True, True]})
    records: Any = SimpleNamespace(events=events)
    model: Any = None
    for event_id, known, total in (("id", 5, 26.0), ("id", 9, 125.0), ("id", 2, 11.0), (None, 9, 136.0)):
        measure = Measure(HOUR, ("shop",), event_id)
        reader = Reader(records, model, Metric("sales.size", "higher", within="1d"), ("shop",), measure, known * HOUR)
        assert reader.values(asked, "sales.size").tolist() == [total, 0.0]
