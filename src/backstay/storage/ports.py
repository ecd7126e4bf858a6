"""The ports, one Protocol each. Times are integer microseconds since the epoch, UTC.

Every method raises `backstay.core.errors.BackstayError` subclasses only: `NotFoundError`, `ConflictError`,
`IntegrityError`, `InputError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

EVENT_TIME, KNOWN_TIME, SEQUENCE = "event_time", "known_time", "sequence"


@dataclass(frozen=True, slots=True)
class Appended:
    """Acknowledgement of an append: durable, and numbered `first`..`last` (`first` > `last` if it was empty)."""

    first: int
    last: int
    version: int


class EventStore(Protocol):
    """The events record: one append-only table a source, in the order of appending."""

    def append(self, source: str, events: pl.DataFrame) -> Appended:
        """Append rows durably and atomically; they are numbered without gaps, from 1, in the order given.

        `events` has Datetime("us", "UTC") columns `event_time` and `known_time` (no nulls) and the source's own
        columns; the store adds the Int64 column `sequence`. The first append fixes the schema (names in order and
        types, kept as metadata so that an empty read has it too); a different one later is an `InputError` that names
        the differing columns. Safe with several processes appending at once.
        """
        ...

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        """Rows in sequence order: known_time in (known_after, known_until] and sequence <= sequence_until.

        A source never appended to is a `NotFoundError`.
        """
        ...

    def version(self, source: str) -> int:
        """The table version that a read sees now (-1 if the source has none yet)."""
        ...

    def last_sequence(self, source: str) -> int:
        """The highest sequence appended (0 if none)."""
        ...


class PredictionLog(Protocol):
    """The predictions record. A record is an opaque payload here; its codec is `backstay.storage.predictions`."""

    def append(self, payloads: Sequence[bytes]) -> None:
        """Durable: written (write(2)) before it returns, so that a killed process loses nothing."""
        ...

    def scan(self) -> Iterable[bytes]:
        """Every payload, in the order of appending per writer. A torn tail (a writer killed in mid-write) is passed
        over; damage anywhere else is an `IntegrityError` that names the file and offset."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. `id` counts from 1 without gaps; `digest` chains it to the entry before."""

    id: int
    at: int
    actor: str
    kind: str
    subject: str
    body: Mapping[str, Any]
    previous: str
    digest: str


class Ledger(Protocol):
    """The ledger: append-only, transactional, hash-chained."""

    def append(
        self, kind: str, subject: str, body: Mapping[str, Any], *, at: int, actor: str, expect: int | None = None
    ) -> Entry:
        """Append one entry in a transaction.

        With `expect`, only if the last entry with this (kind, subject) has that id (0: there is none yet);
        otherwise `ConflictError`: this is the compare-and-swap that moves aliases.
        digest = sha256(canonical_json([id, at, actor, kind, subject, body, previous])).
        """
        ...

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, until: int | None = None
    ) -> list[Entry]:
        """Entries in order, with id > after and at <= until."""
        ...

    def last(self, kind: str, subject: str, *, as_of: int | None = None) -> Entry | None:
        """The last entry of this kind and subject (at or before `as_of`)."""
        ...

    def revision(self) -> int:
        """The id of the last entry (0 if none): cheap enough to poll ten times a second."""
        ...


class Artifacts(Protocol):
    """Files by content: the name is the SHA-256, so a file cannot change under its name unnoticed."""

    def put(self, data: bytes) -> str:
        """Store durably and return the SHA-256; storing the same again is free."""
        ...

    def get(self, digest: str) -> bytes:
        """The content, verified: `IntegrityError` if it no longer has this digest, `NotFoundError` if absent."""
        ...


class OnlineState(Protocol):
    """Small values by key, read in microseconds by many processes while one writes.

    A read is one consistent snapshot; a write is one atomic, durable transaction.
    """

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]: ...

    def write(self, values: Mapping[bytes, bytes]) -> None: ...

    def clear(self) -> None: ...

    def close(self) -> None: ...
