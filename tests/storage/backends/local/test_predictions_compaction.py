"""Predictions in their table: what other tools see, what a scan skips, remnants, damage, and readers beside it."""

from __future__ import annotations

import json
import threading
import zlib
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from tests.predicted import NAMES, numbers, predicted, prediction
from tests.storage.backends.local.disks import no_file_above

from backstay.core.errors import BackstayError, IntegrityError
from backstay.core.times import instant
from backstay.features.views import Status
from backstay.storage.backends.local import LocalPredictions, series, table
from backstay.storage.backends.local import predictions as module
from backstay.storage.predictions import STATUSES, Prediction


def silent(_done: int, _total: int) -> None: ...


def logged(directory: Path, *appends: list[Prediction], compacted: bool = True) -> LocalPredictions:
    """A log that holds these, each append in a segment of its own, closed; or each in a file of the table."""
    for one in appends:
        log = LocalPredictions(directory)
        log.append(one)
        log.close()
        if compacted:
            log.compact(NAMES, silent)
    return LocalPredictions(directory)


def segments(directory: Path) -> list[Path]:
    return sorted((directory / "_segments").glob("*.seg"))


DAY = instant("2024-03-01")


def test_what_other_tools_see(tmp_path: Path) -> None:
    one = prediction(
        7, at=DAY, served_at=DAY + 1_500_000, values=[2.5, 'a "b"', DAY], statuses=bytes([0, 1, 3]),
        keys={"customer": "c7", "shop": 3}, watermark={"orders": 12},
    )  # fmt: skip
    odd = prediction(8, at=DAY + 1, values=[float("nan"), None, None], feature_set="unknown", statuses=bytes(3))
    logged(tmp_path, [one, odd])
    row = pl.scan_delta(str(tmp_path)).sort("sequence").collect().row(0, named=True)
    assert {name: row[name] for name in ("id", "model", "score", "decision", "propensity", "replayed", "sequence")} == {
        "id": one.id, "model": "m", "score": one.score, "decision": False, "propensity": 0.5, "replayed": False,
        "sequence": 1,
    }  # fmt: skip
    assert row["at"].isoformat() == "2024-03-01T00:00:00+00:00"
    assert json.loads(row["keys"]) == one.keys
    assert json.loads(row["fields"]) == one.fields
    assert json.loads(row["watermark"]) == one.watermark
    assert json.loads(row["values"]) == {"size": 2.5, "name": 'a "b"', "due": DAY}
    assert json.loads(row["statuses"]) == {"name": "NULL", "due": "EXPIRED"}
    frame = pl.scan_delta(str(tmp_path))
    sizes = frame.select(pl.col("values").str.json_path_match("$.size").cast(pl.Float64))
    assert sizes.collect()["values"].to_list() == [2.5, None]
    files = DeltaTable(str(tmp_path)).file_uris()
    asked = "select id, keys->>'customer', (\"values\"->>'size')::double from read_parquet(?) order by id"
    assert duckdb.execute(asked, [files]).fetchall() == [(one.id, "c7", 2.5), (odd.id, "c1", None)]
    assert json.loads(frame.collect()["values"][1]) == {"0": None, "1": None, "2": None}


def test_statuses_are_those_of_the_features() -> None:
    assert list(STATUSES) == [status.name for status in Status]


@pytest.mark.parametrize(
    "wanted",
    [{"model": "b"}, {"since": DAY, "until": DAY + 9}, {"ids": [prediction(13).id]}, {"last": 3, "model": "b"}],
)
def test_files_that_hold_nothing_wanted_are_not_read(tmp_path: Path, wanted: dict[str, Any]) -> None:
    days = {"a": (-DAY, range(10)), "b": (0, range(10, 20)), "c": (DAY, range(20, 22))}
    log = logged(
        tmp_path, *(predicted(*them, at=DAY + day, served_at=DAY, model=name) for name, (day, them) in days.items())
    )
    expected = numbers(log.scan(**wanted))
    assert expected
    files = LocalPredictions(tmp_path)._table.view().files  # type: ignore[union-attr]
    for path in files["path"]:  # writers are compacted in no particular order
        if "b" not in pl.read_parquet(tmp_path / path, columns=["model"])["model"]:
            (tmp_path / path).unlink()
    assert numbers(log.scan(**wanted)) == expected
    with pytest.raises(IntegrityError):
        list(log.scan())


def test_what_is_not_wanted_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = logged(tmp_path, predicted(*range(50)), compacted=False)
    logged(tmp_path / "table", predicted(*range(50)))
    decoded: list[bytes] = []
    decode = module.decode

    def counted(payload: bytes) -> Any:
        decoded.append(payload)
        return decode(payload)

    monkeypatch.setattr(module, "decode", counted)
    monkeypatch.setattr("backstay.storage.backends.local.rows.decode", counted)
    for one in (log, LocalPredictions(tmp_path / "table")):
        decoded.clear()
        assert numbers(one.scan(since=7, until=9)) == [7, 8]
        assert numbers(one.scan(ids=[prediction(3).id])) == [3]
        assert numbers(one.scan(last=2)) == [49, 48]
        assert len(decoded) == 5


