"""Rollouts on real records: from the gate to champion, and back at the first sign of harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from backstay.core.times import DAY
from backstay.definitions.experiments import Experiment, Metric
from backstay.lifecycle import rollout_evidence
from backstay.lifecycle.judge import judge
from backstay.lifecycle.rollouts import carry_on
from backstay.lifecycle.tick import judge_due, open_candidates
from backstay.registry.routing import Part, Routing
from backstay.rollout.verdict import Check, Decision, Verdict
from backstay.serving.cuts import cut
from tests.lifecycle.rolling import Life, declared
from tests.lifecycle.test_rollout_chaos import Killed, killing, raised
from tests.serving import shop


@pytest.fixture(scope="module")
def judged(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Version 2 has passed its gate, and is a shadow; never changed."""
    life = Life(declared(shop.copied(base, tmp_path_factory.mktemp("judged"))))
    ticked = life.tick()
    assert [one.decision.verdict.value for one in ticked.judged] == ["PASS"], ticked.judged[0].decision.reason
    assert [move.to for move in ticked.promoted] == []
    return life


@pytest.fixture(scope="module")
def canary(judged: Life, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Its shadow was compared, and it gets 10%; never changed."""
    life = judged.copied(tmp_path_factory.mktemp("canary"))
    life.serve(300)
    assert [one.state.where for one in life.tick().rollouts] == ["canary 10%"]
    return life


@pytest.fixture
def life(canary: Life, tmp_path: Path) -> Life:
    return canary.copied(tmp_path)


def test_a_version_goes_from_its_gate_to_champion(judged: Life, life: Life) -> None:
    assert (judged.champion, judged.where, judged.route) == (1, "shadow", {"shadow v2": 1.0})
    assert (life.champion, life.where, life.route) == (1, "canary 10%", {"v2": 0.1, "baseline": 0.1})
    entries = life.project.records.ledger.revision()
    assert (life.tick().rollouts, life.project.records.ledger.revision()) == ((), entries)
    life.serve(900)
    assert [one.state.where for one in life.tick().rollouts] == ["canary 40%"]
    assert life.route == {"v2": 0.4, "baseline": 0.4}
    life.serve(300, hours=0.5)
    assert life.tick().rollouts == ()  # enough was answered, and the shortest time of a step is an hour
    life.pass_time(3)
    ticked = life.tick()
    assert [one.state.where for one in ticked.rollouts] == ["promoting", "promoted"]
    assert [move.to for move in ticked.promoted] == [2]
    assert (life.where, life.champion, life.route) == ("promoted", 2, {})
    move = life.project.records.registry.alias("late", "champion")
    assert move is not None
    stages = [one["stage"] for one in move.evidence["rollout"]]
    assert stages == ["shadow", "canary 10%", "canary 40%", "promoting"]
    assert move.evidence["gate"] == life.project.records.ledger.last("gate", "late/2").id  # type: ignore[union-attr]
    assert move.evidence["interval"]["low"] > -0.3
    assert (life.tick().rollouts, life.tick().promoted) == ((), ())
    with pytest.raises(RefusedError, match="version 2 is champion, or was"):
        life.project.rollouts.start(2, "late")


def test_harm_is_rolled_back_and_the_version_is_not_started_again(life: Life) -> None:
    life.errors = 0.6
    life.serve(900)
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause, life.champion, life.route) == ("rolled_back", "harm", 1, {})
    assert "errors: " in turn.state.reason
    assert "failed beside 0% of" in turn.state.reason
    assert [one["metric"] for one in turn.state.evidence["guards"]] == ["errors", "log_loss", "decisions"]
    assert life.tick().rollouts == ()
    assert open_candidates(life.project.records, life.project.model("late")) == []
    with pytest.raises(RefusedError, match=r"version 2 was rolled back: canary 10%: errors: "):
        life.project.rollouts.start(2, "late")
    with pytest.raises(RefusedError, match=r"version 2 was rolled back: .*make it a shadow"):
        life.project.routes.set({"v2": 0.5}, "late", why="once more")
    experiment = Experiment("again", arms={"v2": 0.5}, metric=Metric("log_loss"))
    with pytest.raises(RefusedError, match="version 2 was rolled back: "):
        life.project.experiments.start(experiment, "late", why="once more")
    assert life.route == {}
    life.project.routes.set({}, "late", shadow=["v2"], why="to look at it")


def test_harm_that_only_labels_show(life: Life) -> None:
    life.wrong = 0.7
    life.serve(2000, hours=0.9)
    assert life.tick().rollouts == ()  # no label of these is mature
    life.pass_time(3.5)
    (turn,) = life.tick().rollouts
    assert (turn.state.cause, life.champion, life.route) == ("harm", 1, {})
    assert turn.state.reason.startswith("canary 10%: log_loss +")


def test_a_shadow_that_fails_is_seen_by_no_customer(judged: Life, tmp_path: Path) -> None:
    life = judged.copied(tmp_path)
    life.errors = 0.2
    life.serve(300)
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause, life.route) == ("refused", "shadow", {})


def test_a_step_whose_evidence_is_not_together_in_time(life: Life) -> None:
    life.serve(100)
    life.pass_time(45.9)
    assert life.tick().rollouts == ()
    life.pass_time(0.2)
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause, life.route) == ("rolled_back", "time", {})
    assert "and 60 each are needed" in turn.state.reason
    assert (
        life.project.rollouts.start(2, "late").state.where == "shadow"
    )  # it did nothing wrong: a person may try again


def test_what_somebody_else_did_is_left_and_named(life: Life) -> None:
    life.project.routes.set({"v2": 0.5}, "late", why="my own test")
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause) == ("rolled_back", "route")
    assert turn.state.reason == "controller set the route meanwhile: my own test"
    assert (life.route, life.tick().rollouts) == ({"v2": 0.5}, ())
    with pytest.raises(RefusedError, match="the route is in use, controller set it: my own test"):
        life.project.rollouts.start(2, "late")


def test_a_champion_that_was_moved_by_hand_ends_it(life: Life) -> None:
    shop.move_champion(life.project, 2)
    (turn,) = life.tick().rollouts
    assert (turn.state.cause, life.champion, life.route) == ("champion", 2, {})
    assert turn.state.reason == "t made it champion meanwhile; it was judged against version 1"


def test_a_servers_cut_is_adopted(life: Life) -> None:
    records = life.project.records
    routing = Routing(records.ledger, records.registry)
    route = routing.get("late")
    assert route is not None
    kept = [Part(one.name, one.version, one.digest, one.buckets) for one in route.parts if one.name != "v2"]
    cut = {"version": life.versions[1].digest, "number": 2, "reason": "5 batches in a row without a score"}
    routing.set("late", kept, key=route.key, why="cut", at=life.now, actor="server", expect=route.entry_id, cut=cut)
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause, life.route) == ("rolled_back", "cut", {})
    assert turn.state.reason == "a server cut it: 5 batches in a row without a score"


@pytest.fixture(scope="module")
def promoting(canary: Life, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Its controller was killed when it had written "promoting", before it moved the alias; never changed."""
    life = canary.copied(tmp_path_factory.mktemp("promoting"))
    for requests in (900, 400):
        life.serve(requests)
        if life.where == "canary 10%":
            life.tick()
    killing(life.project, 0, True, raised)
    with pytest.raises(Killed):
        life.tick()
    life.open()
    assert (life.where, life.champion) == ("promoting", 1)
    return life


def _cut(life: Life) -> None:
    records = life.project.records
    routing = Routing(records.ledger, records.registry)
    route = routing.get("late")
    assert route is not None
    assert cut(routing, records.clock, route, life.versions[1].digest, "a worker ended with signal -11", {})


def _answered_otherwise(life: Life) -> None:
    """As a final look does, at rows that have changed since."""
    ledger = life.project.records.ledger
    first = ledger.last("gate", "late/2")
    assert first is not None
    decision = Decision.of([Check("comparison", Verdict.INSUFFICIENT, "labels were taken back")]).as_dict()
    body = {**first.body, "final": True, "as_of": life.now, "decision": decision}
    ledger.append("gate", "late/2", body, at=life.now, actor="reader")


@pytest.mark.parametrize(
    ("meanwhile", "cause"),
    [
        (_cut, "cut"),
        (_answered_otherwise, "gate"),
        (lambda life: life.project.routes.clear("late", why="an incident"), "route"),
        (lambda life: life.project.routes.set({"v1": 0.5}, "late", why="mine"), "route"),
    ],
    ids=["a server cut it", "its gate answered otherwise", "somebody cleared the route", "somebody set another"],
)
def test_what_happened_before_the_alias_moved_ends_it(
    promoting: Life, tmp_path: Path, meanwhile: Callable[[Life], None], cause: str
) -> None:
    life = promoting.copied(tmp_path)
    meanwhile(life)
    left = life.route if cause == "route" else {}
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause) == ("rolled_back", cause)
    assert (life.champion, life.route) == (1, left)


