"""Exploration in the real server: decisions turned over by lot, their chance, and what another threshold is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError, RefusedError
from backstay.core.times import DAY, HOUR, instant
from backstay.definitions.experiments import Metric
from backstay.definitions.exploration import Explore
from backstay.evaluation.decided import Costs
from backstay.evaluation.interval import Insufficient, Interval
from backstay.lifecycle.counterfactual import Counterfactual
from backstay.project import Project
from backstay.registry.exploring import Explorer
from backstay.registry.routing import Routing
from backstay.storage.predictions import Prediction
from tests.predicted import prediction
from tests.serving import shop
from tests.serving.shop import Server

START = instant(shop.SECOND)


def _opened(path: Path, at: int = START) -> Project:
    return Project(path, clock=ReplayClock(at), actor="ann")


def _asked(server: Server, orders: range) -> list[dict[str, Any]]:
    connection, out = server.connection(), []
    for number in orders:
        body = shop.request(order=f"o{number}", size=float(number % 900), at=f"{shop.SECOND}T1{number % 9}:00:00Z")
        connection.request("POST", "/v1/models/late/predict", msgspec.json.encode(body), server.headers())
        out.append(msgspec.json.decode(connection.getresponse().read()))
    connection.close()
    return out


def test_a_server_turns_decisions_over_and_logs_their_chance(path: Path, tmp_path: Path) -> None:
    """As answered so logged, as the ledger's lot says, the same in a replay; parity holds; off, nothing is explored."""
    project = _opened(path)
    project.routes.explore(0.5, "late", flip=0.4, key=["order"], why="to judge other thresholds")
    with Server(path, "--replay") as server:
        answers = _asked(server, range(1_000, 1_200))
    logged = {one.id: one for one in shop.logged(path)}
    route = project.routes.show("late")
    assert route is not None
    lot = Explorer(Explore(0.5, 0.4), ["order"], route.salt)
    turned = 0
    for told in answers:
        one = logged[told["prediction_id"]]
        assert told["decision"] == one.decision
        usual, flipped = one.score >= 0.5, lot.turns(one.keys, one.at)
        assert one.decision == (not usual if flipped else usual)
        assert one.chance == pytest.approx(0.2 if flipped else 0.8)
        turned += one.decision != usual
    assert 12 < turned < 75  # 40 are expected
    report = project.verify("late")
    assert report.checked == report.equal == 200
    with Server(path, "--replay") as server:
        again = _asked(server, range(1_000, 1_200))
    assert [one["decision"] for one in again] == [one["decision"] for one in answers]

    project.routes.set({"v2": 0.5}, "late", why="shares come and go")
    kept = project.routes.show("late")
    assert kept is not None
    assert kept.explore == Explore(0.5, 0.4)
    project.routes.explore(0, "late", why="enough")
    ended = project.routes.show("late")
    assert ended is not None
    assert (ended.explore, [one.name for one in ended.parts]) == (None, ["v2"])
    with Server(path, "--replay") as server:
        for told in _asked(server, range(1_000, 1_020)):
            assert told["decision"] == (told["score"] >= 0.5)
    assert {one.chance for one in shop.logged(path)[-20:]} == {1.0}


def test_exploration_is_refused_where_it_may_not_be(path: Path) -> None:
    project = _opened(path)
    for share, flip in ((1.5, 0.1), (-0.1, 0.1), (0.1, 1.0), (1.0, 0.6)):
        with pytest.raises(InputError, match="turned over"):
            project.routes.explore(share, "late", flip=flip, why="so")
    with pytest.raises(InputError, match="the route's key is customer"):
        project.routes.explore(0.1, "late", key=["customer"], why="so")
    with pytest.raises(InputError, match="without a reason"):
        project.routes.explore(0.1, "late", why="")
    project.routes.set({"v2": 0.5}, "late", key=["order"], why="a try")
    with pytest.raises(RefusedError, match="order tells apart who is in which share"):
        project.routes.explore(0.1, "late", key=["shop"], why="so")
    project.services.ledger.append("rollout", "late", {"stage": "canary", "number": 2}, at=START, actor="tick")
    with pytest.raises(RefusedError, match="version 2 is being rolled out"):
        project.routes.explore(0.1, "late", why="so")
    project.services.ledger.append("rollout", "late", {"stage": "promoted", "number": 2}, at=START, actor="tick")
    models = path / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    careful = _opened(path)
    with pytest.raises(RefusedError, match="the stakes of model 'late' are high"):
        careful.routes.explore(0.1, "late", why="so")
    assert careful.routes.explore(0.1, "late", why="so", high_stakes=True).explore == Explore(0.1)


