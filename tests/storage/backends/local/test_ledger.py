"""The ledger in SQLite: hands that should not be in it. Many processes: `tests/contract/test_ledger_processes.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local import LocalLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[LocalLedger]:
    ledger = LocalLedger(path)
    for n in range(5):
        ledger.append("k", "s", {"n": n}, at=n, actor="ann")
    yield ledger
    ledger.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET actor = 'eve' WHERE id = 2",
        "DELETE FROM ledger WHERE id = 5",
        "INSERT OR REPLACE INTO ledger SELECT id, at, 'eve', kind, subject, body, previous, digest FROM ledger LIMIT 1",
        "INSERT INTO ledger SELECT id + 6, at, actor, kind, subject, body, previous, digest FROM ledger WHERE id=2",
    ],
)
def test_changing_it_is_refused(ledger: LocalLedger, path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(statement)
    assert ledger.verify() == 5


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE ledger SET actor = 'eve' WHERE id = 2", "entry 2"),
        ("UPDATE ledger SET at = 9 WHERE id = 3", "entry 3"),
        ("""UPDATE ledger SET body = '{"n":7}' WHERE id = 4""", "entry 4"),
        ("""UPDATE ledger SET body = '{"n": 3}' WHERE id = 4""", "text of entry 4"),
        ("UPDATE ledger SET body = '{' WHERE id = 4", "body of entry 4"),
        ("DELETE FROM ledger WHERE id = 3", "entry 3 of the ledger is missing"),
        ("DELETE FROM ledger WHERE id = 1", "entry 1 of the ledger is missing"),
    ],
)
def test_verify_names_what_was_changed_behind_its_back(
    ledger: LocalLedger, path: Path, statement: str, named: str
) -> None:
    with closing(sqlite3.connect(path)) as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute(statement)
        raw.commit()
    with pytest.raises(IntegrityError, match=named):
        ledger.verify()


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database, not even nearly" * 100)
    with pytest.raises(IntegrityError, match=r"ledger\.db"):
        LocalLedger(tmp_path / "ledger.db")


def test_its_settings(ledger: LocalLedger, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with ledger._transaction() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_a_full_disk_is_told_as_one(ledger: LocalLedger) -> None:
    """Nothing holds it that could be seen."""
    with ledger._engine.connect() as connection:  # the connection that is used again
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(BackstayError, match="is full") as told:
        ledger.append("k", "s", {"text": "x" * 100_000}, at=9, actor="ann")
    assert told.value.fix == "free space, then retry"
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert ledger.append("k", "s", {"n": 6}, at=9, actor="ann").id == 6
