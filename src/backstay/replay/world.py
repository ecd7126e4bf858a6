"""What happened in the world during a period, cut into slices: what became known, and what was asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import polars as pl

from backstay.core.errors import InputError
from backstay.definitions import EventSource, Model
from backstay.features.trainingset import asked_rows
from backstay.storage.ports import EventStore

_ISO = "%Y-%m-%dT%H:%M:%S%.6fZ"
_PUSHED = 500


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of time: first everything in `pushes` becomes known, then everything in `requests` is asked."""

    start: int
    end: int
    pushes: list[tuple[str, bytes]]
    """source and body, events in the order they became known, in batches"""
    requests: list[bytes]


class World:
    """The events and questions of a model between two moments, ready to be sent."""

    def __init__(self, model: Model, events: EventStore, *, start: int, end: int) -> None:
        self._start, self._end = start, end
        self._sources = [_Stream(source, events, start, end) for source in model.features.sources]
        asked = asked_rows(model, events, since=start, until=end, as_of=end).sort("at", maintain_order=True)
        self._at = asked.get_column("at").to_numpy()
        self._requests = _requests(model, asked)

    def __len__(self) -> int:
        return len(self._requests)

    def slices(self, length: int) -> Iterator[Slice]:
        """The period in slices of `length` microseconds."""
        done = 0
        for begin in range(self._start, self._end, length):
            until = min(begin + length, self._end)
            upto = int(self._at.searchsorted(until, "left"))
            pushes = [(stream.name, body) for stream in self._sources for body in stream.take(until)]
            yield Slice(begin, until, pushes, self._requests[done:upto])
            done = upto


class _Stream:
    """The events of one source that become known after a moment, in that order."""

    def __init__(self, source: EventSource, events: EventStore, after: int, until: int) -> None:
        self.name = source.name
        table = events.read(source.name, known_after=after, known_until=until)
        self._known = table.get_column("known_time").dt.epoch("us").to_numpy()
        if (self._known[1:] < self._known[:-1]).any():
            raise InputError(
                "events are not numbered in the order they became known",
                where=f"source {source.name!r}",
                expected="a record that can be replayed: one history, ingested in the order of known time",
                fix="ingest the whole history into a new home",
            )
        self._rows = _plain(table).to_dicts()
        self._done = 0

    def take(self, until: int) -> Iterator[bytes]:
        upto = int(self._known.searchsorted(until, "right"))
        for begin in range(self._done, upto, _PUSHED):
            yield msgspec.json.encode({"events": self._rows[begin : min(begin + _PUSHED, upto)]})
        self._done = upto


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Times as ISO 8601 texts, as a client sends them."""
    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    return frame.with_columns(pl.col(times).dt.to_string(_ISO))


def _requests(model: Model, asked: pl.DataFrame) -> list[bytes]:
    fields = [feature.name for feature in model.features.requests]
    keys = _plain(asked.select(model.keys)).to_dicts()
    values = _plain(asked.select(fields)).to_dicts() if fields else [{}] * asked.height
    at = asked.get_column("at").cast(pl.Datetime("us", "UTC")).dt.to_string(_ISO).to_list()
    encode = msgspec.json.Encoder().encode
    return [
        encode({"keys": key, "fields": value, "at": moment})
        for key, value, moment in zip(keys, values, at, strict=True)
    ]