def _explored(
    project: Project, rng: np.random.Generator, begin: int, rows: int, gone: tuple[float, float] = (0.0, 0.0)
) -> float:
    """Log explored decisions about orders that come true by decision; what a threshold of 0.3 would have been worth.

    gone: the share of those decided false, and true, about which nobody ever hears again
    """
    orders = project.services.events.read("orders").select("order", "late", at="event_time").to_dicts()
    orders = [one for one in orders if one["at"].timestamp() * 1e6 < START]
    explore, out = Explore(0.4, 0.5), []
    lot = Explorer(explore, ["order"], f"salt {begin}")
    cost = 0.0
    for place in range(rows):
        order = orders[int(rng.integers(len(orders)))]
        at = round(order["at"].timestamp() * 1e6) - HOUR
        score = float(np.clip(0.5 * rng.random() + (0.35 if order["late"] else 0.05), 0, 1))
        keys = {"shop": "shop1", "counter": 1, "order": order["order"]}
        turned = lot.turns(keys, at + place % 1_000)
        decision = (score >= 0.5) != bool(turned)
        if any(gone) and rng.random() < gone[int(decision)]:
            keys["order"] = f"gone{begin + place}"
        out.append(
            prediction(
                begin + place, at=at + place % 1_000, model="late", route="champion", keys=keys, score=score,
                decision=decision, chance=lot.chance(turned),
                values=[0.0] * len([*project.model("late").features]),
            )
        )  # fmt: skip
        cost += 1.0 * (score >= 0.3 and not order["late"]) + 5.0 * (score < 0.3 and order["late"])
    project.services.predictions.append(out)
    return cost / rows


def test_another_threshold_is_judged_by_what_was_explored(path: Path) -> None:
    """The label tells what both decisions would have cost: the estimates have to agree with that."""
    project = _opened(path, START + DAY)
    with pytest.raises(InputError, match="one of the two"):
        project.experiments.counterfactual(0.3, model="late")
    nothing = project.experiments.counterfactual(0.3, model="late", costs=Costs(1, 5))
    assert all(isinstance(one.policy.value, Insufficient) for one in nothing.estimates)
    truth = _explored(project, np.random.default_rng(1), 0, 4_000)
    found = project.experiments.counterfactual(0.3, model="late", costs=Costs(1, 5))
    assert (found.rows, found.left_out) == (4_000, 0)
    assert 650 < found.turned < 950
    for one in found.estimates:
        assert isinstance(one.policy.value, Interval)
        assert one.policy.value.low < truth < one.policy.value.high, one.method
        assert isinstance(one.gain, Interval)
        assert one.gain.high < 0, "it is cheaper, and that is shown"
    widths = {one.method: one.policy.value.high - one.policy.value.low for one in found.estimates}  # type: ignore[union-attr]
    assert widths["dr"] < widths["ips"]
    same = project.experiments.counterfactual(0.5, model="late", costs=Costs(1, 5))
    assert same.differ == 0
    assert isinstance(same.estimates[0].gain, Insufficient)
    outcome = project.experiments.counterfactual(0.3, Metric("outcome", "lower"), "late", until=shop.FIRST, clip=3.0)
    assert outcome.rows < 4_000
    assert all(one.policy.bias > 0 for one in outcome.estimates)
    sizes = project.experiments.counterfactual(0.3, Metric("orders.size", "higher", "2h"), "late")
    assert isinstance(sizes.estimates[2].policy.value, Interval)
    for wrong in ({"threshold": 1.5, "costs": Costs(1, 5)}, {"threshold": 0.5, "metric": Metric("errors")}):
        with pytest.raises(InputError):
            project.experiments.counterfactual(model="late", **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gone", "told"), [((0.3, 0.3), False), ((0.4, 0.2), True), ((1.0, 0.0), True)])
def test_where_the_decision_decides_what_is_known_there_is_no_number(
    path: Path, gone: tuple[float, float], told: bool
) -> None:
    project = _opened(path, START + DAY)
    _explored(project, np.random.default_rng(4), 0, 2_000, gone)
    found = project.experiments.counterfactual(0.3, model="late", costs=Costs(1, 5))
    assert found.left_out > 300
    for one in found.estimates:
        for value in (one.policy.value, one.current.value, one.gain):
            assert isinstance(value, Insufficient) == told
            assert not told or "the decision decides whether it is known" in str(value)


def test_rows_that_were_not_explored_are_no_evidence(path: Path) -> None:
    project = _opened(path, START + DAY)
    _explored(project, np.random.default_rng(2), 0, 300)
    plain: list[Prediction] = [
        msgspec.structs.replace(one, id=f"{10_000 + place:032x}", chance=1.0)
        for place, one in enumerate(shop.logged(path))
    ]
    project.services.predictions.append(plain)
    found: Counterfactual = project.experiments.counterfactual(0.3, model="late", costs=Costs(1, 5))
    assert (found.rows, found.left_out) == (300, 300)


def test_a_route_keeps_what_it_explores(path: Path) -> None:
    project = _opened(path)
    project.routes.explore(0.01, "late", why="for later")
    records = project.records
    entry = Routing(records.ledger, records.registry).set("late", [], key=("shop",), why="x", at=START, actor="tick")
    assert entry.explore == Explore(0.01)
    assert entry.explore.as_dict() == {"share": 0.01, "flip": 0.5, "chance": 0.005}
