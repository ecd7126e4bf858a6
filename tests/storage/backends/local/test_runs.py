"""Runs on a disk: torn tails and damage in both kinds of file, a full disk, processes, and an index written anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from backstay.core.errors import BackstayError, IntegrityError
from backstay.storage.backends.local import LocalRuns, runs
from backstay.storage.runs import FINISHED, KILLED, RUNNING, Metric, RunRecord

FILLED = """
import sys
from backstay.storage.backends.local import LocalRuns, runs
from backstay.storage.runs import RunRecord
runs._FEW = 500
log, me = LocalRuns(sys.argv[1]), int(sys.argv[2])
for n in range(60):
    run = f"{me * 1000 + n:016x}"
    log.begin(RunRecord(run, "late", status="running", begun=n, parameters={"n": n}))
    log.tell(RunRecord(run, status="finished", notes=("x" * (n % 50),)))
"""


def run_id(number: int) -> str:
    return f"{number:016x}"


def begun(number: int, **changes: Any) -> RunRecord:
    return RunRecord(run_id(number), "late", status=RUNNING, begun=number, **changes)


def found(log: LocalRuns) -> list[RunRecord]:
    return [one.whole() for one in log.scan()]


def measured(step: int) -> Metric:
    return Metric("auc", step, step / 7, step)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    assert LocalRuns(tmp_path / "runs").scan() == []
    assert not (tmp_path / "runs").exists()


def test_another_store_sees_what_one_does(tmp_path: Path) -> None:
    one, other = LocalRuns(tmp_path), LocalRuns(tmp_path)
    one.begin(begun(1))
    one.log(run_id(1), [measured(1)])
    assert [(run.status, run.metrics) for run in found(other)] == [(RUNNING, {"auc": 1 / 7})]
    with pytest.raises(BackstayError, match="not going on here"):
        other.log(run_id(1), [measured(2)])
    other.tell(RunRecord(run_id(1), notes=("seen",)))
    one.tell(RunRecord(run_id(1), status=FINISHED))
    assert [(run.status, run.notes) for run in found(other)] == [(FINISHED, ("seen",))]


def test_a_torn_tail_of_metrics_is_passed_over_wherever_it_is_torn(tmp_path: Path) -> None:
    log = LocalRuns(tmp_path)
    log.begin(begun(1))
    log.log(run_id(1), [measured(1), measured(2)])
    log.close()
    path = tmp_path / f"{run_id(1)}.metrics"
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole + whole[:kept])
        assert log.metrics(run_id(1)) == [measured(1), measured(2)]
        assert [(run.status, run.metrics) for run in found(log)] == [(KILLED, {"auc": 2 / 7})]


def test_a_torn_tail_of_the_index_is_passed_over_and_cut_off_by_who_writes_next(tmp_path: Path) -> None:
    log, index = LocalRuns(tmp_path), tmp_path / "index"
    log.begin(begun(1, parameters={"depth": 6}))
    first = index.read_bytes()
    log.begin(begun(2, notes=("longer than the first",)))
    whole = index.read_bytes()
    for kept in range(len(first) + 1, len(whole)):
        index.write_bytes(whole[:kept])
        assert [run.id for run in found(log)] == [run_id(1)]
        log.tell(RunRecord(run_id(1), tags={"kept": str(kept)}))
        assert [(run.id, run.tags) for run in found(log)] == [(run_id(1), {"kept": str(kept)})]


@pytest.mark.parametrize("name", ["index", f"{1:016x}.metrics"])
def test_damage_is_told_with_its_place(tmp_path: Path, name: str) -> None:
    log, path = LocalRuns(tmp_path), tmp_path / name
    log.begin(begun(1))
    for step in range(3):
        log.log(run_id(1), [measured(step)])
        log.tell(RunRecord(run_id(1), notes=("good",)))
    data = bytearray(path.read_bytes())
    data[12] ^= 1
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged") as caught:
        found(log)
    assert caught.value.where == f"{path}, offset 0"


@pytest.mark.parametrize("what", ["begin", "tell", "log"])
def test_what_could_not_be_written_can_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    log = LocalRuns(tmp_path)
    log.begin(begun(1))
    log.log(run_id(1), [measured(1)])
    work: dict[str, Callable[[], None]] = {
        "begin": lambda: log.begin(begun(2)),
        "tell": lambda: log.tell(RunRecord(run_id(1), notes=("good",))),
        "log": lambda: log.log(run_id(1), [measured(2)]),
    }
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        write(descriptor, data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    def told() -> tuple[list[RunRecord], list[Metric]]:
        return found(LocalRuns(tmp_path)), LocalRuns(tmp_path).metrics(run_id(1))

    before = told()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BackstayError, match="No space left"):
        work[what]()
    monkeypatch.undo()
    assert told() == before
    work[what]()
    runs, metrics = told()
    assert (len(runs), runs[0].notes, len(metrics)) == {
        "begin": (2, (), 1), "tell": (1, ("good",), 1), "log": (1, (), 2),
    }[what]  # fmt: skip


def test_the_index_is_written_anew_with_a_document_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_FEW", 500)
    log, index, sizes = LocalRuns(tmp_path), tmp_path / "index", [0]
    for number in range(200):
        log.begin(begun(number, parameters={"number": number}))
        log.tell(RunRecord(run_id(number), status=FINISHED, notes=("x" * 40,)))
        sizes.append(index.stat().st_size)
        assert len(found(log)) == number + 1
    assert any(after < before for before, after in pairwise(sizes))
    assert [(run.id, run.status, run.parameters, run.notes) for run in found(log)] == [
        (run_id(number), FINISHED, {"number": number}, ("x" * 40,)) for number in range(200)
    ]
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(".metrics")) == ["index"]


def test_a_disk_without_room_for_a_new_index_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runs, "_FEW", 100)
    monkeypatch.setattr(runs, "sync", full)
    log = LocalRuns(tmp_path)
    for number in range(50):
        log.begin(begun(number))
    assert [run.id for run in found(log)] == [run_id(number) for number in range(50)]


def test_processes_lose_nothing_while_the_index_is_written_anew(tmp_path: Path, warm: Any) -> None:
    working = [warm(FILLED, tmp_path, me) for me in range(3)]
    log, seen = LocalRuns(tmp_path), 0
    while any(process.poll() is None for process in working):
        there = found(log)
        assert len(there) >= seen
        assert {run.status for run in there} <= {RUNNING, FINISHED}
        seen = len(there)
    assert [process.wait() for process in working] == [0, 0, 0]
    there = found(log)
    assert sorted(run.id for run in there) == [run_id(me * 1000 + n) for me in range(3) for n in range(60)]
    assert all(run.status == FINISHED and run.notes == ("x" * (run.begun % 50),) for run in there)
