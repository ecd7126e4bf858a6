"""Predictions in segments: torn tails, damage, full and read-only disks, rolling; and what each mode promises."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.predicted import NAMES, numbers, predicted, prediction
from tests.storage.backends.local.disks import no_file_above

from backstay.core.errors import BackstayError, InputError, IntegrityError
from backstay.storage.backends.local import LocalPredictions, modes, series
from backstay.storage.backends.local import files as files_module
from backstay.storage.backends.local.framing import OVERHEAD
from backstay.storage.predictions import decode_head, encode


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "_segments").glob("*.seg"), key=lambda path: (path.stat().st_mtime_ns, path))


def filled(directory: Path) -> Path:
    """A closed segment of three predictions; nothing else."""
    log = LocalPredictions(directory)
    log.append(predicted(1, 2))
    log.append(predicted(3))
    log.close()
    (path,) = segments(directory)
    return path


def scanned(directory: Path) -> list[int]:
    return numbers(LocalPredictions(directory).scan())


def silent(_done: int, _total: int) -> None: ...


def test_every_torn_tail_is_passed_over_and_never_compacted(tmp_path: Path) -> None:
    segment = filled(tmp_path / "log")
    whole = segment.read_bytes()
    sizes = [OVERHEAD + len(encode(one)) for one in predicted(1, 2, 3)]
    ends = [sum(sizes[:count]) for count in (1, 2, 3)]
    for cut in range(len(whole)):
        segment.write_bytes(whole[:cut])
        kept = [1, 2, 3][: sum(end <= cut for end in ends)]
        assert scanned(tmp_path / "log") == kept
        if cut % 50 and cut not in ends:
            continue
        copy = tmp_path / f"copy{cut}"
        shutil.copytree(tmp_path / "log", copy)
        assert LocalPredictions(copy).compact(NAMES, silent).predictions == len(kept)
        assert scanned(copy) == kept
        assert not segments(copy)


def test_any_flipped_bit_is_damage(tmp_path: Path) -> None:
    segment = filled(tmp_path)
    whole = segment.read_bytes()
    log = LocalPredictions(tmp_path)
    for at in range(len(whole)):
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(IntegrityError, match=rf"{segment.name}, offset \d+"):
            list(log.scan())
    with pytest.raises(IntegrityError, match=r"offset \d+"):
        log.compact(NAMES, silent)
    segment.write_bytes(whole)
    assert log.compact(NAMES, silent).predictions == 3


def test_what_was_read_before_is_checked_again_and_its_heads_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LocalPredictions(tmp_path)
    log.append([*predicted(*range(20)), *predicted(*range(20, 30), model="n")])
    heads: list[bytes] = []

    def counted(payload: bytes) -> Any:
        heads.append(payload)
        return decode_head(payload)

    monkeypatch.setattr("backstay.storage.backends.local.heads.decode_head", counted)
    assert numbers(log.scan(model="m", since=7, until=25)) == list(range(7, 20))
    assert len(heads) == 30
    log.append(predicted(30, 31, model="n"))
    heads.clear()
    for _ in range(2):
        assert numbers(log.scan(model="n", since=28)) == [28, 29, 30, 31]
        assert numbers(log.scan(model="m", until=2)) == [0, 1]
        assert numbers(log.scan(model="never", until=2)) == []
    assert len(heads) == 2  # what was written since
    assert numbers(log.scan(ids=[prediction(one).id for one in (3, 31)], until=31)) == [3]
    log.close()
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    segment.write_bytes(whole[:30] + bytes([whole[30] ^ 1]) + whole[31:])
    with pytest.raises(IntegrityError, match=rf"{segment.name}, offset 0"):
        list(log.scan(since=28))
    segment.write_bytes(whole)
    assert numbers(log.scan(since=28)) == [28, 29, 30, 31]
    assert log.compact(NAMES, silent).predictions == 32
    assert numbers(log.scan(since=28)) == [28, 29, 30, 31]


def test_zeros_are_damage_not_empty_records(tmp_path: Path) -> None:
    segment = filled(tmp_path)
    size = segment.stat().st_size
    segment.write_bytes(segment.read_bytes() + bytes(64))
    with pytest.raises(IntegrityError, match=f"offset {size}"):
        scanned(tmp_path)


def test_a_torn_tail_that_is_not_the_last_segment_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SEGMENT_BYTES", 700)
    log = LocalPredictions(tmp_path)
    for n in range(4):
        log.append(predicted(n))
    log.close()
    first, second = sorted(segments(tmp_path))
    assert second.name == first.name.replace("000001", "000002")
    assert scanned(tmp_path) == [0, 1, 2, 3]
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(IntegrityError, match=rf"{first.name}, offset \d\d+"):
        scanned(tmp_path)


def test_segments_are_closed_when_full_and_when_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = OVERHEAD + len(encode(prediction(1)))
    monkeypatch.setattr(series, "SEGMENT_BYTES", 3 * size)
    log, reader = LocalPredictions(tmp_path), LocalPredictions(tmp_path)
    for n in range(1, 8):
        log.append(predicted(n))
    log.append(predicted(*range(8, 13)))  # larger than a segment
    assert [path.stat().st_size // size for path in sorted(segments(tmp_path))] == [3, 3, 1, 5]
    monkeypatch.setattr(series, "SEGMENT_SECONDS", -1)
    log.append(predicted(13))  # begins the first segment that is old at once
    log.append(predicted(14))
    assert len(segments(tmp_path)) == 6
    eventually_closed(reader, 13)  # the last one is being written to
    assert len(segments(tmp_path)) == 1
    log.close()
    assert reader.compact(NAMES, silent).predictions == 1
    assert numbers(reader.scan()) == list(range(1, 15))


def eventually_closed(log: LocalPredictions, count: int) -> None:
    """Ended segments are closed by a thread, once they are on the disk."""
    end = time.monotonic() + 10
    while (count := count - log.compact(NAMES, silent).predictions) > 0:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert count == 0


def test_a_closed_log_holds_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SEGMENT_BYTES", 10)
    monkeypatch.setattr(series, "_fdatasync", lambda _: time.sleep(0.2))  # a slow disk
    log = LocalPredictions(tmp_path)
    log.append(predicted(1))
    log.append(predicted(2))
    log.close()
    assert LocalPredictions(tmp_path).compact(NAMES, silent).segments == 2


def test_a_segment_that_is_gone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SEGMENT_BYTES", 1)
    log = LocalPredictions(tmp_path)
    for n in range(4):
        log.append(predicted(n))
    log.close()
    sorted(segments(tmp_path))[1].unlink()
    for use in (lambda one: list(one.scan()), lambda one: one.compact(NAMES, silent), lambda one: one.lost()):
        with pytest.raises(IntegrityError, match=r"segment 2 of a series of predictions is gone .*-000002\.seg"):
            use(LocalPredictions(tmp_path))


@pytest.mark.parametrize("mode", modes.MODES)
@pytest.mark.parametrize("away", ["removed", "moved"])
def test_where_the_folder_is_taken_away_the_next_prediction_is_read(
    tmp_path: Path, mode: str, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It went on in the file that had no name any more: acknowledged, and read by nobody."""
    log = LocalPredictions(tmp_path / "log", mode)
    log.append(predicted(1))
    while scanned(tmp_path / "log") != [1]:  # the lossy one writes a little later
        time.sleep(0.01)
    if away == "moved":
        (tmp_path / "log").rename(tmp_path / "elsewhere")
    else:
        shutil.rmtree(tmp_path / "log")
    time.sleep(1.1 * series.LOOK_SECONDS)
    log.append(predicted(2))
    log.append(predicted(3))
    log.close()
    assert scanned(tmp_path / "log") == [2, 3]
    assert away == "removed" or scanned(tmp_path / "elsewhere") == [1]
    assert len([one for one in caplog.messages if "was removed or moved while it was written to" in one]) == 1


