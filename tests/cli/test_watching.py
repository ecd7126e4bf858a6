"""`status`, `quality`, `settings`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backstay.core.settings import SETTINGS
from backstay.evaluation.unlabelled import METHODS
from tests.cli.conftest import AS_OF, Life, Run, write_project

Cli = Callable[..., Run]


def test_status(cli: Cli, life: Life) -> None:
    answer = cli("status", "--project", life.project, "--json").json
    assert answer["project"] == "shop"
    (model,) = answer["models"]
    assert (model["model"], model["champion"], model["predictions"]) == ("late", 1, 100)
    assert model["evidence"]["gate"] == life.steps["promote"].json["evidence"]["gate"]
    (source,) = answer["sources"]
    assert (source["source"], source["events"]) == ("orders", 3000)
    shown = cli("status", "--project", life.project).out
    assert shown.startswith("shop, as of 20")
    assert "version 1, since " in shown


def test_status_as_of_a_moment(cli: Cli, life: Life) -> None:
    answer = cli("status", "--as-of", AS_OF, "--project", life.project, "--json").json
    assert answer["as_of"] == f"{AS_OF}T00:00:00Z"
    assert answer["models"][0]["champion"] is None
    assert answer["sources"][0]["events"] == 2483
    assert answer["sources"][0]["last_known"] <= answer["as_of"]


def test_status_says_what_comes_next(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path)

    def next_step() -> str:
        return cli("status", "--project", project).err.splitlines()[-1].removesuffix(f" --project {project}")

    assert next_step() == "next: backstay ingest"
    cli("ingest", "--project", project)
    assert next_step() == "next: backstay train --as-of 2024-03-02 --holdout 14d"
    cli("train", "--as-of", AS_OF, "--holdout", "14d", "--project", project)
    assert next_step() == "next: backstay judge 1"


def test_quality(cli: Cli, life: Life) -> None:
    answer = cli("quality", "--project", life.project, "--json").json
    (cohort,) = answer["cohorts"]
    assert (cohort["week"], cohort["served"], cohort["mature"]) == (AS_OF, 100, 100)
    shown = cli("quality", "--project", life.project).out
    assert shown.splitlines()[2].split()[:2] == [AS_OF, "100"]
    early = cli("quality", "--as-of", f"{AS_OF}T03:30:00Z", "--project", life.project, "--json").json["cohorts"][0]
    assert early["mature"] < early["served"] < 100


def test_quality_of_labels(cli: Cli, life: Life) -> None:
    answer = cli("quality", "--labels", "--project", life.project, "--json").json
    assert (answer["rows"], answer["mature"], answer["faults"]["never"]) == (100, 100, 99)
    assert answer["cohorts"][0]["state"] == answer["calibration"]["state"] == "UNDERPOWERED"
    shown = cli("quality", "--labels", "--project", life.project).out
    for told in ("mature rows", "labels known", "not yet", "labels that are wrong", "calibration"):
        assert told in shown
    early = cli("quality", "--labels", "--as-of", f"{AS_OF}T03:30:00Z", "--project", life.project, "--json").json
    assert early["mature"] < early["rows"] < 100


def test_quality_before_the_labels(cli: Cli, life: Life) -> None:
    answer = cli("quality", "--estimated", "--project", life.project, "--json").json
    (week,) = answer["weeks"]
    assert (week["week"], week["served"], week["rows"], week["version"], week["maturity"]) == (AS_OF, 100, 100, 1, 1.0)
    assert {method: week["estimates"][method]["auc"]["rows"] for method in METHODS} == dict.fromkeys(METHODS, 100)
    assert week["why"] == ""
    assert {told["windows"] + told["left_out"] for by in answer["backtests"].values() for told in by.values()} == {1}
    assert cli("quality", "--estimated", "--weeks", "0", "--project", life.project).code == 2
    both = cli("quality", "--estimated", "--labels", "--project", life.project)
    assert (both.code, "one of them" in both.err) == (2, True)
    shown = cli("quality", "--estimated", "--project", life.project).out
    for told in ("AUC, week of", "log loss, week of", "label shift", AS_OF):
        assert told in shown
    assert "weeks" in cli("quality", "--help").out


def test_no_quality(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    assert cli("quality", "--project", project).out == "nothing has been served yet\n"
    assert cli("quality", "--estimated", "--project", project).out == "nothing has been served yet\n"


def test_settings(cli: Cli, life: Life) -> None:
    answer = cli("settings", "--project", life.project, "--json").json
    assert [one["name"] for one in answer["settings"]] == [setting.name for setting in SETTINGS]
    assert answer["settings"][0]["value"] == "shop"
    shown = cli("settings", "--project", life.project).out
    for setting in SETTINGS:
        assert f"\n{setting.name} " in shown
