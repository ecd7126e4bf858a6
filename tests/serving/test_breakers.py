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


def _cut(project: Project, after: RouteEntry, seconds: float = 30.0) -> RouteEntry:
    """The entry of the server that follows this one."""
    end = time.monotonic() + seconds
    while (now := project.routes.show("late")) == after:
        assert time.monotonic() < end, "nothing was cut"
        time.sleep(0.02)
    assert now is not None
    assert now.actor == "server"
    return now


def _within_ten_seconds(project: Project, number: int, cut: RouteEntry, since: int) -> tuple[int, float]:
    """How many requests the version had before it was cut, and how long after the 200th of them that was."""
    digest = project.records.registry.get("late", number).digest
    mine = sorted(
        one.served_at
        for one in shop.logged(project.path)
        if one.served_at >= since and (one.version == digest or one.route == "fallback")
    )
    assert mine
    late = (cut.at - mine[199]) / SECOND if len(mine) > 199 else 0.0
    assert late <= 10
    assert mine[-1] <= cut.at + SECOND, "and every worker has followed within a second"
    return len(mine), late


@pytest.mark.parametrize(("number", "breaker"), [(2, "failures"), (3, "failures"), (4, "slowdown"), (5, "score_shift")])
def test_a_version_that_does_harm_is_cut_and_no_customer_notices(
    world: tuple[Project, Server], number: int, breaker: str
) -> None:
    project, server = world
    digest = project.records.registry.get("late", number).digest
    with Load(server) as load:
        route = project.routes.set({f"v{number}": 0.05, "baseline": 0.05}, "late", key=["order"], why="try it")
        cut = _cut(project, route)
        time.sleep(1.0)
        begin = time.monotonic()
        time.sleep(0.5)
    assert cut.cut is not None
    assert (cut.cut["version"], cut.cut["number"]) == (digest, number)
    evidence = cut.cut["evidence"]
    assert evidence["breaker"] == breaker
    assert evidence["value"] >= evidence["bound"]
    assert [one.name for one in cut.parts] == ["baseline"]
    assert load.failed == []
    assert all(0 < score < 1 for _, _, score in load.answered)
    assert {version for when, version, _ in load.answered if when >= begin} == {1}
    if breaker == "failures":
        assert {version for _, version, _ in load.answered} == {1}, "the champion answered all along"
    requests, late = _within_ten_seconds(project, number, cut, route.at)
    rate = len(load.answered) / max(1e-9, load.answered[-1][0] - load.answered[0][0])
    print(f"{cut.why}; after {requests} requests, {late:.2f} s after its 200th; {rate:.0f} a second")  # noqa: T201


def test_a_version_whose_scores_differ_within_bounds_is_left_alone(world: tuple[Project, Server]) -> None:
    project, server = world
    with Load(server) as load:
        route = project.routes.set({"v6": 0.45, "baseline": 0.45}, "late", key=["order"], why="try it")
        end = time.monotonic() + 30
        while Counter(version for _, version, _ in load.answered)[6] < 2_000:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert load.failed == []
    assert project.routes.show("late") == route


def test_a_version_that_takes_its_worker_with_it_is_cut_at_once(world: tuple[Project, Server]) -> None:
    project, server = world
    with Load(server) as load:
        route = project.routes.set({"v7": 0.05}, "late", key=["order"], why="try it")
        cut = _cut(project, route)
        time.sleep(1.0)
        failed, before = len(load.failed), len(load.answered)
        end = time.monotonic() + 15
        while len(load.answered) < before + 200:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert cut.cut is not None
    assert cut.cut["evidence"]["breaker"] == "crash"
    assert "ended with exit code 9" in cut.why
    assert len(load.failed) == failed, "none fails any more"
    assert failed <= 12, "those that were under way in a worker that died, at most one a client and worker"
