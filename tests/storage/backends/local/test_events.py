"""Events in Delta tables: several processes, failures between the steps, and files that were meddled with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from backstay.core.errors import ConflictError, IntegrityError
from backstay.storage.backends.local import LocalEvents
from backstay.storage.backends.local import table as module
from backstay.storage.backends.local.table import LAST

INSTANT = pl.Datetime("us", "UTC")

WRITER = """
import sys
sys.modules["pyarrow"] = None  # it may not be needed
import polars as pl
from backstay.storage.backends.local import LocalEvents
store, me = LocalEvents(sys.argv[1]), int(sys.argv[2])
sys.stdin.readline()
for n in range(15):
    times = pl.Series([n, n]).cast(pl.Datetime("us", "UTC"))
    done = store.append("s", pl.DataFrame({"event_time": times, "known_time": times, "by": [me, me]}))
    print(done.first, done.last)
assert store.read("s", known_after=13, columns=["by"]).height
"""


def frame(*known: int) -> pl.DataFrame:
    times = pl.Series(known, dtype=pl.Int64).cast(INSTANT)
    return pl.DataFrame({"event_time": times, "known_time": times})


def test_processes_append_without_gaps(tmp_path: Path, start: Any, outcome: Callable[..., str]) -> None:
    processes = [start(WRITER, tmp_path, n) for n in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    acknowledged = {}
    for n, process in enumerate(processes):
        for line in outcome(process).splitlines():
            first, last = map(int, line.split())
            acknowledged |= dict.fromkeys(range(first, last + 1), n)
    read = LocalEvents(tmp_path).read("s")
    assert read["sequence"].to_list() == list(range(1, 91))
    assert dict(zip(read["sequence"], read["by"], strict=True)) == acknowledged


def committed(store: LocalEvents, *known: int) -> None:
    """One append, and one commit for it alone."""
    store.append("s", frame(*known))
    store.version("s")


def test_a_long_lived_reader_sees_what_another_appends(tmp_path: Path) -> None:
    reader, writer = LocalEvents(tmp_path), LocalEvents(tmp_path)
    for n in range(1, 60):  # past checkpoints and a merge
        writer.append("s", frame(n))
        assert reader.last_sequence("s") == n
        assert reader.version("s") == writer.version("s") >= n - 1
    assert reader.read("s", known_after=57).rows() == writer.read("s").tail(2).rows()
    fresh = LocalEvents(tmp_path)
    assert fresh.read("s", sequence_until=30)["sequence"].to_list() == list(range(1, 31))


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_kill_before_the_commit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    store = LocalEvents(tmp_path)
    for n in range(before):
        store.append("s", frame(n))
    files = len(list((tmp_path / "s").glob("*.parquet")))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_commit", killed)
        with pytest.raises(KeyboardInterrupt):
            store.append("s", frame(*range(6_000)))
    assert len(list((tmp_path / "s").glob("*.parquet"))) == files + 1
    again = LocalEvents(tmp_path)
    assert again.last_sequence("s") == before
    assert again.append("s", frame(9)).first == before + 1
    assert again.read("s").height == before + 1
    assert again.version("s") == min(before, 1)


def test_a_failure_after_the_commit_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalEvents(tmp_path)
    store.append("s", frame(1))
    store.append("s", frame(2))
    commit = module._write_commit

    def landed(*arguments: Any) -> None:
        commit(*arguments)
        raise OSError("the checkpoint failed")

    monkeypatch.setattr(module, "_write_commit", landed)
    assert store.append("s", frame(*range(6_000))).last == 6_002
    assert store.read("s")["sequence"].to_list() == list(range(1, 6_003))


def test_a_writer_past_the_lock_conflicts_instead_of_numbering_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the lock prevents on one machine, Delta itself refuses: as if two machines shared the directory."""
    slow = LocalEvents(tmp_path)
    slow.append("s", frame(1))
    slow.append("s", frame(6, 7))
    write = module.write_file

    def overtaken(root: Path, *given: Any, **named: Any) -> Any:
        action = write(root, *given, **named)
        monkeypatch.setattr(module, "write_file", write)
        fast = module.Table("s", root, ("event_time", "known_time"))
        fast.commit(frame(5).with_columns(sequence=pl.lit(2, dtype=pl.Int64)), fast.view())
        return action

    monkeypatch.setattr(module, "write_file", overtaken)
    with pytest.raises(ConflictError, match="not committed"):
        slow.compact("s")
    assert slow.read("s")["sequence"].to_list() == [1, 2]
    assert slow.append("s", frame(8)).first == 3


