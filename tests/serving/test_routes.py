"""Routes, served for real: shares stick to entities, swaps and rollbacks fail nothing, shadows answer nobody."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backstay.core.clock import SystemClock
from backstay.core.errors import InputError
from backstay.evaluation.calibration.rule import Rule
from backstay.project import Project
from backstay.registry.routing import BUCKETS, Part, RouteEntry, allocate, bucket
from backstay.runtimes.trying import remember
from backstay.serving.admission import Limiter
from backstay.serving.routes import Choice, Cost, Snapshot
from backstay.serving.shadows import Shadows, Shown
from backstay.storage.backends.memory import MemoryPredictions
from tests.predicted import prediction
from tests.serving import shop
from tests.serving.shop import Server, request
from tests.serving.test_follow import Load, _until


def _route_of(server: Server) -> Counter[str]:
    return Counter(one["name"] for one in server.model()["route"])


def _when(server: Server, *names: str) -> None:
    begin = time.monotonic()
    while _route_of(server) != Counter(names):
        assert time.monotonic() - begin < 5, server.model()
        time.sleep(0.01)


def test_a_hundred_swaps_and_rollbacks_fail_no_request(path: Path) -> None:
    project, waits = Project(path, actor="ana"), []
    with Server(path, "--replay") as server, Load(server, 4) as load:
        for turn in range(100):
            if turn % 2:
                project.routes.rollback("late", why="a test")
            else:
                shop.move_champion(project, 2)
            waits.append(_until(server, 1 if turn % 2 else 2))
    assert load.failed == []
    assert load.versions.keys() == {1, 2}
    assert all(len(scores) == 1 for scores in load.scores.values()), "a request was answered by two versions"
    assert max(waits) < 1, waits
    digests = {version.number: version.digest for version in project.versions("late")}
    assert Counter(one.version for one in shop.logged(path)) == {
        digests[number]: count for number, count in load.versions.items()
    }


def _versions(server: Server, count: int) -> dict[str, int]:
    """Order to the version that answers about it: asked one by one, and all at once."""
    out = {}
    for number in range(count):
        status, told = server.predict(request(order=f"e{number}"))
        assert status == 200, told
        out[f"e{number}"] = told["version"]
    names = list(out)[:12]
    rows = [{name: part for name, part in request(order=one).items() if name != "at"} for one in names]
    status, many = server.predict({"rows": rows, "at": request()["at"]})
    assert status == 200, many
    versions = [one.get("version", many["version"]) for one in many["rows"]]
    assert versions == [out[name] for name in names]
    assert (many["version"] is None) == (len(set(versions)) > 1)
    return out


def test_entities_stick_and_shares_grow_from_what_they_had(path: Path) -> None:
    project = Project(path, actor="ana")
    with Server(path, "--replay") as server:
        project.routes.set({"v2": 0.2}, "late", key=["order"], why="try it")
        _when(server, "champion", "v2")
        few = _versions(server, 80)
        assert _versions(server, 80) == few
        project.routes.set({"v2": 0.6}, "late", why="no harm")
        time.sleep(0.4)
        more = _versions(server, 80)
        chosen = [name for name, version in few.items() if version == 2]
        assert 3 < len(chosen) < 36
        assert all(more[name] == 2 for name in chosen)
        assert 28 < sum(version == 2 for version in more.values()) < 68
        project.routes.clear("late", why="over")
        _when(server, "champion")
        assert set(_versions(server, 20).values()) == {1}
    logged = shop.logged(path)
    assert {(one.route, round(one.propensity, 4)) for one in logged} == {
        ("v2", 0.2), ("champion", 0.8), ("v2", 0.6), ("champion", 0.4), ("champion", 1.0),
    }  # fmt: skip
    assert Project(path).verify("late").holds


def test_a_baseline_is_logged_apart_and_is_no_other_version(path: Path) -> None:
    project = Project(path, actor="ana")
    with Server(path, "--replay") as server:
        project.routes.set({"v2": 0.3, "baseline": 0.3}, "late", key=["order"], why="side by side")
        _when(server, "champion", "v2", "baseline")
        assert {one["name"]: one["version"] for one in server.model()["route"]} == {
            "champion": 1, "v2": 2, "baseline": 1,
        }  # fmt: skip
        versions = _versions(server, 40)
        mine = [name for name, version in versions.items() if version == 1][:9]
        rows = [{name: part for name, part in request(order=one).items() if name != "at"} for one in mine]
        status, told = server.predict({"rows": rows, "at": request()["at"]})
        assert (status, told["version"]) == (200, 1), "the champion's cohorts are one version"
        shop.move_champion(project, 2)
        _when(server, "champion")
        assert set(_versions(server, 20).values()) == {2}
    route = project.routes.show("late")
    assert route is not None
    assert route.breakers is not None
    logged = shop.logged(path)[: 40 + 12 + 9]
    assert {(one.route, round(one.propensity, 4)) for one in logged} == {
        ("v2", 0.3), ("champion", 0.7), ("baseline", 0.7),
    }  # fmt: skip
    assert all((route.cohort(one.keys) or "champion") == one.route for one in logged)


def test_given_inputs_are_assigned_by_their_keys_their_id_or_at_random(path: Path) -> None:
    project = Project(path, actor="ana")
    project.routes.set({"v2": 0.5}, "late", key=["order"], why="try it")
    width = len(project.model("late").features.vector)

    def body(rows: int, orders: list[str] | None = None, **more: Any) -> dict[str, Any]:
        tensor = {"name": "features", "shape": [rows, width], "datatype": "FP32", "data": [1.0] * rows * width}
        inputs: list[dict[str, Any]] = [tensor]
        if orders is not None:
            inputs.append({"name": "order", "shape": [rows], "datatype": "BYTES", "data": orders})
        return {"inputs": inputs, **more}

    with Server(path, "--replay") as server:
        keyed = [server.predict(request(order=f"e{number}"))[1]["version"] for number in range(30)]
        given = [server.infer(body(1, [f"e{number}"]))[1]["model_version"] for number in range(30)]
        assert given == [str(version) for version in keyed]
        many = server.infer(body(30, [f"e{number}" for number in range(30)]))[1]
        assert many["model_version"] == ""
        by_id = [server.infer(body(1, id="same"))[1]["model_version"] for _ in range(20)]
        assert len(set(by_id)) == 1
        drawn = Counter(server.infer(body(1))[1]["model_version"] for _ in range(60))
        assert drawn.keys() == {"1", "2"}
        named = server.ask("POST", "/v2/models/late/versions/1/infer", shop._bytes(body(1)))[1]
        assert named["model_version"] == "1"
    ids = many["outputs"][2]["data"]
    assert many["outputs"][2]["name"] == "prediction_id"
    digests = {version.digest: version.number for version in project.versions("late")}
    logged = {one.id: one for one in shop.logged(path)}
    assert [digests[logged[one].version] for one in ids] == keyed


@pytest.mark.parametrize("share", [True, "5%", "0.05", None, float("nan"), 0, -0.1, 2])
def test_a_share_is_a_number_of_the_whole(base: Path, share: Any) -> None:
    project = Project(base, actor="ana")
    for shares, shadow in (({"v2": share}, {}), ({}, {"v2": share})):
        with pytest.raises(InputError, match=r"the share of v2 is .*route of model 'late'.*at most 1.*0\.05 for 5%"):
            project.routes.set(shares, "late", shadow=shadow, why="a test")
    if isinstance(share, bool | str):
        with pytest.raises(InputError, match=r"the share is .*0\.01 for 1%"):
            project.routes.explore(share, "late", why="a test")
    assert project.routes.show("late") is None
    project.close()


def test_a_shadow_is_logged_and_answers_nobody(path: Path) -> None:
    project = Project(path, actor="ana")
    with Server(path, "--replay") as server:
        before = server.predict(request())[1]
        project.routes.set({}, "late", shadow=["v2"], why="look at it")
        _when(server, "champion", "shadow")
        after = [server.predict(request())[1] for _ in range(20)]
        assert {(one["version"], one["score"]) for one in after} == {(1, before["score"])}
    logged = shop.logged(path)
    digests = {version.number: version.digest for version in project.versions("late")}
    shadows = [one for one in logged if one.route == "shadow"]
    assert len(logged) == 41
    assert len(shadows) == 20
    assert {one.version for one in shadows} == {digests[2]}
    assert {one.score for one in shadows}.isdisjoint({before["score"]})
    report = Project(path).verify("late")
    assert (report.holds, report.checked, report.shadow) == (True, 41, 20)
    cohorts = Project(path).quality("late", as_of="2024-02-28")
    assert sum(cohort.served for cohort in cohorts) == 21


def test_a_rollback_loads_nothing(path: Path) -> None:
    project = Project(path, actor="ana")
    with Server(path, "--replay") as server:
        shop.move_champion(project, 2)
        _until(server, 2)
        shop.model_file(path, 1).unlink()
        project.routes.rollback("late", why="worse")
        assert _until(server, 1) < 1
        assert server.predict(request())[1]["version"] == 1


def _entry(*parts: Part) -> RouteEntry:
    return RouteEntry("m", tuple(allocate(parts, ())), ("order",), "salt", "why", 0, "ana", 1)


def _served(digest: str) -> Any:
    return SimpleNamespace(version=SimpleNamespace(digest=digest, number=int(digest[1:])), rule=Rule(0.5))


def test_propensities_are_the_shares_of_versions_and_sum_to_one() -> None:
    loaded = {digest: _served(digest) for digest in ("d1", "d2", "d3")}
    entry = _entry(Part("v2", 2, "d2", 100), Part("v3", 3, "d3", 2_500), Part("v1", 1, "d1", 400))
    snapshot = Snapshot(loaded["d1"], entry, loaded)
    # d1 is champion too: its share is no other version.
    assert {one.served.version.digest: one.propensity for one in snapshot.choices} == pytest.approx(
        {"d1": 0.74, "d2": 0.01, "d3": 0.25}
    )
    drawn = Counter(id(snapshot.each([{"order": f"o{number}"}])) for number in range(20_000))
    for one in snapshot.choices:
        assert drawn[id(one)] / 20_000 == pytest.approx(one.propensity, abs=0.015)
    # A version that could not be loaded leaves its share to the champion.
    lacking = Snapshot(loaded["d1"], entry, {"d3": loaded["d3"]})
    assert [one.propensity for one in lacking.choices] == pytest.approx([0.75, 0.25])


def test_a_baseline_is_the_champion_told_apart_and_nothing_once_it_is_champion_no_more() -> None:
    loaded = {digest: _served(digest) for digest in ("d1", "d2")}
    entry = _entry(Part("v2", 2, "d2", 1_000), Part("baseline", 1, "d1", 1_000))
    snapshot = Snapshot(loaded["d1"], entry, loaded)
    assert [(one.route, one.served.version.number, one.propensity) for one in snapshot.choices] == [
        ("champion", 1, 0.9), ("v2", 2, 0.1), ("baseline", 1, 0.9),
    ]  # fmt: skip
    assert [one["share"] for one in snapshot.told()] == pytest.approx([0.8, 0.1, 0.1])
    routes = {}
    for number in range(2_000):
        chosen = snapshot.each([{"order": f"o{number}"}])
        assert isinstance(chosen, Choice)
        routes[f"o{number}"] = chosen.route
    assert {key: entry.cohort({"order": key}) or "champion" for key in routes} == routes
    # Another champion: the cohort is its own no more, and who was in it is a customer like any other.
    after = Snapshot(loaded["d2"], entry, loaded)
    assert [(one.route, one.propensity) for one in after.choices] == [("champion", 1.0)]
    lone = Snapshot(loaded["d1"], _entry(Part("baseline", 1, "d1", 5_000)), {})
    assert [(one.route, one.propensity) for one in lone.choices] == [("champion", 1.0), ("baseline", 1.0)]


def test_buckets_are_even_and_salts_independent() -> None:
    first = [bucket(b"a", [f"o{number}"]) for number in range(20_000)]
    other = [bucket(b"b", [f"o{number}"]) for number in range(20_000)]
    assert max(first) < BUCKETS
    assert abs(float(np.mean(first)) / BUCKETS - 0.5) < 0.01
    assert abs(float(np.corrcoef(first, other)[0, 1])) < 0.03


class _Scorer:
    """A model that waits until it may go on, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.held = fails, True

    def score(self, matrix: Any) -> Any:
        while self.held:
            time.sleep(0.001)
        if self.fails:
            raise ValueError("no")
        return np.full(len(matrix), 0.75)


