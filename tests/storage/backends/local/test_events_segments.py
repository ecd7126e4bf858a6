"""Events ahead of their table: torn tails, damage, remnants, full disks, and readers beside a compaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.storage.backends.local.disks import no_file_above

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local import LocalEvents
from backstay.storage.backends.local import segments as module

INSTANT = pl.Datetime("us", "UTC")
USES: dict[str, Callable[[LocalEvents], object]] = {
    "read": lambda store: store.read("s"),
    "last_sequence": lambda store: store.last_sequence("s"),
    "version": lambda store: store.version("s"),
    "append": lambda store: store.append("s", frame(1)),
}


def frame(*known: int) -> pl.DataFrame:
    times = pl.Series(known, dtype=pl.Int64).cast(INSTANT)
    return pl.DataFrame({"event_time": times, "known_time": times})


def known(store: LocalEvents) -> list[int]:
    read = store.read("s")
    assert read["sequence"].to_list() == list(range(1, read.height + 1))
    return read["known_time"].to_physical().to_list()


def segment(directory: Path) -> Path:
    (file,) = (directory / "s" / "_segments").iterdir()
    return file


def commits(directory: Path) -> int:
    return len(list((directory / "s" / "_delta_log").glob("*.json")))


def filled(directory: Path) -> Path:
    """A table of one event, and a segment of two frames behind it."""
    store = LocalEvents(directory)
    for append in ([0], [1, 2], [3]):
        store.append("s", frame(*append))
    return segment(directory)


def test_small_appends_leave_the_table_alone(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    for n in range(300):
        done = store.append("s", frame(n))
        assert (done.first, done.last, done.version) == (n + 1, n + 1, 0)
    assert commits(tmp_path) == 1
    assert known(LocalEvents(tmp_path)) == known(store) == list(range(300))
    assert store.version("s") == store.version("s") == 1
    assert list((tmp_path / "s" / "_segments").iterdir()) == []
    assert known(LocalEvents(tmp_path)) == known(store) == list(range(300))


def test_pushes_are_fast(tmp_path: Path) -> None:
    """A guard, not a measurement: a commit an append would take several times as long."""
    store, batch = (
        LocalEvents(tmp_path),
        frame(*range(100)).with_columns(*(pl.lit(0.5).alias(f"x{n}") for n in "abcdef")),
    )
    store.append("s", batch)
    begin = time.perf_counter()
    for _ in range(200):
        store.append("s", batch)
    assert time.perf_counter() - begin < 1.0  # 20,000 events a second


@pytest.mark.parametrize("limit", ["SEGMENT_ROWS", "SEGMENT_BYTES"])
def test_a_full_segment_goes_into_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    bound = {"SEGMENT_ROWS": 10, "SEGMENT_BYTES": 5_000}[limit]
    monkeypatch.setattr(module, limit, bound)
    store, other = LocalEvents(tmp_path), LocalEvents(tmp_path)
    for n in range(60):
        (store, other)[n % 2].append("s", frame(n))
        for file in (tmp_path / "s" / "_segments").glob("*"):
            assert limit == "SEGMENT_ROWS" or file.stat().st_size <= bound
            assert limit == "SEGMENT_BYTES" or store.last_sequence("s") - int(file.stem) < bound
    assert 5 < commits(tmp_path) < 31
    assert known(LocalEvents(tmp_path)) == known(store) == known(other) == list(range(60))


def test_a_large_append_takes_the_segment_along(tmp_path: Path) -> None:
    filled(tmp_path)
    done = LocalEvents(tmp_path).append("s", frame(*range(4, 6_000)))
    assert (done.first, done.last, done.version) == (5, 6_000, 1)
    assert known(LocalEvents(tmp_path)) == list(range(6_000))
    assert list((tmp_path / "s" / "_segments").iterdir()) == []


def test_a_long_value_goes_into_the_table(tmp_path: Path) -> None:
    store, long = LocalEvents(tmp_path), "x" * module.FRAME_BYTES
    for text in ("a", "b", long, "c"):
        store.append("s", frame(1).with_columns(text=pl.lit(text)))
    assert commits(tmp_path) == 2
    assert LocalEvents(tmp_path).read("s")["text"].to_list() == ["a", "b", long, "c"]


def test_every_torn_tail_is_passed_over_and_cut_by_the_next_append(tmp_path: Path) -> None:
    file = filled(tmp_path)
    whole = file.read_bytes()
    first = 8 + int.from_bytes(whole[:4], "little")
    assert 0 < first < len(whole)
    cuts = {0, 1, 7, 8, 9, first - 1, first, first + 1, first + 8, first + 9, len(whole) - 1, len(whole)}
    for cut in sorted(cuts | set(range(0, len(whole), 61))):
        file.write_bytes(whole[:cut])
        kept = [0, *([1, 2] if cut >= first else []), *([3] if cut == len(whole) else [])]
        beside = LocalEvents(tmp_path)
        assert known(beside) == kept
        writer = LocalEvents(tmp_path)
        assert writer.append("s", frame(9)).first == len(kept) + 1
        assert known(LocalEvents(tmp_path)) == known(writer) == known(beside) == [*kept, 9]
    file.write_bytes(whole[:-1])
    assert LocalEvents(tmp_path).version("s") == 1
    assert known(LocalEvents(tmp_path)) == [0, 1, 2]


def test_damage_is_an_integrity_error_and_nothing_is_moved(tmp_path: Path) -> None:
    file = filled(tmp_path)
    whole = file.read_bytes()
    first = 8 + int.from_bytes(whole[:4], "little")
    for at in [*range(0, 24), *range(24, len(whole), 97), len(whole) - 1]:
        damaged = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        file.write_bytes(damaged)
        for use in USES.values():
            with pytest.raises(IntegrityError, match=rf"{file.name}, offset {first if at >= first else 0}\b"):
                use(LocalEvents(tmp_path))
        assert file.read_bytes() == damaged
    assert commits(tmp_path) == 1
    file.write_bytes(whole)
    assert known(LocalEvents(tmp_path)) == [0, 1, 2, 3]


def test_frames_in_another_order_are_damage(tmp_path: Path) -> None:
    file = filled(tmp_path)
    whole = file.read_bytes()
    first = 8 + int.from_bytes(whole[:4], "little")
    file.write_bytes(whole[first:] + whole[:first])
    with pytest.raises(IntegrityError, match="numbered 4 where 2 follows"):
        LocalEvents(tmp_path).read("s")


def test_a_segment_that_shrank_is_noticed(tmp_path: Path) -> None:
    file = filled(tmp_path)
    store = LocalEvents(tmp_path)
    assert known(store) == [0, 1, 2, 3]
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(IntegrityError, match="shorter"):
        store.read("s")
    file.unlink()
    for use in USES.values():
        with pytest.raises(IntegrityError, match="gone"):
            use(store)


@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_a_source_that_is_taken_away_takes_nothing_until_it_is_back(tmp_path: Path, instead: str) -> None:
    """It was acknowledged, into a folder without a table: read by nobody, and in the way of what is put back."""
    store = LocalEvents(tmp_path)
    filled(tmp_path)
    store.append("s", frame(4))
    store.compact("s")
    (tmp_path / "s").rename(tmp_path / "moved")
    if instead == "another":
        LocalEvents(tmp_path).append("s", frame(7))
    for use in (lambda: store.append("s", frame(5)), lambda: store.turn("s").__enter__()):
        with pytest.raises(IntegrityError, match="the table of 's' was removed or moved while it was in use"):
            use()
    if instead == "another":
        assert known(LocalEvents(tmp_path)) == [7]
        (tmp_path / "s").rename(tmp_path / "another")
    assert not (tmp_path / "s").exists()
    (tmp_path / "moved").rename(tmp_path / "s")
    assert store.append("s", frame(5)).last == 6
    assert known(LocalEvents(tmp_path)) == known(store) == [0, 1, 2, 3, 4, 5]


def test_what_a_kill_leaves_behind_a_commit_counts_once(tmp_path: Path) -> None:
    file = filled(tmp_path)
    remnant = file.read_bytes()
    LocalEvents(tmp_path).compact("s")
    file.write_bytes(remnant)
    store = LocalEvents(tmp_path)
    assert known(store) == [0, 1, 2, 3]
    assert store.append("s", frame(4)).first == 5
    assert known(LocalEvents(tmp_path)) == [0, 1, 2, 3, 4]
    store.compact("s")
    assert list(file.parent.iterdir()) == []
    assert known(LocalEvents(tmp_path)) == [0, 1, 2, 3, 4]


def test_a_table_that_lost_its_last_commit_is_noticed(tmp_path: Path) -> None:
    filled(tmp_path)
    store = LocalEvents(tmp_path)
    store.compact("s")
    store.append("s", frame(4))
    (tmp_path / "s" / "_delta_log" / f"{1:020d}.json").unlink()
    for use in USES.values():
        with pytest.raises(IntegrityError, match="ends with 1, and the segment that follows it is gone"):
            use(LocalEvents(tmp_path))


def test_a_full_disk_stores_nothing_and_leaves_no_tail(tmp_path: Path) -> None:
    file = filled(tmp_path)
    size, store = file.stat().st_size, LocalEvents(tmp_path)
    with no_file_above(size + 100), pytest.raises(BackstayError, match=r"File too large.*nothing of this append"):
        store.append("s", frame(7, 8))
    assert file.stat().st_size == size
    assert known(store) == [0, 1, 2, 3]
    assert store.append("s", frame(9)).first == 5
    assert known(LocalEvents(tmp_path)) == known(store) == [0, 1, 2, 3, 9]


def test_a_compaction_on_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    filled(tmp_path)
    store = LocalEvents(tmp_path)
    with no_file_above(100), pytest.raises(BackstayError, match="not written"):
        store.compact("s")
    assert len(list((tmp_path / "s").glob("*.parquet"))) == 1
    assert known(store) == [0, 1, 2, 3]
    assert store.compact("s") == 1
    assert known(LocalEvents(tmp_path)) == known(store) == [0, 1, 2, 3]


def test_compacting_nothing(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    assert store.compact("s") == -1
    assert not (tmp_path / "s").exists()
    store.append("s", frame(1))
    assert store.compact("s") == store.compact("s") == 0


def test_readers_beside_compactions_see_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT_ROWS", 7)
    store, own, done = LocalEvents(tmp_path), LocalEvents(tmp_path), threading.Event()
    store.append("s", frame(0))
    seen: dict[int, list[int]] = {0: [], 1: []}

    def watch(number: int, reader: LocalEvents) -> None:
        while not done.is_set():
            acknowledged = last
            found = known(reader)
            assert found == list(range(len(found)))
            assert len(found) > acknowledged
            seen[number] += [len(found), reader.last_sequence("s")]

    last = 0
    threads = [threading.Thread(target=watch, args=(n, reader)) for n, reader in enumerate((store, own))]
    for thread in threads:
        thread.start()
    for n in range(1, 400):
        store.append("s", frame(n))
        last = n
    done.set()
    for thread in threads:
        thread.join()
    for counts in seen.values():
        assert len(counts) > 20
        assert counts == sorted(counts)


def test_a_segment_that_is_begun_while_a_reader_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a writer of the same process, between the reader's look at the file and its last look at the table."""
    store = LocalEvents(tmp_path)
    store.append("s", frame(0))
    store.compact("s")
    table = store._source("s")._table
    looked, view = [0], table.view

    def slow() -> object:
        looked[0] += 1
        if looked[0] == 2:
            store.append("s", frame(1))
        return view()

    monkeypatch.setattr(table, "view", slow)
    assert known(store) in ([0], [0, 1])
    assert looked[0] >= 2
    assert known(store) == [0, 1]
