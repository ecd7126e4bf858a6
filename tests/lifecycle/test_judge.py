"""Judging, promoting, the tick and the trace, on a replayed clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import ConflictError, NotFoundError
from backstay.core.times import HOUR, MINUTE, instant
from backstay.lifecycle.judge import judge, promote
from backstay.lifecycle.tick import open_candidates
from backstay.project import GateRefused, Project
from backstay.registry.versions import ModelVersion
from backstay.rollout import Verdict
from tests.serving import shop

START = instant(shop.SECOND)
PERIOD_END = START + HOUR + 5 * 24 * HOUR  # after the embargo, the policy's five days
MATURE = PERIOD_END + 2 * HOUR + MINUTE  # and the labels' two hours and the source's minute


def project_at(path: Path, moment: int) -> Project:
    return Project(path, clock=ReplayClock(moment), actor="test")


def planted(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("size") * 60)


def test_a_candidate_is_judged_once_its_period_is_mature_and_not_before(path: Path) -> None:
    project = project_at(path, MATURE - 1)
    early = project.judge(2, "late")
    assert (early.decision.verdict, early.final, early.against) == (Verdict.INSUFFICIENT, False, 1)
    assert [check.name for check in early.decision.checks] == ["period_mature"]  # an early look is not taken
    assert early.interval() is None
    assert "the policy judges on 5d" in early.decision.reason
    assert [version.number for version in open_candidates(project.records, project.model("late"))] == [2]
    project.clock.advance(MATURE)  # type: ignore[attr-defined]
    judged = project.judge(2, "late")
    assert judged.final
    assert (judged.start, judged.end) == (START + HOUR, PERIOD_END)
    assert judged.decision.checks[0].verdict is Verdict.PASS
    assert judged.rows > 150
    interval = judged.interval()
    assert interval is not None
    assert interval["low"] <= interval["estimate"] <= interval["high"]
    assert open_candidates(project.records, project.model("late")) == []


def test_the_tick_does_what_is_due_and_only_once(path: Path) -> None:
    project = project_at(path, START + 24 * HOUR)
    assert project.tick("late").judged == project.tick("late").trained == ()
    project.clock.advance(MATURE - 1)  # type: ignore[attr-defined]
    ticked = project.tick("late")
    assert ticked.judged == ()
    assert [version.number for version in ticked.trained] == [3]
    project.clock.advance(MATURE)  # type: ignore[attr-defined]
    ticked = project.tick("late")
    assert [judgement.number for judgement in ticked.judged] == [2]
    assert [move.to for move in ticked.promoted] == ([2] if ticked.judged[0].decision.verdict is Verdict.PASS else [])
    again = project.tick("late")
    assert (again.judged, again.promoted, again.trained) == ((), (), ())


def before(project: Project, kind: str, act: Callable[[], object]) -> None:
    """Have something happen once, before the project's ledger gets an entry of this kind."""
    ledger: Any = project.services.ledger
    append, acts = ledger.append, [act]

    def instead(given: str, *more: Any, **named: Any) -> Any:
        if given == kind and acts:
            acts.pop()()
        return append(given, *more, **named)

    ledger.append = instead


def test_of_ticks_at_once_one_trains(path: Path) -> None:
    moment = START + 5 * 24 * HOUR
    project, other = project_at(path, moment), project_at(path, moment)
    trained: list[ModelVersion] = []
    before(project, "retrain", lambda: trained.extend(other.tick("late").trained))  # both saw that one is due
    ticked = project.tick("late")
    assert ([one.number for one in trained], ticked.trained) == ([3], ())
    assert ticked.waiting == ("a version is being trained: another tick began just now",)
    assert [version.number for version in project.versions("late")] == [1, 2, 3]


