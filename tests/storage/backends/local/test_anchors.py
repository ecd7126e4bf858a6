"""The ledger's heads in a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local import Anchored
from backstay.storage.backends.memory import MemoryLedger


def filled(path: Path, count: int = 4, ledger: MemoryLedger | None = None) -> Anchored:
    anchored = Anchored(ledger or MemoryLedger(), path)
    for n in range(count):
        anchored.append("note", "s", {"n": n}, at=n, actor="ann")
    return anchored


def test_every_head_is_kept_and_read_by_its_owner_only(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "deep" / "anchors")
    lines = (tmp_path / "deep" / "anchors").read_text().split("\n")
    assert [line for line in lines if line] == [f"{one.id} {one.digest}" for one in ledger.entries()]
    assert (tmp_path / "deep" / "anchors").stat().st_mode & 0o777 == 0o600
    assert ledger.verify() == 4


def test_a_ledger_that_was_there_before_its_anchors(tmp_path: Path) -> None:
    inner = MemoryLedger()
    inner.append("note", "s", {}, at=0, actor="ann")
    ledger = filled(tmp_path / "anchors", 2, inner)
    assert ledger.verify() == 3


def test_a_ledger_written_anew_from_some_entry_on(tmp_path: Path) -> None:
    """A whole chain, as long as before or longer: only what was kept elsewhere tells."""
    filled(tmp_path / "anchors", 4)
    forged = MemoryLedger()
    for n in range(6):
        forged.append("note", "s", {"n": n if n != 2 else "another"}, at=n, actor="ann")
    assert forged.verify() == 6
    with pytest.raises(IntegrityError, match=r"entry 3 of the ledger.*written anew"):
        Anchored(forged, tmp_path / "anchors").verify()


def test_a_line_that_was_left_out_is_no_harm(tmp_path: Path) -> None:
    inner = MemoryLedger()
    filled(tmp_path / "anchors", 2, inner)
    inner.append("note", "killed before its line", {}, at=3, actor="ann")
    assert filled(tmp_path / "anchors", 2, inner).verify() == 5


@pytest.mark.parametrize("torn", ["5", "5 ", "5 ab12", "5 " + "a" * 63])
def test_a_torn_line_is_passed_over(tmp_path: Path, torn: str) -> None:
    inner = MemoryLedger()
    filled(tmp_path / "anchors", 4, inner)
    with (tmp_path / "anchors").open("a") as file:
        file.write(f"\n{torn}")
    assert filled(tmp_path / "anchors", 1, inner).verify() == 5


def test_other_text_is_named(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "anchors")
    with (tmp_path / "anchors").open("a") as file:
        file.write("hello\n")
    with pytest.raises(IntegrityError, match=r"line \d+ is no head of a ledger"):
        ledger.verify()


def test_a_long_file_is_not_read_whole_when_it_is_opened(tmp_path: Path) -> None:
    inner = MemoryLedger()
    filled(tmp_path / "anchors", 200, inner)
    Anchored(inner, tmp_path / "anchors")
    inner._entries.pop()
    with pytest.raises(IntegrityError, match="ends with entry 199, and entry 200 was written"):
        Anchored(inner, tmp_path / "anchors")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "anchors").mkdir()
    inner = MemoryLedger()
    with pytest.raises(BackstayError, match="directory"):
        Anchored(inner, tmp_path / "anchors")
    assert inner.revision() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_a_disk_that_is_full_says_that_the_entry_was_written(tmp_path: Path) -> None:
    inner = MemoryLedger()
    ledger = filled(tmp_path / "anchors", 1, inner)
    (tmp_path / "anchors").unlink()
    (tmp_path / "anchors").symlink_to("/dev/full")
    with pytest.raises(BackstayError, match=r"entry 2 of the ledger was written, but its head could not be kept"):
        ledger.append("note", "s", {}, at=9, actor="ann")
    assert inner.revision() == 2
