"""Segments: the events of a source that are written, and acknowledged, but not yet in its table.

    <source>/_segments/<first sequence>.seg       a run of frames (`framing.py`), one an append
    payload = [first sequence, i64] [rows, u32] [Arrow IPC stream of the rows, without `sequence`]

A segment is **named by the sequence it begins with**, and that ties it to the table: the one segment that counts is
named by the table's last sequence plus one. Once a commit has taken its rows into the table, the segment that counts
has another name; so a kill between the commit and the removal leaves a remnant that nobody reads, and nothing is
counted twice. A segment whose name is further ahead means that commits of the table were lost: an `IntegrityError`.

Only the holder of the source's lock writes. Readers take no lock: bytes behind the last whole frame are an append that
is being written, or a torn tail, and count as nothing.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path

import polars as pl

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local.files import write_all
from backstay.storage.backends.local.framing import OVERHEAD, frame, unframe
from backstay.storage.ports import SEQUENCE

APPEND_ROWS = 5_000  # from here on an append is worth a commit of its own
FRAME_BYTES = 1 << 20  # a torn tail is searched byte by byte: it may not be long
SEGMENT_ROWS = 50_000
SEGMENT_BYTES = 16 << 20

_FOLDER = "_segments"  # table formats take files under such a name for none of theirs
_HEADER = struct.Struct("<qI")
_WHAT = "a record of events"


class Segment:
    """The segment that begins with the sequence `first`: what of it was read, or written, by this process.

    Its content is kept, encoded until somebody reads it and decoded from then on: at most `SEGMENT_BYTES` and
    `SEGMENT_ROWS`. Used by several threads at once; `append` by one at a time.
    """

    def __init__(self, directory: Path, first: int) -> None:
        self.path = directory / f"{first:020d}.seg"
        self.first, self.last = first, first - 1
        self._end = 0  # where the last whole frame ends
        self._encoded: list[bytes] = []
        self._decoded: pl.DataFrame | None = None
        self._lock = threading.Lock()

    def look(self) -> bool:
        """Take in what was appended since the last look; False if there is no such file (or it was removed).

        Raises `IntegrityError` if it is damaged.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            with self._lock:
                self._take_in(descriptor)
        finally:
            os.close(descriptor)
        return True

    def events(self) -> pl.DataFrame | None:
        """The rows seen by the last look, numbered, in one chunk; None if there are none."""
        with self._lock:
            if self._encoded:
                fresh = [_decoded(payload, self.path) for payload in self._encoded]
                held = [] if self._decoded is None else [self._decoded.drop(SEQUENCE)]
                rows = pl.concat([*held, *fresh], rechunk=True)
                numbers = pl.int_range(self.first, self.last + 1, dtype=pl.Int64)
                self._decoded = rows.with_columns(numbers.alias(SEQUENCE))
                self._encoded = []
            return self._decoded

    def append(self, events: pl.DataFrame) -> bool:
        """Write the rows behind what stands there, all of them or none; False if they belong into the table.

        For the holder of the source's lock. Raises `BackstayError` if they cannot be written; nothing is left then.
        """
        if events.height > APPEND_ROWS or self.last - self.first + 1 + events.height > SEGMENT_ROWS:
            return False
        payload = _encoded(self.last + 1, events)
        framed = frame(payload, _WHAT)
        if len(framed) > FRAME_BYTES or self._end + len(framed) > SEGMENT_BYTES:
            return False
        self.path.parent.mkdir(exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with self._lock:
                if os.fstat(descriptor).st_size > self._end:
                    os.ftruncate(descriptor, self._end)  # the torn tail of a writer that was killed
                self._write(descriptor, framed)
                self._end += len(framed)
                self.last += events.height
                self._encoded.append(payload)
        finally:
            os.close(descriptor)
        return True

    def _take_in(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        if size < self._end:
            raise IntegrityError(
                f"{_WHAT} is gone: the file is shorter than when it was last read",
                where=f"{self.path}, offset {size}",
                expected="a file that only grows",
                fix="restore the file from a backup",
            )
        if size == self._end:
            return
        data = os.pread(descriptor, size - self._end, self._end)
        for payload in unframe(data, self.path, _WHAT, begin=self._end):
            first, rows = _HEADER.unpack_from(payload) if len(payload) >= _HEADER.size else (0, 0)
            if first != self.last + 1 or not rows:
                raise IntegrityError(
                    f"events are numbered {first} where {self.last + 1} follows",
                    where=f"{self.path}, offset {self._end}",
                    expected="a file that only Backstay writes",
                    fix="restore the file from a backup",
                )
            self._encoded.append(payload)
            self._end += OVERHEAD + len(payload)
            self.last += rows

    def _write(self, descriptor: int, framed: bytes) -> None:
        try:
            write_all(descriptor, framed)
        except OSError as error:
            with suppress(OSError):  # if even that fails, a torn tail stays, and the next append cuts it off
                os.ftruncate(descriptor, self._end)
            raise BackstayError(
                f"the events were not written ({error.strerror}); nothing of this append was stored",
                where=str(self.path),
                fix="free space, then append them again",
            ) from error


class Segments:
    """The folder of one source's segments, `root/_segments`; it need not exist."""

    def __init__(self, root: Path) -> None:
        self._directory = root / _FOLDER
        self._lock = threading.Lock()
        self._current: Segment | None = None

    def after(self, last: int) -> Segment:
        """The segment that counts while the table's last sequence is `last`, whether there is a file or not."""
        with self._lock:
            if self._current is None or self._current.first != last + 1:
                self._current = Segment(self._directory, last + 1)
            return self._current

    def ahead(self, last: int) -> Path | None:
        """A segment further ahead than the one that counts, if there is one: rows between are lost, if `last` holds."""
        return max((path for first, path in self._found() if first > last + 1), default=None)

    def remove(self, last: int) -> None:
        """Remove the segments whose rows are in a table that ends with `last`; one that resists is a remnant."""
        for first, path in self._found():
            if first <= last:
                with suppress(OSError):
                    path.unlink()

    def _found(self) -> list[tuple[int, Path]]:
        try:
            names = os.listdir(self._directory)  # noqa: PTH208  (names are all we need)
        except FileNotFoundError:
            return []
        stems = [name.removesuffix(".seg") for name in names if name.endswith(".seg")]
        return [(int(stem), self._directory / f"{stem}.seg") for stem in stems if stem.isdecimal()]


def _encoded(first: int, events: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    stream.write(_HEADER.pack(first, events.height))
    events.write_ipc_stream(stream)
    return stream.getvalue()


def _decoded(payload: bytes, path: Path) -> pl.DataFrame:
    first, rows = _HEADER.unpack_from(payload)
    try:
        events = pl.read_ipc_stream(io.BytesIO(memoryview(payload)[_HEADER.size :]))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise IntegrityError(f"events from {first} on cannot be read: {error}", where=str(path)) from error
    if events.height != rows:
        raise IntegrityError(f"events from {first} on are {events.height}, not {rows}", where=str(path))
    return events