def _shown(scorer: _Scorer, count: int) -> list[Shown]:
    served: Any = SimpleNamespace(scorer=scorer, rule=Rule(0.5), version=SimpleNamespace(digest="d9"))
    choice = Choice(served, "shadow", 1.0)
    return [Shown(choice, np.zeros(3, np.float32), prediction(number)) for number in range(count)]


def test_a_shadow_that_falls_behind_is_shed_and_counted() -> None:
    log, scorer, limiter = MemoryPredictions(), _Scorer(), Limiter(1, 1_000)
    shadows = Shadows(log, SystemClock(), limiter, largest=100)
    begin = time.monotonic()
    for _ in range(30):
        shadows.offer(_shown(scorer, 10))
    assert time.monotonic() - begin < 0.5, "an answer waited for a shadow"
    assert 300 - 100 - 64 <= shadows.shed <= 200
    scorer.held = False
    shadows.close()
    assert shadows.logged == 300 - shadows.shed == len(list(log.scan()))
    assert {one.route for one in log.scan()} == {"shadow"}
    assert all(one.of and one.of != one.id and one.took > 0 and not one.error for one in log.scan())


def test_a_row_without_a_score_is_logged_beside_those_that_have_one() -> None:
    log = MemoryPredictions()
    raw = np.array([0.7, np.nan, np.inf, 0.2])
    served: Any = SimpleNamespace(
        scorer=SimpleNamespace(score=lambda _: raw), rule=Rule(0.5), version=SimpleNamespace(digest="d9")
    )
    choice = Choice(served, "shadow", 1.0)
    # What they were answered by had failed on its own side: that is no error of the shadow's.
    rows = [prediction(number, error="late", chance=0.5, took=9) for number in range(4)]
    shadows = Shadows(log, SystemClock(), Limiter(1, 1_000), replay=True)
    shadows.offer([Shown(choice, np.zeros(3, np.float32), one) for one in rows])
    shadows.close()
    logged = list(log.scan())
    assert [one.of for one in logged] == [one.id for one in rows]
    assert [one.error for one in logged] == ["", "the score is NaN", "the score is infinite", ""]
    assert [one.decision for one in logged] == [True, False, False, False]
    assert [math.isnan(one.score) for one in logged] == [False, True, True, False]
    assert {(one.took, one.chance) for one in logged} == {(0, 1.0)}
    assert (shadows.logged, shadows.failed) == (2, 2)


