"""The ledger in SQLite (`storage.relational`): a writer begins with BEGIN IMMEDIATE, so it waits before it reads.

WAL lets readers go on meanwhile; synchronous=FULL brings each commit to the disk. What this process may not write it
reads (`reading.py`).
"""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backstay.core.errors import BackstayError
from backstay.storage.backends.local.files import failures, locked
from backstay.storage.backends.local.reading import believed, reader, refused, unwritable
from backstay.storage.relational import RelationalLedger

_WAIT_SECONDS = 60.0

_APPEND_ONLY = (
    """CREATE TRIGGER IF NOT EXISTS ledger_no_update BEFORE UPDATE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: entries are never changed'); END""",
    """CREATE TRIGGER IF NOT EXISTS ledger_no_delete BEFORE DELETE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: entries are never deleted'); END""",
    # INSERT OR REPLACE deletes without firing the trigger above: an id that is taken is refused here.
    """CREATE TRIGGER IF NOT EXISTS ledger_in_order BEFORE INSERT ON ledger
       WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM ledger)
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: ids count up by one'); END""",
)


class LocalLedger(RelationalLedger):
    """`Ledger` in a SQLite file."""

    migrations = (_APPEND_ONLY,)

    def __init__(self, path: str | Path) -> None:
        path = Path(path).absolute()
        self._only_read = path if unwritable(path) else None
        super().__init__(_engine(path) if self._only_read is None else reader(path, _WAIT_SECONDS), str(path))
        weakref.finalize(self, self._engine.dispose)
        if self._only_read is not None:
            self.check()
            return
        with failures(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Switching a fresh file to WAL does not wait for other openers, it fails: so openers take turns.
            with locked(path.parent):
                with self._transaction() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                self.prepare()

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        if self._only_read is None:
            with super()._transaction(writes=writes) as connection:
                yield connection
            return
        if writes:
            raise refused(self._only_read)
        with believed(self._only_read), super()._transaction() as connection:
            yield connection

    def _said(self, error: sa.exc.DBAPIError) -> BackstayError:
        if self._only_read is None or not isinstance(error, sa.exc.OperationalError):
            return super()._said(error)
        return BackstayError(
            f"the ledger cannot be read without being written: {str(error.orig).strip()}", where=self.where,
            fix="open it once as a user who may write it: a writer that was killed left its log behind",
        )  # fmt: skip

    def _wait(self, connection: Connection) -> None:
        """The transaction began with BEGIN IMMEDIATE: see `_engine`."""

    def _place(self, connection: Connection) -> None:
        """A file has but one place."""


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _WAIT_SECONDS, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: we do, below
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        # A reader begins nothing: each of its statements is a transaction of its own.
        if connection.get_execution_options().get("backstay_writes"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
