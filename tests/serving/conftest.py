"""One trained project a session; tests that change something work on a copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
def replaying(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[shop.Server]:
    with shop.Server(shop.copied(base, tmp_path_factory.mktemp("replaying")), "--replay") as server:
        yield server


@pytest.fixture(scope="session")
def producing(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[shop.Server]:
    with shop.Server(shop.copied(base, tmp_path_factory.mktemp("producing"))) as server:
        yield server


@pytest.fixture(scope="session")
def administered(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[shop.Server]:
    """In production, with gRPC and an admin plane."""
    path = shop.copied(base, tmp_path_factory.mktemp("administered"))
    (path / "backstay.toml").write_text(shop.ADMIN)
    with shop.Server(path) as server:
        yield server
