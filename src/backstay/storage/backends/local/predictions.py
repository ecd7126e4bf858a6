"""Predictions in segment files: `<writer>-NNNNNN.seg`, each a run of frames (`framing.py`).

Each writer appends to files of its own, so writers never wait for each other, and a batch is one write(2): what was
acknowledged is with the operating system, and killing the process cannot lose it. A segment is closed at 64 MiB.

A writer killed in the middle of a write leaves a torn tail at the end of its last segment; in a segment before the last
such bytes are damage.

A writer that comes back under the same name cuts its torn tail off and goes on behind it. One name is held by one
process at a time; without a name each writer gets one that nobody else has.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from backstay.core.errors import BackstayError, ConflictError, InputError
from backstay.storage.backends.local.files import failures, sync, write_all
from backstay.storage.backends.local.framing import OVERHEAD, frame, unframe

SEGMENT_BYTES = 64 * 1024 * 1024
_RECORD = "a prediction record"
_WRITER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SEGMENT = re.compile(r"(?P<writer>.+)-(?P<number>\d{6,})\.seg")


class LocalPredictions:
    """`PredictionLog` in a directory. Nothing is created before the first append."""

    def __init__(self, directory: str | Path, writer: str | None = None) -> None:
        self._directory = Path(directory).absolute()
        self._writer = f"{os.getpid()}-{uuid4().hex[:12]}" if writer is None else writer
        if not _WRITER.fullmatch(self._writer):
            raise InputError(f"{writer!r} cannot name a file", where="writer", expected="letters, digits, _ . and -")
        self._lock = threading.Lock()
        self._number = 0
        self._descriptor = -1
        self._end = 0  # where the last acknowledged frame ends
        self._dirty = False  # bytes behind `_end` are still to be cut off
        self._closed = False

    def append(self, payloads: Sequence[bytes]) -> None:
        batch = b"".join(frame(payload, _RECORD) for payload in payloads)
        if not batch:
            return
        with self._lock, failures(self._directory):
            if self._closed:
                raise BackstayError("the prediction log is closed", where=str(self._directory))
            if self._descriptor < 0:
                self._open()
            if self._end and self._end + len(batch) > SEGMENT_BYTES:
                self._roll()
            self._write(batch)

    def scan(self) -> Iterator[bytes]:
        segments = _segments(self._directory)
        last = dict(segments)  # sorted by number, so the highest of each writer stays
        for writer, number in segments:
            yield from _read(_path(self._directory, writer, number), last=number == last[writer])

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._release()

    def _write(self, batch: bytes) -> None:
        """All of the batch or none of it: what a full disk let through is cut off again."""
        if self._dirty:
            os.ftruncate(self._descriptor, self._end)
            self._dirty = False
        try:
            write_all(self._descriptor, batch)
        except OSError as error:
            self._dirty = True
            os.ftruncate(self._descriptor, self._end)
            self._dirty = False
            raise BackstayError(
                f"predictions were not written ({error.strerror}); nothing of this batch was acknowledged",
                where=str(_path(self._directory, self._writer, self._number)),
                fix="free space, then send it again",
            ) from error
        self._end += len(batch)

    def _open(self) -> None:
        """Begin the first segment, or go on in the last one that a writer of this name left."""
        self._directory.mkdir(parents=True, exist_ok=True)
        number = 0
        while number != (newest := self._newest()):  # another holder of the name may have rolled meanwhile
            self._hold(newest)
            number = newest
        path = _path(self._directory, self._writer, number)
        try:
            data = path.read_bytes()
            self._end = sum(OVERHEAD + len(payload) for payload in unframe(data, path, _RECORD))
            os.ftruncate(self._descriptor, self._end)
        except BaseException:
            self._release()
            raise

    def _roll(self) -> None:
        self._hold(self._number + 1)
        self._end = 0

    def _newest(self) -> int:
        return max((number for writer, number in _segments(self._directory) if writer == self._writer), default=1)

    def _hold(self, number: int) -> None:
        """Take the lock of a segment, then let go of the one before: the name is never free in between."""
        path = _path(self._directory, self._writer, number)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise ConflictError(
                f"another process writes predictions as {self._writer!r}",
                where=str(path),
                fix="give each process a writer name of its own, or none",
            ) from None
        self._release()
        self._descriptor, self._number = descriptor, number
        sync(self._directory)

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _path(directory: Path, writer: str, number: int) -> Path:
    return directory / f"{writer}-{number:06d}.seg"


def _segments(directory: Path) -> list[tuple[str, int]]:
    """(writer, number) of every segment, in order."""
    try:
        names = os.listdir(directory)  # noqa: PTH208  (names are all we need)
    except FileNotFoundError:
        return []
    found = (_SEGMENT.fullmatch(name) for name in names)
    return sorted((match["writer"], int(match["number"])) for match in found if match)


def _read(path: Path, *, last: bool) -> Iterator[bytes]:
    with failures(path):
        data = path.read_bytes()
    yield from unframe(data, path, _RECORD, last=last)
