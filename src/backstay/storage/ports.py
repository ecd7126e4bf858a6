"""The ports, one Protocol each. Times are integer microseconds since the epoch, UTC.

Every method raises `backstay.core.errors.BackstayError` subclasses only: `NotFoundError`, `ConflictError`,
`IntegrityError`, `InputError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backstay.storage.counts import Counted
from backstay.storage.predictions import Prediction
from backstay.storage.runs import KeptRun, Metric, RunRecord

if TYPE_CHECKING:
    import polars as pl

EVENT_TIME, KNOWN_TIME, SEQUENCE = "event_time", "known_time", "sequence"


@dataclass(frozen=True, slots=True)
class Appended:
    """Acknowledgement of an append: durable, and numbered `first`..`last` (`first` > `last` if it was empty).

    `version` is the table's version at that moment; it need not hold these rows yet (`EventStore.version` does).
    """

    first: int
    last: int
    version: int


@dataclass(frozen=True, slots=True)
class Seal:
    """A version of a source's table: its last sequence, and the digest of every byte of it.

    digest: None where the version has files of an older Backstay, which are not named by their content
    """

    last: int
    digest: str | None


class EventStore(Protocol):
    """The events record: one append-only table a source, in the order of appending."""

    def append(self, source: str, events: pl.DataFrame) -> Appended:
        """Append rows durably and atomically; they are numbered without gaps, from 1, in the order given.

        Durable: written (write(2)) before it returns, so that a killed process loses nothing. What cannot be written is
        a `BackstayError`, and nothing of it is stored.

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
        """What `read` gives of sequence > sequence_after, as it stood at the call, in frames of about `rows` rows.

        Only as much of the source is in memory at once as one frame takes, or one of the store's files. Frames are
        never empty.
        """
        ...

    def version(self, source: str) -> int:
        """The version of the table that holds every event appended so far (-1 if the source has none yet).

        It names the content: what was read up to now is this version of the table, for any reader of tables, later too.
        A store that writes events ahead of its table first moves them into it, so this may take as long as a commit;
        asking again while nothing was appended answers the same and is cheap. It never decreases.
        """
        ...

    def last_sequence(self, source: str) -> int:
        """The highest sequence appended (0 if none)."""
        ...

    def turn(self, source: str) -> AbstractContextManager[None]:
        """Held by one at a time, of all processes and threads that ask: for who looks first, and appends by that.

        It holds nobody up who only appends. A killed process lets go. Not to be asked for again while it is held.
        """
        ...

    def seal(self, source: str, version: int, *, read: bool = False) -> Seal:
        """What a version of the table holds, told without reading it: its files are named by their content.

        read: also read the files; one that was changed is an `IntegrityError` that names it. A version that never was
        is a `NotFoundError`, or an `IntegrityError` where the table cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction moved into the table: so many predictions, of so many segments."""

    predictions: int
    segments: int


class PredictionLog(Protocol):
    """The predictions record. When an append is acknowledged is the log's **mode**:

    durable  once written (write(2)): a killed process loses nothing
    sync     once on the disk, where appends of the same moment share one sync: a power cut loses nothing
    lossy    at once: a bounded ring keeps it until it is written; what it can't hold is lost, oldest first, and counted

    What cannot be written is a `BackstayError`, and none of that append is acknowledged; a later one may succeed.
    """

    @property
    def dropped(self) -> int:
        """How many predictions this process has lost (lossy mode): cheap to ask, for metrics."""
        ...

    def append(self, predictions: Sequence[Prediction]) -> None:
        """Append all of them or none; acknowledged when it returns."""
        ...

    def submit(self, predictions: Sequence[Prediction]) -> Future[None] | None:
        """Append without waiting for a disk, for an event loop: None if they are acknowledged already.

        Otherwise what to wait for: they are acknowledged when it is done, unless it holds a `BackstayError`. Its
        callbacks run in a thread of the log's.
        """
        ...

    def scan(
        self,
        *,
        model: str | None = None,
        since: int | None = None,
        until: int | None = None,
        ids: Collection[str] | None = None,
        last: int | None = None,
    ) -> Iterator[Prediction]:
        """Each prediction once, as the record stood when the first is taken, in the order of appending per writer.

        Only those of one model, with T (`at`) in [since, until), with one of these ids. `last`: only that many, those
        that were served last, the newest first. What is not wanted is skipped, not decoded, as far as the store can.

        A torn tail (a writer killed in mid-write) is passed over; damage anywhere else is an `IntegrityError` that
        names the file and offset.
        """
        ...

    def compact(self, names: Mapping[str, Sequence[str]], progress: Callable[[int, int], None], /) -> Compacted:
        """Move what writers have closed into a table that other tools read; nothing changes for `scan`.

        Safe beside running writers and readers; killed at any moment it loses and doubles nothing, and doing it again
        goes on. `names`: by hash of a feature set, its features in order; `progress` is told bytes done and in all.
        """
        ...

    def lost(self) -> int:
        """How many predictions all lossy writers have lost, as far as the record knows."""
        ...

    def close(self) -> None:
        """Write what is waiting, then let go of files; closing again does nothing."""
        ...


