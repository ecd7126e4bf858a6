"""`train`, `versions`, `judge`, `promote`, `tick`: the gate's answer is the exit code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import AS_OF, MODELS, Life, Run, write_project

Cli = Callable[..., Run]


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Path:
    shutil.copytree(life.project, tmp_path / "shop")
    return tmp_path / "shop"


def test_train(life: Life) -> None:
    version = life.steps["train"].json
    assert (version["model"], version["number"], version["note"]) == ("late", 1, "the first")
    assert version["as_of"] == f"{AS_OF}T00:00:00Z"
    assert version["cutoff"] == "2024-02-06T00:00:00Z"
    assert version["dataset"]["rows"] + version["dataset"]["immature"] == version["dataset"]["asked"]


def test_training_again_gives_the_same_version(cli: Cli, copy: Path) -> None:
    run = cli("train", "--as-of", AS_OF, "--holdout", "14d", "--note", "the first", "--project", copy)
    assert run.code == 0
    assert run.out.splitlines()[0] == "version 1 of late"
    assert run.err.splitlines()[-1] == f"next: backstay judge 1 --as-of {AS_OF} --project {copy}"


def test_judge(life: Life) -> None:
    judgement = life.steps["judge"].json
    assert (judgement["verdict"], judgement["against"], judgement["final"]) == ("PASS", None, True)
    assert [check["name"] for check in judgement["checks"]] == [
        "period_mature",
        "trained_as_served",
        "better_than_constant",
    ]
    assert judgement["interval"]["low"] > 0


def test_promote(life: Life) -> None:
    move = life.steps["promote"].json
    assert (move["promoted"], move["to"], move["previous"], move["alias"]) == (True, 1, None, "champion")
    assert move["evidence"]["gate"] > life.steps["judge"].json["entry"]


def test_versions(cli: Cli, life: Life) -> None:
    answer = cli("versions", "--project", life.project, "--json").json
    assert answer["champion"] == 1
    (version,) = answer["versions"]
    assert (version["champion"], version["verdict"], version["note"]) == (True, "PASS", "the first")
    assert version["digest"] == life.steps["train"].json["digest"]
    row = cli("versions", "--project", life.project).out.splitlines()[-1].split()
    assert row[:4] == ["1", "champion", "PASS", "2024-02-06T00:00Z"]


def test_a_gate_that_cannot_tell_exits_with_1(cli: Cli, copy: Path) -> None:
    trained = cli("train", "--as-of", "2024-02-28", "--project", copy, "--json").json
    assert trained["number"] == 2
    for verb in ("judge", "promote"):
        run = cli(verb, 2, "--as-of", "2024-02-29", "--project", copy)
        assert run.code == 1
        assert "INSUFFICIENT" in run.out
        assert "does not suffice" in run.err
        told = cli(verb, 2, "--as-of", "2024-02-29", "--project", copy, "--json")
        assert told.code == 1
        assert (told.json["verdict"], told.json["against"]) == ("INSUFFICIENT", 1)
        assert told.json.get("promoted", False) is False
    assert cli("versions", "--project", copy, "--json").json["champion"] == 1
    listed = cli("versions", "--project", copy).out.splitlines()[-1].split()
    assert listed[:3] == ["2", "-", "INSUFFICIENT"]


def test_a_gate_that_says_no_exits_with_1(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path, MODELS.replace('metric="auc"', 'metric="auc", margin=0.45'))
    assert cli("ingest", "--project", project).code == 0
    assert cli("train", "--as-of", AS_OF, "--holdout", "14d", "--project", project).code == 0
    run = cli("promote", 1, "--as-of", AS_OF, "--project", project, "--json")
    assert run.code == 1
    assert (run.json["promoted"], run.json["verdict"]) == (False, "FAIL")
    assert "not promoted" in cli("promote", 1, "--as-of", AS_OF, "--project", project).err


def test_tick(cli: Cli, copy: Path) -> None:
    answer = cli("tick", "--project", copy, "--json").json
    assert (answer["judged"], answer["promoted"]) == ([], [])
    assert [one["number"] for one in answer["trained"]] == [2]
    again = cli("tick", "--project", copy)
    assert again.out == "nothing is due\n"
    assert again.err.splitlines()[-1] == f"next: backstay status --project {copy}"


def test_training_on_nothing(cli: Cli, tmp_path: Path) -> None:
    run = cli("train", "--project", write_project(tmp_path))
    assert (run.code, run.out) == (2, "")
    assert "orders" in run.err
    assert cli("versions", "--project", tmp_path).out == "model late has no versions yet\n"


def test_several_models_want_a_name(cli: Cli, tmp_path: Path) -> None:
    second = "\nother = Model('other', features=features, label=late.label, ask=late.ask, estimator=estimator)\n"
    project = write_project(tmp_path, MODELS + second)
    ticked = cli("tick", "--project", project, "--json")
    assert (ticked.code, [*ticked.json], ticked.json["late"]["trained"]) == (0, ["late", "other"], [])
    run = cli("train", "--project", project)
    assert run.code == 2
    assert "the project has several models" in run.err
    assert "one of late, other" in run.err
    assert cli("versions", "--model", "other", "--project", project, "--json").json["model"] == "other"
    (project / "models.py").write_text((MODELS + second).replace("read=history", "read=lambda: history().head(0)"))
    trains = [line for line in cli("ingest", "--project", project).err.splitlines() if line.startswith("next: ")]
    assert trains == [
        f"next: backstay train --model {name} --holdout 14d --project {project}" for name in ("late", "other")
    ]
