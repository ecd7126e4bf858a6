"""The demo as a newcomer runs it, for eight days instead of three months; and again for one, the same as the first was.

That everything a replay decides is the same twice, candidates, verdicts and faults, is proven in `tests/replay`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backstay.core.times import instant
from backstay.project import Project
from backstay.storage.predictions import Prediction
from tests.serving.shop import ROOT

DEMO = ROOT / "examples" / "flights"
SECOND = "2013-04-02"
"""where the second run ends; the first is whole"""


@dataclass
class Ran:
    """One run: where it wrote, what it printed, and the home folder it had."""

    out: Path
    home: Path
    code: int
    said: str

    @property
    def summary(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.out / "summary.json").read_text())
        return told

    @property
    def predictions(self) -> list[Prediction]:
        project = Project(DEMO, home=self.out / "state")
        found = list(project.services.predictions.scan())
        project.close()
        return found


def _tree() -> dict[str, int]:
    """What lies in the example's folder, apart from compiled modules."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in DEMO.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    pytest.importorskip("lightgbm")
    before = _tree()
    processes = []
    for name, end in (("first", "2013-04-09"), ("second", SECOND)):
        folder = tmp_path_factory.mktemp(name)
        home, temporary, here = folder / "home", folder / "tmp", folder / "here"
        for one in (home, temporary, here):
            one.mkdir()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT / "src"),
            "COLUMNS": "120",
        }  # fmt: skip
        command = [sys.executable, str(DEMO / "demo.py"), "--out", str(folder / "out"), "--end", end]
        with (folder / "said").open("w") as said:
            process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment, cwd=here)
        processes.append((folder, process))
    out = []
    for folder, process in processes:
        code = process.wait(600)
        out.append(Ran(folder / "out", folder / "home", code, (folder / "said").read_text()))
    assert _tree() == before
    return out


def test_it_ends_well(runs: list[Ran]) -> None:
    for run in runs:
        assert run.code == 0, run.said
        assert "Traceback" not in run.said
        assert "Warning" not in run.said
        assert "next: " in run.said


def test_the_summary_says_what_was_shown(runs: list[Ran]) -> None:
    told = runs[0].summary
    assert told["errors"] == 0
    assert told["parity_checked"] == told["parity_equal"] == told["served"] > 5_000
    assert told["parity_shadow"] == told["shadow_rows_shed"] == 0  # no candidate comes so far in eight days
    assert told["parity_differences"] == {}
    assert 0 < told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]
    assert [one["version"] for one in told["candidates"]] == [2]  # the cadence is longer than the eight days
    for one in told["candidates"]:
        assert one["verdict"] == "INSUFFICIENT"  # eight days are not the fourteen of the policy
        assert one["reason"]
        assert one["interval"] is None
        assert not one["final"]
    assert "planted fault" in told["candidates"][0]["note"]
    assert told["problems"] == []
    assert (told["reproduced"]["number"], told["reproduced"]["outcome"]) == (1, "exact")
    assert all(one["same"] for one in told["reproduced"]["made"])
    (first,) = told["promotions"]
    assert (first["version"], first["previous"]) == (1, None)
    assert first["interval"]["low"] > 0
    assert first["reason"]
    assert told["auc_by_week"][0]["auc"]["estimate"] > 0.6
    assert told["label_maturity"][0]["week"] == "2013-04-01"
    assert 0 < told["label_maturity"][0]["maturity"] < 1


def test_what_was_served_is_in_the_record(runs: list[Ran]) -> None:
    logged = runs[0].predictions
    assert len(logged) == len({one.id for one in logged}) == runs[0].summary["served"]
    assert all(one.replayed for one in logged)


def test_the_report_stands_alone(runs: list[Ran]) -> None:
    report = (runs[0].out / "report.html").read_text(encoding="utf-8")
    assert report.lstrip().lower().startswith("<!doctype html>")
    assert "<svg" in report
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)[^"']+""", report)
    assert not re.findall(r"@import|url\((?!#|data:|['\"](?:#|data:))", report)
    assert "<script src" not in report
    assert f"{runs[0].summary['served']:,}" in report


def test_nothing_is_written_elsewhere(runs: list[Ran]) -> None:
    for run in runs:
        assert list(run.home.iterdir()) == []
        assert list((run.home.parent / "here").iterdir()) == []
        assert list((run.home.parent / "tmp").iterdir()) == []
        assert {path.name for path in run.out.iterdir()} == {"state", "summary.json", "report.html"}


def test_twice_is_the_same(runs: list[Ran]) -> None:
    """The year's events, the model made of them, its gate's verdict, and all that a day was answered."""
    first, second = (run.summary for run in runs)
    for name in ("first_version", "promotions", "feature_set", "model", "version"):
        assert first[name] == second[name], name
    assert first["reproduced"] == second["reproduced"]
    until = instant(SECOND)

    def told(one: Prediction) -> tuple[Any, ...]:
        return (*sorted(one.keys.items(), key=str), one.at, one.version, repr(one.values), one.statuses, one.score)

    day = sorted((told(one) for one in runs[0].predictions if one.at < until), key=str)
    assert len(day) > 700
    assert day == sorted(map(told, runs[1].predictions), key=str)


def test_the_ledgers_are_the_same(runs: list[Ran]) -> None:
    """The same decisions at the same replayed moments, entry by entry, down to the hash chain."""
    first, second = (list(Project(DEMO, home=run.out / "state").services.ledger.entries()) for run in runs)
    assert {"data", "version", "gate", "alias"} <= {entry.kind for entry in second}
    assert [entry.digest for entry in first[: len(second)]] == [entry.digest for entry in second]
