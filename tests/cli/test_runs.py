"""The verbs `runs` and `compare`: what was tried is listed, shown whole, and held beside each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.project import Project
from tests.cli.conftest import Life, Run, write_project

Cli = Callable[..., Run]


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Three runs of a sweep, the last one failed."""
    path = write_project(tmp_path / "shop")
    project = Project(path)
    for depth, rate in ((4, 0.1), (8, 0.1)):
        with project.run("late", parameters={"depth": depth, "rate": rate}, tags={"stage": "sweep"}) as run:
            for step in range(50):
                run.log("auc", 0.5 + step / 100 - depth / 100, step)
            run.attach("text", b"bytes")
    with pytest.raises(ValueError, match="<b>"), project.run("late", note="too deep", parameters={"depth": 99}):
        raise ValueError("no <b>memory")
    project.close()
    return path


def ids(path: Path) -> list[str]:
    project = Project(path)
    found = [one.id for one in project.runs.search(order="begun")]
    project.close()
    return found


def test_nothing_was_tried(cli: Cli, tmp_path: Path) -> None:
    path = write_project(tmp_path / "shop")
    assert "nothing was tried yet" in cli("runs", "--project", path).out
    assert cli("runs", "--project", path, "--json").json == {"runs": []}
    assert not (path / ".backstay" / "runs").exists()


def test_they_are_listed_the_newest_first(cli: Cli, swept: Path) -> None:
    run = cli("runs", "--project", swept)
    head, _, *lines = run.out.splitlines()
    assert head.split() == [
        "run",
        "what",
        "status",
        "begun",
        "seconds",
        "metrics.auc",
        "parameters.depth",
        "parameters.rate",
    ]
    assert [line.split()[0] for line in lines] == [one[:8] for one in reversed(ids(swept))]
    assert [line.split()[2] for line in lines] == ["failed", "finished", "finished"]
    assert f"next: backstay compare {ids(swept)[2][:8]} {ids(swept)[1][:8]}" in run.err
    assert max(len(line) for line in run.out.splitlines()) <= 120
    chosen = cli("runs", "--columns", "depth, tags.stage", "--limit", 2, "--sort", "depth", "--project", swept).out
    assert [line.split()[5:] for line in chosen.splitlines()] == [
        ["depth", "tags.stage"],
        [],
        ["4", "sweep"],
        ["8", "sweep"],
    ]


def test_some_are_found(cli: Cli, swept: Path) -> None:
    found = cli("runs", "--where", "auc > 0.92 and tags.stage = 'sweep'", "--project", swept, "--json").json["runs"]
    assert [one["parameters"]["depth"] for one in found] == [4]
    assert "no run is like that" in cli("runs", "-w", "depth > 100", "--project", swept).out
    wrong = cli("runs", "--where", "dept = 4", "--project", swept)
    assert wrong.code == 2
    assert "did you mean depth?" in wrong.err
    assert cli("runs", "--columns", "nothing", "--project", swept).code == 2


def test_one_is_shown_whole(cli: Cli, swept: Path) -> None:
    first, _, failed = ids(swept)
    out = cli("runs", first[:8], "--project", swept).out
    for words in (f"run {first}", "finished", "depth", "stage", "sweep", "▁", "█", "text", "0.95"):
        assert words in out
    assert "ValueError: no <b>memory" in cli("runs", failed, "--project", swept).out
    told = cli("runs", first, "--project", swept, "--json").json
    assert told["run"]["parameters"] == {"depth": 4, "rate": 0.1}
    assert told["curves"]["auc"][0] == [0, 0.46]
    assert cli("runs", "0" * 20, "--project", swept).code == 2


def test_they_are_compared(cli: Cli, swept: Path, tmp_path: Path) -> None:
    first, second, failed = ids(swept)
    run = cli("compare", first[:8], second[:8], "--project", swept)
    assert re.search(r"^depth +4 +8 *$", run.out, re.MULTILINE)
    assert re.search(r"^auc +0\.95 +0\.91 +-0\.04 *$", run.out, re.MULTILINE)
    assert "the same in all: 1 more" in run.out
    assert run.out.count("█") >= 1
    assert "--html compare.html" in run.err
    page = tmp_path / "page.html"
    told = cli("compare", first, second, failed, "--html", page, "--project", swept, "--json").json
    assert told["parameters"] == {"depth": [4, 8, 99], "rate": [0.1, 0.1, None]}
    html = page.read_text(encoding="utf-8")
    assert html.count("<polyline") == 2
    assert "no &lt;b&gt;memory" in html
    assert "<script" not in html
    assert cli("compare", first, "--project", swept).code == 2
    assert cli("compare", first, second, "--html", tmp_path / "no" / "page.html", "--project", swept).code == 2


def test_a_training_is_a_run(cli: Cli, life: Life) -> None:
    (run,) = cli("runs", "--where", "dataset.rows > 100 and num_leaves = 7", "--project", life.project, "--json").json[
        "runs"
    ]
    version = life.steps["train"].json
    assert (run["name"], run["status"], run["version"], run["notes"]) == ("late", "finished", 1, ["the first"])
    parameters = run["parameters"]
    assert parameters["dataset.digest"] == version["dataset"]["digest"]
    assert parameters["dataset.rows"] == version["dataset"]["rows"]
    assert parameters["features.hash"] == version["feature_set"]["hash"]
    assert (parameters["seed"], parameters["n_estimators"], parameters["dataset.holdout"]) == (0, 15, "14d")
    assert parameters["estimator.class"].endswith("LGBMClassifier")
    assert run["metrics"]["cpu_seconds"] > 0
    assert run["metrics"]["peak_memory_mb"] > 50
    assert run["seconds"] > 0


def test_a_training_that_fails_is_one_too(cli: Cli, tmp_path: Path) -> None:
    path = write_project(tmp_path / "shop")
    cli("ingest", "--project", path)
    assert cli("train", "--as-of", "2024-01-01", "--project", path).code == 2
    (run,) = cli("runs", "--project", path, "--json").json["runs"]
    assert run["status"] == "failed"
    assert run["error"]
    assert run["version"] is None
    assert run["parameters"]["dataset.as_of"] == "2024-01-01T00:00:00Z"
