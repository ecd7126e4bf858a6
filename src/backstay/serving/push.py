"""Push: events into the record first, durably, then into the online state; then they are acknowledged.

Live events are stamped with their known time here. In replay, events come out of the record with their sequence and
known time, and only the online state is advanced.
"""

from __future__ import annotations

import polars as pl

from backstay.core.clock import Clock
from backstay.definitions import EventSource
from backstay.features.ingest import prepare
from backstay.features.online import OnlineWriter, apply_appended
from backstay.serving.parse import EventParser
from backstay.storage.ports import EventStore


class Push:
    """Takes the pushed events of one source."""

    def __init__(
        self, source: EventSource, events: EventStore, online: OnlineWriter, clock: Clock, *, replay: bool
    ) -> None:
        self._source, self._events, self._online, self._clock, self._replay = source, events, online, clock, replay
        self._parser = EventParser(source, replay=replay)
        self._live = EventSource(source.name, schema=source.schema, known_time="known_time")

    def take(self, data: bytes) -> dict[str, int]:
        """Parse, record and apply; returns how many were accepted and the sequence they reach."""
        frame = self._parser.parse(data)
        if not frame.height:
            return {"accepted": 0, "sequence": self._online.watermark(self._source)}
        if not self._replay:
            now = pl.lit(self._clock.now()).cast(pl.Datetime("us", "UTC"))
            prepared = prepare(self._live, frame.with_columns(known_time=now))
            numbered = self._events.append(self._source.name, prepared)
            frame = prepared.with_columns(sequence=pl.int_range(numbered.first, numbered.last + 1, dtype=pl.Int64))
            apply_appended(self._source, self._events, self._online, frame)
            return {"accepted": prepared.height, "sequence": numbered.last}
        self._online.apply(self._source, frame)
        return {"accepted": frame.height, "sequence": int(frame.get_column("sequence")[-1])}
