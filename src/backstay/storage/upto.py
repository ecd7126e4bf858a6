"""The events record as it stood: up to a version of each source's table, whatever was appended since.

`known_until` alone does not give that: an event that was imported later may have become known before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import polars as pl

from backstay.core.errors import InputError, NotFoundError
from backstay.storage.ports import Appended, EventStore, Seal


class EventsUpto:
    """An `EventStore` that ends, for each source, with a version of its table. It is only read.

    versions: by source; one that is not named, or at version -1, had no events
    """

    def __init__(self, events: EventStore, versions: Mapping[str, int]) -> None:
        self._events, self._versions = events, dict(versions)
        self._last = {name: events.seal(name, one).last for name, one in versions.items() if one >= 0}

    def append(self, source: str, events: pl.DataFrame) -> Appended:  # noqa: ARG002 - the port's
        raise InputError(
            f"{source!r} is read as it stood at version {self.version(source)}: nothing is appended to that",
            where=f"source {source!r}", fix="append to the events record itself",
        )  # fmt: skip

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        return self._events.read(
            source, columns=columns, known_until=known_until, known_after=known_after,
            sequence_until=self._until(source, sequence_until),
        )  # fmt: skip

    def batches(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        sequence_after: int = 0,
        sequence_until: int | None = None,
        rows: int = 100_000,
    ) -> Iterator[pl.DataFrame]:
        until = self._until(source, sequence_until)
        return self._events.batches(
            source, columns=columns, known_until=known_until, sequence_after=sequence_after, sequence_until=until,
            rows=rows,
        )  # fmt: skip

    def version(self, source: str) -> int:
        return self._versions.get(source, -1)

    def last_sequence(self, source: str) -> int:
        return self._last.get(source, 0)

    def turn(self, source: str) -> AbstractContextManager[None]:
        return self._events.turn(source)

    def seal(self, source: str, version: int, *, read: bool = False) -> Seal:
        if version > self.version(source):
            raise NotFoundError(f"the source {source!r} had no version {version} then", where=f"source {source!r}")
        return self._events.seal(source, version, read=read)

    def _until(self, source: str, until: int | None) -> int:
        if source not in self._last:
            raise NotFoundError(f"the source {source!r} had no events then", where=f"source {source!r}")
        return self._last[source] if until is None else min(until, self._last[source])