def test_a_stop_that_comes_too_late_is_refused(promoting: Life, tmp_path: Path) -> None:
    life = promoting.copied(tmp_path)
    killing(life.project, 0, True, raised)
    with pytest.raises(Killed):
        life.tick()  # the alias has moved, and nothing says so yet
    life.open()
    life.project.routes.set({"v1": 0.5}, "late", why="my own test")
    with pytest.raises(RefusedError, match="version 2 is champion already"):
        life.project.rollouts.stop("late", why="complaints")
    assert (life.where, life.champion, life.route) == ("promoted", 2, {"v1": 0.5})  # somebody's own route is left


def test_a_rollout_goes_by_the_answer_with_which_it_began(life: Life) -> None:
    records, model = life.project.records, life.project.model("late")
    looked = judge(records, model, 2, as_of=life.now - 6 * DAY)  # anybody who may read may look
    assert (looked.decision.verdict, looked.final) == (Verdict.INSUFFICIENT, False)
    assert (life.tick().rollouts, life.where) == ((), "canary 10%")
    gates = len(records.ledger.entries(kind="gate"))
    life.pass_time(30 * 24)  # it expires while customers see the version
    assert judge_due(records, model) == ([], [], [])
    assert len(records.ledger.entries(kind="gate")) == gates
    _answered_otherwise(life)
    (turn,) = life.tick().rollouts
    assert (turn.state.cause, turn.state.reason) == (
        "gate", "the gate of version 2 answers INSUFFICIENT: comparison: labels were taken back",
    )  # fmt: skip


