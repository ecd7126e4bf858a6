"""Reading the sources' histories into the events record. It can be run again: only what is new is added."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from backstay.core.errors import BackstayError, InputError
from backstay.core.show import Shown
from backstay.definitions import EventSource
from backstay.features.ingest import prepare
from backstay.storage.digest import frame_digest
from backstay.storage.ports import EventStore


@dataclass(frozen=True, slots=True)
class Ingested(Shown):
    """What became of one source: events `added` now, events it holds in all, and when the last became known."""

    source: str
    added: int
    events: int
    version: int
    known_until: int | None = None


def ingest_source(source: EventSource, events: EventStore) -> Ingested:
    """Read a source's whole history and append what the record does not have yet.

    The history must begin with what the record holds: then a second run adds nothing, and a longer history adds its
    end. Anything else is refused, and nothing is changed.
    """
    if not callable(source.read):
        raise InputError(
            "the source does not say how its history is read", where=f"source {source.name!r}", fix="give it read=..."
        )
    frame = prepare(source, _history(source)).sort("known_time", "event_time", maintain_order=True)
    have = events.last_sequence(source.name)
    if have:
        held = events.read(source.name).drop("sequence")
        if frame.height < have or frame_digest(frame.head(have)) != frame_digest(held):
            raise InputError(
                f"the history read now does not begin with the {have} events in the record",
                where=f"source {source.name!r}",
                expected="the same events, and possibly later ones",
                fix="events are never changed; ingest into a new home if the history itself was wrong",
            )
    fresh = frame[have:]
    if fresh.height or not have:
        events.append(source.name, fresh)
    known_until = int(frame.get_column("known_time").dt.epoch("us")[-1]) if frame.height else None
    return Ingested(source.name, fresh.height, frame.height, events.version(source.name), known_until)


def _history(source: EventSource) -> pl.DataFrame:
    """What the user's function returns."""
    assert callable(source.read)
    where = f"source {source.name!r}"
    try:
        history = source.read()
    except BackstayError:
        raise
    except Exception as error:
        raise InputError(f"its history cannot be read: {type(error).__name__}: {error}", where=where) from error
    if not isinstance(history, pl.DataFrame):
        raise InputError(
            f"read() returns {type(history).__name__}", where=where, expected="a polars.DataFrame", fix="convert it"
        )
    return history
