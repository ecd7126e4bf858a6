"""Which events of a record an ingest brought; the others were pushed.

The record itself does not say. So an ingest notes what it is about to append, with its digest, and once more when that
is done: two events of `ingests_SOURCE`. Killed in between, the next one looks whether the record holds it.

Notes say nothing of a record that ends before them, or in which others were numbered so since: it was restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from backstay.definitions import EventSource
from backstay.features.shaping import UTC
from backstay.storage.digest import frame_digest
from backstay.storage.ports import SEQUENCE, EventStore


@dataclass(frozen=True, slots=True)
class Note:
    """An ingest of the events first..last (first > last: of none).

    until:    up to what time the history was read, of the column that readers are asked by (microseconds)
    timezone: the zone by which times were read
    digest:   of the events; done: whether they are in the record, under these numbers
    """

    first: int
    last: int
    until: int | None
    timezone: str | None
    digest: str = ""
    done: bool = False

    def write(self, source: EventSource, events: EventStore, *, now: int) -> None:
        moment = pl.lit(now).cast(UTC)
        events.append(
            source.ingests,
            pl.select(
                moment.alias("event_time"), moment.alias("known_time"), first=pl.lit(self.first, dtype=pl.Int64),
                last=pl.lit(self.last, dtype=pl.Int64), until=pl.lit(self.until, dtype=pl.Int64),
                timezone=pl.lit(self.timezone, dtype=pl.String), digest=pl.lit(self.digest), done=pl.lit(self.done),
            ),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Origins:
    """The ingests of one source that its record holds, in order; and the one that may have been killed."""

    notes: tuple[Note, ...] = ()
    open: Note | None = None

    @classmethod
    def of(cls, source: EventSource, events: EventStore) -> Origins:
        if not events.last_sequence(source.ingests):
            return cls()
        kept: list[Note] = []
        open_: Note | None = None
        for row in events.read(source.ingests).iter_rows(named=True):
            note = _note(row)
            open_ = None if note.done else note
            if note.done:
                while kept and kept[-1].last >= note.first:
                    kept.pop()
                kept.append(note)
        end = events.last_sequence(source.name)
        return cls(tuple(note for note in kept if note.last <= end), open_)

    def settled(self, source: EventSource, events: EventStore, *, now: int) -> Origins:
        """The same, when it is known what became of the one that may have been killed. To be asked in turn."""
        note = self.open
        if note is None:
            return self
        first = _found(source, events, note)
        if first is None:
            return replace(self, open=None)
        done = replace(note, first=first, last=first + note.last - note.first, done=True)
        done.write(source, events, now=now)
        return Origins((*self.notes, done))

    @property
    def ingested(self) -> int:
        """How many events."""
        return sum(note.last - note.first + 1 for note in self.notes)

    @property
    def until(self) -> int | None:
        """The newest time up to which the history was read; None: it never was."""
        return max((note.until for note in self.notes if note.until is not None), default=None)

    def timezone(self, source: EventSource) -> str | None:
        """The zone by which times were read last."""
        return self.notes[-1].timezone if self.notes else source.timezone

    def brought(self, held: pl.DataFrame) -> pl.Series:
        """Which of these events of the record, with their sequences, an ingest brought."""
        sequence = held.get_column(SEQUENCE).to_numpy()
        first = np.array([note.first for note in self.notes], np.int64)
        last = np.array([*(note.last for note in self.notes), 0], np.int64)
        place = np.searchsorted(first, sequence, side="right") - 1
        return pl.Series((place >= 0) & (sequence <= last[place]), dtype=pl.Boolean)


def _note(row: Mapping[str, Any]) -> Note:
    return Note(row["first"], row["last"], row["until"], row["timezone"], row["digest"], row["done"])


def _found(source: EventSource, events: EventStore, note: Note) -> int | None:
    """From which number on the record holds what was to be appended: pushes may have come before it."""
    many, end = note.last - note.first + 1, events.last_sequence(source.name)
    if end < note.last:
        return None
    behind = events.batches(source.name, sequence_after=note.first - 1, rows=end)
    held = pl.concat(behind).drop(SEQUENCE)
    places = range(held.height - many + 1)
    return next((note.first + one for one in places if frame_digest(held.slice(one, many)) == note.digest), None)