def test_shadows_are_shed_first_and_failures_counted() -> None:
    log, scorer, limiter = MemoryPredictions(), _Scorer(fails=True), Limiter(1, 1_000)
    scorer.held = False
    shadows = Shadows(log, SystemClock(), limiter)
    limiter.rows = int(limiter.limit / 2) + 1  # requests are still let in
    limiter.admit()
    shadows.offer(_shown(scorer, 5))
    assert shadows.shed == 5
    limiter.rows = 1
    shadows.offer(_shown(scorer, 7))
    shadows.close()
    assert (shadows.failed, shadows.logged) == (7, 0)
    logged = list(log.scan())
    assert [one.error for one in logged] == ["ValueError: no"] * 7
    assert all(math.isnan(one.score) and not one.decision and one.route == "shadow" for one in logged)


class Choosy:
    """Scores rows of one value; raises on others."""

    def __init__(self, taken: float) -> None:
        self._taken, self.runs = taken, 0

    def score(self, vector: Any) -> Any:
        if not (vector == self._taken).all():
            raise ValueError("an unknown category")
        self.runs += 1
        return np.zeros(len(vector))

    def close(self) -> None: ...


def test_a_model_that_refuses_random_rows_is_timed_with_one_that_it_scores() -> None:
    zeros, sevens = Choosy(0), Choosy(7)
    remember(sevens, np.full((1, 2), 7, np.float32))
    for scorer in (zeros, sevens):
        assert Cost.measured(scorer, 2).of(64) < 0.001
        assert scorer.runs == 6


def test_a_model_that_cannot_be_timed_is_loaded_and_counts_as_slow(caplog: pytest.LogCaptureFixture) -> None:
    cost = Cost.measured(Choosy(7), 2)
    assert cost.of(1) >= 0.001
    assert "raises on every row that it was to be timed with" in caplog.text
    assert "an unknown category" in caplog.text
