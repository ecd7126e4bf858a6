"""The ledger in a relational database: one table, append-only by trigger, each entry chained to the last (`chain`).

Every append is one transaction that waits for its turn before it reads what it builds on, so two processes can neither
take the same id nor both win a compare-and-swap. The triggers stop accidents (and honest tools); the chain exposes the
rest: `verify` walks it and names the first entry that is not what was written.

What differs between databases is a *dialect*: how a writer waits for its turn, and how a table is made append-only.
The table's form has a version, kept in the database: what an older Backstay made is brought up to date under the same
lock, and what a newer one made is refused.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from backstay.core.errors import BackstayError, ConflictError, IntegrityError
from backstay.core.identity import canonical_json
from backstay.storage.chain import GENESIS, check_entry, next_entry
from backstay.storage.ports import Entry

PAGE = 10_000
"""Entries that `verify` has in memory at once."""

_METADATA = sa.MetaData()
TABLE = sa.Table(
    "ledger",
    _METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Index("ledger_kind_subject", "kind", "subject", "id"),
)
_FORM = sa.Table("ledger_form", _METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
_FOUND = sa.select(sa.func.coalesce(sa.func.max(_FORM.c.version), 0))
_C = TABLE.c
_LAST_ID = sa.select(sa.func.coalesce(sa.func.max(_C.id), 0))

Migration = Sequence[str]
"""Statements that bring the table from one form to the next."""


class RelationalLedger(ABC):
    """`Ledger` in a table that `engine` reaches.

    where:      names the database in errors
    schema:     where in the database its tables are; None: there is but one place
    migrations: a dialect's; the first makes the table append-only, after it was created
    """

    schema: str | None = None
    migrations: Sequence[Migration]

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine, self.where = engine, where

    @abstractmethod
    def _wait(self, connection: Connection) -> None:
        """Wait for the turn to write, in a transaction just begun; its end lets go."""

    @abstractmethod
    def _place(self, connection: Connection) -> None:
        """Make the schema, where there is none yet."""

    def append(
        self, kind: str, subject: str, body: Mapping[str, Any], *, at: int, actor: str, expect: int | None = None
    ) -> Entry:
        next_entry((0, GENESIS), kind, subject, body, at=at, actor=actor)  # refuse bad input before taking the lock
        with self._transaction(writes=True) as connection:
            if expect is not None:
                _check_expected(connection, kind, subject, expect)
            row = connection.execute(sa.select(_C.id, _C.digest).order_by(_C.id.desc()).limit(1)).one_or_none()
            before = (row.id, row.digest) if row is not None else (0, GENESIS)
            entry = next_entry(before, kind, subject, body, at=at, actor=actor)
            connection.execute(TABLE.insert(), _record(entry))
        return entry

    def entries(
        self, *, kind: str | None = None, subject: str | None = None, after: int = 0, until: int | None = None,
        since: int | None = None,
    ) -> list[Entry]:  # fmt: skip
        query = sa.select(TABLE).where(_C.id > after).order_by(_C.id)
        if kind is not None:
            query = query.where(_C.kind == kind)
        if subject is not None:
            query = query.where(_C.subject == subject)
        if until is not None:
            query = query.where(_C.at <= until)
        if since is not None:
            query = query.where(_C.at >= since)
        with self._transaction() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def last(self, kind: str, subject: str, *, as_of: int | None = None) -> Entry | None:
        query = sa.select(TABLE).where(_C.kind == kind, _C.subject == subject).order_by(_C.id.desc()).limit(1)
        if as_of is not None:
            query = query.where(_C.at <= as_of)
        with self._transaction() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _entry(row)

    def revision(self) -> int:
        with self._transaction() as connection:
            return int(connection.execute(_LAST_ID).scalar_one())

    def verify(self, seen: Callable[[Entry], None] | None = None) -> int:
        before = (0, GENESIS)
        while page := self._page(before[0]):
            for row in page:
                entry = _entry(row)
                check_entry(entry, before)
                if canonical_json(entry.body) != row.body.encode():
                    raise IntegrityError(f"the text of entry {entry.id} was changed", where=f"ledger entry {entry.id}")
                before = (entry.id, entry.digest)
                if seen is not None:
                    seen(entry)
        return before[0]

    def close(self) -> None:
        """Let go of the database. A ledger that is garbage-collected does so by itself."""
        self._engine.dispose()

    def check(self) -> None:
        """Refuse a table that is not of this form, where it may only be read."""
        if (found := self._form()) != len(self.migrations):
            raise self._other(found) if found > len(self.migrations) else BackstayError(
                f"the ledger has form {found}, and is only read here", where=self.where,
                expected=f"form {len(self.migrations)}",
                fix="open it once as who may write it: any verb of backstay brings it up to date",
            )  # fmt: skip

    def prepare(self) -> None:
        """Make the table, or bring it up to date. Any number of processes may do so at once: they take turns."""
        if self._form() == len(self.migrations):
            return
        with self._transaction(writes=True) as connection:
            self._place(connection)
            _FORM.create(connection, checkfirst=True)
            found = connection.execute(_FOUND).scalar_one()
            if found > len(self.migrations):
                raise self._other(found)
            for number, statements in enumerate(self.migrations[found:], found + 1):
                if number == 1:
                    TABLE.create(connection, checkfirst=True)
                for statement in statements:
                    connection.exec_driver_sql(statement)
                connection.execute(_FORM.insert(), {"version": number})

    def _form(self) -> int:
        """The form that the table has; 0 where there is none."""
        with self._transaction() as connection:
            numbered = sa.inspect(connection).has_table(_FORM.name, schema=self.schema)
            return int(connection.execute(_FOUND).scalar_one()) if numbered else 0

    def _other(self, found: int) -> BackstayError:
        return BackstayError(
            f"the ledger has form {found}", where=self.where, expected=f"form {len(self.migrations)} or an older one",
            fix="open it with the version of backstay that made it, or a later one",
        )  # fmt: skip

    def _page(self, after: int) -> list[Row[Any]]:
        with self._transaction() as connection:
            return list(connection.execute(sa.select(TABLE).where(_C.id > after).order_by(_C.id).limit(PAGE)))

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(backstay_writes=writes) as connection, connection.begin():
                if writes:
                    self._wait(connection)
                yield connection
        except sa.exc.DBAPIError as error:
            raise self._said(error) from error

    def _said(self, error: sa.exc.DBAPIError) -> BackstayError:
        text = str(error.orig).strip()
        if isinstance(error, sa.exc.OperationalError):
            full = "is full" in text or "No space left" in text  # as SQLite says it, and as PostgreSQL does
            fix = "free space, then retry" if full else "see what holds it, then retry"
            return BackstayError(f"the ledger is not available: {text}", where=self.where, fix=fix)
        return IntegrityError(f"the ledger is damaged or was tampered with: {text}", where=self.where)


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
