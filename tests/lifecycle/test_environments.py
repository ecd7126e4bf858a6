"""A version goes from one project to another with its evidence, and nothing that was changed on the way arrives."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import AccessError, BackstayError, InputError, IntegrityError, NotFoundError, RefusedError
from backstay.core.identity import canonical_json
from backstay.core.times import instant
from backstay.lifecycle.approval import ApprovalNeeded
from backstay.lifecycle.environments import Parcel, arrive, packed
from backstay.project import Project
from tests.lifecycle.rolling import Life, declared
from tests.serving import shop

CLOCK = ReplayClock(instant(shop.SECOND))


@pytest.fixture
def development(path: Path) -> Project:
    with (path / "backstay.toml").open("a") as file:
        file.write('\n[environments]\nproduction = "../production"\n')
    return Project(path, clock=CLOCK, actor="ann")


@pytest.fixture
def production(development: Project) -> Project:
    folder = shop.write(development.path.parent / "production")
    (folder / "backstay.toml").write_text(shop.TOML.replace('"shop"', '"shop-production"'))
    return Project(folder, clock=CLOCK, actor="ann")


def high(project: Project) -> Project:
    """The same project, of a model with high stakes."""
    models = project.path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    return Project(project.path, clock=CLOCK, actor=project.actor)


def test_a_version_arrives_with_its_evidence(development: Project, production: Project) -> None:
    arrived = development.send(1, "production", "late")
    assert (arrived.version.number, arrived.move.to, arrived.move.previous) == (1, 1, None)
    registry, here = production.records.registry, development.records.registry
    there = registry.get("late", 1)
    assert there.digest == here.get("late", 1).digest
    assert there.author == "test"
    assert registry.file(there, "model.onnx") == here.file(here.get("late", 1), "model.onnx")
    move = registry.alias("late", "champion")
    assert move is not None
    assert move.actor == "ann"
    assert move.evidence["from"]["project"] == "shop"
    document = json.loads(registry.kept(move.evidence["parcel"]))
    assert [one["kind"] for one in document["entries"]] == ["version", "gate", "alias"]
    gate = next(one for one in document["entries"] if one["kind"] == "gate")
    assert gate["digest"] == development.services.ledger.entries(kind="gate")[0].digest
    assert production.archive.audit().sound


def test_the_rule_in_force_comes_along_and_serves_there(development: Project, production: Project) -> None:
    project = Project(development.path, clock=ReplayClock(instant("2024-02-25")), actor="ann")
    project.rules.calibrate(1, "late", kind="isotonic")
    made = project.rules.calibrate(1, "late", kind="platt")
    project.rules.threshold(1, "late", calibration=2, cost=(1, 5))
    project.rules.put(1, "late", calibration=2, threshold=1, why="a missed one costs five")
    project.send(1, "production", "late")
    there = production.rules.show(1, "late")
    assert (there.name, there.why) == ("c1 t1", "as in shop: a missed one costs five")
    assert there.calibration is not None
    assert (there.calibration.digest, there.threshold) == (made.artefact.digest, 1 / 6)
    project.send(1, "production", "late")
    assert len(production.rules.history(1, "late")) == 1
    assert production.archive.audit().sound


def ruled(development: Project) -> Project:
    project = Project(development.path, clock=ReplayClock(instant("2024-02-25")), actor="ann")
    project.rules.calibrate(1, "late", kind="platt")
    return project


def test_a_rule_that_is_taken_back_is_taken_back_there(development: Project, production: Project) -> None:
    project = ruled(development)
    project.rules.put(1, "late", calibration=1, why="probabilities that hold")
    sent = project.send(1, "production", "late").move.evidence["rule"]
    assert sent["judged"] == {}  # the gate judged it as it was trained: that is told
    assert list(sent["in_force"]) == ["calibration"]
    assert production.rules.show(1, "late").name == "c1"
    project.rules.put(1, "late", why="back")
    project.send(1, "production", "late")
    assert production.rules.show(1, "late").name == ""


def test_a_rule_that_was_never_in_force_does_not_arrive(development: Project, production: Project) -> None:
    project = ruled(development)
    made = project.records.rules.get("calibration", project.records.registry.get("late", 1), 1)
    parcel = packed(project.records, "shop", "late", 1)
    document = json.loads(parcel.document) | {"rule": {"calibration": dict(made.document), "threshold": None}}
    arrive(production.records, production.model("late"), replace(parcel, document=canonical_json(document)))
    assert production.rules.show(1, "late").name == ""
    project.rules.put(1, "late", calibration=1, why="probabilities that hold")
    parcel = packed(project.records, "shop", "late", 1)
    document = json.loads(parcel.document)
    document["rule"]["calibration"]["rows"] += 1
    with pytest.raises(IntegrityError, match="not the one that is in force"):
        arrive(production.records, production.model("late"), replace(parcel, document=canonical_json(document)))


def test_twice_is_once(development: Project, production: Project) -> None:
    first = development.send(1, "production", "late")
    again = development.send(1, str(production.path), "late")
    assert again.version == first.version
    assert len(production.records.registry.versions("late")) == 1


def test_what_arrived_is_served_and_traced(development: Project, production: Project) -> None:
    development.send(1, "production", "late")
    production.ingest()
    production.backfill(until=shop.SECOND)
    production.close()
    with shop.Server(production.path, "--replay") as server:
        status, answer = server.ask("POST", "/v1/models/late/predict", json.dumps(shop.request()).encode())
    assert status == 200
    trace = Project(production.path).trace(answer["prediction_id"])
    assert trace.version["origin"]["project"] == "shop"
    assert trace.promotion is not None
    assert trace.promotion["evidence"]["from"]["number"] == 1


def test_a_version_that_did_not_pass_stays(development: Project, production: Project) -> None:
    with pytest.raises(InputError, match="its gate answered nothing: it was not judged"):
        development.send(2, "production", "late")
    development.judge(2, "late", as_of=shop.SECOND)
    with pytest.raises(InputError, match="its gate answered INSUFFICIENT"):
        development.send(2, "production", "late")
    assert production.services.ledger.revision() == 0


def test_other_definitions_refuse_it(development: Project, production: Project) -> None:
    models = production.path / "models.py"
    models.write_text(models.read_text().replace('max_age="2d"', 'max_age="3d"'))
    with pytest.raises(InputError, match="another definition of 'order'"):
        development.send(1, "production", "late")
    assert production.services.ledger.revision() == 0


def test_a_project_that_is_not_there(development: Project) -> None:
    with pytest.raises(NotFoundError, match=r"no environment 'staging' is declared.*; expected production"):
        development.send(1, "staging", "late")


def test_roles_count_on_both_sides(development: Project, production: Project) -> None:
    production.access.grant("bob", "read_online", "order")
    bob = Project(development.path, clock=CLOCK, actor="bob")
    with pytest.raises(AccessError, match=r"bob may not promote a version of model 'late'.*the role promote"):
        bob.send(1, "production", "late")
    production.access.grant("bob", "promote", "order")
    assert bob.send(1, "production", "late").move.actor == "bob"


def test_whoever_came_first_is_not_undone(development: Project, production: Project, monkeypatch) -> None:
    """Another champion was set in production while the parcel was on its way."""
    from backstay.core.errors import ConflictError
    from backstay.lifecycle import environments

    before = environments._verified

    def slow(model, parcel):
        found = before(model, parcel)
        development_move = {"evidence": {"reason": "quicker"}, "at": 1, "actor": "eve", "expect": None}
        other = production.records.registry.register(
            *_read(development, 2), at=1, actor="eve", origin={"author": "eve", "project": "x", "number": 1}
        )
        production.records.registry.move_alias("late", "champion", other.number, **development_move)
        return found

    monkeypatch.setattr(environments, "_verified", slow)
    with pytest.raises(ConflictError, match="moved"):
        development.send(1, "production", "late")
    move = production.records.registry.alias("late", "champion")
    assert move is not None
    assert move.actor == "eve"


def test_where_a_rollout_is_declared_it_goes_by_that(base: Path, tmp_path: Path) -> None:
    life = Life(declared(shop.copied(base, tmp_path)))
    life.tick()
    there = declared(shop.write(tmp_path / "production"))
    first = life.project.send(1, there, "late")
    assert first.move is not None  # there was nobody to compare it with
    second = life.project.send(2, there, "late")
    assert (second.version.number, second.move, second.project) == (2, None, str(there))
    production = Life(there, now=life.now)
    assert (production.champion, production.route) == (1, {})
    production.project.ingest()
    ticked = production.tick()
    assert production.where == "shadow", ticked
    life.serve()
    life.tick()
    life.errors = 1.0
    life.serve(600)
    life.tick()
    assert life.where == "rolled back"
    with pytest.raises(RefusedError, match="version 2 was rolled back: canary 10%"):
        life.project.send(2, there, "late")


def _read(project: Project, number: int):
    registry = project.records.registry
    version = registry.get("late", number)
    return version.manifest, {name: registry.file(version, name) for name in version.manifest.files}


@pytest.mark.parametrize("where", ["gate", "author", "manifest", "file", "model", "lost", "form", "text"])
def test_what_was_changed_on_the_way_is_refused(development: Project, production: Project, where: str) -> None:
    parcel = packed(development.records, "shop", "late", 1)
    document = json.loads(parcel.document)
    entries = document["entries"]
    if where == "gate":
        entries[1]["body"]["decision"]["reason"] = "because I say so"
    elif where == "author":
        entries[0]["actor"] = "somebody"
    elif where == "manifest":
        parcel = replace(parcel, manifest=parcel.manifest.replace(b'"seed":0', b'"seed":1'))
    elif where == "file":
        name, data = next(iter(parcel.files.items()))
        parcel = replace(parcel, files={**parcel.files, name: data[:-1] + b"?"})
    elif where == "model":
        document["model"] = "unborn"
    elif where == "lost":
        document["entries"] = entries[1:]
    elif where == "form":
        document["form"] = "backstay-parcel-0"
    parcel = replace(parcel, document=b"{" if where == "text" else canonical_json(document))
    model = production.definitions.model("late")
    with pytest.raises(BackstayError) as caught:
        arrive(production.records, model, parcel)
    assert isinstance(caught.value, IntegrityError | InputError)
    assert production.services.ledger.revision() == 0
    untouched: Parcel = packed(development.records, "shop", "late", 1)
    arrive(production.records, model, untouched)


def test_high_stakes_need_an_approval_here_or_there(development: Project, production: Project) -> None:
    development, production = high(development), high(production)
    with pytest.raises(ApprovalNeeded, match="waits for approval by another person than test") as caught:
        development.send(1, "production", "late")
    assert caught.value.fix.endswith(f"--project {production.path}")
    assert production.records.registry.alias("late", "champion") is None
    bob = Project(production.path, clock=CLOCK, actor="bob")
    bob.decide(1, "approve", "late", why="looked at it in production's terms")
    move = development.send(1, "production", "late").move
    assert move.evidence["approval"]["by"] == "bob"


def test_an_approval_comes_along(development: Project, production: Project) -> None:
    development, production = high(development), high(production)
    Project(development.path, clock=CLOCK, actor="bob").decide(1, "approve", "late", why="fine")
    move = development.send(1, "production", "late").move
    approval, given = dict(move.evidence["approval"]), development.services.ledger.last("approval", "late/1")
    assert given is not None
    assert approval == {"entry": given.id, "by": "bob", "why": "fine", "project": "shop"}
    shutil.rmtree(production.path / ".backstay")
    Project(development.path, clock=CLOCK, actor="eve").decide(1, "reject", "late", why="no")
    with pytest.raises(ApprovalNeeded, match="rejected by eve in shop: no"):
        development.send(1, "production", "late")


def test_what_was_rejected_does_not_go_by_a_rollout_either(base: Path, tmp_path: Path) -> None:
    development = Life(declared(shop.copied(base, tmp_path), more='\n    stakes="high",')).project
    there = declared(shop.write(tmp_path / "production"), more='\n    stakes="high",')
    production = Project(there, clock=development.clock, actor="ann")
    version = production.records.registry.register(
        *_read(development, 2), at=1, actor="eve", origin={"author": "eve", "project": "x", "number": 1}
    )
    production.records.registry.move_alias(
        "late", "champion", version.number, evidence={"reason": "first"}, at=1, actor="eve", expect=None
    )
    Project(development.path, clock=development.clock, actor="eve").decide(1, "reject", "late", why="no")
    with pytest.raises(ApprovalNeeded, match="rejected by eve in shop: no"):
        development.send(1, there, "late")