def test_remnants_count_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction that is killed behind its commit: the segments are still there, and in the table."""
    monkeypatch.setattr(series, "SEGMENT_BYTES", 1)
    log = logged(tmp_path, predicted(1), predicted(2, 3), compacted=False)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module.Folder, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            log.compact(NAMES, silent)
    assert len(segments(tmp_path)) == 2
    for one in (log, LocalPredictions(tmp_path)):
        assert numbers(one.scan()) == [1, 2, 3]
        assert numbers(one.scan(last=9)) == [3, 2, 1]
    assert log.compact(NAMES, silent).predictions == 0
    assert segments(tmp_path) == []
    assert numbers(log.scan()) == [1, 2, 3]


def test_killed_before_its_commit_a_compaction_has_done_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logged(tmp_path, predicted(1), predicted(2), compacted=False)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(table, "_write_commit", killed)
        with pytest.raises(KeyboardInterrupt):
            log.compact(NAMES, silent)
    assert numbers(LocalPredictions(tmp_path).scan()) == [1, 2]
    assert LocalPredictions(tmp_path).compact(NAMES, silent).predictions == 2
    assert numbers(log.scan()) == [1, 2]


def test_a_reader_keeps_what_it_began_to_read(tmp_path: Path) -> None:
    log = logged(tmp_path, predicted(1, 2), predicted(3), compacted=False)
    scan = log.scan()
    assert numbers([next(scan)]) == [1]
    assert LocalPredictions(tmp_path).compact(NAMES, silent).predictions == 3
    assert len(segments(tmp_path)) == 2  # they stay for the reader
    assert numbers(log.scan()) == [1, 2, 3]
    assert numbers(scan) == [2, 3]
    log.compact(NAMES, silent)
    assert segments(tmp_path) == []


def test_readers_beside_compactions_see_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "SEGMENT_BYTES", 2_000)
    log, reader, done = LocalPredictions(tmp_path), LocalPredictions(tmp_path), threading.Event()
    seen, failures, last = 0, [], 0

    def watch() -> None:
        nonlocal seen
        try:
            while not done.is_set():
                acknowledged = last
                found = numbers(reader.scan())
                assert found == list(range(len(found)))
                assert len(found) >= acknowledged
                assert numbers(reader.scan(last=1))[0] >= acknowledged - 1
                seen += 1
        except Exception as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    def compact() -> None:
        while not done.is_set():
            LocalPredictions(tmp_path).compact(NAMES, silent)

    log.append(predicted(0))
    threads = [threading.Thread(target=work) for work in (watch, compact, compact)]
    for thread in threads:
        thread.start()
    for n in range(1, 600):
        log.append(predicted(n))
        last = n + 1
        threading.Event().wait(0.005)
    done.set()
    for thread in threads:
        thread.join()
    log.close()
    assert not failures
    assert seen > 5
    assert reader._table.view() is not None


def test_a_full_disk_while_compacting_loses_nothing(tmp_path: Path) -> None:
    log = logged(tmp_path, predicted(1, 2, 3), compacted=False)
    with no_file_above(500), pytest.raises(BackstayError, match=r"not written.*free space"):
        log.compact(NAMES, silent)
    assert not list(tmp_path.glob("*.parquet"))
    assert numbers(log.scan()) == [1, 2, 3]
    assert log.compact(NAMES, silent).predictions == 3
    assert numbers(log.scan()) == [1, 2, 3]


def test_damage_in_the_table_is_noticed(tmp_path: Path) -> None:
    log = logged(tmp_path, predicted(1, 2))
    (file,) = tmp_path.glob("*.parquet")
    frame = pl.read_parquet(file)
    assert frame["crc"].to_list() == [zlib.crc32(record) for record in frame["record"]]
    flipped = [bytes([*record[:40], record[40] ^ 1, *record[41:]]) for record in frame["record"]]
    frame.with_columns(record=pl.Series(flipped)).write_parquet(file)
    with pytest.raises(IntegrityError, match="damaged"):
        list(log.scan())


def test_many_small_files_become_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SMALL_FILES", 4)
    logged(tmp_path, *(predicted(n) for n in range(12)))
    assert len(DeltaTable(str(tmp_path)).file_uris()) <= 5
    log = LocalPredictions(tmp_path)
    assert numbers(log.scan()) == list(range(12))
    assert numbers(log.scan(last=2)) == [11, 10]
    assert numbers(log.scan(since=3, until=5)) == [3, 4]


def test_a_commit_takes_in_as_much_as_it_may_and_progress_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = logged(tmp_path, *(predicted(n) for n in range(6)), compacted=False)
    size = segments(tmp_path)[0].stat().st_size
    monkeypatch.setattr(module, "COMMIT_BYTES", size * 5 // 2)
    told: list[tuple[int, int]] = []
    done = log.compact(NAMES, lambda done, total: told.append((done, total)))
    assert (done.predictions, done.segments) == (6, 6)
    assert len(told) == 3
    assert told[-1][0] == told[-1][1] == pytest.approx(size * 6, rel=0.05)
    assert DeltaTable(str(tmp_path)).version() == 2


def test_empty_segments_go_too(tmp_path: Path) -> None:
    logged(tmp_path, predicted(1), compacted=False)
    segments(tmp_path)[0].write_bytes(b"")
    log = logged(tmp_path, predicted(2), compacted=False)
    assert log.compact(NAMES, silent).predictions == 1
    assert segments(tmp_path) == []
    assert numbers(log.scan()) == [2]
