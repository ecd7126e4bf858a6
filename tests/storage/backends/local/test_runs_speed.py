"""What a metric costs, and a search among ten thousand runs: the best of several, as others may use the machine."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.clock import SystemClock
from backstay.registry.experiments import Runs
from backstay.storage.backends.local import LocalArtifacts, LocalRuns
from backstay.storage.backends.local import runs as local_runs
from backstay.storage.runs import FINISHED, RunRecord, encode

RUNS = 10_000


def opened(path: Path) -> Runs:
    return Runs(LocalRuns(path), LocalArtifacts(path / "artifacts"), SystemClock(), "ana")


def best(work: Callable[[], object], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def test_a_metric_costs_less_than_fifty_microseconds(tmp_path: Path) -> None:
    with opened(tmp_path / "runs").begin("late") as run:
        assert best(lambda: [run.log("auc", step / 7, step) for step in range(1_000)], 5) < 1_000 * 50e-6


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Ten thousand runs with twenty parameters and five metrics each."""
    dice, told = random.Random(1), []
    for number in range(RUNS):
        parameters = {
            f"parameter_{place}": dice.choice([number, number / 7, f"text{number % 7}"]) for place in range(19)
        }
        metrics = {f"metric_{place}": dice.random() for place in range(4)}
        told.append(
            RunRecord(
                f"{number:016x}", "late", "ana", FINISHED, number, number / 7,
                parameters={"depth": number % 64, **parameters}, metrics={"auc": dice.random(), **metrics},
                tags={"stage": "xy"[number % 2]},
            )
        )  # fmt: skip
    frames = [local_runs._framed(encode(told[at : at + 100])) for at in range(0, RUNS, 100)]
    (tmp_path / "index").write_bytes(b"".join(frames))
    return tmp_path


def test_a_search_among_ten_thousand_runs_takes_less_than_100_ms(many: Path) -> None:
    where = "auc > 0.7 and depth = 31 and tags.stage = 'y'"
    found = opened(many).search(where, order="auc desc", limit=20)
    assert len(found) == 20
    assert all(one.parameters["depth"] == 31 and one.metrics["auc"] > 0.7 for one in found)
    assert best(lambda: opened(many).search(where, order="auc desc", limit=20), 7) < 0.1
