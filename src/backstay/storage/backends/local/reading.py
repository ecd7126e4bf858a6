"""A SQLite file that may be read and not written: a home that is mounted read-only, or belongs to somebody else.

A database in WAL mode is read by way of its `-wal` and `-shm` files. While a writer has it open, elsewhere, they are
there, and it is opened with `mode=ro`, as beside any writer. Where nobody has it open they are not, and may not be made
here: then the file is all there is, and is read as `immutable`. Should a writer come just then, what was read is not
believed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from backstay.core.errors import BackstayError, ConflictError


def unwritable(path: Path) -> bool:
    """Whether a database is there that this process may not write: the file, or the folder in which its logs lie."""
    return path.exists() and not all(os.access(one, os.W_OK) for one in (path, path.parent))


def reader(path: Path, wait: float) -> sa.Engine:
    """An engine that opens the file anew for each transaction, by what lies beside it then."""

    def connect() -> sqlite3.Connection:
        how = "mode=ro" if _log(path).exists() else "mode=ro&immutable=1"
        return sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, timeout=wait, check_same_thread=False)

    return sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)


@contextmanager
def believed(path: Path) -> Iterator[None]:
    """Read in this context: `ConflictError` if what may have been read as immutable was written meanwhile.

    A writer may close just after it was seen here, and be gone when the file is opened: only one that is there before
    and after has taken care of its readers. What was read in the middle of a change may look damaged.
    """
    before = _state(path)
    try:
        yield
    except BackstayError as error:
        if _state(path) != before:
            raise _written(path) from error
        raise
    if _state(path) != before:
        raise _written(path)


def refused(path: Path) -> BackstayError:
    """What is said to who would write."""
    return BackstayError(
        "it is only read here, and nothing can be written", where=str(path),
        expected="a file and a folder that this user may write",
        fix="run it as who may, or mount the home writable; verbs that only show need neither",
    )  # fmt: skip


def _written(path: Path) -> ConflictError:
    return ConflictError("the ledger was written while it was read", where=str(path), fix="read it again")


def _state(path: Path) -> tuple[int, ...] | None:
    """By what a change is seen; None where a writer has it open, and takes care of its readers."""
    if _log(path).exists():
        return None
    told = path.stat()
    return told.st_ino, told.st_size, told.st_mtime_ns


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
