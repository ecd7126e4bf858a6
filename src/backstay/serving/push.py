"""Push: events into the record first, durably, then into the online state; then they are acknowledged. Where the state
cannot take them they are acknowledged too, as recorded and not visible: sent again, they would count twice.

Live events are stamped with their known time here, and those that break the source's contract, or that a feature cannot
be computed of, go to quarantine (`backstay.features.intake`). In replay, events come out of the record with their
sequence and known time, and only the online state is advanced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import polars as pl

from backstay.core.clock import Clock
from backstay.definitions import EventSource, FeatureSet
from backstay.features.intake import Intake
from backstay.features.online import OnlineWriter, shown
from backstay.features.raising import computed
from backstay.features.shaping import Shaped
from backstay.serving.events import EventParser
from backstay.storage.ports import EventStore

_logger = logging.getLogger("backstay.serving")


class Push:
    """Takes the pushed events of one source."""

    def __init__(
        self,
        source: EventSource,
        events: EventStore,
        online: OnlineWriter,
        clock: Clock,
        *,
        feature_sets: Iterable[FeatureSet],
        replay: bool,
    ) -> None:
        self.source, self._events, self._online, self._clock, self._replay = source, events, online, clock, replay
        self._parser = EventParser(source, replay=replay)
        self._intake = Intake(source, events, computed=computed(source, feature_sets))

    @property
    def waits(self) -> bool:
        """Whether others may have to be waited for, or events of the record have to be brought into the online state
        before the next ones."""
        if self._replay:
            return False
        name = self.source.name
        return self._intake.waits or self._online.watermark(self.source) < self._events.last_sequence(name)

    def take(self, data: bytes) -> dict[str, object]:
        """Parse, record and apply; returns how many were accepted and the sequence they reach."""
        pushed = self._parser.parse(data)
        frame = pushed.frame
        if self._replay and frame.height:
            self._online.apply(self.source, frame)
            return {"accepted": frame.height, "sequence": int(frame.get_column("sequence")[-1])}
        if not frame.height and not pushed.unread.height:
            return {"accepted": 0, "sequence": self._online.watermark(self.source)}
        now = self._clock.now()
        known = pl.lit(now).cast(pl.Datetime("us", "UTC")).alias("known_time")
        rows = Shaped(frame.select("event_time", known, *self.source.schema), {})
        taken = self._intake.take(rows, frame, now=now, texts=pushed.texts, unread=pushed.unread)
        hidden = shown(self.source, self._events, self._online, taken.events)
        if hidden is not None:
            _logger.error(
                "events of %s up to %s are recorded, and not visible: %s", self.source.name, taken.last, hidden
            )
        return taken.answer(self.source, hidden)
