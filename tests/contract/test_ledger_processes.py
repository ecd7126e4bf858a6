"""A ledger that many processes open, write and die in: what was acknowledged is there, and is there once.

The same for the file of one machine and for the server that several share.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.storage.tables.postgres import Postgres
from tests.warm import Warm

from backstay.core.errors import IntegrityError
from backstay.storage.backends.local import Anchored, LocalLedger
from backstay.storage.backends.postgres import PostgresLedger
from backstay.storage.ports import Ledger

OPENED = """
import sys
from backstay.core.errors import ConflictError
kind, where, schema, anchors, me = sys.argv[1:]
if kind == "local":
    from backstay.storage.backends.local import Anchored, LocalLedger as L
    made = lambda: Anchored(L(where), anchors)
else:
    from backstay.storage.backends.local import Anchored
    from backstay.storage.backends.postgres import PostgresLedger as L
    made = lambda: Anchored(L(where, schema), anchors)
"""
RACE = (
    OPENED
    + """
sys.stdin.readline()
ledger = made()
for n in range(10):
    ledger.append("note", me, {"n": n}, at=n, actor=me)
try:
    ledger.append("alias", "champion", {"by": me}, at=0, actor=me, expect=0)
    print("won", flush=True)
except ConflictError:
    print("lost", flush=True)
"""
)
FOREVER = (
    OPENED
    + """
ledger, n = made(), 0
while True:
    entry = ledger.append("note", me, {"n": n, "much": "x" * 2000}, at=n, actor=me)
    print(entry.id, flush=True)
    n += 1
"""
)

Where = tuple[str, str, str, str]


@pytest.fixture(params=["local", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    anchors = str(tmp_path / "anchors")
    if request.param == "local":
        return "local", str(tmp_path / "ledger.sqlite"), "-", anchors
    server: Postgres = request.getfixturevalue("postgres")
    return "postgres", server.url, f"race_{random.randrange(10**12)}", anchors


@pytest.fixture
def warm() -> Iterator[Callable[..., Warm]]:
    running: list[Warm] = []

    def _warm(code: str, *arguments: object) -> Warm:
        running.append(Warm(code, *arguments))
        return running[-1]

    yield _warm
    for process in running:
        process.close()


def opened(where: Where) -> Ledger:
    kind, place, schema, anchors = where
    return Anchored(LocalLedger(place) if kind == "local" else PostgresLedger(place, schema), anchors)


def test_sixteen_processes_open_a_fresh_ledger_and_one_wins(where: Where, warm: Any) -> None:
    processes = [warm(RACE, *where, f"writer {n}") for n in range(16)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = sorted(process.stdout.readline().strip() for process in processes)
    assert results == ["lost"] * 15 + ["won"]
    assert [process.wait() for process in processes] == [0] * 16
    ledger = opened(where)
    assert ledger.verify() == ledger.revision() == 16 * 10 + 1
    for n in range(16):
        assert [entry.body["n"] for entry in ledger.entries(subject=f"writer {n}")] == list(range(10))
    ledger.close()


def test_killed_in_the_middle_of_writing(where: Where, warm: Any) -> None:
    chance, acknowledged = random.Random(5), {}
    for kill in range(10):
        writers = {f"{kill} {n}": warm(FOREVER, *where, f"{kill} {n}") for n in range(3)}
        for process in writers.values():
            assert process.stdout.readline()  # it writes
        time.sleep(chance.uniform(0, 0.05))
        for process in writers.values():
            process.kill()
        for name, process in writers.items():
            process.wait()
            lines = process.stdout.read().split("\n")[:-1]
            acknowledged[name] = 1 + len(lines)
    ledger = opened(where)
    assert ledger.verify() == ledger.revision()
    for name, count in acknowledged.items():
        found = [entry.body["n"] for entry in ledger.entries(subject=name)]
        assert found == list(range(len(found)))
        assert count <= len(found) <= count + 1, "what was acknowledged is there, and at most what was about to be"
    ledger.close()


def test_a_form_of_a_later_version_is_refused(where: Where) -> None:
    from backstay.core.errors import BackstayError

    ledger = opened(where)
    ledger.append("note", "s", {}, at=0, actor="ann")
    inner: Any = ledger._ledger  # type: ignore[attr-defined]
    with inner._transaction(writes=True) as connection:
        schema = f"{inner.schema}." if inner.schema else ""
        connection.exec_driver_sql(f"INSERT INTO {schema}ledger_form VALUES (99)")
    ledger.close()
    with pytest.raises(BackstayError, match=r"form 99.*or a later one"):
        opened(where)


def test_an_end_that_was_cut_off_is_refused(where: Where) -> None:
    ledger = opened(where)
    for n in range(5):
        ledger.append("note", "s", {"n": n}, at=n, actor="ann")
    inner: Any = ledger._ledger  # type: ignore[attr-defined]
    schema = f"{inner.schema}." if inner.schema else ""
    with inner._transaction(writes=True) as connection:
        if inner.schema:
            connection.exec_driver_sql(f"ALTER TABLE {schema}ledger DISABLE TRIGGER ALL")
        else:
            connection.exec_driver_sql("DROP TRIGGER ledger_no_delete")
        connection.exec_driver_sql(f"DELETE FROM {schema}ledger WHERE id > 3")
    assert inner.verify() == 3  # the chain alone cannot tell
    with pytest.raises(IntegrityError, match="ends with entry 3, and entry 5 was written"):
        ledger.verify()
    ledger.close()
    with pytest.raises(IntegrityError, match="its end was cut off"):
        opened(where)