def test_the_claim_of_a_process_that_was_killed_ends(path: Path) -> None:
    project = project_at(path, START + 5 * 24 * HOUR)
    records = project.records

    def broken() -> None:
        raise RuntimeError("no memory")

    before(project, "data", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        project.tick("late")
    claim = records.ledger.last("retrain", "late")
    assert claim is not None
    assert claim.body["until"] == project.clock.now()  # a training that failed holds nothing up
    held = {**claim.body, "until": project.clock.now() + HOUR}
    records.ledger.append("retrain", "late", held, at=claim.at, actor="killed")
    assert project.tick("late").waiting == ("a version is being trained: killed began at 2024-02-25T00:00:00Z",)
    project.clock.advance(project.clock.now() + HOUR)  # type: ignore[attr-defined]
    assert len(project.tick("late").trained) == 1


def test_a_champion_that_comes_between_is_told(path: Path) -> None:
    text = (path / "models.py").read_text()
    text = text.replace('metric="auc", ', 'metric="auc", margin=-0.3, ').replace('judge_after="5d"', 'judge_after="7d"')
    (path / "models.py").write_text(text)
    project = project_at(path, MATURE + 2 * 24 * HOUR)
    before(project, "alias", lambda: shop.move_champion(project_at(path, project.clock.now()), 1))
    ticked = project.tick("late")
    assert (ticked.promoted, ticked.judged[0].decision.verdict) == ((), Verdict.PASS)
    assert "version 2 passed, and another became champion meanwhile" in ticked.waiting[0]


def test_a_planted_unit_error_fails_and_is_named(path: Path) -> None:
    project = project_at(path, START)
    version = project.train("late", alter=planted, note="planted: size in sixtieths")
    project.clock.advance(MATURE)  # type: ignore[attr-defined]
    with pytest.raises(GateRefused, match="feature size was trained on values") as refused:
        project.promote(version.number, "late")
    judgement = refused.value.judgement
    assert judgement is not None
    assert judgement.decision.verdict is Verdict.FAIL
    failed = [check for check in judgement.decision.checks if check.verdict is Verdict.FAIL]
    (units,) = [check for check in failed if check.name == "trained_as_served"]
    assert "size" in [shift["feature"] for shift in units.evidence["shifts"]]  # type: ignore[attr-defined]
    move = project.records.registry.alias("late", "champion")
    assert move is not None
    assert move.to == 1
    entry = project.records.ledger.entries(kind="gate")[-1]
    assert entry.id == judgement.entry_id
    assert entry.body["decision"]["verdict"] == "FAIL"
    assert version.manifest.note == "planted: size in sixtieths"


def test_a_promotion_holds_only_against_the_champion_it_met(tmp_path: Path) -> None:
    project = project_at(shop.write(tmp_path / "shop"), instant(shop.FIRST))
    project.ingest()
    model, records = project.model("late"), project.records
    for seed in (0, 1):
        project.train("late", holdout="14d", seed=seed)
    first, second = (judge(records, model, number, as_of=instant(shop.FIRST)) for number in (1, 2))
    assert first.decision.verdict is second.decision.verdict is Verdict.PASS  # both against the base rate
    assert promote(records, model, first).to == 1
    with pytest.raises(ConflictError):
        promote(records, model, second)  # the champion came between: this comparison was never made
    move = records.registry.alias("late", "champion")
    assert move is not None
    assert (move.to, move.previous, move.evidence["gate"]) == (1, None, first.entry_id)
    assert move.evidence["reason"] == first.decision.reason


def test_a_trace_has_everything_behind_a_prediction(served: Path) -> None:
    project = project_at(served, instant("2024-03-20"))
    logged = shop.logged(served)[200]
    found = project.trace(logged.id)
    version = project.versions("late")[0]
    manifest = version.manifest
    told = found.as_dict()
    assert told["prediction"] | {"id": logged.id, "score": logged.score, "keys": logged.keys} == told["prediction"]
    assert [one["feature"] for one in found.features] == [feature.name for feature in project.model("late").features]
    for one, value in zip(found.features, logged.values, strict=True):
        assert one["status"] in ("OK", "NULL", "MISSING", "EXPIRED")
        if one["feature"] != "due":
            assert one["value"] == value
        if one["from"] in ("orders.shop", "orders.counter") and one["status"] == "OK":
            assert one["event_time"] < found.prediction["at"]
            assert one["age"]
    assert (found.version["number"], found.version["digest"]) == (1, version.digest)
    assert found.version["dataset"]["digest"] == manifest.dataset.digest
    assert found.version["feature_set"]["hash"] == project.model("late").features.hash
    assert found.version["parameters"]["n_estimators"] == 10
    assert found.version["code"].keys() == {"commit", "dirty", "lock"}
    assert found.promotion is not None
    assert found.gate is not None
    assert found.promotion["evidence"]["gate"] == found.gate["entry"]
    assert (found.gate["verdict"], found.promotion["by"]) == ("PASS", "test")
    outcome = project.services.events.read("orders").filter(pl.col("order") == logged.keys["order"])
    assert (found.label["value"], found.label["void"], found.label["mature"]) == (outcome["late"][0], False, True)


def test_a_trace_before_the_label_came(served: Path) -> None:
    logged = shop.logged(served)[200]
    label = project_at(served, logged.at + MINUTE).trace(logged.id).label
    assert (label["value"], label["mature"]) == (None, False)
    with pytest.raises(NotFoundError, match="there is no prediction"):
        project_at(served, START).trace("0" * 32)