def test_foreign_rows_are_noticed(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    store.append("s", frame(1))
    write_deltalake(str(tmp_path / "s"), frame(2).with_columns(sequence=pl.lit(9, dtype=pl.Int64)), mode="append")
    with pytest.raises(IntegrityError, match="2 rows but numbers 1"):
        store.read("s")


def test_a_compacted_table_reads_the_same(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    for n in range(12):
        committed(store, n, 100 - n)
    before = store.read("s")
    DeltaTable(str(tmp_path / "s")).optimize.compact()
    for reader in (store, LocalEvents(tmp_path)):
        assert reader.read("s", sequence_until=24).equals(before)
        assert reader.append("s", frame(1)).first == reader.last_sequence("s")


def test_rows_are_found_by_their_numbers(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    for n in range(4):
        committed(store, n, 9 - n, n)
    committed(store, 10**8)  # a file that is left out by what is known, between others
    committed(store, 7, 8)
    store.append("s", frame(5, 5))  # not in the table yet
    for meddle in (lambda: None, lambda: DeltaTable(str(tmp_path / "s")).optimize.compact()):
        meddle()
        whole = store.read("s")
        assert whole["sequence"].to_list() == list(range(1, 18))
        for columns in (["event_time"], ["known_time", "sequence"]):
            for after, until in product(range(18), [None, *range(19)]):
                wanted = whole[after : max(17 if until is None else until, after)].select(columns)
                got = list(store.batches("s", columns=columns, sequence_after=after, sequence_until=until))
                assert pl.concat([wanted.clear(), *got]).equals(wanted)
            for until in range(19):
                assert store.read("s", columns=columns, sequence_until=until).equals(whole[:until].select(columns))
            for known in (-1, 0, 3, 8, 9, 1_008, 1_009, 10**9):  # some of them later than all that is in the table
                for after, until in product((0, 2, 5, 12, 14), (6, 13, 14, 15, 17)):
                    wanted = whole[after : max(after, until)].filter(pl.col("known_time").to_physical() <= known)
                    got = store.batches(
                        "s", columns=columns, sequence_after=after, sequence_until=until, known_until=known
                    )
                    assert pl.concat([wanted.select(columns).clear(), *got]).equals(wanted.select(columns))


def test_of_a_large_file_only_pieces_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One import may make a file of any size."""
    store, many = LocalEvents(tmp_path), 900_000
    times = (pl.int_range(many, dtype=pl.Int64, eager=True) // 3).cast(pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"event_time": times, "known_time": times, "x": pl.int_range(many, eager=True)})
    store.append("large", rows)
    store.append("large", rows.head(10))
    read, heights = module.Table.read, []

    def spied(self: Any, *given: Any) -> pl.DataFrame:
        frame = read(self, *given)
        heights.append(frame.height)
        return frame

    monkeypatch.setattr(module.Table, "read", spied)
    for after, until, known in ((0, None, None), (70_000, 700_001, None), (899_999, None, None), (5, 880_000, 250_000)):
        kept = rows.select("x", "known_time").with_columns(sequence=pl.col("x") + 1)
        kept = pl.concat([kept, kept.head(10).with_columns(sequence=pl.col("x") + many + 1)])
        kept = kept.filter((pl.col("sequence") > after) & (pl.col("sequence") <= (until or LAST)))
        kept = kept if known is None else kept.filter(pl.col("known_time").to_physical() <= known)
        heights.clear()
        frames = list(
            store.batches("large", columns=["x"], known_until=known, sequence_after=after, sequence_until=until)
        )
        assert pl.concat(frames).equals(kept.select("x"))
        assert max(one.height for one in frames) <= 100_000
        assert max(heights) <= 262_144


def test_rows_that_another_tool_mixed_come_in_their_order(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    random = Random(3)
    for _ in range(8):
        committed(store, *(random.randrange(10**6) for _ in range(2_000)))
    before = store.read("s")
    DeltaTable(str(tmp_path / "s")).optimize.z_order(["event_time"], target_size=30_000)
    files = pl.DataFrame(DeltaTable(str(tmp_path / "s")).get_add_actions(flatten=True)).sort("min.sequence")
    assert (files["min.sequence"][1:] <= files["max.sequence"][:-1]).any(), "rows of one file lie between another's"
    for reader in (store, LocalEvents(tmp_path)):
        assert pl.concat(reader.batches("s", rows=1_000)).equals(before)
        for after, until in ((0, 9_000), (5_000, None), (7_777, 12_345)):
            wanted = before[after : until or before.height]
            assert pl.concat(reader.batches("s", sequence_after=after, sequence_until=until)).equals(wanted)


def test_a_damaged_file_is_an_integrity_error(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    store.append("s", frame(1, 2))
    (file,) = (tmp_path / "s").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(IntegrityError, match="cannot be read"):
        store.read("s")
    file.unlink()
    with pytest.raises(IntegrityError, match="cannot be read"):
        store.read("s")


def test_it_is_an_ordinary_delta_table(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    store.append("s", frame(3, 1))
    committed(store, 2)
    assert pl.scan_delta(str(tmp_path / "s")).sort("sequence").collect().equals(store.read("s"))
    assert DeltaTable(str(tmp_path / "s")).metadata().configuration["delta.appendOnly"] == "true"


def test_a_path_with_signs_that_mean_something_in_an_address(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path / "a b#%[1]é?*")
    store.append("s", frame(3, 1))
    store.append("s", frame(2))
    assert LocalEvents(tmp_path / "a b#%[1]é?*").read("s").equals(store.read("s"))


def test_reads_skip_files_that_hold_nothing_asked_for(tmp_path: Path) -> None:
    store = LocalEvents(tmp_path)
    for n in range(5):
        committed(store, n * 1_000_000)
    files = module.Table("s", tmp_path / "s", ("event_time", "known_time")).view().files  # type: ignore[union-attr]
    (wanted,) = (tmp_path / "s" / path for path in files["path"][3:4])
    for file in (tmp_path / "s").glob("*.parquet"):
        if file != wanted:
            file.unlink()
    assert store.read("s", known_after=2_500_000, known_until=3_500_000)["sequence"].to_list() == [4]


def test_many_small_files_are_merged_and_every_version_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_FILES", 6)
    monkeypatch.setattr(module, "MERGED_BYTES", 5_000)  # three files of these
    store, reader, appended = LocalEvents(tmp_path), LocalEvents(tmp_path), 0
    for n in range(25):
        store.append("s", frame(n, 50 - n))
        version, appended = store.version("s"), appended + 2
        assert pl.scan_delta(str(tmp_path / "s"), version=version).collect().height == appended
        assert reader.read("s").equals(LocalEvents(tmp_path).read("s"))
    assert reader.read("s")["event_time"].to_physical().to_list() == [t for n in range(25) for t in (n, 50 - n)]
    table = DeltaTable(str(tmp_path / "s"))
    assert len(table.file_uris()) <= 9
    merges = [log for log in (tmp_path / "s" / "_delta_log").glob("*.json") if '"remove"' in log.read_text()]
    assert len(merges) >= 3
    assert not any('"dataChange":true' in log.read_text() for log in merges)
    held = [pl.scan_delta(str(tmp_path / "s"), version=one).collect().height for one in range(table.version() + 1)]
    assert held == sorted(held)
    assert held[-1] == 50


def test_a_merge_takes_neighbours_up_to_a_size_and_leaves_large_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL_BYTES", 10)
    monkeypatch.setattr(module, "MERGED_BYTES", 12)
    sizes = [4, 4, 4, 5, 50, 3, 60, 9, 9, 1, 1]
    runs = module._runs(pl.DataFrame({"size_bytes": sizes}))
    assert [run["size_bytes"].to_list() for run in runs] == [[4, 4, 4], [9, 1, 1]]
