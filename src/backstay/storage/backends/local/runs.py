"""Runs: one index of all, and a file of metrics for each; both of checksummed frames (`framing.py`).

    <directory>/index            documents of runs, in the order in which they were told
    <directory>/<id>.metrics     what a run logged, one frame a call of `log`

The index has many writers. Each appends under the directory's lock, and first cuts off what a killed one may have left
half-written behind the last whole frame, which nobody was told of. So that the last frame is found from the end, a
payload ends with its own length. Behind that stands how many bytes were added since the index was written anew, with
one document a run: that is done whenever they are an eighth of it.

A file of metrics has one writer, which holds its lock (flock) for as long as the run is going on. So a run that never
ended, and whose lock is free, was killed.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local.files import failures, locked, sync, write_all
from backstay.storage.backends.local.framing import OVERHEAD, frame, unframe
from backstay.storage.runs import (
    KILLED,
    RUNNING,
    KeptRun,
    Metric,
    RunRecord,
    check_id,
    decode_metrics,
    decode_runs,
    encode,
    join,
    not_here,
    taken,
    unknown,
)

_INDEX, _METRICS = "the index of runs", "a run's metrics"
_TAIL = struct.Struct("<II")
_FEW = 1 << 17
"""Bytes added, below which no index is written anew."""
_PART = 8
"""What was added is at most about so small a part of the index: it takes several times as long to read."""
_TOGETHER = 100
"""Runs in one frame of an index that was written anew."""


class _Held:
    """The metrics of a run that is going on: their descriptor, and how long the file is as far as was acknowledged."""

    __slots__ = ("descriptor", "end")

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.end = descriptor, 0


class LocalRuns:
    """`RunLog` in a directory, which is made by the first run. Threads may share it."""

    def __init__(self, directory: str | Path) -> None:
        self._root = Path(directory).absolute()
        self._index = self._root / "index"
        self._held: dict[str, _Held] = {}
        self._lock = Lock()

    def begin(self, run: RunRecord) -> None:
        path, data = self._path(run.id), encode([run])
        with failures(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            try:
                descriptor = os.open(path, flags, 0o644)
            except FileExistsError:
                raise taken(run.id) from None
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            self._append(data)
        except BaseException:
            os.close(descriptor)
            path.unlink()
            raise
        self._held[run.id] = _Held(descriptor)

    def log(self, run: str, metrics: Sequence[Metric]) -> None:
        data = frame(encode(metrics), _METRICS)
        with self._lock:
            held = self._held.get(run)
            if held is None:
                raise not_here(run)
            try:
                written = os.write(held.descriptor, data)
                if written != len(data):
                    write_all(held.descriptor, data[written:])
            except OSError as error:
                self._take_back(run, held)
                raise BackstayError(
                    f"metrics were not written ({error.strerror})", where=str(self._path(run)),
                    fix="free space or mend the disk",
                ) from error  # fmt: skip
            held.end += len(data)

    def tell(self, told: RunRecord) -> None:
        data = encode([told])
        if not self._path(told.id).exists():
            raise unknown(told.id)
        if told.status and told.id not in self._held:
            raise not_here(told.id)
        self._append(data)
        if told.status:
            self._let_go(told.id)

    def scan(self) -> list[KeptRun]:
        runs: dict[str, KeptRun] = {}
        if not self._index.exists():
            return []
        seen = self._read(runs, (0, 0))
        gone = {one.id for one in runs.values() if one.status == RUNNING and not self._is_held(one.id)}
        if gone:
            self._read(runs, seen)  # one that ended meanwhile had said so before it let go
        for one in runs.values():
            if one.status == RUNNING:
                one.status = KILLED if one.id in gone else RUNNING
                one.measured(self.metrics(one.id))
        return list(runs.values())

    def metrics(self, run: str) -> list[Metric]:
        path = self._path(run)
        if not path.exists():
            raise unknown(run)
        with failures(path):
            data = path.read_bytes()
        return [one for payload in unframe(data, path, _METRICS) for one in decode_metrics(payload)]

    def close(self) -> None:
        for run in list(self._held):
            self._let_go(run)

    def _path(self, run: str) -> Path:
        return self._root / f"{check_id(run)}.metrics"

    def _take_back(self, run: str, held: _Held) -> None:
        """Remove what was written of a frame; if even that fails, nothing is written behind it any more."""
        try:
            os.ftruncate(held.descriptor, held.end)
        except OSError:
            os.close(self._held.pop(run).descriptor)

    def _let_go(self, run: str) -> None:
        with self._lock:
            descriptor = self._held.pop(run).descriptor
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough where a child was forked with it
            os.close(descriptor)

    def _is_held(self, run: str) -> bool:
        """Whether some process holds the run; one that holds it itself knows."""
        if run in self._held:
            return True
        try:
            descriptor = os.open(self._path(run), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _append(self, documents: bytes) -> None:
        with failures(self._index), locked(self._root):
            descriptor = os.open(self._index, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                end, added = self._mended(descriptor)
                data = _framed(documents, added)
                try:
                    write_all(descriptor, data)
                except OSError:
                    os.ftruncate(descriptor, end)
                    raise
            finally:
                os.close(descriptor)
            if added + len(data) > max(_FEW, end // _PART):
                with suppress(OSError, IntegrityError):  # a full disk, or damage: what was told is told
                    self._write_anew()

    def _mended(self, descriptor: int) -> tuple[int, int]:
        """Where the index ends, without what a killed writer left half-written, and what was added to it."""
        end = os.fstat(descriptor).st_size
        if end >= OVERHEAD + _TAIL.size:
            length, added = _TAIL.unpack(os.pread(descriptor, _TAIL.size, end - _TAIL.size))
            begin = end - OVERHEAD - _TAIL.size - length
            if begin >= 0 and self._is_whole(os.pread(descriptor, end - begin, begin)):
                return end, added
        whole = added = 0
        for payload in unframe(os.pread(descriptor, end, 0), self._index, _INDEX):
            whole += OVERHEAD + len(payload)
            _, added = _TAIL.unpack(payload[-_TAIL.size :])
        os.ftruncate(descriptor, whole)
        return whole, added

    def _is_whole(self, data: bytes) -> bool:
        """Whether these bytes are one whole frame."""
        try:
            return [len(one) + OVERHEAD for one in unframe(data, self._index, _INDEX)] == [len(data)]
        except IntegrityError:
            return False

    def _write_anew(self) -> None:
        runs: dict[str, KeptRun] = {}
        data = self._index.read_bytes()
        for payload in unframe(data, self._index, _INDEX):
            join(runs, _documents(payload))
        whole = list(runs.values())
        parts = [_framed(encode(whole[at : at + _TOGETHER])) for at in range(0, len(whole), _TOGETHER)]
        aside = self._root / "index.new"
        aside.write_bytes(b"".join(parts))
        sync(aside)
        aside.replace(self._index)
        sync(self._root)

    def _read(self, runs: dict[str, KeptRun], seen: tuple[int, int]) -> tuple[int, int]:
        """Add what stands behind what was seen (a file, and an offset in it), and return what has been seen then."""
        with failures(self._index), locked(self._root), self._index.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            begin = seen[1] if seen[0] == inode else 0
            file.seek(begin)
            data = file.read()
        if not begin:
            runs.clear()
        end = begin
        for payload in unframe(data, self._index, _INDEX, begin=begin):
            join(runs, _documents(payload))
            end += OVERHEAD + len(payload)
        return inode, end


def _framed(documents: bytes, added: int | None = None) -> bytes:
    """A frame of encoded documents, behind so many bytes that were added; None: of an index that is written anew."""
    size = OVERHEAD + len(documents) + _TAIL.size
    return frame(documents + _TAIL.pack(len(documents), 0 if added is None else added + size), _INDEX)


def _documents(payload: bytes) -> list[KeptRun]:
    return decode_runs(memoryview(payload)[: -_TAIL.size])
