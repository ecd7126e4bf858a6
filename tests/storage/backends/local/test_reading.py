"""A ledger that may only be read: beside a writer, when nobody has it open, and after a writer was killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.modes import run, unwritable, writable

from backstay.core.errors import ConflictError, IntegrityError
from backstay.storage.backends.local import LocalLedger
from backstay.storage.backends.local.reading import believed

HERE = Path(__file__).resolve().parents[4]
READ = """
import json, sys
from backstay.core.errors import BackstayError
from backstay.storage.backends.local import LocalLedger
try:
    ledger = LocalLedger(sys.argv[1])
    told = [entry.body["n"] for entry in ledger.entries()]
    ledger.append("a", "b", {"n": 0}, at=1, actor="ann")
except BackstayError as error:
    told = [*(told if "ledger" in globals() else []), str(error)]
print(json.dumps(told))
"""
WRITE = """
import os, sys
from backstay.storage.backends.local import LocalLedger
ledger = LocalLedger(sys.argv[1])
ledger.append("a", "b", {"n": 2}, at=1, actor="ann")
os._exit(9)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="how a process comes to obey modes is Linux's")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where a ledger is to be."""
    home = tmp_path / "home"
    home.mkdir()
    yield home / "ledger.sqlite"
    writable(home)


def program(text: str, path: Path) -> list[object]:
    done = run(sys.executable, "-c", text, str(path), PYTHONPATH=str(HERE / "src"))
    assert done.stderr == ""
    return list(json.loads(done.stdout)) if done.stdout else []


def test_it_is_read_beside_a_writer_and_when_nobody_has_it_open(path: Path) -> None:
    writer = LocalLedger(path)
    writer.append("a", "b", {"n": 1}, at=1, actor="ann")
    unwritable(path.parent)
    beside = program(READ, path)
    assert beside[0] == 1
    assert str(beside[1]).startswith("it is only read here, and nothing can be written")
    writer.append("a", "b", {"n": 2}, at=1, actor="ann")
    assert program(READ, path)[:2] == [1, 2]
    writer.close()
    writable(path.parent)
    assert [*path.parent.iterdir()] == [path]  # no log: it is read as it lies there
    unwritable(path.parent)
    assert program(READ, path)[:2] == [1, 2]


def test_what_a_killed_writer_left_is_read_and_where_it_cannot_be_that_is_said(path: Path) -> None:
    LocalLedger(path).append("a", "b", {"n": 1}, at=1, actor="ann")
    program(WRITE, path)
    unwritable(path.parent)
    assert program(READ, path)[:2] == [1, 2]
    writable(path.parent)
    path.with_name("ledger.sqlite-shm").unlink()
    unwritable(path.parent)
    (said,) = program(READ, path)
    assert "open it once as a user who may write it" in str(said)


def test_another_form_is_refused_and_not_changed(path: Path) -> None:
    ledger = LocalLedger(path)
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM ledger_form")
    ledger.close()
    unwritable(path.parent)
    (said,) = program(READ, path)
    assert str(said).startswith("the ledger has form 0, and is only read here")


def test_what_was_written_meanwhile_is_not_believed(path: Path) -> None:
    LocalLedger(path).close()

    def written() -> None:
        with believed(path):
            LocalLedger(path).append("a", "b", {"n": 1}, at=1, actor="ann")

    def closed() -> None:
        """A writer that was seen is gone when the file is opened, which is read as immutable then."""
        other = LocalLedger(path)
        with believed(path):
            other.close()

    def damaged() -> None:
        with believed(path):
            LocalLedger(path).append("a", "b", {"n": 2}, at=2, actor="ann")
            raise IntegrityError("a page that was written meanwhile looks damaged")

    for meanwhile in (written, closed, damaged):
        with pytest.raises(ConflictError, match="written while it was read"):
            meanwhile()
    with pytest.raises(IntegrityError), believed(path):
        raise IntegrityError("it is")
    with believed(path):
        pass