class CountLog(Protocol):
    """The counts record: how servers kept their objectives, minute by minute."""

    def append(self, rows: Sequence[Counted]) -> None:
        """Append all of them or none; written (write(2)) when it returns. What cannot be is a `BackstayError`.

        Any number of processes append side by side. Rows older than 90 days may be removed.
        """
        ...

    def scan(
        self, *, model: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[Counted]:
        """What was counted, of one model, in the minutes that begin in [since, until), in no particular order.

        Rows of one process in one minute may come as one. A torn tail (a writer killed in mid-write) is passed over;
        damage anywhere else is an `IntegrityError` that names the file and offset.
        """
        ...


class RunLog(Protocol):
    """The runs record: what was tried, and what was measured meanwhile. Any number of processes use it side by side.

    What is told or logged is written (write(2)) when the call returns, so that a killed process loses nothing; what
    cannot be is a `BackstayError`, and nothing of it is stored.
    """

    def begin(self, run: RunRecord) -> None:
        """Begin a run, whose status is running. This process holds it until it tells that it has ended, or is gone.

        An id that was used before is a `ConflictError`.
        """
        ...

    def tell(self, told: RunRecord) -> None:
        """Add to a run what a document says of it; a status in it (finished or failed) ends the run.

        Anybody may add to any run; only who holds it may end it. A run there never was is a `NotFoundError`.
        """
        ...

    def log(self, run: str, metrics: Sequence[Metric]) -> None:
        """Append measurements to a run that this process holds: all of them or none."""
        ...

    def scan(self) -> list[KeptRun]:
        """Every run as it is now, in the order in which they began; the caller's own copies.

        One that never ended and is held by nobody is killed. Torn tails (a writer killed in mid-write) are passed over;
        damage anywhere else is an `IntegrityError` that names the file and offset.
        """
        ...

    def metrics(self, run: str) -> list[Metric]:
        """What a run has logged, in order. A run there never was is a `NotFoundError`."""
        ...

    def close(self) -> None:
        """Let go of every run that is held; closing again does nothing."""
        ...


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
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, until: int | None = None,
        since: int | None = None,
    ) -> list[Entry]:  # fmt: skip
        """Entries in order, with id > after and since <= at <= until."""
        ...

    def last(self, kind: str, subject: str, *, as_of: int | None = None) -> Entry | None:
        """The last entry of this kind and subject (at or before `as_of`)."""
        ...

    def revision(self) -> int:
        """The id of the last entry (0 if none): cheap enough to poll ten times a second."""
        ...

    def verify(self, seen: Callable[[Entry], None] | None = None) -> int:
        """Walk the whole chain, and return how many entries it has; `seen` is told each of them.

        `IntegrityError` names the first that is not what was written, or missing.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; closing again does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """One stored file: its digest, its size in bytes, and when it was last stored (storing it again counts)."""

    digest: str
    size: int
    at: int


class Artifacts(Protocol):
    """Files by content: the name is the SHA-256, so a file cannot change under its name unnoticed."""

    def put(self, data: bytes) -> str:
        """Store durably and return the SHA-256; storing the same again is free."""
        ...

    def get(self, digest: str) -> bytes:
        """The content, verified: `IntegrityError` if it no longer has this digest, `NotFoundError` if absent."""
        ...

    def stored(self) -> Iterator[Stored]:
        """What is there, in no particular order."""
        ...

    def remove(self, digest: str, *, before: int) -> bool:
        """Remove a file that was last stored before a moment; False if it was stored since, or is not there.

        Whoever stores it at the same moment has it: the two never leave it half there.
        """
        ...


class OnlineState(Protocol):
    """Small values by key, read in microseconds by many processes while several write.

    A key is any bytes, of any length, and so is a value. A read is one consistent snapshot; a write is one atomic
    transaction, durable when it returns. What a user's own backend must do is tested by
    `backstay.testing.OnlineStateConformance`. A store that is closed or cannot be reached is a `BackstayError`;
    anything but bytes is an `InputError`, and nothing is written.
    """

    def read(self, keys: Sequence[bytes], have: Sequence[bytes | None] | None = None) -> list[bytes | None]:
        """The value of each key, in order; None where there is none. All are of one moment.

        `have`: for each key the beginning of a value that the caller holds already (b"" or None: nothing). A stored
        value that begins with it is answered by that very object, so that nothing is copied.
        """
        ...

    def write(self, values: Mapping[bytes, bytes | None], expect: Mapping[bytes, bytes | None] | None = None) -> None:
        """Write all values or none; None deletes.

        With `expect`, only if each of its keys has exactly that value now (None: there is none); otherwise
        `ConflictError`, and nothing is written: this compare-and-swap is what makes several writers safe.
        """
        ...

    def clear(self) -> None:
        """Remove every key of this state, and of no other. What is written meanwhile may stay or go."""
        ...

    def close(self) -> None:
        """Let go of files and connections; closing again does nothing."""
        ...
