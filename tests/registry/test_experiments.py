"""Runs as a person uses them: logged in a block, found by a condition, held beside each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError, NotFoundError
from backstay.core.times import DAY, instant
from backstay.registry.experiments import Run, Runs
from backstay.registry.experiments.search import search
from backstay.storage.backends.memory import MemoryArtifacts, MemoryRuns
from backstay.storage.runs import RunRecord, decode_runs, encode

NOW = instant("2026-11-25T12:00:00Z")


@pytest.fixture
def clock() -> ReplayClock:
    return ReplayClock(NOW)


@pytest.fixture
def runs(clock: ReplayClock) -> Runs:
    return Runs(MemoryRuns(), MemoryArtifacts(), clock, "ana")


@pytest.fixture
def four(runs: Runs, clock: ReplayClock) -> Iterator[Runs]:
    """a: plain; b: texts where a has numbers; c: failed, NaN; d: going on."""
    with runs.begin("a", parameters={"depth": 6, "rate": 0.5, "kind": "x"}, tags={"stage": "it's"}) as run:
        run.log("auc", 0.8)
    clock.advance(NOW + DAY)
    with runs.begin("b", parameters={"depth": "auto", "rate": 1, "model": {"deep": True}}) as run:
        run.log_many({"auc": 0.6, "odd-name": 1.0})
    with pytest.raises(ZeroDivisionError), runs.begin("c", parameters={"depth": 8, "auc": 1}) as run:
        fail(run)
    with runs.begin("d", tags={"stage": "y"}, note="slow") as run:
        run.log("loss", 3)
        yield runs


def fail(run: Run) -> None:
    run.log("loss", math.nan)
    raise ZeroDivisionError


def names(found: list[RunRecord]) -> str:
    return "".join(one.name for one in found)


def test_a_block_is_a_run(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "curve.png").write_bytes(b"png")
    with runs.begin("late", parameters={"depth": np.int64(6)}, tags={"stage": "x"}, note="first") as run:
        assert runs.get(run.id).status == "running"
        run.log("auc", 0.5)
        run.log("auc", np.float32(0.75))
        run.log("auc", 1, step=10)
        run.log("auc", 0.25)
        run.log_many({"auc": 0.5, "loss": math.inf}, step=np.int64(3))  # type: ignore[arg-type]
        run.parameter("rate", 0.1)
        run.parameters({"depth": 6, "model": {"steps": (1, 2), "none": None}})
        run.tag("stage", "y")
        run.note("second")
        digest = run.attach("curve", tmp_path / "curve.png")
        run.attach("text", b"bytes")
        run.registered(4)
    one = runs.get(run.id[:8])
    assert one.status == "finished"
    assert one.seconds is not None
    assert 0 < one.seconds < 10
    assert (one.name, one.actor, one.begun, one.version) == ("late", "ana", NOW, 4)
    assert one.parameters == {"depth": 6, "rate": 0.1, "model.steps": [1, 2], "model.none": None}
    assert (one.tags, one.notes) == ({"stage": "y"}, ("first", "second"))
    assert one.metrics == {"auc": 0.5, "loss": math.inf}
    assert one.artifacts["curve"] == digest
    assert runs.artifact(run.id, "text") == b"bytes"
    frame = runs.metrics(run.id)
    assert frame["step"].to_list() == [0, 1, 10, 11, 3, 3]
    assert frame["value"].to_list() == [0.5, 0.75, 1.0, 0.25, 0.5, math.inf]
    assert str(frame.schema["at"]) == "Datetime(time_unit='us', time_zone='UTC')"
    assert one.as_dict()["begun"] == "2026-11-25T12:00:00Z"
    assert "depth" in one._repr_html_()
    with pytest.raises(InputError, match="not going on"):
        run.log("auc", 0.5)
    with pytest.raises(InputError, match="not going on"):
        run.note("late")
    run.end()
    runs.tag(run.id, "stage", "z")
    runs.note(run.id, "third")
    assert runs.get(run.id).notes == (
        "first",
        "second",
        "third",
    )


def test_an_error_that_leaves_the_block_is_the_runs(runs: Runs) -> None:
    with pytest.raises(KeyboardInterrupt), runs.begin("late"):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="half"), runs.begin("late"):
        raise ValueError("half of a \ud83d" + "x" * 5_000)
    first, second = reversed(runs.search("status = 'failed'"))
    assert first.error == "KeyboardInterrupt"
    assert second.error.startswith("ValueError: half of a ?x")
    assert len(second.error) <= 2_000


def test_a_parameter_is_set_once(runs: Runs) -> None:
    with runs.begin("late", parameters={"depth": 6}) as run:
        run.parameter("depth", 6)
        with pytest.raises(InputError, match=r"it is 6 already, and would become 7 .*parameter 'depth'") as caught:
            run.parameters({"rate": 1, "depth": 7})
        assert "begin another run" in caught.value.fix
        assert runs.get(run.id).parameters == {"depth": 6}


@pytest.mark.parametrize(
    "value", [math.nan, object(), b"bytes", {1, 2}, 1 << 64, [math.inf], {"deep": {"a": object()}}, np.zeros(2)]
)
def test_a_parameter_is_a_json_value(runs: Runs, value: Any) -> None:
    with pytest.raises(InputError, match="parameter 'bad"):
        runs.begin("late", parameters={"bad": value})
    assert runs.search() == []


def test_what_cannot_be_logged_is_refused_by_name(runs: Runs) -> None:
    with runs.begin("late") as run:
        for value in ("0.5", None, [1], 1j, b"1"):
            with pytest.raises(InputError, match="metric 'auc'"):
                run.log("auc", value)  # type: ignore[arg-type]
        for step in (0.5, "1", 1 << 63):
            with pytest.raises(InputError, match="metric 'auc'"):
                run.log("auc", 0.5, step=step)  # type: ignore[arg-type]
        for name in ("", "a\nb", 5, "x" * 300):
            with pytest.raises(InputError, match="cannot name a metric"):
                run.log(name, 0.5)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="metric 'b'"):
            run.log_many({"a": 1.0, "b": "x"})  # type: ignore[dict-item]
        with pytest.raises(InputError, match="tag 'stage'"):
            run.tag("stage", 5)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="cannot be read"):
            run.attach("curve", Path("nowhere.png"))
        assert runs.metrics(run.id).height == 0


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", "dcba"),
        ("name = 'a'", "a"),
        ("metrics.auc > 0.7", "a"),
        ("metrics.auc > 0.5 and rate >= 1", "b"),
        ("depth > 5", "ca"),
        ("depth = 'auto'", "b"),
        ("depth = 'auto' or rate < 0.7", "ba"),
        ("kind in ('x', 'y')", "a"),
        ("tags.stage = 'it''s'", "a"),
        ("stage is not null and not status = 'running'", "a"),
        ("model.deep", "b"),
        ("parameters.model.deep = true", "b"),
        ('metrics."odd-name" = 1', "b"),
        ('"odd-name" > 0', "b"),
        ("status = 'failed' and error like '%ZeroDivision%'", "c"),
        ("loss > 0", "d"),  # NaN is as if it were not there
        ("begun < '2026-11-26'", "a"),
        ("begun >= '2026-11-26T12:00:00.000000Z'", "dcb"),
        ("seconds < 100 and actor = 'ana'", "cba"),
        ("version is null and (depth = 6 or depth = 8)", "ca"),
        ("metrics.auc = max(metrics.auc)", "a"),
        ("true", "dcba"),
        ("name = '\"odd) name'", ""),
    ],
)
def test_conditions(four: Runs, where: str, expected: str) -> None:
    assert names(four.search(where)) == expected


def test_order_and_limit(four: Runs) -> None:
    assert names(four.search(order="metrics.auc")) == "badc"
    assert names(four.search(order="metrics.auc desc, name desc")) == "abdc"
    assert names(four.search(order="name", limit=2)) == "ab"
    assert names(four.search("loss > 0 or depth = 8", order="name ASC", limit=5)) == "cd"
    assert names(four.search("name = 'd'", order="metrics.auc")) == "d"
    assert four.search(limit=0) == []
    with pytest.raises(InputError, match="limit"):
        four.search(limit=-1)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("depht = 6", r"no run has 'depht' .*expected one of id, .*depth.*did you mean depth\?"),
        ("tags.stag = 'x'", r"no run has 'tags.stag'"),
        ("auc > 0.7", r"names several things .*expected parameters.auc or metrics.auc"),
        ("depth", "is of type Int64, and not a condition"),
        ("rate > 'high'", "cannot be asked"),
        ("depth >", "cannot be read"),
        ("depth = 6 rate = 2", "cannot be read"),
        ("depth = 6) or (rate = 2", "cannot be read"),
        ("depth = 6) rate", "cannot be read"),
        ("kind = x", "no run has 'x'.*single quotes"),
        ("select 1", "cannot be asked"),
    ],
)
def test_a_wrong_condition_is_explained(four: Runs, where: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        four.search(where)
    with pytest.raises(InputError, match="order"):
        four.search(order="depht")


def test_searching_nothing(runs: Runs) -> None:
    assert runs.search("auc > 0.7", order="auc") == []
    assert runs.frame().height == 0
    with pytest.raises(InputError, match="cannot be read"):
        runs.search("auc >")


def test_odd_names(runs: Runs) -> None:
    odd = {'a"b': 1, "c d": 2, "it's": 3, "e.f": 4, "tags.g": 5, "name": 6, "é": 7}
    with runs.begin("odd", parameters=odd):
        pass
    for where in (
        '"a""b" = 1', '"c d" = 2', '"it\'s" = 3', "e.f = 4", "parameters.e.f = 4", "parameters.tags.g = 5",
        "parameters.name = 6", "name = 'odd'", "é = 7", 'parameters."é" = 7',
    ):  # fmt: skip
        assert names(runs.search(where)) == "odd", where


def test_as_a_frame(four: Runs) -> None:
    frame = four.frame()
    assert frame["name"].to_list() == list("dcba")
    assert frame["parameters.rate"].to_list() == [None, None, 1.0, 0.5]
    assert frame["parameters.depth"].to_list() == [None, "8", "auto", "6"]
    assert frame["tags.stage"].to_list() == ["y", None, None, "it's"]
    assert four.frame(four.search("name = 'a'")).height == 1


def test_by_the_beginning_of_an_id(runs: Runs) -> None:
    ids = [runs.begin("late").id for _ in range(17)]
    assert runs.get(ids[3]).id == ids[3]
    first = next(one for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with pytest.raises(InputError, match=f"runs begin with '{first[0]}'"):
        runs.get(first[0])
    for nothing in ("", "xyz"):
        with pytest.raises(NotFoundError, match="there is no run"):
            runs.get(nothing)


def test_comparison(four: Runs) -> None:
    with four.begin("e", parameters={"depth": 6, "rate": 0.25, "kind": "x"}) as run:
        run.log("auc", 0.9, step=5)
        run.log("auc", 0.7, step=2)
    ids = [one.id for one in four.search("name = 'a' or name = 'e'", order="name")]
    found = four.compare([one[:8] for one in ids])
    assert [one.name for one in found.runs] == ["a", "e"]
    assert found.parameters == {"rate": [0.5, 0.25]}
    assert found.same == {"depth": 6, "kind": "x"}
    assert found.metrics == {"auc": [0.8, 0.7]}
    assert found.curves == {"auc": [[(0, 0.8)], [(2, 0.7), (5, 0.9)]]}
    assert found.as_dict()["runs"][0]["name"] == "a"
    with pytest.raises(InputError, match="two runs or more"):
        four.compare([ids[0], ids[0]])


def test_many_columns_are_cut_in_the_error() -> None:
    run = RunRecord("0" * 16, parameters={f"p{number}": 1 for number in range(100)})
    with pytest.raises(InputError, match="and 68 more"):
        search(decode_runs(encode([run])), "nothing = 1", "", None)