def test_a_segment_that_is_moved_away_while_it_is_written_to_is_missed(tmp_path: Path) -> None:
    log = LocalPredictions(tmp_path / "log")
    log.append(predicted(1))
    (first,) = segments(tmp_path / "log")
    rotated = first.rename(tmp_path / "rotated")
    first.touch()  # as logrotate does with `create`
    time.sleep(1.1 * series.LOOK_SECONDS)
    log.append(predicted(2))
    first.unlink()
    with pytest.raises(IntegrityError, match="segment 1 of a series of predictions is gone"):
        scanned(tmp_path / "log")
    rotated.rename(first)
    assert scanned(tmp_path / "log") == [1, 2]
    log.close()


@pytest.mark.parametrize("mode", ["durable", "sync"])
def test_a_full_disk_acknowledges_nothing_leaves_no_tail_and_is_left_behind(tmp_path: Path, mode: str) -> None:
    log = LocalPredictions(tmp_path, mode)
    log.append(predicted(1))
    (segment,) = segments(tmp_path)
    size = segment.stat().st_size
    for room in (0, 7, size, size + 30):  # a part of a frame, or a whole one and a part of the next
        with no_file_above(size + room), pytest.raises(BackstayError, match=r"File too large.*nothing of this append"):
            log.append(predicted(8, 9))
        assert segment.stat().st_size == size
        assert scanned(tmp_path) == [1]
    log.append(predicted(2))
    assert segments(tmp_path) == [segment]
    log.close()
    assert scanned(tmp_path) == [1, 2]


