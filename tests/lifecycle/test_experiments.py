"""Experiments with real records: a life of one through the real server, and everything that may come between."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from backstay.core.times import DAY, HOUR, instant
from backstay.definitions import Guard
from backstay.definitions.experiments import Experiment, Metric
from backstay.evaluation.interval import Interval
from backstay.evaluation.metrics import brier_losses
from backstay.lifecycle import experiments
from backstay.lifecycle.approval import ApprovalNeeded
from backstay.lifecycle.experiments import Turned, experiment_tick
from backstay.project import Project
from backstay.registry.routing import Part, Routing, bucket
from backstay.replay.world import World
from tests.predicted import prediction
from tests.serving import shop

START = instant(shop.SECOND)
LOSS = Metric("log_loss")


def _experiment(**changed: Any) -> Experiment:
    given = {"name": "sooner", "arms": {"v2": 0.5}, "metric": LOSS, "key": ("order",), **changed}
    return Experiment(**given)


def _opened(path: Path, at: int = START) -> Project:
    return Project(path, clock=ReplayClock(at), actor="ann")


def _moved(project: Project, to: int) -> None:
    assert isinstance(project.clock, ReplayClock)
    project.clock.advance(to)


def _tick(project: Project) -> tuple[Turned, ...]:
    return experiment_tick(project.records, project.model("late"))


def _shares(project: Project) -> dict[str, float]:
    route = project.routes.show("late")
    assert route is not None
    return {part.name: part.share for part in route.parts}


def _answered(project: Project, times: Sequence[int], *, first: int = 0, **fields: Callable[[int, str], Any]) -> None:
    """Log a prediction at each of these times, of a new entity each, by the route as it is.

    fields: what else it says, by its number and arm
    """
    route = project.routes.show("late")
    assert route is not None
    champion = project.records.registry.alias("late", "champion")
    assert champion is not None
    out = []
    for place, at in enumerate(times, first):
        keys = {"shop": f"shop{place % 7}", "counter": place % 5, "order": f"e{place}"}
        number = bucket(route.salt.encode(), [keys[name] for name in route.key])
        part = next((one for one in route.parts if any(a <= number < b for a, b in one.spans)), None)
        name = "champion" if part is None else part.name
        one = prediction(
            place, at=at, served_at=at, model="late", version=champion.digest if part is None else part.digest,
            route=name, propensity=route.champion if part is None else part.share, keys=keys, score=0.3,
            decision=False, values=[0.0] * len([*project.model("late").features]), took=50,
        )  # fmt: skip
        out.append(msgspec.structs.replace(one, **{field: told(place, name) for field, told in fields.items()}))
    project.services.predictions.append(out)


def _spread(begin: int, count: int, length: int = DAY) -> list[int]:
    return [begin + length * place // count for place in range(count)]


def test_a_life_through_the_real_server(base: Path, tmp_path: Path) -> None:
    """Arms by lot, propensities logged, new shares by tick, and what is shown is what a count of the log says."""
    path = shop.copied(base, tmp_path)
    project = _opened(path)
    guards = (Guard("errors"), Guard("decisions", 0.5))
    project.experiments.start(
        _experiment(metric=Metric("brier"), allocation="epsilon", floor=0.2, guards=guards), "late",
        why="is the second one better?",
    )  # fmt: skip
    world = World(project.model("late"), project.services.events, start=START, end=START + 168 * HOUR)
    with shop.Server(path, "--replay") as server:
        connection = server.connection()
        for place, part in enumerate(world.slices(6 * HOUR)):
            if place == 16:  # four days on
                _moved(project, START + 96 * HOUR)
                (turned,) = _tick(project)
                assert (turned.state, sorted(turned.shares.values())) == ("reallocated", [0.2, 0.8])
                _until(server, turned.shares["v2"])
            for place_, body in (
                *((f"/v1/sources/{source}/events", body) for source, body in part.pushes),
                *(("/v1/models/late/predict", body) for body in part.requests),
            ):
                connection.request("POST", place_, body, server.headers())
                answer = connection.getresponse()
                told = answer.read()
                assert answer.status == 200, told
        connection.close()
    _moved(project, START + 178 * HOUR)
    seen = project.experiments.show("late")
    assert seen is not None
    logged = shop.logged(path)
    champion, arm = seen.analysis.arms
    assert champion.entities + arm.entities == len(logged) == seen.rows > 200
    assert seen.early == 0
    assert arm.entities == sum(one.route == "v2" for one in logged)
    assert {round(one.propensity, 9) for one in logged} == {0.5, 0.2, 0.8}
    assert not seen.analysis.lot.shown
    assert (arm.mean, arm.plain) == pytest.approx(_by_hand(project, logged))
    assert arm.gain is not None
    assert isinstance(arm.gain.gain, Interval)
    assert [(one.metric, one.harm) for one in seen.analysis.guards] == [("errors", False), ("decisions", False)]
    early = project.experiments.show("late", as_of=START + 96 * HOUR)
    assert early is not None
    assert early.analysis.blocks == 3  # the fourth day's labels were not mature
    assert project.experiments.stop("late", why="seen enough").end is not None
    assert _shares(project) == {}


def _until(server: shop.Server, share: float) -> None:
    for _ in range(200):
        if _served_shares(server)["v2"] == share:
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def _served_shares(server: shop.Server) -> dict[str, float]:
    connection = server.connection()
    connection.request("GET", "/v1/models/late", None, server.headers())
    told = msgspec.json.decode(connection.getresponse().read())
    connection.close()
    return {one["name"]: one["share"] for one in told["route"]}


def _by_hand(project: Project, logged: Sequence[Any]) -> tuple[float, float]:
    """Of the arm: the mean over blocks weighing all entities, and that of all its values, one order at a time."""
    outcomes = dict(project.services.events.read("orders").select("order", "late").iter_rows())
    loss = {one.id: float(brier_losses([outcomes[one.keys["order"]]], [one.score])[0]) for one in logged}
    blocks: dict[int, list[Any]] = {}
    for one in logged:
        blocks.setdefault((one.at - START) // DAY, []).append(one)
    total = weight = 0.0
    for some in blocks.values():
        mine = [loss[one.id] for one in some if one.route == "v2"]
        if mine and len(mine) < len(some):
            total += len(some) * float(np.mean(mine))
            weight += len(some)
    return total / weight, float(np.mean([loss[one.id] for one in logged if one.route == "v2"]))


def test_an_arm_that_fails_is_in_its_arm_and_harm_ends_the_experiment(path: Path) -> None:
    project = _opened(path)
    project.experiments.start(_experiment(metric=Metric("decisions", "higher")), "late", why="a try")
    times = _spread(START, 1_200)
    fails = {"route": lambda place, arm: "fallback" if arm == "v2" and place % 4 == 0 else arm}
    _answered(project, times, error=lambda place, arm: "NaN" if arm == "v2" and place % 4 == 0 else "", **fails)
    _moved(project, START + DAY)
    seen = project.experiments.show("late")
    assert seen is not None
    arm = seen.analysis.arms[1]
    assert 500 < arm.entities < 700
    (guard,) = seen.analysis.guards
    assert isinstance(guard.worse, Interval)
    assert guard.worse.estimate == pytest.approx(0.25, abs=0.07)
    (turned,) = _tick(project)
    assert turned.state == "harm"
    assert "errors of v2 is worse" in turned.why
    assert _shares(project) == {}
    assert _tick(project) == ()
    ended = project.experiments.show("late")
    assert ended is not None
    assert ended.standing.end is not None
    assert (ended.standing.end["state"], ended.left) == ("harm", 0)
    assert ended.standing.end["analysis"]["guards"][0]["harm"] is True


def test_success_and_time_end_it_and_entities_count_once(path: Path) -> None:
    project = _opened(path)
    project.experiments.start(_experiment(metric=Metric("decisions", "higher"), at_most="3d"), "late", why="a try")
    decision = {"decision": lambda place, arm: place % 10 < (7 if arm == "v2" else 2)}
    _answered(project, _spread(START, 600), **decision)
    _answered(project, _spread(START + DAY, 600), **decision)  # the same entities again: they have counted
    _moved(project, START + 2 * DAY)
    seen = project.experiments.show("late")
    assert seen is not None
    assert sum(one.entities for one in seen.analysis.arms) == 600
    assert seen.rows == 1_200
    (turned,) = _tick(project)
    assert (turned.state, turned.why.startswith("decisions of v2 is better")) == ("success", True)

    project.experiments.start(_experiment(name="again", at_most="3d"), "late", why="once more")
    _moved(project, START + 5 * DAY)
    (turned,) = _tick(project)
    assert (turned.name, turned.state) == ("again", "expired")
    assert [one.experiment.name for one in project.experiments.history("late")] == ["sooner", "again"]


def test_a_source_s_column_and_what_was_known_before(path: Path) -> None:
    """The sum of the orders' sizes of a shop's counter on the day after it was first seen; by hand, event by event."""
    project = _opened(path, START - 20 * DAY)
    began, key = START - 20 * DAY, ("shop", "counter")
    names = [feature.name for feature in project.model("late").features]
    orders = project.services.events.read("orders").with_columns(at=known_at()).to_dicts()
    metric = Metric("orders.size", "higher", within="1d")
    project.experiments.start(
        _experiment(metric=metric, covariate="before", before="14d", key=key), "late", why="a try"
    )  # fmt: skip
    asked = [one for one in orders if began <= one["at"] < began + 5 * DAY]
    _answered(
        project, [one["at"] for one in asked],
        keys=lambda place, _: {name: asked[place][name] for name in ("shop", "counter", "order")},
        values=lambda place, _: [asked[place]["size"] if one == "size" else None for one in names],
    )  # fmt: skip
    _moved(project, began + 9 * DAY)
    seen = project.experiments.show("late")
    assert seen is not None
    first: dict[tuple[Any, ...], int] = {}
    for one in asked:
        first.setdefault((one["shop"], one["counter"]), one["at"])
    sums = {who: _sum(orders, who, at, at + DAY) for who, at in first.items()}
    known = [one for one in orders if one["known_time"].timestamp() * 1e6 <= began]
    before = {who: _sum(known, who, began - 14 * DAY, began) for who in first}
    metrics, covariates = (
        sorted(float(value) for block in seen.evidence.metric for arm in part(block) for value in arm)
        for part in (lambda block: block.values, lambda block: block.covariates)
    )
    assert metrics == pytest.approx(sorted(sums.values()))
    assert covariates == pytest.approx(sorted(before.values()))
    assert len(metrics) == 35
    project.experiments.stop("late", why="next")
    # Each order is one's own, and a feature of its first request is what there is to know of it.
    project.experiments.start(_experiment(metric=metric, covariate="size"), "late", why="a try")
    later = [one for one in orders if began + 9 * DAY + HOUR <= one["at"] < began + 19 * DAY]
    _answered(
        project, [one["at"] - HOUR for one in later], first=10_000,
        keys=lambda place, _: {"shop": "shop1", "counter": 1, "order": later[place - 10_000]["order"]},
        values=lambda place, _: [later[place - 10_000]["size"] if one == "size" else None for one in names],
    )  # fmt: skip
    _moved(project, START + DAY)
    seen = project.experiments.show("late")
    assert seen is not None
    assert seen.analysis.explained == pytest.approx(1.0)


def known_at() -> pl.Expr:
    return pl.col("event_time").to_physical()


def _sum(orders: Sequence[dict[str, Any]], who: tuple[Any, ...], since: int, until: int) -> float:
    mine = [one for one in orders if (one["shop"], one["counter"]) == who]
    return float(sum(one["size"] for one in mine if since < one["at"] <= until))


def test_what_a_killed_process_left_is_done_by_the_next_tick(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = _opened(path)

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    def cut(does: Callable[[], Any]) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Routing, "set", killed)
            with pytest.raises(KeyboardInterrupt):
                does()

    cut(lambda: project.experiments.start(_experiment(allocation="epsilon"), "late", why="a try"))
    assert project.routes.show("late") is None
    assert _tick(project) == ()
    assert _shares(project) == {"v2": 0.5}
    salt = project.routes.show("late").salt  # type: ignore[union-attr]
    _moved(project, START + DAY + 3 * HOUR)
    _answered_orders(project)
    cut(lambda: _tick(project))
    assert _shares(project) == {"v2": 0.5}
    assert _tick(project) == ()
    assert _shares(project) in ({"v2": 0.1}, {"v2": 0.9})
    assert project.routes.show("late").salt == salt  # type: ignore[union-attr]
    cut(lambda: project.experiments.stop("late", why="enough"))
    assert _shares(project) != {}
    assert _tick(project) == ()
    assert _shares(project) == {}
    entries = [one.body["state"] for one in project.services.ledger.entries(kind="experiment")]
    assert entries == ["started", "reallocated", "stopped"]


def _answered_orders(project: Project) -> None:
    orders = project.services.events.read("orders").with_columns(at=known_at()).to_dicts()
    orders = [one for one in orders if START + HOUR <= one["at"] < START + DAY]
    _answered(
        project, [one["at"] - HOUR for one in orders],
        keys=lambda place, _: {"order": orders[place]["order"], "shop": "shop1", "counter": 1},
    )  # fmt: skip


def test_what_somebody_else_sets_is_left_and_ends_it(path: Path) -> None:
    project, other = _opened(path), Project(path, clock=ReplayClock(START), actor="bob")
    project.experiments.start(_experiment(), "late", why="a try")
    other.routes.set({"v2": 0.1}, "late", why="mine now")
    (turned,) = _tick(project)
    assert (turned.state, turned.why) == ("interrupted", "bob set the route otherwise: mine now")
    assert _shares(project) == {"v2": 0.1}
    with pytest.raises(RefusedError, match="v2 has a share of the route"):
        project.experiments.start(_experiment(), "late", why="a try")
    other.routes.clear("late", why="yours again")
    project.experiments.start(_experiment(), "late", why="a try")
    shop.move_champion(project, 2)
    (turned,) = _tick(project)
    assert (turned.state, turned.why) == ("interrupted", "version 1 is champion no more: it is version 2 now")
    assert _shares(project) == {}  # it was the experiment's, and has ended with it


def test_a_share_that_a_server_cut_is_harm_and_the_other_arms_go_too(path: Path) -> None:
    project = _opened(path)
    project.train("late", as_of="2024-02-18", note="the third")
    project.experiments.start(_experiment(arms={"v2": 0.3, "v3": 0.3}), "late", why="a try")
    route, records = project.routes.show("late"), project.records
    assert route is not None
    bad, fine = route.parts
    told = {"version": bad.digest, "number": 2, "reason": "failed 5 times in a row: NaN", "evidence": {}}
    Routing(records.ledger, records.registry).set(
        "late", [fine], key=route.key, why="cut", at=START, actor="server", cut=told
    )  # fmt: skip
    (turned,) = _tick(project)
    assert (turned.state, turned.why) == ("harm", "a server cut v2: failed 5 times in a row: NaN")
    assert _shares(project) == {}


def test_a_route_that_was_changed_is_a_mismatch_before_anything_is_believed(path: Path) -> None:
    project = _opened(path)
    project.experiments.start(_experiment(metric=Metric("decisions", "higher")), "late", why="a try")
    # A cache in front of the servers: half of the champion's entities never come.
    _answered(project, [START + place for place in range(1_500)], decision=lambda _, arm: arm == "v2")
    log = [one for one in shop.logged(path) if one.route == "v2" or int(one.id, 16) % 2]
    for file in (path / ".backstay" / "predictions").rglob("*"):
        if file.is_file():
            file.unlink()
    project.close()
    project = _opened(path, START + DAY)
    project.services.predictions.append(log)
    (turned,) = _tick(project)
    assert turned.state == "mismatch"


def test_two_at_once_and_other_nonsense(path: Path) -> None:
    project = _opened(path)
    with pytest.raises(NotFoundError, match="none is running"):
        project.experiments.stop("late", why="enough")
    assert project.experiments.show("late") is None
    for changed, match in (
        ({"arms": {"v9": 0.5}}, "9"),
        ({"arms": {"best": 0.5}}, "has no alias 'best'"),
        ({"arms": {"v1": 0.5}}, "or is the champion"),
        ({"arms": {"v2": 0.2, "2": 0.2}}, "takes part twice"),
        ({"key": ("customer",)}, "no key 'customer'"),
        ({"metric": Metric("payments.amount", "higher", "1d")}, "no source 'payments'"),
        ({"metric": Metric("orders.shop", "higher", "1d")}, "no column of numbers 'shop'"),
        ({"covariate": "wealth"}, "no feature of numbers 'wealth'"),
        ({"covariate": "note"}, "no feature of numbers 'note'"),
    ):
        with pytest.raises((InputError, NotFoundError), match=match):
            project.experiments.start(_experiment(**changed), "late", why="a try")
    with pytest.raises(InputError, match="there is no reason"):
        project.experiments.start(_experiment(), "late", why=" ")
    assert not project.services.ledger.entries(kind="experiment")
    project.experiments.start(_experiment(), "late", why="a try")
    with pytest.raises(RefusedError, match="experiment 'sooner' is running"):
        project.experiments.start(_experiment(name="other"), "late", why="a try")
    with pytest.raises(InputError, match="there is no reason"):
        project.experiments.stop("late", why="")
    before = experiments.last(project.records, "late")
    assert before is not None
    project.experiments.stop("late", why="enough")
    body = {"state": "reallocated", "name": "sooner", "shares": [0.1, 0.9], "route": 0}
    with pytest.raises(ConflictError):
        project.services.ledger.append("experiment", "late", body, at=START, actor="x", expect=before.entry_id)
    project.services.ledger.append("rollout", "late", {"stage": "shadow", "number": 2}, at=START, actor="tick")
    with pytest.raises(RefusedError, match="version 2 is being rolled out"):
        project.experiments.start(_experiment(), "late", why="a try")


def test_a_version_that_may_not_serve_takes_no_part(path: Path) -> None:
    project = _opened(path)
    decision = {"verdict": "FAIL", "reason": "worse"}
    project.services.ledger.append("gate", "late/2", {"decision": decision}, at=START, actor="ann")
    with pytest.raises(RefusedError, match="version 2 was answered FAIL by its gate"):
        project.experiments.start(_experiment(), "late", why="a try")
    models = path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    with pytest.raises(ApprovalNeeded):
        _opened(path).experiments.start(_experiment(), "late", why="a try")


def test_a_rejection_ends_it(path: Path) -> None:
    models = path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    project, bob = _opened(path), Project(path, clock=ReplayClock(START), actor="bob")
    check = {"name": "better_than_champion", "verdict": "PASS", "reason": "it is better"}
    body = {"decision": {"verdict": "PASS", "reason": "", "checks": [check]}, "against": 1}
    project.services.ledger.append("gate", "late/2", body, at=START, actor="ann")
    bob.decide(2, "approve", "late", why="fine")
    project.experiments.start(_experiment(), "late", why="a try")
    assert (_tick(project), _shares(project)) == ((), {"v2": 0.5})
    bob.decide(2, "reject", "late", why="unlawful")
    (turned,) = _tick(project)
    assert turned.state == "interrupted"
    assert turned.why == "v2 may serve no more: version 2 was rejected by bob: unlawful"
    assert (_shares(project), _tick(project)) == ({}, ())


def test_shadows_stay(path: Path) -> None:
    project = _opened(path)
    records = project.records
    version = records.registry.get("late", 2)
    Routing(records.ledger, records.registry).set(
        "late", [Part("v2", 2, version.digest, 10_000, shadow=True)], key=("order",), why="a look", at=START, actor="t"
    )
    project.experiments.start(_experiment(), "late", why="a try")
    route = project.routes.show("late")
    assert route is not None
    assert [(one.name, one.shadow) for one in route.parts] == [("v2", False), ("v2", True)]
    project.experiments.stop("late", why="enough")
    route = project.routes.show("late")
    assert route is not None
    assert [(one.name, one.shadow) for one in route.parts] == [("v2", True)]


def test_a_tick_promotes_nobody_under_a_running_experiment(path: Path) -> None:
    """Another champion would end it: a version that passes waits for its end, as a rollout does."""
    models = path / "models.py"
    text = models.read_text().replace('metric="auc", ', 'metric="auc", margin=-0.3, ').replace('"5d"', '"7d"')
    models.write_text(text.replace("    retrain=", "    # no training: retrain="))
    project = _opened(path, START + 10 * DAY)
    project.experiments.start(_experiment(), "late", why="a try")
    told = "version 2 waits: experiment sooner is running"
    first = project.tick("late")
    assert [one.decision.verdict.value for one in first.judged] == ["PASS"]
    assert (first.promoted, told in first.waiting, first.experiments) == ((), True, ())
    again = project.tick("late")
    assert (again.judged, again.promoted, told in again.waiting) == ((), (), True)
    project.experiments.stop("late", why="seen enough")
    assert [one.to for one in project.tick("late").promoted] == [2]
