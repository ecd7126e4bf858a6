"""A source that is declared with another type than its record has is refused, and answered with no zeros."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import Count, Entity, EventSource, FeatureSet, Last, Latest, Windowed
from backstay.core.errors import InputError
from backstay.features.backfill import backfill
from backstay.features.historical import historical
from backstay.features.ingest import prepare
from backstay.storage.backends.local import LocalEvents
from backstay.storage.backends.memory import MemoryOnline

START = datetime(2024, 5, 1, tzinfo=UTC)
SCHEMA: dict[str, Any] = {"customer": "int", "amount": "float"}


def declared(**changed: Any) -> EventSource:
    return EventSource("pays", schema=SCHEMA | changed)


@pytest.fixture
def record(tmp_path: Path) -> LocalEvents:
    events = LocalEvents(tmp_path)
    times = [START + timedelta(hours=hour) for hour in range(20)]
    frame = pl.DataFrame({"event_time": times, "customer": [1, 2] * 10, "amount": [0.5] * 20})
    events.append("pays", prepare(declared(), frame))
    return events


def blocks(source: EventSource) -> dict[str, Any]:
    customer = Entity("customer")
    return {
        "window": Windowed(source, by=customer, over="1d", n=Count()),
        "latest": Latest(source, by=customer, amount="amount"),
        "last": Windowed(source, over="1d", amount=Last("amount")),
    }


@pytest.mark.parametrize("block", ["window", "latest", "last"])
@pytest.mark.parametrize("memory", [None, 1])
def test_it_is_refused_by_the_columns_name(record: LocalEvents, block: str, memory: int | None) -> None:
    column, was, now = ("amount", "float", "string") if block == "last" else ("customer", "int", "string")
    features = FeatureSet("changed", [blocks(declared(**{column: now}))[block]])
    said = f"column '{column}' is declared as {now}, and its record has {was}"
    rows = pl.DataFrame({"at": [START + timedelta(days=1)], "customer": ["1"]})
    with pytest.raises(InputError, match=said) as told:
        historical(features, rows, record, memory=memory)
    assert "source 'pays'" in told.value.where
    state = MemoryOnline()
    with pytest.raises(InputError, match=said):
        backfill([features], record, state, until=None, progress=lambda *_: None)
    assert backfill([FeatureSet("f", [blocks(declared())[block]])], record, state, until=None, progress=print)


def test_a_column_that_nothing_reads_may_be_gone(record: LocalEvents) -> None:
    features = FeatureSet("fewer", [blocks(EventSource("pays", schema={"customer": "int"}))["window"]])
    rows = pl.DataFrame({"at": [START + timedelta(hours=20)], "customer": [1]})
    assert historical(features, rows, record).frame.get_column("customer_n_1d").to_list() == [10]
