"""Every online store there is, for the tests that hold them to the training set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from backstay.storage.backends.local import LocalOnline
from backstay.storage.backends.memory import MemoryOnline
from backstay.storage.backends.redis import RedisOnline
from backstay.storage.ports import OnlineState
from tests.servers import Valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[str]:
    """The url of a real Valkey server."""
    with Valkey() as server:
        yield server.url


@pytest.fixture(params=["memory", "lmdb", "valkey"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineState]:
    state: OnlineState
    if request.param == "memory":
        state = MemoryOnline()
    elif request.param == "lmdb":
        state = LocalOnline(tmp_path / "online")
    else:
        state = RedisOnline(request.getfixturevalue("valkey"), prefix=uuid4().hex)
    yield state
    state.close()
