"""Which events of a record an ingest brought; the others were pushed.

The record itself does not say. An ingest that has appended notes what: an event of `ingests_SOURCE`. Killed in between,
what it appended counts as pushed, which decides by nothing but how its rows are told from those that are read again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from backstay.definitions import EventSource
from backstay.features.exact import Ints
from backstay.features.shaping import UTC
from backstay.storage.ports import SEQUENCE, EventStore


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """The ingests of one source.

    first, last: of each the sequences of its first and its last event
    until:       the newest time up to which the history was read, of the column that readers are asked by
                 (microseconds); None: it never was
    timezone:    the zone by which times were read last
    """

    first: Ints
    last: Ints
    until: int | None
    timezone: str | None

    @classmethod
    def of(cls, source: EventSource, events: EventStore) -> Origins:
        if not events.last_sequence(source.ingests):
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), None, source.timezone)
        noted = events.read(source.ingests)
        first, last = (noted.get_column(name).to_numpy() for name in ("first", "last"))
        until = int(noted.get_column("until").dt.epoch("us").to_numpy().max())
        return cls(first, last, until, noted.get_column("timezone")[-1])

    @property
    def ingested(self) -> int:
        """How many events."""
        return int((self.last - self.first + 1).sum())

    def brought(self, held: pl.DataFrame) -> pl.Series:
        """Which of these events of the record, with their sequences, an ingest brought."""
        sequence = held.get_column(SEQUENCE).to_numpy()
        place = np.searchsorted(self.first, sequence, side="right") - 1
        inside = (place >= 0) & (sequence <= np.append(self.last, 0)[place])
        return pl.Series(inside, dtype=pl.Boolean)


def note(source: EventSource, events: EventStore, *, first: int, last: int, until: int, now: int) -> None:
    """Note that the events first..last, which were just appended, were ingested (first > last: none was), and up to
    what time the history was read."""
    moment = pl.lit(now).cast(UTC)
    events.append(
        source.ingests,
        pl.select(
            moment.alias("event_time"), moment.alias("known_time"), first=pl.lit(first, dtype=pl.Int64),
            last=pl.lit(last, dtype=pl.Int64), until=pl.lit(until).cast(UTC),
            timezone=pl.lit(source.timezone, dtype=pl.String),
        ),
    )  # fmt: skip
