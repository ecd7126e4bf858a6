"""Predictions in segment files: `<writer>-NNNNNN.seg`, each a run of frames.

    frame = [length, u32] [CRC-32 of length and payload, u32] [payload]          little-endian

Each writer appends to files of its own, so writers never wait for each other, and a batch is one write(2): what was
acknowledged is with the operating system, and killing the process cannot lose it. A segment is closed at 64 MiB.

A writer killed in the middle of a write leaves a **torn tail**: a beginning of a frame at the end of its last segment.
It was never acknowledged, so a scan passes over it. The same bytes anywhere else mean damage, and so does a tail behind
which whole frames follow (that is a damaged length, not a torn write): both are an `IntegrityError`.

A writer that comes back under the same name cuts its torn tail off and goes on behind it. One name is held by one
process at a time; without a name each writer gets one that nobody else has.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

from backstay.core.errors import BackstayError, ConflictError, InputError, IntegrityError
from backstay.storage.backends.local.files import failures, sync, write_all

SEGMENT_BYTES = 64 * 1024 * 1024
_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
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
        batch = b"".join(map(_frame, payloads))
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
            self._end = sum(_HEADER.size + len(payload) for payload in _frames(data, path, last=True))
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


def _frame(payload: bytes) -> bytes:
    if not isinstance(payload, bytes) or len(payload) >= 1 << 32:
        raise InputError(
            "a prediction record is not bytes, or too long", where="payloads", expected="bytes below 4 GiB"
        )
    length = _LENGTH.pack(len(payload))
    return length + _LENGTH.pack(_check(length, payload)) + payload


def _check(length: bytes, payload: bytes) -> int:
    # The length is covered too: a stretch of zeros would otherwise read as empty records that check out.
    return zlib.crc32(payload, zlib.crc32(length))


def _read(path: Path, *, last: bool) -> Iterator[bytes]:
    with failures(path):
        data = path.read_bytes()
    yield from _frames(data, path, last=last)


def _frames(data: bytes, path: Path, *, last: bool) -> Iterator[bytes]:
    offset = 0
    while offset < len(data):
        payload = _frame_at(data, offset)
        if payload is None:
            if last and _is_torn(data, offset):
                return
            raise IntegrityError(
                "a prediction record is damaged",
                where=f"{path}, offset {offset}",
                expected="a whole frame whose checksum matches",
                fix="restore the file from a backup",
            )
        yield payload
        offset += _HEADER.size + len(payload)


def _frame_at(data: bytes, offset: int) -> bytes | None:
    """The payload of the whole, undamaged frame that begins here, if one does."""
    begin = offset + _HEADER.size
    if begin > len(data):
        return None
    length, check = _HEADER.unpack_from(data, offset)
    if begin + length > len(data):
        return None
    payload = data[begin : begin + length]
    return payload if _check(_LENGTH.pack(length), payload) == check else None


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether what begins here is a frame cut short: longer than what is left, and no whole frame within it."""
    begin = offset + _HEADER.size
    left = len(data) - begin
    if left >= 0:
        length, check = _HEADER.unpack_from(data, offset)
        if length <= left or _check(_LENGTH.pack(left), data[begin:]) == check:  # whole, but for its length
            return False
    return all(_frame_at(data, later) is None for later in range(offset + 1, len(data) - _HEADER.size + 1))
