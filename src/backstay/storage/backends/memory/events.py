"""Events in a list of frames a source, one frame an append."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from backstay.core.errors import NotFoundError
from backstay.storage.digest import frame_digest
from backstay.storage.ports import KNOWN_TIME, SEQUENCE, Appended, Seal
from backstay.storage.schema import INSTANT, check_columns, check_events, check_same, check_source


@dataclass(slots=True)
class _Table:
    schema: pl.Schema
    frames: list[pl.DataFrame]
    last: int = 0
    version: int = 0


class MemoryEvents:
    """`EventStore` in memory."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def append(self, source: str, events: pl.DataFrame) -> Appended:
        check_source(source)
        check_events(source, events)
        with self._lock:
            table = self._tables.get(source)
            if table is None:
                table = self._tables[source] = _Table(pl.Schema(events.schema), [], version=-1)
            else:
                check_same(source, table.schema, events.schema)
                if events.is_empty():
                    return Appended(table.last + 1, table.last, table.version)
            first = table.last + 1
            numbers = pl.int_range(first, first + events.height, dtype=pl.Int64)
            table.frames.append(events.with_columns(numbers.alias(SEQUENCE)))
            table.last += events.height
            table.version += 1
            return Appended(first, table.last, table.version)

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        check_source(source)
        with self._lock:
            table = self._tables.get(source)
            frames = [] if table is None else list(table.frames)
        if table is None:
            raise NotFoundError(f"the source {source!r} has no events", where=source, fix="append to it first")
        names = check_columns(source, pl.Schema({**table.schema, SEQUENCE: pl.Int64()}), columns)
        keep = pl.lit(True)
        if known_until is not None:
            keep &= pl.col(KNOWN_TIME) <= pl.lit(known_until, dtype=INSTANT)
        if known_after is not None:
            keep &= pl.col(KNOWN_TIME) > pl.lit(known_after, dtype=INSTANT)
        if sequence_until is not None:
            keep &= pl.col(SEQUENCE) <= sequence_until
        return pl.concat(frames).filter(keep).select(names)

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
        found = self.read(source, known_until=known_until, sequence_until=sequence_until)
        found = found.filter(pl.col(SEQUENCE) > sequence_after)
        return found.select(check_columns(source, found.schema, columns)).iter_slices(rows)

    def version(self, source: str) -> int:
        check_source(source)
        table = self._tables.get(source)
        return -1 if table is None else table.version

    def seal(self, source: str, version: int, *, read: bool = False) -> Seal:  # noqa: ARG002 - there are no files
        check_source(source)
        table = self._tables.get(source)
        if table is None or not 0 <= version <= table.version:
            raise NotFoundError(f"the source {source!r} has no version {version}", where=source)
        held = pl.concat(table.frames[: version + 1])
        return Seal(held.height, frame_digest(held))

    def last_sequence(self, source: str) -> int:
        check_source(source)
        table = self._tables.get(source)
        return 0 if table is None else table.last

    @contextmanager
    def turn(self, source: str) -> Iterator[None]:
        check_source(source)
        with self._lock:
            lock = self._turns.setdefault(source, threading.Lock())
        with lock:
            yield
