"""Answers that hold and overrides, on real records: who may, what for, how long; evidence; holdout reuse."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import Contract, Expect, Parity
from backstay.core.clock import ReplayClock
from backstay.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from backstay.core.times import DAY, instant
from backstay.definitions import Model
from backstay.features.ingest import quarantined
from backstay.lifecycle.about import about
from backstay.lifecycle.card import card
from backstay.lifecycle.evidence import record_tests
from backstay.lifecycle.gates import standing, where_it_stands
from backstay.lifecycle.judge import is_refresh, judge, promote
from backstay.lifecycle.overrides import in_force, override, overrides
from backstay.lifecycle.records import Records
from backstay.lifecycle.tick import judge_due
from backstay.project import Gates, Project
from backstay.rollout import Check, Verdict
from tests.serving import shop

FIRST = instant(shop.FIRST)
WHY = "the night flights end in May"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = shop.write(tmp_path_factory.mktemp("gates") / "shop")
    project = Project(path, clock=ReplayClock(FIRST), actor="ana")
    project.ingest()
    for seed in range(2):
        project.train("late", holdout="14d", seed=seed)
    project.close()
    return path


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Project]:
    project = Project(shop.copied(trained, tmp_path), clock=ReplayClock(FIRST), actor="bob")
    yield project
    project.close()


def declared(project: Project, **gate: Any) -> Model:
    model = copy.copy(project.model("late"))
    model.gate = replace(model.gate, **gate)
    return model


def as_actor(project: Project, actor: str) -> Records:
    return replace(project.records, actor=actor)


def advance(project: Project, by: int) -> None:
    project.clock.advance(project.clock.now() + by)  # type: ignore[attr-defined]


def named(checks: tuple[Check, ...], name: str) -> Check:
    (found,) = (check for check in checks if check.name == name)
    return found


def test_an_answer_stands_until_it_expires(project: Project) -> None:
    model, records = declared(project, expires="3d"), project.records
    version = records.registry.get("late", 1)
    assert standing(records, model, version, as_of=FIRST) is None
    made = judge(records, model, 1, as_of=FIRST)
    assert standing(records, model, version, as_of=FIRST) == made
    assert (made.expires, made.manifest) == (FIRST + 3 * DAY, version.digest)
    assert standing(records, model, version, as_of=FIRST + 3 * DAY - 1) is not None
    assert standing(records, model, version, as_of=FIRST + 3 * DAY) is None
    assert "expired on 2024-02-17" in where_it_stands(records, model, version, as_of=FIRST + 3 * DAY).why
    advance(project, 3 * DAY)
    with pytest.raises(RefusedError, match="expired"):
        promote(records, model, made)
    again = judge(records, model, 1, as_of=project.clock.now())
    assert promote(records, model, again).to == 1
    assert standing(records, model, version, as_of=project.clock.now()) is not None  # it is champion itself


def test_an_answer_falls_with_the_champion_it_met(project: Project) -> None:
    model, records = declared(project), project.records
    judge(records, model, 1, as_of=FIRST)
    shop.move_champion(project, 2)
    version = records.registry.get("late", 1)
    found = where_it_stands(records, model, version, as_of=FIRST)
    assert found.why == "it was compared with the base rate; version 2 is champion now"
    assert standing(records, model, version, as_of=FIRST) is None


@pytest.mark.parametrize(
    ("check", "why", "actor", "said"),
    [("feature_tests", " ", "bob", "there is no reason"), ("feature_tests", WHY, "ana", "ana made version 1"),
     ("period_mature", WHY, "bob", "nothing was looked at"), ("scores_sound", WHY, "bob", "decides nothing"),
     ("better_than_constant", WHY, "bob", "was passed"), ("speed", WHY, "bob", "no check 'speed'")],
)  # fmt: skip
def test_what_cannot_be_overridden(project: Project, check: str, why: str, actor: str, said: str) -> None:
    model = declared(project, feature_tests=True)
    judge(project.records, model, 1, as_of=FIRST)
    with pytest.raises(InputError, match=said):
        override(as_actor(project, actor), model, 1, check, why)
    assert overrides(project.records, project.records.registry.get("late", 1)) == []


def test_an_override_needs_an_answer_that_holds(project: Project) -> None:
    model = declared(project, feature_tests=True)
    with pytest.raises(InputError, match="has not been judged"):
        override(project.records, model, 1, "feature_tests", WHY)
    with pytest.raises(NotFoundError, match="none with number 9"):
        override(project.records, model, 9, "feature_tests", WHY)
    judge(project.records, model, 1, as_of=FIRST)
    for expires in ("0s", "soon"):
        with pytest.raises(InputError):
            override(project.records, model, 1, "feature_tests", WHY, expires=expires)
    with pytest.raises(InputError, match="no override of"):
        override(project.records, model, 1, "feature_tests", WHY, withdraw=True)
    advance(project, 40 * DAY)
    with pytest.raises(InputError, match="expired"):
        override(project.records, model, 1, "feature_tests", WHY)


def test_an_override_counts_while_it_holds_and_is_seen(project: Project) -> None:
    model, records = declared(project, feature_tests=True), project.records
    version = records.registry.get("late", 1)
    before = judge(records, model, 1, as_of=FIRST)
    assert before.decision.verdict is Verdict.INSUFFICIENT
    made = override(records, model, 1, "feature_tests", WHY, expires="2d")
    now = standing(records, model, version, as_of=FIRST)
    assert now is not None
    assert now.decision.verdict is Verdict.PASS  # the answer that was given, with the override since
    check = named(now.decision.checks, "feature_tests")
    assert (check.verdict, check.override) == (
        Verdict.INSUFFICIENT, {"by": "bob", "why": WHY, "until": FIRST + 2 * DAY, "entry": made.entry_id},
    )  # fmt: skip
    later = standing(records, model, version, as_of=FIRST + 2 * DAY)
    assert later is not None
    assert later.decision.verdict is Verdict.INSUFFICIENT
    advance(project, DAY)  # the tick takes it up again, on the rows that the override is about
    judged, promoted, _ = judge_due(records, model)
    assert [(one.number, one.decision.verdict, one.as_of) for one in judged][:1] == [(1, Verdict.PASS, FIRST)]
    assert promoted[0].evidence["overridden"]["feature_tests"]["why"] == WHY
    told = about(records, "shop", model, 1)
    assert told.overrides[0]["by"] == "bob"
    page = str(card(told))
    assert f"feature_tests says INSUFFICIENT, and bob overrides it: {WHY}" in page
    assert page.count(WHY) >= 3


def test_an_override_excuses_no_fail_that_comes_later(project: Project) -> None:
    model, records = declared(project, feature_tests=True), project.records
    judge(records, model, 1, as_of=FIRST)
    override(records, model, 1, "feature_tests", WHY)
    assert judge(records, model, 1, as_of=FIRST).decision.verdict is Verdict.PASS
    record_tests(records, model, b"<testsuite><testcase><failure/></testcase></testsuite>")
    failed = judge(records, model, 1, as_of=FIRST)
    assert failed.decision.verdict is Verdict.FAIL
    assert named(failed.decision.checks, "feature_tests").override is None


def test_an_override_is_of_what_was_found(project: Project) -> None:
    """The same rows by the same policy: it counts. Another bound, or other rows: it does not. It can be taken back."""
    model, records = declared(project, feature_tests=True, margin=0.9), project.records
    version, name = records.registry.get("late", 1), "better_than_constant"
    assert named(judge(records, model, 1, as_of=FIRST).decision.checks, name).verdict is not Verdict.PASS
    override(records, model, 1, name, WHY)
    assert named(judge(records, model, 1, as_of=FIRST).decision.checks, name).override is not None
    for change, when in (({"margin": 0.95}, FIRST), ({"margin": 0.9}, FIRST - 3 * DAY)):
        other = declared(project, feature_tests=True, **change)
        check = named(judge(records, other, 1, as_of=when).decision.checks, name)
        assert (check.override, check.verdict is Verdict.PASS) == (None, False)
    fine = declared(project, feature_tests=True)
    assert named(judge(records, fine, 1, as_of=FIRST).decision.checks, name).verdict is Verdict.PASS
    advance(project, 40 * DAY)
    assert override(records, fine, 1, name, "no more", withdraw=True).withdrawn
    assert in_force(records, version, as_of=project.clock.now()) == []


def test_an_override_of_before_is_of_its_sentence(project: Project) -> None:
    model, records = declared(project, feature_tests=True), project.records
    found = judge(records, model, 1, as_of=FIRST)
    check = named(found.decision.checks, "feature_tests")
    for reason, counts in (("another sentence", False), (check.reason, True)):
        body = {"manifest": found.manifest, "check": check.name, "verdict": check.verdict.value, "why": WHY,
                "reason": reason, "against": None, "gate": found.entry_id, "withdrawn": False,
                "until": None}  # fmt: skip
        records.ledger.append("override", "late/1", body, at=FIRST, actor="bob")
        again = judge(records, model, 1, as_of=FIRST)
        assert (named(again.decision.checks, "feature_tests").override is not None) == counts


def test_an_override_is_of_one_version_against_one_champion(project: Project) -> None:
    model, records = declared(project, feature_tests=True), project.records
    judge(records, model, 1, as_of=FIRST)
    override(records, model, 1, "feature_tests", WHY)
    other = judge(records, model, 2, as_of=FIRST)
    assert named(other.decision.checks, "feature_tests").override is None
    shop.move_champion(project, 2)
    against = judge(records, model, 1, as_of=FIRST)
    assert named(against.decision.checks, "feature_tests").override is None


def test_two_who_decide_at_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    model, records = declared(project, feature_tests=True), project.records
    judge(records, model, 1, as_of=FIRST)
    ledger = records.ledger
    last = ledger.last
    override(records, model, 1, "feature_tests", WHY)
    monkeypatch.setattr(
        ledger, "last", lambda kind, subject, **more: None if kind == "override" else last(kind, subject, **more)
    )
    with pytest.raises(ConflictError, match="somebody else decided first"):
        override(records, model, 1, "feature_tests", WHY)


def test_the_facade_asks_for_the_role(project: Project) -> None:
    project.access.grant("carl", "read_offline")
    other = Project(project.path, clock=project.clock, actor="carl")
    try:
        assert Gates(other).check("latest", "late").number == 2
        with pytest.raises(Exception, match="the role approve"):
            Gates(other).override(2, "better_than_constant", "late", why=WHY)
    finally:
        other.close()
    gates = Gates(project)
    assert gates.standing(2, "late").judgement is not None
    assert gates.overrides(2, "late") == []
    for wrong, said in (("foo", "is no version"), ("7", "none with number 7"), ("-1", "none with number -1")):
        with pytest.raises((InputError, NotFoundError), match=said):
            gates.check(wrong, "late")
    with pytest.raises(InputError, match="cannot be read"):
        gates.check(1, "late", tests="nothing.xml")


def test_holdout_reuse_is_counted(project: Project) -> None:
    model, records = declared(project), project.records
    first = judge(records, model, 1, as_of=FIRST)
    assert (first.reuse.candidates, first.reuse.looks, first.reuse.warning) == (1, 1, "")
    assert judge(records, model, 1, as_of=FIRST).reuse.candidates == 1  # the same comparison is no further look
    second = judge(records, model, 2, as_of=FIRST)
    assert (second.reuse.candidates, second.reuse.looks) == (2, 2)
    assert second.reuse.level == pytest.approx(0.975)
    assert second.reuse.verdict == "PASS"
    assert "have judged 2 candidates" in second.reuse.warning


def test_a_refresh_is_known_and_has_its_margin(project: Project) -> None:
    records = project.records
    one, two = (records.registry.get("late", number) for number in (1, 2))
    assert is_refresh(two, one)
    assert not is_refresh(one, one)
    shop.move_champion(project, 1)
    strict = judge(records, declared(project), 2, as_of=FIRST)
    assert (strict.refresh, strict.margin) == (True, 0.0)
    loose = judge(records, declared(project, refresh_margin=-0.2), 2, as_of=FIRST)
    assert loose.margin == -0.2
    assert named(loose.decision.checks, "better_than_champion").verdict is Verdict.PASS
    parameters = {**two.manifest.parameters, "n_estimators": 11}
    assert not is_refresh(replace(two, manifest=_changed(two.manifest, parameters=parameters)), one)


def _changed(manifest: Any, **fields: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(manifest, **fields)


def test_contracts_of_the_training_window(project: Project) -> None:
    model, records = declared(project, quarantined=0.01), project.records
    source = model.ask.source
    contract, source.contract = source.contract, Contract(Expect.not_null("shop"))
    try:
        assert _contracts(records, model).verdict is Verdict.PASS
        rows = [{"paid": "2024-01-10T00:00:00Z"}] * 30 + [{"paid": "2024-06-01T00:00:00Z"}] * 900
        _quarantine(records, source, rows)  # those of June are of no training window
        kept = _contracts(records, model)
        assert kept.verdict is Verdict.FAIL
        assert "orders: 30 of" in kept.reason
        _quarantine(records, source, [{"paid": "gibberish"}, ["no row at all"]])
        assert "orders: 32 of" in _contracts(records, model).reason  # a time that can't be read is of every window
    finally:
        source.contract = contract


def _quarantine(records: Records, source: Any, rows: list[Any]) -> None:
    bad = pl.DataFrame({
        "expectation": ["not_null(shop)"] * len(rows), "reason": ["shop is missing"] * len(rows),
        "row": [json.dumps(row) for row in rows],
    })  # fmt: skip
    records.events.append(source.quarantine, quarantined(bad, now=FIRST, origin="ingest"))


def _contracts(records: Records, model: Model) -> Check:
    return named(judge(records, model, 1, as_of=FIRST).decision.checks, "contracts_kept")


def test_parity_of_what_was_served_lately(life: Path) -> None:
    moment = instant(shop.SECOND) + 8 * DAY
    with_log = Project(life, clock=ReplayClock(moment), actor="bob")
    try:
        records = with_log.records
        wide = declared(with_log, parity=Parity(window="30d", sample=60, minimum=50))
        found = named(judge(records, wide, 2, as_of=moment).decision.checks, "parity_proven")
        assert (found.verdict, found.evidence["checked"]) == (Verdict.PASS, 60)
        old = declared(with_log, parity=Parity(window="1s", sample=60, minimum=50))
        stale = named(judge(records, old, 2, as_of=moment + 30 * DAY).decision.checks, "parity_proven")
        assert stale.verdict is Verdict.INSUFFICIENT
    finally:
        with_log.close()
