"""Versions that do harm under traffic, in a real server of two workers: they are cut, and customers notice nothing."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from backstay.core.times import SECOND
from backstay.project import Project
from backstay.registry.routing import RouteEntry
from backstay.storage.predictions import Prediction
from tests.serving import planted, shop
from tests.serving.planted import Load
from tests.serving.shop import Server


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Server]]:
    folder = tmp_path_factory.mktemp("planted")
    packages = planted.packages(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(packages))
        path = planted.born(folder)
        patch.setenv("PYTHONPATH", planted.python_path(packages))
        patch.setattr(shop, "environment", lambda: dict(os.environ))
        with Server(path, "--workers", "2", cold=True) as server:
            yield Project(path, actor="ana"), server


def _cuts(project: Project, route: RouteEntry, count: int) -> dict[int, RouteEntry]:
    """So many cuts by the server that follow this route, by the version."""
    out: dict[int, RouteEntry] = {}
    seen, end = route, time.monotonic() + 40
    while len(out) < count:
        assert time.monotonic() < end, f"only these were cut: {out}"
        time.sleep(0.02)
        now = project.routes.show("late")
        assert now is not None
        if now != seen:
            assert (now.actor, now.cut is None) == ("server", False)
            assert now.cut is not None
            digest = project.records.registry.get("late", now.cut["number"]).digest
            assert now.cut["version"] == digest
            assert {one.digest for one in seen.parts} - {one.digest for one in now.parts} == {digest}
            out[now.cut["number"]] = seen = now
    return out


def _in_time(project: Project, cut: RouteEntry, since: int) -> str:
    """How many requests the version had before it was cut, how long after the 200th of them that was, and why."""
    assert cut.cut is not None
    number, evidence = cut.cut["number"], cut.cut["evidence"]
    assert evidence["value"] >= evidence["bound"]
    mine = sorted(
        one.served_at
        for one in shop.logged(project.path)
        if one.served_at >= since and one.route in (f"v{number}", "fallback") and _answers(project, one, number)
    )
    late = (cut.at - mine[199]) / SECOND if len(mine) > 199 else 0.0
    assert late <= 10
    assert mine[-1] <= cut.at + SECOND, "and every worker has followed within a second"
    return f"{cut.why}; after {len(mine)} requests, {late:.2f} s after its 200th"


def _answers(project: Project, one: Prediction, number: int) -> bool:
    """Whether a version was asked: by its digest, or by the error for which the champion answered."""
    digest = project.records.registry.get("late", number).digest
    return one.version == digest or {2: "a tree", 3: "is NaN"}.get(number, "nothing") in one.error


def test_versions_without_a_score_are_cut_while_the_champion_answers_for_them(world: tuple[Project, Server]) -> None:
    project, server = world
    with Load(server) as load:
        route = project.routes.set({"v2": 0.05, "v3": 0.05, "baseline": 0.05}, "late", key=["order"], why="try")
        cuts = _cuts(project, route, 2)
        time.sleep(1.0)
    assert load.failed == []
    assert {version for _, version, _ in load.answered} == {1}
    assert all(0 < score < 1 for _, _, score in load.answered)
    told = [_in_time(project, cuts[number], route.at) for number in (2, 3)]
    print(*told, sep="\n")  # noqa: T201
    assert {cut.cut["evidence"]["breaker"] for cut in cuts.values() if cut.cut} == {"failures"}
    assert "ValueError: a tree is missing" in cuts[2].why
    assert "a score is NaN or infinite" in cuts[3].why


def test_slow_and_shifted_versions_are_cut_and_one_that_is_only_another_is_not(world: tuple[Project, Server]) -> None:
    project, server = world
    shares = {"v4": 0.05, "v5": 0.05, "v6": 0.4, "baseline": 0.05}
    with Load(server) as load:
        route = project.routes.set(shares, "late", key=["order"], why="try them")
        cuts = _cuts(project, route, 2)
        end = time.monotonic() + 40
        while (seen := Counter(version for _, version, _ in load.answered))[6] < 2_000:
            assert time.monotonic() < end, seen
            time.sleep(0.05)
        time.sleep(1.0)  # all workers follow a cut within a second
        before = len(load.answered)
        time.sleep(0.3)
    rate = len(load.answered) / (load.answered[-1][0] - load.answered[0][0])
    told = [_in_time(project, cuts[number], route.at) for number in (4, 5)]
    print(*told, f"{rate:.0f} requests a second, {seen}", sep="\n")  # noqa: T201
    assert load.failed == []
    assert {number: cut.cut["evidence"]["breaker"] for number, cut in cuts.items() if cut.cut} == {
        4: "slowdown", 5: "score_shift",
    }  # fmt: skip
    assert {version for _, version, _ in load.answered[before:]} == {1, 6}
    left = project.routes.show("late")
    assert left is not None
    assert [one.name for one in left.parts] == ["v6", "baseline"]


def _last(project: Project, route: str, since: int) -> int:
    """When this route was last answered by any worker, by the servers' clock."""
    found = [one.served_at for one in shop.logged(project.path) if one.served_at >= since and one.route == route]
    assert len(found) > 20
    return max(found)