def test_a_person_stops_it(life: Life) -> None:
    with pytest.raises(InputError, match="there is no reason"):
        life.project.rollouts.stop("late", why=" ")
    turn = life.project.rollouts.stop("late", why="complaints")
    assert (turn.state.stage, turn.state.cause, life.route) == ("rolled_back", "stopped", {})
    assert turn.state.reason == "controller stopped it: complaints"
    assert life.tick().rollouts == ()
    with pytest.raises(NotFoundError, match="no rollout is running"):
        life.project.rollouts.stop("late", why="again")


def test_evidence_that_cannot_be_read_is_no_reason_to_go_on(life: Life) -> None:
    life.serve(900)
    segments = [path for path in (life.project.services.home / "predictions").rglob("*") if path.is_file()]
    assert segments
    life.project.close()
    for path in segments:
        path.write_bytes(b"\xff" * 64 + path.read_bytes())
    life.open()
    assert "the evidence cannot be read: " in str(life.project.rollouts.show("late").seen)
    life.pass_time(47)
    (turn,) = carry_on(life.project.records, life.project.model("late"))
    assert (turn.state.stage, turn.state.cause, life.route) == ("rolled_back", "time", {})
    assert "the evidence cannot be read: " in turn.state.reason


def test_what_a_foreign_error_says_goes_to_the_log_and_not_into_the_ledger(
    life: Life, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("the customer is Jane Doe, born 1980")

    monkeypatch.setattr(rollout_evidence, "canary_rows", broken)
    life.pass_time(49)
    (turn,) = life.tick().rollouts
    assert turn.state.cause == "time"
    assert "the evidence cannot be read: ValueError in test_rollouts.py, line " in turn.state.reason
    assert "Jane Doe" not in str(turn.state.as_dict())
    assert "Jane Doe" in caplog.text


def test_one_rollout_a_model(life: Life) -> None:
    with pytest.raises(RefusedError, match=r"version 2 waits: version 2 is in its rollout \(canary 10%\)"):
        life.project.rollouts.start(2, "late")
    turn = life.project.rollouts.show("late").turn
    assert turn is not None
    with pytest.raises(ConflictError):
        life.project.records.ledger.append(
            "rollout", "late", {}, at=life.now, actor="another", expect=turn.entry_id - 1
        )


def test_where_stakes_are_high_somebody_says_yes_before_a_customer_sees_it(judged: Life, tmp_path: Path) -> None:
    life = judged.copied(tmp_path)
    models = life.path / "models.py"
    models.write_text(models.read_text().replace("    rollout=", '    stakes="high",\n    rollout='))
    life.open()
    life.serve(300)
    ticked = life.tick()
    assert [one.state.where for one in ticked.rollouts] == ["approval"]
    assert ticked.waiting == ("version 2 waits for approval by another person than test, who made it",)
    assert (life.route, life.tick().rollouts) == ({}, ())
    life.actor = "a colleague"
    life.open()
    life.project.decide(2, "approve", "late", why="looked at the slices")
    assert [one.state.where for one in life.tick().rollouts] == ["canary 10%"]
    life.project.decide(2, "reject", "late", why="second thoughts")
    (turn,) = life.tick().rollouts
    assert (turn.state.stage, turn.state.cause, life.route) == ("rolled_back", "approval", {})
