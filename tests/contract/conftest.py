"""One suite for every backend: each fixture makes one empty store of a port, once a backend.

A new backend adds itself to `_BACKENDS`, with a maker for each port that it implements, and to `_LOGS`, with one for
each mode of its prediction log. The online state's suite is the
conformance kit (`test_online.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.storage.tables.postgres import Postgres

from backstay.storage.backends import local, memory
from backstay.storage.backends.postgres import PostgresLedger
from backstay.storage.ports import Artifacts, CountLog, EventStore, Ledger, PredictionLog, RunLog

_BACKENDS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "memory": {
        "counts": lambda _: memory.MemoryCounts(),
        "events": lambda _: memory.MemoryEvents(),
        "ledger": lambda _: memory.MemoryLedger(),
        "artifacts": lambda _: memory.MemoryArtifacts(),
        "runs": lambda _: memory.MemoryRuns(),
    },
    "local": {
        "counts": lambda path: local.LocalCounts(path / "counts"),
        "events": lambda path: local.LocalEvents(path / "events"),
        "ledger": lambda path: local.LocalLedger(path / "ledger.db"),
        "artifacts": lambda path: local.LocalArtifacts(path / "artifacts"),
        "runs": lambda path: local.LocalRuns(path / "runs"),
    },
}

_LEDGERS = ("local", "local-anchored", "memory", "postgres")

_LOGS: dict[str, Callable[[Path], PredictionLog]] = {
    "memory": lambda _: memory.MemoryPredictions(),
    **{
        f"local-{mode}": lambda path, mode=mode: local.LocalPredictions(path / "predictions", mode)
        for mode in ("durable", "sync", "lossy")
    },
}


@pytest.fixture(params=sorted(_BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _made(backend: str, port: str, path: Path) -> Iterator[Any]:
    store = _BACKENDS[backend][port](path)
    yield store
    if hasattr(store, "close"):
        store.close()


@pytest.fixture
def events(backend: str, tmp_path: Path) -> Iterator[EventStore]:
    yield from _made(backend, "events", tmp_path)


@pytest.fixture(params=sorted(_LOGS))
def predictions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PredictionLog]:
    log = _LOGS[request.param](tmp_path)
    yield log
    log.close()


@pytest.fixture
def reopen(predictions: PredictionLog, tmp_path: Path) -> Callable[[], PredictionLog]:
    """A log over what `predictions` holds, or the one that was reopened last, once that is closed."""
    held = [predictions]

    def _reopen() -> PredictionLog:
        if isinstance(predictions, local.LocalPredictions):
            return _LOGS["local-durable"](tmp_path)
        held.append(memory.MemoryPredictions())
        held[-1].append(list(held[-2].scan()))
        return held[-1]

    return _reopen


@pytest.fixture
def counts(backend: str, tmp_path: Path) -> Iterator[CountLog]:
    yield from _made(backend, "counts", tmp_path)


@pytest.fixture
def runs(backend: str, tmp_path: Path) -> Iterator[RunLog]:
    yield from _made(backend, "runs", tmp_path)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(params=_LEDGERS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        ledger: Ledger = PostgresLedger(server.url, f"test_{secrets.token_hex(8)}")
        yield ledger
        ledger.close()
    elif request.param == "local-anchored":
        ledger = local.Anchored(local.LocalLedger(tmp_path / "ledger.db"), tmp_path / "anchors")
        yield ledger
        ledger.close()
    else:
        yield from _made(request.param, "ledger", tmp_path)


@pytest.fixture
def artifacts(backend: str, tmp_path: Path) -> Iterator[Artifacts]:
    yield from _made(backend, "artifacts", tmp_path)
