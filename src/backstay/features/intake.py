"""Live events on their way into the record: stamped, judged, the bad ones set apart, the good ones appended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import polars as pl

from backstay.core.errors import BackstayError
from backstay.definitions import EventSource
from backstay.features.contracts import Seen
from backstay.features.ingest import judged, quarantined
from backstay.features.shaping import Shaped
from backstay.storage.ports import EventStore

_LATER = (
    "do not send them again: they are recorded, and visible with the next push that reaches the online state; or run: "
    "backstay features backfill"
)


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What became of a push: the events appended, with their `sequence`, and of how many rows which was the reason."""

    events: pl.DataFrame
    last: int
    reasons: Mapping[str, int]

    def answer(self, source: EventSource, hidden: BackstayError | None = None) -> dict[str, object]:
        """What is acknowledged; of a source with a contract also how many went to quarantine, and why.

        hidden: why the events are not visible online yet, if they are not
        """
        told: dict[str, object] = {"accepted": self.events.height, "sequence": self.last}
        if hidden is not None:
            told |= {"visible": False, "why": str(hidden), "fix": _LATER}
        if source.contract is not None:
            told |= {"quarantined": sum(self.reasons.values()), "reasons": dict(self.reasons)}
        return told


class Intake:
    """Takes live events of one source into its record.

    Where the contract asks for unique values, or the source has a producer's number, those of the record are kept in
    memory, and processes take turns: the same event, sent to two of them at once, is taken once. computed: what
    features compute of an event (`raising.computed`): one for which that raises is bad.
    """

    def __init__(
        self, source: EventSource, events: EventStore, *, computed: Mapping[str, pl.Expr] | None = None
    ) -> None:
        self._source, self._events, self._computed = source, events, computed
        self._seen = Seen(source)

    @property
    def waits(self) -> bool:
        """Whether others may have to be waited for, such as an ingest."""
        return self._seen.needed

    def take(
        self,
        shaped: Shaped,
        came: pl.DataFrame,
        *,
        now: int,
        texts: Callable[[pl.Series], list[str]] | None = None,
        unread: pl.DataFrame | None = None,
    ) -> Taken:
        """Append rows that are known at `now` (microseconds); durable when it returns.

        came: the same rows as they came; texts: their texts, of a mask. unread: bad rows that are none of these.
        Raises `InputError`, and stores nothing, where the source has no contract and a row is bad.
        """
        with self._events.turn(self._source.name) if self.waits else nullcontext():
            return self._take(shaped, came, now, texts, unread)

    def _take(
        self,
        shaped: Shaped,
        came: pl.DataFrame,
        now: int,
        texts: Callable[[pl.Series], list[str]] | None,
        unread: pl.DataFrame | None,
    ) -> Taken:
        source, events = self._source, self._events
        seen = self._seen.follow(events)
        parted = judged(source, shaped, came, now=now, live=True, seen=seen, texts=texts, computed=self._computed)
        bad = parted.bad if unread is None else pl.concat([unread, parted.bad])
        # Quarantine first. Killed in between, nothing was acknowledged and no good row appended: sent again, the bad
        # rows may stand in quarantine twice, and in the record nothing does.
        if bad.height:
            events.append(source.quarantine, quarantined(bad, now=now, origin="push"))
        reasons = dict(bad.group_by("reason", maintain_order=True).len().iter_rows())
        if not parted.good.height:
            empty = parted.good.with_columns(sequence=pl.lit(None, dtype=pl.Int64))
            return Taken(empty, events.last_sequence(source.name), reasons)
        numbered = events.append(source.name, parted.good)
        self._seen.appended(parted.good, numbered.first, numbered.last)
        sequence = pl.int_range(numbered.first, numbered.last + 1, dtype=pl.Int64)
        return Taken(parted.good.with_columns(sequence=sequence), numbered.last, reasons)
