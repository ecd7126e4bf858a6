"""The ledger in SQLite: one table, append-only by trigger, each entry chained to the one before (`storage.chain`).

Every append is one BEGIN IMMEDIATE transaction: it waits for its turn before it reads what it builds on, so two
processes can neither take the same id nor both win a compare-and-swap. WAL lets readers go on meanwhile;
synchronous=FULL brings each commit to the disk.

The triggers stop accidents (and honest tools); the chain exposes the rest: `verify` walks it and names the first entry
that is not what was written.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from backstay.core.errors import BackstayError, ConflictError, IntegrityError
from backstay.core.identity import canonical_json
from backstay.storage.backends.local.files import failures, locked
from backstay.storage.chain import GENESIS, check_entry, next_entry
from backstay.storage.ports import Entry

_WAIT_SECONDS = 60.0
_PAGE = 10_000

_TABLE = sa.Table(
    "ledger",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Index("ledger_kind_subject", "kind", "subject", "id"),
)
_C = _TABLE.c
_LAST_ID = sa.select(sa.func.coalesce(sa.func.max(_C.id), 0))

_TRIGGERS = (
    """CREATE TRIGGER IF NOT EXISTS ledger_no_update BEFORE UPDATE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: entries are never changed'); END""",
    """CREATE TRIGGER IF NOT EXISTS ledger_no_delete BEFORE DELETE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: entries are never deleted'); END""",
    # INSERT OR REPLACE deletes without firing the trigger above: an id that is taken is refused here.
    """CREATE TRIGGER IF NOT EXISTS ledger_in_order BEFORE INSERT ON ledger
       WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM ledger)
       BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: ids count up by one'); END""",
)


class LocalLedger:
    """`Ledger` in a SQLite file."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).absolute()
        self._engine = _engine(self._path)
        weakref.finalize(self, self._engine.dispose)
        with failures(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Switching a fresh file to WAL does not wait for other openers, it fails: so openers take turns.
            with locked(self._path.parent):
                self._create()

    def append(
        self, kind: str, subject: str, body: Mapping[str, Any], *, at: int, actor: str, expect: int | None = None
    ) -> Entry:
        next_entry((0, GENESIS), kind, subject, body, at=at, actor=actor)  # refuse bad input before taking the lock
        with self._transaction("BEGIN IMMEDIATE") as connection:
            if expect is not None:
                _check_expected(connection, kind, subject, expect)
            row = connection.execute(sa.select(_C.id, _C.digest).order_by(_C.id.desc()).limit(1)).one_or_none()
            before = (row.id, row.digest) if row is not None else (0, GENESIS)
            entry = next_entry(before, kind, subject, body, at=at, actor=actor)
            connection.execute(_TABLE.insert(), _record(entry))
        return entry

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, until: int | None = None
    ) -> list[Entry]:
        query = sa.select(_TABLE).where(_C.id > after).order_by(_C.id)
        if kind is not None:
            query = query.where(_C.kind == kind)
        if subject is not None:
            query = query.where(_C.subject == subject)
        if until is not None:
            query = query.where(_C.at <= until)
        with self._transaction() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def last(self, kind: str, subject: str, *, as_of: int | None = None) -> Entry | None:
        query = sa.select(_TABLE).where(_C.kind == kind, _C.subject == subject).order_by(_C.id.desc()).limit(1)
        if as_of is not None:
            query = query.where(_C.at <= as_of)
        with self._transaction() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _entry(row)

    def revision(self) -> int:
        with self._transaction() as connection:
            return int(connection.execute(_LAST_ID).scalar_one())

    def verify(self) -> int:
        """Walk the whole chain and return how many entries it has; `IntegrityError` names the first that is wrong."""
        before = (0, GENESIS)
        while page := self._page(before[0]):
            for row in page:
                entry = _entry(row)
                check_entry(entry, before)
                if canonical_json(entry.body) != row.body.encode():
                    raise IntegrityError(f"the text of entry {entry.id} was changed", where=f"ledger entry {entry.id}")
                before = (entry.id, entry.digest)
        return before[0]

    def close(self) -> None:
        """Let go of the file. A ledger that is garbage-collected does so by itself."""
        self._engine.dispose()

    def _page(self, after: int) -> list[Row[Any]]:
        with self._transaction() as connection:
            return list(connection.execute(sa.select(_TABLE).where(_C.id > after).order_by(_C.id).limit(_PAGE)))

    def _create(self) -> None:
        with self._transaction("") as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        with self._transaction("BEGIN IMMEDIATE") as connection:
            _TABLE.metadata.create_all(connection)
            for trigger in _TRIGGERS:
                connection.exec_driver_sql(trigger)

    @contextmanager
    def _transaction(self, begin: str = "BEGIN") -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(backstay_begin=begin) as connection, connection.begin():
                yield connection
        except sa.exc.DBAPIError as error:
            raise _said(error, self._path) from error


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
        if begin := connection.get_execution_options().get("backstay_begin"):
            connection.exec_driver_sql(begin)

    return engine


def _check_expected(connection: Connection, kind: str, subject: str, expect: int) -> None:
    query = sa.select(sa.func.coalesce(sa.func.max(_C.id), 0)).where(_C.kind == kind, _C.subject == subject)
    found = connection.execute(query).scalar_one()
    if found != expect:
        raise ConflictError(
            f"{kind} of {subject!r} moved: its last entry is {found}",
            where=f"ledger.{kind}.{subject}",
            expected=f"entry {expect}",
            fix="read it again, then decide again",
        )


def _record(entry: Entry) -> dict[str, Any]:
    body = canonical_json(entry.body).decode()
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "kind": entry.kind,
        "subject": entry.subject,
        "body": body,
        "previous": entry.previous,
        "digest": entry.digest,
    }


def _entry(row: Row[Any]) -> Entry:
    try:
        body = json.loads(row.body)
    except ValueError:
        raise IntegrityError(f"the body of entry {row.id} is not JSON", where=f"ledger entry {row.id}") from None
    return Entry(row.id, row.at, row.actor, row.kind, row.subject, body, row.previous, row.digest)


def _said(error: sa.exc.DBAPIError, path: Path) -> BackstayError:
    text = str(error.orig)
    if isinstance(error, sa.exc.OperationalError):
        return BackstayError(
            f"the ledger is not available: {text}", where=str(path), fix="see what holds it, then retry"
        )
    return IntegrityError(f"the ledger is damaged or was tampered with: {text}", where=str(path))
