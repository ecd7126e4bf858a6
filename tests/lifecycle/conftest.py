"""The trained project of `tests/serving`, and a life of it: a day and a half replayed through the real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.core.times import HOUR, instant
from backstay.project import Project
from backstay.replay.world import World
from tests.serving import shop
from tests.shared import once

collect_ignore = ["clients"]  # they run in environments of their own


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained and promoted; never changed."""
    return once(tmp_path_factory, "born", lambda folder: shop.born(folder / "shop")) / "shop"


@pytest.fixture
def path(base: Path, tmp_path: Path) -> Path:
    """A copy of one's own."""
    return shop.copied(base, tmp_path)


@pytest.fixture(scope="session")
def served(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some hundred predictions, events pushed in between; never changed."""
    return once(tmp_path_factory, "served", lambda folder: _serve(shop.copied(base, folder))) / "shop"


def _serve(path: Path) -> None:
    project = Project(path)
    start = instant(shop.SECOND)
    world = World(project.model("late"), project.services.events, start=start, end=start + 180 * HOUR)
    with shop.Server(path, "--replay") as server:
        connection = server.connection()
        for part in world.slices(6 * HOUR):
            for place, body in (
                *((f"/v1/sources/{source}/events", body) for source, body in part.pushes),
                *(("/v1/models/late/predict", body) for body in part.requests),
            ):
                connection.request("POST", place, body, server.headers())
                answer = connection.getresponse()
                told = answer.read()
                assert answer.status == 200, told
        connection.close()


@pytest.fixture
def life(served: Path, tmp_path: Path) -> Path:
    """A copy of it of one's own."""
    return shop.copied(served, tmp_path)
