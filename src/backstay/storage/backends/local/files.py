"""What the local stores need of the operating system: a lock, a durable file, and failures said in our words."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backstay.core.errors import BackstayError

_MAY = "mend the permissions, or run it as a user who may do that"
_FIXES = {
    errno.EACCES: _MAY, errno.EPERM: _MAY, errno.ENOSPC: "free space, then retry",
    errno.EROFS: "mount it writable; verbs that only show need not write",
}  # fmt: skip


@contextmanager
def failures(where: object) -> Iterator[None]:
    """Turn what the operating system reports (disk full, no permission) into a `BackstayError` that names the place."""
    try:
        yield
    except OSError as error:
        fix = _FIXES.get(error.errno or 0, "free space or mend permissions, then retry")
        raise BackstayError(error.strerror or str(error), where=str(where), fix=fix) from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the lock of a directory: one holder at a time among all processes and threads of this machine.

    The directory itself is locked (flock), so there is no lock file to clean up, and a killed process lets go.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Bring a file's content, or a directory's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """write(2) until all of it is written."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