def test_a_rollback_is_in_force_in_every_worker_within_a_second(world: tuple[Project, Server]) -> None:
    """Of a canary, by the route; of a champion that was one before, by its pointer: its file is not even there, and the
    workers are loading something else."""
    project, server = world
    file, aside = planted.model_file(project, 1), project.path / "aside"
    planted.heavy(project.path.parent / "packages", "error")
    with Load(server) as load:
        begin = project.routes.set({"v6": 0.3, "baseline": 0.3}, "late", key=["order"], why="try it").at
        time.sleep(1.0)
        gone = project.routes.clear("late", why="no better")
        time.sleep(1.1)
        canary = _last(project, "v6", begin) - gone.at
        project.routes.set({"v6": 0.5}, "late", why="once more")
        time.sleep(1.0)
        shop.move_champion(project, 6)
        project.routes.clear("late", why="it is champion")
        time.sleep(0.8)
        file.rename(aside)
        try:
            project.routes.set({"v2": 0.05}, "late", why="a version that takes long to load")
            time.sleep(0.3)
            back = project.routes.rollback("late", why="worse")
            time.sleep(1.1)
        finally:
            aside.rename(file)
            project.routes.clear("late", why="over")
    digest = project.records.registry.get("late", 6).digest
    champion = max(one.served_at for one in shop.logged(project.path) if one.version == digest) - back.at
    print(f"the last answer {canary / SECOND:.3f} s after a canary's end, {champion / SECOND:.3f} s after a rollback")  # noqa: T201
    assert load.failed == []
    assert max(canary, champion) <= SECOND
    assert {version for _, version, _ in load.answered[-50:]} == {1}
    assert back.evidence == {"rollback": True, "from": 6, "reason": "worse"}


def test_a_version_that_takes_its_worker_with_it_is_cut_at_once(world: tuple[Project, Server]) -> None:
    project, server = world
    with Load(server) as load:
        route = project.routes.set({"v7": 0.05}, "late", key=["order"], why="try it")
        cut = _cuts(project, route, 1)[7]
        time.sleep(1.0)
        failed, before = len(load.failed), len(load.answered)
        end = time.monotonic() + 15
        while len(load.answered) < before + 100:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert cut.cut is not None
    assert cut.cut["evidence"] == {"breaker": "crash", "value": 1, "bound": 0, "code": 9}
    assert "a worker that scored its rows ended with exit code 9" in cut.why
    assert len(load.failed) == failed, "none fails any more"
    assert failed <= 12, "those that were under way in a worker that died, at most one a client and worker"


def test_a_version_that_hangs_is_cut_with_its_worker_and_the_others_go_on(world: tuple[Project, Server]) -> None:
    project, server = world
    hung, slowest, body = project.path.parent / "packages" / "planted_runtime.py.hung", 0.0, {"size": 1.0, "live": 1.0}
    with Load(server) as load:
        route = project.routes.set({"v8": 0.05}, "late", key=["order"], why="try it")
        end = time.monotonic() + 20
        while not hung.exists():
            assert time.monotonic() < end
            time.sleep(0.02)
        while project.routes.show("late") == route:  # whoever comes meanwhile is the other worker's
            begin = time.monotonic()
            assert begin < end
            assert server.predict({"keys": {"order": "o1"}, "fields": body})[0] == 200
            slowest = max(slowest, time.monotonic() - begin)
            time.sleep(0.05)
        cut = _cuts(project, route, 1)[8]
    assert slowest < 2.0
    assert cut.cut is not None
    evidence = cut.cut["evidence"]
    assert (evidence["breaker"], evidence["bound"], evidence["value"] < 7) == ("hung", 5.0, True)
    assert "hung: its rows were scored for" in cut.why
    assert len(load.failed) <= 6, "those that were under way in the worker that hung"


def test_a_shadow_that_crashes_is_cut_too(world: tuple[Project, Server]) -> None:
    project, server = world
    with Load(server) as load:
        shown = project.routes.set({"baseline": 0.1}, "late", key=["order"], shadow={"v9": 1.0}, why="show it")
        cut = _cuts(project, shown, 1)[9]
        time.sleep(0.3)
    assert cut.cut is not None
    assert cut.cut["shadow"] is True
    assert cut.cut["evidence"] == {"breaker": "crash", "value": 1, "bound": 0, "code": -11}
    assert "the shadow of version 9 was cut: a worker that scored its rows ended with signal 11" in cut.why
    assert [one.name for one in cut.parts] == ["baseline"], "and nothing else"
    assert len(load.failed) <= 12
