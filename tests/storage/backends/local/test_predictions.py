"""Predictions in segments: killed writers, torn tails, damage, full disks."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from backstay.core.errors import BackstayError, ConflictError, InputError, IntegrityError
from backstay.storage.backends.local import LocalPredictions
from backstay.storage.backends.local import files as files_module
from backstay.storage.backends.local import predictions as module

WRITER = """
import sys
from backstay.storage.backends.local import LocalPredictions
log = LocalPredictions(sys.argv[1], writer=sys.argv[2] if len(sys.argv) > 2 else None)
n = 0
while True:
    log.append([b"%d" % (n + k) + b"." * 3000 for k in range(4)])
    n += 4
    print(n, flush=True)
"""


def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, start: Any) -> None:
    writers = [start(WRITER, tmp_path), start(WRITER, tmp_path, "named")]
    for process in writers:
        for _ in range(200):
            process.stdout.readline()
        assert sum(1 for _ in LocalPredictions(tmp_path).scan()) > 0  # while they write
    acknowledged = []
    for process in writers:
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines()
        acknowledged.append(int(lines[-1]) if lines else 800)
    found: list[list[int]] = []
    for payload in LocalPredictions(tmp_path).scan():
        number = int(payload.split(b".", 1)[0])
        if number == 0:
            found.append([])
        found[-1].append(number)
    assert [numbers == list(range(len(numbers))) for numbers in found] == [True, True]
    assert min(acknowledged) >= 800
    assert sorted(map(len, found))[0] >= min(acknowledged)
    assert sorted(map(len, found))[1] >= max(acknowledged)


def test_one_process_a_name(tmp_path: Path, start: Any) -> None:
    process = start(WRITER, tmp_path, "one")
    process.stdout.readline()
    with pytest.raises(ConflictError, match="'one'"):
        LocalPredictions(tmp_path, writer="one").append([b"x"])
    process.send_signal(signal.SIGKILL)
    process.wait()
    LocalPredictions(tmp_path, writer="one").append([b"x"])
    assert list(LocalPredictions(tmp_path).scan())[-1] == b"x"


def filled(directory: Path, writer: str = "w") -> Path:
    log = LocalPredictions(directory, writer=writer)
    log.append([b"first", b"second"])
    log.append([b"third"])
    log.close()
    return directory / f"{writer}-000001.seg"


def test_every_torn_tail_is_passed_over_and_cut_by_the_next_writer(tmp_path: Path) -> None:
    whole = filled(tmp_path).read_bytes()
    ends = [0, 13, 27, 40]
    for cut in range(len(whole)):
        (tmp_path / "w-000001.seg").write_bytes(whole[:cut])
        kept = [b"first", b"second", b"third"][: sum(end <= cut for end in ends) - 1]
        assert list(LocalPredictions(tmp_path).scan()) == kept
        log = LocalPredictions(tmp_path, writer="w")
        log.append([b"next"])
        log.close()
        assert list(LocalPredictions(tmp_path).scan()) == [*kept, b"next"]


def test_any_flipped_bit_is_damage(tmp_path: Path) -> None:
    segment = filled(tmp_path)
    whole = segment.read_bytes()
    for at in range(len(whole)):
        for bit in (0, 7):
            segment.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            with pytest.raises(IntegrityError, match=r"w-000001\.seg, offset \d+"):
                list(LocalPredictions(tmp_path).scan())


def test_zeros_are_damage_not_empty_records(tmp_path: Path) -> None:
    segment = filled(tmp_path)
    segment.write_bytes(segment.read_bytes() + bytes(64))
    with pytest.raises(IntegrityError, match="offset 40"):
        list(LocalPredictions(tmp_path).scan())


def test_a_torn_tail_that_is_not_the_last_segment_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 30)
    segment = filled(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["w-000001.seg", "w-000002.seg"]
    filled(tmp_path, "x")
    assert list(LocalPredictions(tmp_path).scan()) == [b"first", b"second", b"third"] * 2
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=r"w-000001\.seg, offset 13"):
        list(LocalPredictions(tmp_path).scan())


def test_segments_roll_and_a_named_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 100)
    payloads = [b"%03d" % n + b"." * 27 for n in range(20)]
    for begin in range(0, 20, 5):
        log = LocalPredictions(tmp_path, writer="w")
        for payload in payloads[begin : begin + 5]:
            log.append([payload])
        log.close()
    log = LocalPredictions(tmp_path, writer="w")
    log.append([b"." * 500])  # larger than a segment
    log.close()
    assert list(LocalPredictions(tmp_path).scan()) == [*payloads, b"." * 500]
    sizes = [file.stat().st_size for file in sorted(tmp_path.iterdir())]
    assert sizes == [76] * 10 + [508]


def test_a_full_disk_acknowledges_nothing_and_leaves_no_tail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LocalPredictions(tmp_path, writer="w")
    log.append([b"first"])
    write, room = os.write, 7

    def nearly_full(descriptor: int, data: Any) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, bytes(data)[: min(room, 3)])
        room -= done
        return done

    with monkeypatch.context() as patched:
        patched.setattr(files_module.os, "write", nearly_full)
        with pytest.raises(BackstayError, match=r"No space left on device.*nothing of this batch was acknowledged"):
            log.append([b"lost", b"too"])
    assert (tmp_path / "w-000001.seg").stat().st_size == 13
    log.append([b"second"])
    log.close()
    assert list(LocalPredictions(tmp_path).scan()) == [b"first", b"second"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(files_module.os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    log = LocalPredictions(tmp_path)
    log.append([b"first", b"second"])
    assert list(log.scan()) == [b"first", b"second"]
    log.close()


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".a", "a b"])
def test_names_of_writers(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        LocalPredictions(tmp_path, writer=name)


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    assert list(LocalPredictions(tmp_path / "none").scan()) == []
    assert not (tmp_path / "none").exists()
