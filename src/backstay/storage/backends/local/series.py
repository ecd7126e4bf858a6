"""Series: the segments that one writer of predictions makes, one after the other, in a folder that all writers share.

    _segments/<series>-NNNNNN.seg       a run of frames (`framing.py`), one a prediction

A writer begins a series of its own and never goes on in another's, so writers never wait for each other. While it may
still write to a segment it holds the file's lock (flock), so everybody can tell: a segment whose lock is free is
**closed** for good, be it full, old, or its writer dead.

A writer that is killed in mid-write leaves a torn tail, at the end of its last segment and nowhere else. For the same
reason one that cannot even take back what a full disk let through begins another series.

A file whose name somebody took away is written to no more, as nobody reads it there: its writer goes on in the next
one. That the removed one is missing is then seen by its number; where the whole folder is gone, a new series begins.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backstay.core.errors import BackstayError
from backstay.core.identity import new_id
from backstay.storage.backends.local.files import failures, sync, write_all
from backstay.storage.backends.local.framing import unframe

SEGMENT_BYTES = 32 << 20
SEGMENT_SECONDS = 3600  # a quiet writer closes its segments too, so that they can be compacted
LOOK_SECONDS = 0.1  # how often a writer looks whether its segment is where it was made

_fdatasync = getattr(os, "fdatasync", os.fsync)  # not every system has it
_RECORD = "a prediction record"
_logger = logging.getLogger("backstay.predictions")
_SEGMENT = re.compile(r"(?P<series>.+)-(?P<number>\d{6,})\.seg")


class Series:
    """The end of one writer's series: it begins with the first write. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._name, self._number = new_id(), 0
        self._descriptor = -1
        self._end, self._until, self._look = 0, 0.0, 0.0
        self._file, self._inode = directory, 0
        self._retired: list[int] = []

    def write(self, data: bytes) -> bool:
        """Write whole frames, all or none; whether a segment was begun for it.

        A `BackstayError` if they cannot be written: what a full disk let through is taken back.
        """
        now = time.monotonic()
        full = self._end + len(data) > SEGMENT_BYTES or now > self._until
        begun = self._descriptor < 0 or full or (now > self._look and self._taken_away(now))
        if begun:
            self._begin()
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            try:
                os.ftruncate(self._descriptor, self._end)
            except OSError:
                self.leave()
            raise BackstayError(
                f"predictions were not written ({error.strerror}); nothing of this append was acknowledged",
                where=str(self.directory),
                fix="free space or mend the disk, then send it again",
            ) from error
        self._end += len(data)
        return begun

    def leave(self) -> None:
        """Write no more to the segment, which may end torn: the next write begins another series."""
        if self._descriptor >= 0:
            self._retired.append(self._descriptor)
            self._descriptor, self._name, self._number = -1, new_id(), 0

    def unsettled(self) -> Unsettled:
        """What was written and may not be on the disk yet. Segments that were ended are handed over with it."""
        retired, self._retired = self._retired, []
        return Unsettled(self.directory, retired, self._descriptor)

    def _taken_away(self, now: float) -> bool:
        """Whether the segment is not where it was made: it was removed, or moved."""
        try:
            there = self._file.stat().st_ino == self._inode
        except OSError as error:  # one that may not be looked at is not gone
            there = not isinstance(error, FileNotFoundError | NotADirectoryError)
        if there:
            self._look = now + LOOK_SECONDS
            return False
        _logger.error("%s was removed or moved while it was written to: put it back. Others follow it", self._file)
        if not self.directory.is_dir():
            self.leave()
        return True

    def _begin(self) -> None:
        with failures(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            path = self.directory / f"{self._name}-{self._number + 1:06d}.seg"
            # Locked before it has its name: nobody ever sees a segment of a living writer unlocked.
            aside = path.with_suffix(".new")
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                aside.rename(path)
                self._file, self._inode = path, path.stat().st_ino
            except BaseException:
                os.close(descriptor)
                raise
        if self._descriptor >= 0:
            self._retired.append(self._descriptor)
        self._descriptor, self._number, self._end = descriptor, self._number + 1, 0
        now = time.monotonic()
        self._until, self._look = now + SEGMENT_SECONDS, now + LOOK_SECONDS


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Descriptors of a series: of segments it has ended, which are closed by `settle`, and of the one it writes to."""

    directory: Path
    retired: list[int]
    current: int

    def settle(self, *, current: bool, names: bool) -> None:
        """Bring the ended segments to the disk and close them, and the current one and the folder's names if wanted.

        Raises the `OSError` of what failed first; all ended ones are closed nevertheless.
        """
        failure: OSError | None = None
        for descriptor in [*self.retired, *([self.current] if current and self.current >= 0 else [])]:
            try:
                _fdatasync(descriptor)
            except OSError as error:
                failure = failure or error
        for descriptor in self.retired:
            os.close(descriptor)
        if failure is not None:
            raise failure
        if names and (self.retired or self.current >= 0):
            sync(self.directory)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A segment as a reader found it; `last` of its series at that moment."""

    series: str
    number: int
    path: Path
    last: bool

    def read(self) -> bytes:
        """All that is written of it by now; it may end in the midst of a frame."""
        with failures(self.path):
            return self.path.read_bytes()

    def records(self, data: bytes | None = None, *, begin: int = 0) -> Iterator[bytes]:
        """The payload of each whole frame. Damage is an `IntegrityError`; so is a torn tail, where none can be.

        data, begin: what `read` answered, and from where on it is wanted; a frame begins there
        """
        data = self.read() if data is None else data
        yield from unframe(data[begin:] if begin else data, self.path, _RECORD, last=self.last, begin=begin)

    def closed(self) -> bool:
        """Whether nobody will ever write to it again."""
        with failures(self.path):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                os.close(descriptor)
        return True


class Folder:
    """The folder of all series; it need not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def reading(self) -> Iterator[None]:
        """No segment is removed before the context ends."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            os.close(descriptor)

    def segments(self) -> list[Segment]:
        """The segments there are, by series and number."""
        try:
            names = os.listdir(self.path)  # noqa: PTH208  (names are all we need)
        except FileNotFoundError:
            return []
        found = [match for match in map(_SEGMENT.fullmatch, names) if match]
        keys = sorted((match["series"], int(match["number"])) for match in found)
        last = dict(keys)
        return [
            Segment(series, number, self.path / f"{series}-{number:06d}.seg", number == last[series])
            for series, number in keys
        ]

    def remove(self, segments: list[Segment]) -> None:
        """Remove segments that are in the table. While somebody reads they stay, as remnants that count for nothing."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for one in segments:
                with suppress(FileNotFoundError):
                    one.path.unlink()
        except BlockingIOError:
            pass
        finally:
            os.close(descriptor)
