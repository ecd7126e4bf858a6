"""A small project's life replayed twice, ticks and a planted fault and all: the same both times, entry by entry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.serving import shop

from backstay.core.clock import ReplayClock
from backstay.core.times import instant
from backstay.project import Project
from backstay.replay.replay import Planted, Replayed, replay
from backstay.replay.summary import summarise
from backstay.storage.predictions import Prediction

TICKS = ("2024-02-18", "2024-02-22", "2024-02-26")
END = "2024-02-27"
TIMINGS = {"latency_ms", "latency_histogram", "requests_per_second"}


def in_cents(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("size") * 100)


@dataclass
class Lived:
    """One replay: what it did, what it told, and what stands in its records."""

    replayed: Replayed
    summary: dict[str, Any]
    ledger: list[str]
    predictions: list[Prediction]


def lived(path: Path) -> Lived:
    project = Project(shop.write(path), clock=ReplayClock(instant(shop.FIRST)), actor="test")
    project.ingest()
    version = project.train("late", as_of=shop.FIRST, holdout="14d")
    project.promote(version.number, "late")
    planted = [Planted(at=TICKS[0], alter=in_cents, note="cents")]
    done = replay(project, start=shop.FIRST, end=END, model="late", planted=planted, in_flight=4)
    out = Lived(
        done,
        summarise(project, done, project.verify("late").as_dict(), {}),
        [entry.digest for entry in project.services.ledger.entries()],
        list(project.services.predictions.scan()),
    )
    project.close()
    return out


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[Lived]:
    return [lived(tmp_path_factory.mktemp(name) / "shop") for name in ("first", "second")]


def test_a_life_is_replayed(lives: list[Lived]) -> None:
    """Candidates are trained, judged on all their rows and refused, with reasons; so is the planted fault."""
    for one in lives:
        assert one.summary["served"] == one.summary["parity_equal"] == len(one.predictions) > 500
        assert one.summary["errors"] == 0
        assert [week.at for week in one.replayed.weeks] == list(map(instant, (*TICKS, END)))
        trained = [made.number for week in one.replayed.weeks for made in week.ticked.trained]
        assert (trained, one.replayed.weeks[0].planted) == ([2, 4, 5], (3,))
    candidates = {each["version"]: each for each in lives[0].summary["candidates"]}
    assert {number: each["verdict"] for number, each in candidates.items()} == {
        2: "INSUFFICIENT", 3: "FAIL", 4: "INSUFFICIENT", 5: "INSUFFICIENT",
    }  # fmt: skip
    assert [number for number, each in candidates.items() if each["final"]] == [2, 3]
    assert candidates[2]["interval"]["low"] < 0 < candidates[2]["interval"]["high"]
    assert "size was trained on values 100 times those served" in candidates[3]["reason"]


def test_twice_is_the_same(lives: list[Lived]) -> None:
    first, second = ({k: v for k, v in one.summary.items() if k not in TIMINGS} for one in lives)
    assert first == second

    def told(one: Prediction) -> tuple[Any, ...]:
        return (*sorted(one.keys.items(), key=str), one.at, one.version, repr(one.values), one.statuses, one.score)

    assert sorted(map(told, lives[0].predictions), key=str) == sorted(map(told, lives[1].predictions), key=str)


def test_the_ledgers_are_the_same(lives: list[Lived]) -> None:
    """The same decisions at the same replayed moments, entry by entry, down to the hash chain."""
    assert lives[0].ledger == lives[1].ledger
