"""Counts on a disk: torn tails, damage, a full disk, the turn of a day, and what is too old."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backstay.core.errors import BackstayError, IntegrityError
from backstay.core.times import DAY, MINUTE, instant
from backstay.storage.backends.local import LocalCounts
from backstay.storage.counts import Counted, by_minute

NOON = instant("2026-11-25T12:00:00Z")


def row(at: int, requests: int = 10) -> Counted:
    return Counted(at, "m", requests, 1, 2)


def total(path: Path) -> int:
    return sum(one.requests for one in LocalCounts(path).scan())


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert list(LocalCounts(tmp_path / "counts").scan()) == []
    LocalCounts(tmp_path / "counts").append([])
    assert not (tmp_path / "counts").exists()


def test_each_process_has_a_file_a_day_and_all_are_read(tmp_path: Path) -> None:
    for log in (LocalCounts(tmp_path), LocalCounts(tmp_path)):
        log.append([row(NOON)])
        log.append([row(NOON + MINUTE)])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 2
    assert all(name.startswith("2026-11-25-") and name.endswith(".seg") for name in names)
    assert total(tmp_path) == 40


def test_a_torn_tail_is_passed_over_wherever_it_is_torn(tmp_path: Path) -> None:
    LocalCounts(tmp_path).append([row(NOON)])
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole + whole[:kept])
        assert total(tmp_path) == 10


def test_damage_is_told_with_its_place(tmp_path: Path) -> None:
    log = LocalCounts(tmp_path)
    log.append([row(NOON)])
    log.append([row(NOON)])
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="a record of counts is damaged") as caught:
        total(tmp_path)
    assert caught.value.where.startswith(str(path))


def test_the_file_of_a_day_that_is_over_has_a_row_a_minute(tmp_path: Path) -> None:
    log = LocalCounts(tmp_path)
    for _ in range(6):
        log.append([row(NOON), row(NOON + MINUTE)])
    (first,) = tmp_path.iterdir()
    before, size = by_minute(log.scan()), first.stat().st_size
    log.append([row(NOON + DAY)])
    assert first.stat().st_size < size / 3
    assert list(log.scan(until=NOON + DAY)) == before
    assert total(tmp_path) == 130


def test_what_is_older_than_the_longest_objective_is_removed(tmp_path: Path) -> None:
    LocalCounts(tmp_path).append([row(NOON)])
    (tmp_path / "2026-11-25-killed.new").write_bytes(b"half of")
    LocalCounts(tmp_path).append([row(NOON + 90 * DAY)])
    assert total(tmp_path) == 20
    LocalCounts(tmp_path).append([row(NOON + 91 * DAY)])
    assert total(tmp_path) == 20
    assert len(list(tmp_path.iterdir())) == 2


def test_what_could_not_be_written_can_be_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LocalCounts(tmp_path)
    log.append([row(NOON)])
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        write(descriptor, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BackstayError, match="No space left"):
        log.append([row(NOON)])
    monkeypatch.undo()
    assert total(tmp_path) == 10
    log.append([row(NOON)])
    assert total(tmp_path) == 20
