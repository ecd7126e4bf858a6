"""The contract of the runs record: what was told and logged is there, all of it and once."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from backstay.core.errors import ConflictError, InputError, NotFoundError
from backstay.storage.ports import RunLog
from backstay.storage.runs import FAILED, FINISHED, KILLED, RUNNING, Metric, RunRecord

A, B, NONE = f"{1:016x}", f"{2:016x}", f"{3:016x}"


def begun(run: str = A, **changes: object) -> RunRecord:
    return RunRecord(run, **{"name": "late", "actor": "ana", "status": RUNNING, "begun": 7, **changes})  # type: ignore[arg-type]


def found(runs: RunLog) -> list[RunRecord]:
    return [one.whole() for one in runs.scan()]


def test_empty(runs: RunLog) -> None:
    assert found(runs) == []
    with pytest.raises(NotFoundError):
        runs.metrics(NONE)
    with pytest.raises(NotFoundError):
        runs.tell(RunRecord(NONE, notes=("nothing",)))
    with pytest.raises(InputError):
        runs.log(NONE, [Metric("auc", 0, 0.5, 1)])


def test_a_whole_run(runs: RunLog) -> None:
    runs.begin(begun(parameters={"depth": 6, "rate": 0.1, "names": ["a", None], "deep": {"a": True}}))
    assert found(runs) == [
        begun(parameters={"depth": 6, "rate": 0.1, "names": ["a", None], "deep": {"a": True}})
    ]  # fmt: skip
    runs.log(A, [Metric("auc", 0, 0.5, 1)])
    runs.tell(RunRecord(A, parameters={"late": 1}, tags={"stage": "x"}, notes=("good",)))
    runs.log(A, [Metric("auc", 1, 0.75, 2), Metric("loss", 0, 2.0, 2)])
    (one,) = found(runs)
    assert (one.status, one.metrics) == (RUNNING, {"auc": 0.75, "loss": 2.0})
    runs.tell(RunRecord(A, status=FINISHED, seconds=1.5, version=3, metrics={"auc": 0.75, "loss": 2.0}))
    runs.tell(RunRecord(A, tags={"stage": "y", "more": ""}, notes=("better",), artifacts={"curve": "0" * 64}))
    (one,) = found(runs)
    assert one == begun(
        status=FINISHED, seconds=1.5, version=3,
        parameters={"depth": 6, "rate": 0.1, "names": ["a", None], "deep": {"a": True}, "late": 1},
        metrics={"auc": 0.75, "loss": 2.0}, tags={"stage": "y", "more": ""}, notes=("good", "better",),
        artifacts={"curve": "0" * 64},
    )  # fmt: skip
    assert runs.metrics(A) == [Metric("auc", 0, 0.5, 1), Metric("auc", 1, 0.75, 2), Metric("loss", 0, 2.0, 2)]


def test_values_that_are_no_numbers(runs: RunLog) -> None:
    runs.begin(begun())
    runs.log(A, [Metric("loss", step, value, 1) for step, value in enumerate((math.nan, math.inf, -math.inf, 0.1))])
    first, *others = (one.value for one in runs.metrics(A))
    assert math.isnan(first)
    assert others == [math.inf, -math.inf, 0.1]


def test_an_id_is_used_once(runs: RunLog) -> None:
    runs.begin(begun())
    with pytest.raises(ConflictError):
        runs.begin(begun(name="other"))
    runs.tell(RunRecord(A, status=FAILED, error="no"))
    with pytest.raises(ConflictError):
        runs.begin(begun())
    assert [(one.name, one.status, one.error) for one in found(runs)] == [("late", FAILED, "no")]


@pytest.mark.parametrize("run", ["", "../../etc/x", "A" * 16, "0" * 15])
def test_what_is_no_id_is_refused(runs: RunLog, run: str) -> None:
    with pytest.raises(InputError, match="id of a run"):
        runs.begin(begun(run))
    assert found(runs) == []


def test_nothing_is_logged_once_it_has_ended(runs: RunLog) -> None:
    runs.begin(begun())
    runs.log(A, [Metric("auc", 0, 0.5, 1)])
    runs.tell(RunRecord(A, status=FINISHED))
    with pytest.raises(InputError, match="not going on"):
        runs.log(A, [Metric("auc", 1, 0.5, 1)])
    with pytest.raises(InputError, match="not going on"):
        runs.tell(RunRecord(A, status=FAILED))
    assert len(runs.metrics(A)) == 1


def test_one_that_nobody_holds_was_killed(runs: RunLog) -> None:
    for run in (A, B):
        runs.begin(begun(run))
        runs.log(run, [Metric("auc", 0, 0.5, 1)])
    runs.tell(RunRecord(A, status=FINISHED, metrics={"auc": 0.5}))
    assert [one.status for one in found(runs)] == [FINISHED, RUNNING]
    runs.close()
    runs.close()
    assert [(one.status, one.metrics) for one in found(runs)] == [(FINISHED, {"auc": 0.5}), (KILLED, {"auc": 0.5})]
    runs.tell(RunRecord(B, notes=("the machine was taken away",)))
    assert found(runs)[1].notes == ("the machine was taken away",)


def test_what_cannot_be_written_changes_nothing(runs: RunLog) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        runs.begin(begun(parameters={"much": 1 << 70}))
    runs.begin(begun())
    with pytest.raises(InputError, match="cannot be written"):
        runs.tell(RunRecord(A, notes=("half of a \ud83d",)))
    with pytest.raises(InputError, match="cannot be written"):
        runs.log(A, [Metric("auc", 0, 0.5, 1), Metric("auc", 1 << 70, 0.5, 1)])
    assert found(runs) == [begun()]
    assert runs.metrics(A) == []


def test_what_is_handed_out_is_the_callers(runs: RunLog) -> None:
    runs.begin(begun(parameters={"depth": 6}))
    runs.scan()[0].status = FAILED
    assert found(runs) == [begun(parameters={"depth": 6})]


def test_threads_lose_nothing(runs: RunLog) -> None:
    ids = [f"{number:016x}" for number in range(8)]

    def work(run: str) -> None:
        runs.begin(begun(run))
        for step in range(100):
            runs.log(run, [Metric("auc", step, 0.5, 1)])
        runs.tell(RunRecord(run, status=FINISHED))

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, run) for run in ids]
        while not all(one.done() for one in working):
            assert {one.status for one in found(runs)} <= {RUNNING, FINISHED}
        for one in working:
            one.result()
    assert sorted(one.id for one in found(runs)) == ids
    for run in ids:
        assert [one.step for one in runs.metrics(run)] == list(range(100))
