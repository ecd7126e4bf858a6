"""Readers of the events record that stand before another one, and answer less of it, or answer from memory."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from backstay.features.offline import EventReader


class Recent:
    """Of one source only what became known since a moment (microseconds): outcomes come after what was asked.

    Older files of the record are not looked at.
    """

    def __init__(self, events: EventReader, source: str, since: int) -> None:
        self._events, self._source, self._since = events, source, since

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        after = known_after
        if source == self._source:
            after = self._since - 1 if known_after is None else max(known_after, self._since - 1)
        return self._events.read(
            source, columns=columns, known_until=known_until, known_after=after, sequence_until=sequence_until
        )


class Once:
    """Reads each source once, up to a moment (microseconds), and answers all reads from it."""

    def __init__(self, events: EventReader, until: int) -> None:
        self._events, self._until = events, until
        self.tables: dict[str, pl.DataFrame] = {}

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        if source not in self.tables:
            self.tables[source] = self._events.read(source, known_until=self._until)
        table = self.tables[source]
        bounds: list[pl.Expr] = []
        if sequence_until is not None:
            bounds.append(pl.col("sequence") <= sequence_until)
        if known_until is not None:
            bounds.append(pl.col("known_time").dt.epoch("us") <= known_until)
        if known_after is not None:
            bounds.append(pl.col("known_time").dt.epoch("us") > known_after)
        table = table.filter(bounds) if bounds else table
        return table if columns is None else table.select(columns)
