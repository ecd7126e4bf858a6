"""Every online store there is, for the tests that hold them to the training set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.storage.backends.local import LocalOnline
from backstay.storage.backends.memory import MemoryOnline
from backstay.storage.ports import OnlineState


@pytest.fixture(params=["memory", "lmdb"])
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineState]:
    state: OnlineState = MemoryOnline() if request.param == "memory" else LocalOnline(tmp_path / "online")
    yield state
    state.close()
