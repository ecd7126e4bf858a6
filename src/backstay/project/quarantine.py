"""What is in quarantine: counted by source and expectation, with examples."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import EventSource
from backstay.storage.ports import EventStore


@dataclass(frozen=True, slots=True)
class Quarantined(Shown):
    """Events of one source that broke one expectation: how many, since when, and the last few as they came.

    reason: that of the last one; since, until: when the first and the last were put there (ISO 8601, UTC)
    """

    source: str
    expectation: str
    events: int
    reason: str
    since: str
    until: str
    examples: list[dict[str, Any]]
    """each with `at`, `origin` (ingest or push) and `row`, the event as it came"""


def quarantine(sources: Iterable[EventSource], events: EventStore, *, examples: int) -> list[Quarantined]:
    """What is in the quarantine of the sources, most first within each."""
    out: list[Quarantined] = []
    for source in sources:
        if not events.last_sequence(source.quarantine):
            continue
        table = events.read(source.quarantine).with_columns(at=pl.col("known_time").dt.epoch("us"))
        parts = table.partition_by("expectation", maintain_order=True)
        for part in sorted(parts, key=lambda one: -one.height):
            last = part.row(-1, named=True)
            shown = [
                {"at": instant_text(row["at"]), "origin": row["origin"], "row": json.loads(row["row"])}
                for row in part.tail(examples).iter_rows(named=True)
            ]
            since, until = instant_text(int(part.get_column("at")[0])), instant_text(last["at"])
            out.append(Quarantined(source.name, last["expectation"], part.height, last["reason"], since, until, shown))
    return out
