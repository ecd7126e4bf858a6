"""A small project's life replayed twice, ticks, a rollout, planted faults and all: the same both times, entry by entry.

The first champion never saw how large an order is, so the first candidate is better: it passes its gate, and becomes
champion by shadow and canary.
"""

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
from backstay.replay.report import render
from backstay.replay.summary import summarise
from backstay.storage.predictions import Prediction

TICKS = ("2024-02-18", "2024-02-22")
END = "2024-02-29"
POLICY = """    rollout=Rollout(
        shadow=Shadow(rows=30),
        canary=Canary(steps=(0.3, 0.5, 1.0), requests=10, least="1d", guards=(Guard("errors"), Guard("log_loss", 0.3))),
    ),
"""
TIMINGS = {"latency_ms", "latency_histogram", "requests_per_second"}


def without_size(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(size=pl.lit(500.0), size_ratio=pl.lit(1.0))


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
    shop.write(path)
    every = '    retrain=RetrainPolicy(every="4d"),\n'
    text = shop.MODELS.replace(every, every + POLICY).replace('judge_after="5d"', 'judge_after="6d"')
    names = "from backstay import Canary, Guard, Request, Rollout, Shadow, "
    (path / "models.py").write_text(text.replace("from backstay import Request, ", names))
    project = Project(path, clock=ReplayClock(instant(shop.FIRST)), actor="test")
    project.ingest()
    version = project.train("late", as_of=shop.FIRST, holdout="14d", alter=without_size, note="without size")
    project.promote(version.number, "late")
    planted = [
        Planted(at=TICKS[0], alter=in_cents, note="cents"),
        Planted(at=TICKS[1], alter=in_cents, note="cents, in place of the regular one", instead=True),
    ]
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
    """Candidates are trained, judged on all their rows, and refused with reasons; so are the planted faults."""
    for one in lives:
        summary, weeks = one.summary, one.replayed.weeks
        assert summary["served"] > 500
        assert summary["parity_checked"] == summary["parity_equal"] == len(one.predictions)
        assert len(one.predictions) == summary["served"] + summary["parity_shadow"]
        assert summary["errors"] == 0
        assert [week.at for week in weeks] == list(map(instant, ("2024-02-21", "2024-02-28", END)))
        assert [len(week.days) for week in weeks] == [7, 7, 1]  # a tick a day
        trained = [made.number for week in weeks for day in week.days for made in day.ticked.trained]
        planted = [day.planted for week in weeks for day in week.days if day.planted]
        assert (trained, planted) == ([2, 5], [(3,), (4,)])
    candidates = {each["version"]: each for each in lives[0].summary["candidates"]}
    assert {number: each["verdict"] for number, each in candidates.items()} == {
        2: "PASS", 3: "FAIL", 4: "FAIL", 5: "INSUFFICIENT",
    }  # fmt: skip
    assert [number for number, each in candidates.items() if each["final"]] == [2, 3, 4]
    assert candidates[2]["interval"]["low"] > 0
    assert "size was trained on values 102 times those served" in candidates[3]["reason"]


def test_the_way_of_each_version_is_told(lives: list[Lived]) -> None:
    """By shadow and canary to everybody; what shadows said is extra, and answers nobody."""
    summary = lives[0].summary
    ways = {way["version"]: way for way in summary["ways"]}
    assert [(way["end"], way["at"] and way["at"][:10]) for way in ways.values()] == [
        ("replaced", "2024-02-29"), ("champion", "2024-02-29"), ("gate", "2024-02-25"), ("gate", "2024-02-29"),
        ("not due", None),
    ]  # fmt: skip
    stages = [(stage["stage"], stage["share"], stage["from"][:10], stage["to"][:10]) for stage in ways[2]["stages"]]
    assert stages == [
        ("shadow", 1.0, "2024-02-25", "2024-02-26"), ("canary", 0.3, "2024-02-26", "2024-02-28"),
        ("canary", 0.5, "2024-02-28", "2024-02-29"),
    ]  # fmt: skip
    shown = [one for one in lives[0].predictions if one.route == "shadow"]
    assert len(shown) == summary["shadow_rows"] == summary["parity_shadow"] == 41
    assert summary["shadow_rows_shed"] == 0
    page = render(summary)
    assert "From candidate to champion" in page
    assert "24 requests answered beside 29, no harm shown" in page
    assert "planted fault: cents, in place of the regular one" in page


def test_twice_is_the_same(lives: list[Lived]) -> None:
    first, second = ({k: v for k, v in one.summary.items() if k not in TIMINGS} for one in lives)
    assert first == second

    def told(one: Prediction) -> tuple[Any, ...]:
        return (*sorted(one.keys.items(), key=str), one.at, one.version, repr(one.values), one.statuses, one.score)

    assert sorted(map(told, lives[0].predictions), key=str) == sorted(map(told, lives[1].predictions), key=str)


def test_the_ledgers_are_the_same(lives: list[Lived]) -> None:
    """The same decisions at the same replayed moments, entry by entry, down to the hash chain."""
    assert lives[0].ledger == lives[1].ledger
