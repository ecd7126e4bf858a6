"""The audit: any byte of any file, any cell of any ledger row, changed behind the record's back, is found and named."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import polars as pl
import pytest

from backstay.core.identity import sha256
from backstay.registry import Registry
from backstay.registry.audit import Audit, audit
from backstay.storage.backends.local import Anchored, LocalArtifacts, LocalEvents, LocalLedger
from tests.registry.records import make_manifest

ROWS = 400
TIME = pl.Datetime("us", "UTC")


def events(begin: int) -> pl.DataFrame:
    number = pl.int_range(begin, begin + ROWS, eager=True)
    time = (number * 1_000_000).cast(TIME)
    return pl.DataFrame({"event_time": time, "known_time": time, "shop": "s" + (number % 7).cast(pl.String)})


class Home:
    """A home on a disk: two versions of a model, trained on two versions of a table."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Anchored(LocalLedger(path / "ledger.sqlite"), path / "ledger.anchors")
        self.registry = Registry(self.ledger, LocalArtifacts(path / "artifacts"))
        self.events = LocalEvents(path / "events")

    def live(self) -> None:
        for number in range(2):
            self.events.append("trips", events(number * ROWS))
            version = self.events.version("trips")
            seal = self.events.seal("trips", version).digest
            assert seal is not None
            content = {"model.onnx": b"the model %d" % number * 50, "code.diff": b"- a\n+ b %d\n" % number}
            manifest = make_manifest(content, note=f"number {number}")
            dataset = msgspec.structs.replace(manifest.dataset, sources={"trips": version}, seals={"trips": seal})
            made = self.registry.register(
                msgspec.structs.replace(manifest, dataset=dataset), content, at=number, actor="ana"
            )
            self.registry.move_alias(
                made.model, "champion", made.number, evidence={"reason": "better"}, at=number, actor="ana",
                expect=None if not number else 2,
            )  # fmt: skip

    def audit(self) -> Audit:
        return audit(self.ledger, self.registry, self.events)

    def close(self) -> None:
        self.ledger.close()


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = Home(tmp_path_factory.mktemp("lived") / "home")
    home.live()
    home.close()
    return home.path


@pytest.fixture
def home(lived: Path, tmp_path: Path) -> Iterator[Home]:
    shutil.copytree(lived, tmp_path / "home")
    home = Home(tmp_path / "home")
    yield home
    home.close()


def told(found: Audit) -> str:
    return " | ".join(f"{one.where}: {one.what}" for one in found.problems)


def test_what_was_not_touched_is_sound(home: Home) -> None:
    steps: list[tuple[int, int]] = []
    found = audit(home.ledger, home.registry, home.events, lambda *step: steps.append(step))
    assert found.sound
    assert (found.entries, found.versions, found.files, found.tables) == (4, 2, 4, 2)
    last = home.ledger.entries()[-1]
    assert found.head == f"4:{last.digest}"
    assert steps == [(n, 6) for n in range(1, 7)]


def test_every_file_is_named_by_its_content(home: Home) -> None:
    files = [path for path in home.path.rglob("*.parquet") if "_delta_log" not in path.parts]
    assert len(files) == 2
    for path in files:
        assert sha256(path.read_bytes()) == path.stem


def flipped(path: Path, place: int) -> bytes:
    """One bit of one byte changed; what it was."""
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
    return before


def test_any_byte_of_any_file(home: Home, lived: Path) -> None:
    """Each file of the home that a version rests on: its first and last byte, and forty between."""
    chance, walked = random.Random(3), 0
    files = [
        path
        for path in sorted(home.path.rglob("*"))
        if path.is_file() and (path.parent.parent.name == "artifacts" or path.suffix == ".parquet")
    ]
    assert len(files) == 4 + 2 + 2
    for path in files:
        size = path.stat().st_size
        for place in {0, size - 1, *(chance.randrange(size) for _ in range(40))}:
            before = flipped(path, place)
            opened = Home(home.path)
            found = opened.audit()
            opened.close()
            assert not found.sound, (path, place)
            named = path.stem if path.suffix else path.parent.name + path.name
            assert named[:12] in told(found) or str(path) in told(found), (path, told(found))
            path.write_bytes(before)
            walked += 1
    assert walked > 250
    assert home.audit().sound


def test_any_file_that_is_gone_or_cut_short(home: Home) -> None:
    for path in sorted(home.path.rglob("*")):
        if not path.is_file() or not (path.parent.parent.name == "artifacts" or path.suffix == ".parquet"):
            continue
        before = path.read_bytes()
        for change in (lambda p: p.unlink(), lambda p, b=before: (p.chmod(0o644), p.write_bytes(b[:-1]))):
            change(path)
            opened = Home(home.path)
            found = opened.audit()
            opened.close()
            assert len(found.problems) >= 1, path
            path.write_bytes(before)


def test_any_cell_of_any_row_of_the_ledger(home: Home) -> None:
    path = home.path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.commit()
        rows = raw.execute("SELECT * FROM ledger ORDER BY id").fetchall()
        names = [one[0] for one in raw.execute("SELECT * FROM ledger").description]
    for row in rows:
        for name, value in zip(names, row, strict=True):
            changed = value + 100 if isinstance(value, int) else value[:-1] + chr(ord(value[-1]) ^ 1)
            with closing(sqlite3.connect(path)) as raw:
                raw.execute(f"UPDATE ledger SET {name} = ? WHERE id = ?", (changed, row[0]))
                raw.commit()
            found = home.audit()
            assert not found.sound, (row[0], name)
            assert "entry" in told(found)
            with closing(sqlite3.connect(path)) as raw:
                raw.execute(f"UPDATE ledger SET {name} = ? WHERE id = ?", (value, changed if name == "id" else row[0]))
                raw.commit()
    assert home.audit().sound


def test_a_table_whose_log_was_changed(home: Home) -> None:
    """Statistics in the log decide which rows are read at all."""
    (log,) = (home.path / "events" / "trips" / "_delta_log").glob("*1.json")
    text = log.read_text()
    known = text.replace("1970-01-01T00:13:19", "1970-01-01T00:01:00")
    assert known != text
    log.write_text(known)
    opened = Home(home.path)
    found = opened.audit()
    opened.close()
    assert "not the one that a model was trained on" in told(found)


def test_all_that_is_wrong_is_named_at_once(home: Home) -> None:
    named = {digest for version in home.registry.versions("trips_late") for digest in version.manifest.files.values()}
    for digest in named:
        flipped(home.path / "artifacts" / digest[:2] / digest[2:], 0)
    for table in home.path.rglob("*.parquet"):
        flipped(table, 100)
    found = home.audit()
    assert len(found.problems) == 4 + 2
    for table in home.path.rglob("*.parquet"):
        assert table.name in told(found)
    assert all(one.fix for one in found.problems)


def test_versions_of_an_older_backstay_have_no_seals(home: Home) -> None:
    """Their tables are not read, and are not counted as if they had been."""
    content = {"model.onnx": b"old"}
    made = home.registry.register(make_manifest(content, note="old"), content, at=9, actor="ana")
    assert b"seals" not in made.manifest.canonical()
    found = home.audit()
    assert found.sound
    assert (found.versions, found.tables) == (3, 2)