def test_what_cannot_be_taken_back_is_a_torn_tail_of_a_series_that_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LocalPredictions(tmp_path)
    log.append(predicted(1))
    (segment,) = segments(tmp_path)
    size = segment.stat().st_size

    def refused(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched, no_file_above(size + 50):
        patched.setattr(series.os, "ftruncate", refused)
        with pytest.raises(BackstayError, match="nothing of this append"):
            log.append(predicted(9))
    assert segment.stat().st_size == size + 50
    assert scanned(tmp_path) == [1]
    log.append(predicted(2))
    assert len(segments(tmp_path)) == 2
    log.close()
    assert sorted(scanned(tmp_path)) == [1, 2]
    assert LocalPredictions(tmp_path).compact(NAMES, silent).predictions == 2
    assert sorted(scanned(tmp_path)) == [1, 2]


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter: those that pytest makes are of one user only."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


READ_ONLY = """
import os, pathlib, sys
from tests.predicted import predicted
from backstay.core.errors import BackstayError
from backstay.storage.backends.local import LocalPredictions
folder, log = pathlib.Path(sys.argv[1]), LocalPredictions(sys.argv[1], sys.argv[2])
if os.getuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setgid(65534); os.setuid(65534)  # nothing is read-only for root
folder.chmod(0o555)
try:
    log.append(predicted(1))
except BackstayError as error:
    print(error)
folder.chmod(0o755)
log.append(predicted(2))
log.close()
print(len(list(LocalPredictions(folder).scan())))
"""


@pytest.mark.parametrize("mode", ["durable", "sync"])
def test_a_read_only_disk(public: Path, start: Any, outcome: Any, mode: str) -> None:
    said, count = outcome(start(READ_ONLY, public, mode)).splitlines()
    assert said.startswith(f"Permission denied (at {public}")
    assert "mend the permissions" in said
    assert count == "1"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(files_module.os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:3]))
    log = LocalPredictions(tmp_path)
    log.append(predicted(1, 2))
    assert numbers(log.scan()) == [1, 2]
    log.close()


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    log = LocalPredictions(tmp_path / "none")
    assert list(log.scan()) == []
    assert log.lost() == 0
    log.compact(NAMES, silent)
    log.close()
    assert not (tmp_path / "none").exists()


def test_a_mode_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of durable, sync, lossy"):
        LocalPredictions(tmp_path, "safe")


