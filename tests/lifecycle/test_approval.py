"""High stakes: another person than the author says yes before a version serves anybody."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError, DefinitionError, InputError
from backstay.core.times import instant
from backstay.lifecycle.approval import ApprovalNeeded, approved
from backstay.lifecycle.judge import judge
from backstay.lifecycle.overrides import override
from backstay.project import Project
from tests.serving import shop

Opened = Callable[[str], Project]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """The project as one of its people: ann trained version 1, and nothing is champion yet."""
    path = shop.write(tmp_path / "shop")
    models = path / "models.py"
    text = models.read_text()
    models.write_text(text.replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    clock = ReplayClock(instant(shop.FIRST))
    first = Project(path, clock=clock, actor="ann")
    first.ingest()
    first.train("late", as_of=shop.FIRST, holdout="14d")
    return lambda actor: first if actor == "ann" else Project(path, clock=clock, actor=actor)


def promoted(project: Project) -> int | None:
    move = project.records.registry.alias("late", "champion")
    return None if move is None else move.to


def test_nobody_is_promoted_without_another_person(opened: Opened) -> None:
    ann, bob = opened("ann"), opened("bob")
    with pytest.raises(ApprovalNeeded, match="waits for approval by another person than ann"):
        ann.promote(1, "late", as_of=shop.FIRST)
    with pytest.raises(InputError, match="has not been judged"):
        bob.decide(1, "approve", "late", why="it looks fine")
    assert ann.judge(1, "late", as_of=shop.FIRST).decision.verdict == "PASS"
    with pytest.raises(InputError, match="ann made version 1, and cannot approve it"):
        ann.decide(1, "approve", "late", why="it is mine")
    for why in ("", "  \n"):
        with pytest.raises(InputError, match="there is no reason"):
            bob.decide(1, "approve", "late", why=why)
    assert promoted(ann) is None
    approval = bob.decide(1, "approve", "late", why="looked at the slices")
    move = ann.promote(1, "late", as_of=shop.FIRST)
    assert move.to == 1
    assert move.evidence["approval"] == {"entry": approval.entry_id, "by": "bob", "why": "looked at the slices"}


def test_the_evidence_that_was_there_to_see_is_kept(opened: Opened) -> None:
    bob = opened("bob")
    bob.judge(1, "late", as_of=shop.FIRST)
    approval = bob.decide(1, "approve", "late", why="fine")
    bundle = json.loads(bob.records.registry.kept(approval.bundle))
    version = bob.records.registry.get("late", 1)
    assert (bundle["version"], bundle["author"], bundle["digest"]) == ("late/1", "ann", version.digest)
    assert bundle["gates"][-1]["entry"] == approval.gate
    assert bundle["gates"][-1]["decision"]["verdict"] == "PASS"
    assert bundle["manifest"]["dataset"]["digest"] == version.manifest.dataset.digest
    assert bob.archive.audit().sound
    with bob.run("late") as run:
        attached = run.attach("notes.txt", b"what was seen")
    for digest in (approval.bundle, attached):
        shop.tamper(bob.services.home / "artifacts" / digest[:2] / digest[2:])
    told = [one.what for one in bob.archive.audit().problems]
    assert len(told) == 2
    assert all(any(digest[:12] in what for what in told) for digest in (approval.bundle, attached))


def test_a_rejection_stands_until_it_is_taken_back(opened: Opened) -> None:
    ann, bob, eve = opened("ann"), opened("bob"), opened("eve")
    ann.judge(1, "late", as_of=shop.FIRST)
    bob.decide(1, "approve", "late", why="fine")
    eve.decide(1, "reject", "late", why="worse at night")
    with pytest.raises(ApprovalNeeded, match="was rejected by eve: worse at night"):
        ann.promote(1, "late", as_of=shop.FIRST)
    bob.decide(1, "approve", "late", why="eve agrees now")
    assert ann.promote(1, "late", as_of=shop.FIRST).evidence["approval"]["by"] == "bob"


def test_an_approval_is_of_one_comparison(opened: Opened) -> None:
    """Approved where there was no champion; then another became champion."""
    ann, bob = opened("ann"), opened("bob")
    ann.judge(1, "late", as_of=shop.FIRST)
    second = ann.train("late", as_of=shop.FIRST, holdout="14d", seed=5)
    ann.judge(second.number, "late", as_of=shop.FIRST)
    bob.decide(1, "approve", "late", why="fine")
    bob.decide(second.number, "approve", "late", why="fine too")
    ann.promote(1, "late", as_of=shop.FIRST)
    with pytest.raises(ApprovalNeeded, match="was approved when there was no champion; it is version 1 now"):
        ann.promote(second.number, "late", as_of=shop.FIRST)


def test_a_tick_waits_and_does_not_judge_again_and_again(opened: Opened) -> None:
    ann, bob = opened("ann"), opened("bob")
    first = ann.tick("late")
    assert [one.decision.verdict for one in first.judged] == ["PASS"]
    assert (first.promoted, len(first.waiting)) == ((), 1)
    assert "waits for approval" in first.waiting[0]
    again = ann.tick("late")
    assert (again.judged, again.promoted, again.waiting) == ((), (), first.waiting)
    bob.decide(1, "approve", "late", why="fine")
    done = ann.tick("late")
    assert [move.to for move in done.promoted] == [1]
    assert done.waiting == ()


def test_neither_is_it_given_a_share_but_it_may_be_a_shadow(opened: Opened) -> None:
    ann, bob = opened("ann"), opened("bob")
    ann.judge(1, "late", as_of=shop.FIRST)
    bob.decide(1, "approve", "late", why="fine")
    ann.promote(1, "late", as_of=shop.FIRST)
    second = ann.train("late", as_of=shop.FIRST, seed=5)
    with pytest.raises(ApprovalNeeded):
        ann.routes.set({f"v{second.number}": 0.1}, "late", why="canary")
    ann.routes.set({}, "late", shadow=[f"v{second.number}"], why="to look at it")


def test_it_takes_the_role(opened: Opened) -> None:
    ann, bob = opened("ann"), opened("bob")
    ann.judge(1, "late", as_of=shop.FIRST)
    ann.access.grant("bob", "promote", "order")
    with pytest.raises(AccessError, match=r"bob may not approve versions of model 'late'.*the role approve"):
        bob.decide(1, "approve", "late", why="fine")
    ann.access.grant("bob", "approve", "order")
    assert bob.decide(1, "approve", "late", why="fine").by == "bob"


def test_stakes_are_low_or_high() -> None:
    from backstay import Model

    with pytest.raises(DefinitionError, match="stakes='medium'"):
        Model("m", features=None, label=None, ask=None, estimator=list, stakes="medium")  # type: ignore[arg-type]


def test_an_approval_is_of_what_the_gate_said(opened: Opened) -> None:
    """The same answer again keeps it; another policy and an override do not, nor does taking the override back."""
    ann, bob = opened("ann"), opened("bob")
    ann.judge(1, "late", as_of=shop.FIRST)
    approval = bob.decide(1, "approve", "late", why="it passed")
    version, model = bob.records.registry.get("late", 1), copy.copy(bob.model("late"))
    ann.judge(1, "late", as_of=shop.FIRST)
    assert approved(bob.records, model, version) == approval
    model.gate = replace(model.gate, feature_tests=True)
    judge(bob.records, model, 1, as_of=instant(shop.FIRST))
    override(bob.records, model, 1, "feature_tests", "trust me")
    said = rf"approved by bob on its gate's answer of entry {approval.gate}; it says another thing now, PASS:.*trust me"
    with pytest.raises(ApprovalNeeded, match=said):
        approved(bob.records, model, version)
    again = bob.decide(1, "approve", "late", why="I have seen the override")
    assert approved(bob.records, model, version) == again
    override(bob.records, model, 1, "feature_tests", "no", withdraw=True)
    with pytest.raises(ApprovalNeeded, match="another thing now, INSUFFICIENT"):
        approved(bob.records, model, version)


def test_an_approval_of_before_holds_for_the_answer_that_it_names(opened: Opened) -> None:
    bob = opened("bob")
    judged = bob.judge(1, "late", as_of=shop.FIRST)
    body = {"decision": "approve", "why": "fine", "against": None, "gate": judged.entry_id, "bundle": "",
            "manifest": judged.manifest}  # fmt: skip
    bob.records.ledger.append("approval", "late/1", body, at=bob.records.clock.now(), actor="bob")
    version, model = bob.records.registry.get("late", 1), bob.model("late")
    assert approved(bob.records, model, version) is not None
    bob.judge(1, "late", as_of=shop.FIRST)
    with pytest.raises(ApprovalNeeded, match="it has answered again since, PASS"):
        approved(bob.records, model, version)
