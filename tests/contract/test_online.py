"""Every `OnlineState` passes the conformance kit that users run: in memory, LMDB, and a real Valkey server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest
from tests.servers import Valkey

from backstay.storage.backends.local import LocalOnline
from backstay.storage.backends.memory import MemoryOnline
from backstay.storage.backends.redis import RedisOnline
from backstay.storage.ports import OnlineState

pytest.register_assert_rewrite("backstay.testing.online")

from backstay.testing import OnlineStateConformance  # noqa: E402


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


class TestMemory(OnlineStateConformance):
    shared = False

    @pytest.fixture
    def opener(self) -> Callable[[], OnlineState]:
        online = MemoryOnline()
        return lambda: online


class TestLocal(OnlineStateConformance):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], OnlineState]:
        return partial(LocalOnline, tmp_path / "online")


class TestRedis(OnlineStateConformance):
    @pytest.fixture
    def opener(self, valkey: Valkey) -> Callable[[], OnlineState]:
        return partial(RedisOnline, valkey.url, prefix=uuid4().hex)