class Disk:
    """Takes the place of fdatasync: waits to be let go, and remembers how much of a file it had brought to the disk."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go, self.asked, self.fails = threading.Event(), threading.Event(), False
        self.synced: list[int] = []
        self._sync = series._fdatasync
        monkeypatch.setattr(series, "_fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        self.asked.set()
        assert self.go.wait(10)
        if self.fails:
            raise OSError(5, "Input/output error")
        self._sync(descriptor)
        self.synced.append(size)


def test_sync_acknowledges_what_is_on_the_disk_and_shares_a_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    log = LocalPredictions(tmp_path, "sync")
    first = log.submit(predicted(0))
    assert disk.asked.wait(10)
    later = [log.submit(predicted(n)) for n in range(1, 100)]  # while the first sync runs: the loop goes on
    assert first is not None
    assert not first.done()
    assert len({id(one) for one in later}) == 1
    assert later[0] is not first
    written = sum(OVERHEAD + len(encode(prediction(n))) for n in range(100))
    told: list[int] = []
    later[0].add_done_callback(lambda _: told.append(disk.synced[-1]))  # type: ignore[union-attr]
    disk.go.set()
    assert first.result(10) is None
    assert later[0].result(10) is None  # type: ignore[union-attr]
    log.close()
    assert told == [written]
    assert disk.synced[:2] == [OVERHEAD + len(encode(prediction(0))), written]


def test_sync_covers_the_segments_that_were_ended_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SEGMENT_BYTES", 1)
    disk = Disk(monkeypatch)
    log = LocalPredictions(tmp_path, "sync")
    log.submit(predicted(0))
    assert disk.asked.wait(10)
    disk.go.set()
    for n in range(1, 5):
        log.append(predicted(n))
    size = OVERHEAD + len(encode(prediction(0)))
    assert disk.synced == [size] * 9  # the first; then, each time, the one that was ended and the one that was begun
    log.close()


def test_a_sync_that_fails_refuses_its_group_and_another_series_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    log = LocalPredictions(tmp_path, "sync")
    first = log.submit(predicted(1))
    assert disk.asked.wait(10)
    disk.fails = True
    disk.go.set()
    assert first is not None
    with pytest.raises(BackstayError, match=r"could not be brought to the disk \(Input/output error\)"):
        first.result(10)
    disk.fails = False
    log.append(predicted(3))
    log.close()
    assert len({path.name.rpartition("-")[0] for path in segments(tmp_path)}) == 2
    assert 3 in scanned(tmp_path)


@pytest.mark.parametrize(("name", "bound"), [("RING_RECORDS", 10), ("RING_BYTES", 3_000)])
def test_lossy_is_bounded_and_counts_what_it_loses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, bound: int
) -> None:
    monkeypatch.setattr(modes, name, bound)
    monkeypatch.setattr(modes, "FLUSH_SECONDS", 60)  # it flushes when it is closed
    log = LocalPredictions(tmp_path, "lossy")
    for n in range(0, 100, 2):
        log.append(predicted(n, n + 1))
    assert not segments(tmp_path)
    lost = log.dropped
    assert lost > 80
    log.close()
    assert scanned(tmp_path) == list(range(lost, 100))  # the oldest are lost
    reader = LocalPredictions(tmp_path)
    assert (reader.dropped, reader.lost()) == (0, lost)
    assert reader.compact(NAMES, silent).predictions == 100 - lost
    assert (reader.lost(), LocalPredictions(tmp_path).lost()) == (lost, lost)


def test_lossy_waits_for_room_and_says_what_was_lost_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modes, "RING_RECORDS", 10)
    monkeypatch.setattr(modes, "RETRY_SECONDS", 0.01)
    log = LocalPredictions(tmp_path, "lossy")
    log.append(predicted(0))
    wait_for(lambda: scanned(tmp_path) == [0])
    with no_file_above(segments(tmp_path)[0].stat().st_size + 100):
        begin = time.perf_counter()
        for n in range(1, 41):
            log.append(predicted(n))
        assert time.perf_counter() - begin < 1  # nobody waits for the disk
        wait_for(lambda: log.dropped == 30)
        time.sleep(0.1)
    wait_for(lambda: scanned(tmp_path) == [0, *range(31, 41)])
    assert LocalPredictions(tmp_path).lost() == 30
    log.close()
    assert scanned(tmp_path) == [0, *range(31, 41)]


def test_lossy_closed_on_a_full_disk_counts_the_rest(tmp_path: Path) -> None:
    log = LocalPredictions(tmp_path, "lossy")
    with no_file_above(0):
        log.append(predicted(1, 2, 3))
        log.close()
    assert log.dropped == 3
    assert scanned(tmp_path) == []


def wait_for(true: Any) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
