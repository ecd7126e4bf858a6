"""`experiment start | show | stop`, `route explore` and `counterfactual`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.project import Project
from tests.cli.conftest import AS_OF, Life, Run

Cli = Callable[..., Run]
START = ("experiment", "start", "fewer", "--why", "a try")


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Path:
    """With a second version, which nobody has judged."""
    project = Project(
        shutil.copytree(life.project, tmp_path / "shop"), clock=ReplayClock(_instant(AS_OF)), actor="ann"
    )  # fmt: skip
    if len(project.versions("late")) < 2:
        project.train("late", as_of="2024-02-18", note="the second")
    project.close()
    return tmp_path / "shop"


def _instant(text: str) -> int:
    from backstay.core.times import instant

    return instant(text)


def test_an_experiment_is_started_shown_ticked_and_stopped(cli: Cli, copy: Path) -> None:
    at = ("--project", copy)
    assert "there was no experiment" in cli("experiment", "show", *at).out
    done = cli(*START, "--arm", "v2=40%", "--metric", "outcome", "--better", "lower", "--key", "order", "--guard",
               "errors", "--guard", "log_loss:0.02", "--covariate", "size", "--effect", "0.05", *at)  # fmt: skip
    assert done.code == 0, done.err
    assert "outcome, lower is better" in done.out
    assert "next: backstay experiment show" in done.err
    shown = cli("experiment", "show", *at)
    assert "INSUFFICIENT: no block has had rows to compare" in shown.out
    assert "27d 23h" in shown.out
    assert "running: nothing is shown yet" in shown.out
    told = cli("experiment", "show", "--json", *at).json
    assert [(one["name"], one["number"]) for one in told["versions"]] == [("champion", 1), ("v2", 2)]
    assert told["stages"][0]["shares"] == [0.6, 0.4]
    assert [one["metric"] for one in told["analysis"]["guards"]] == ["errors", "log_loss"]
    assert "experiment 'fewer' is running" in cli(*START, "--arm", "v2=1%", "--metric", "log_loss", *at).err
    assert cli("route", "clear", "--why", "mine", *at).code == 0
    ticked = cli("tick", "--json", *at).json["experiments"]
    assert [(one["name"], one["state"]) for one in ticked] == [("fewer", "interrupted")]
    assert "set the route otherwise: mine" in ticked[0]["why"]
    assert cli(*START, "--arm", "v2=0.5", "--metric", "log_loss", "--to-the-end", *at).code == 0
    stopped = cli("experiment", "stop", "--why", "enough", *at)
    assert stopped.code == 0, stopped.err
    assert "stopped it: enough" in " ".join(stopped.out.split())
    assert cli("experiment", "stop", "--why", "enough", *at).code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--arm", "v2=x", "--metric", "log_loss"), "'v2=x' is no arm"),
        (("--arm", "v2=1%", "--arm", "v2=2%", "--metric", "log_loss"), "v2 stands in it twice"),
        (("--arm", "v2=100%", "--metric", "log_loss"), "together below 1"),
        (("--arm", "v2=1%", "--metric", "clicks"), "there is no metric 'clicks'"),
        (("--arm", "v2=1%", "--metric", "outcome"), "better is ''"),
        (("--arm", "v2=1%", "--metric", "log_loss", "--guard", "errors:x"), "the margin 'x' is no number"),
        (("--arm", "v2=1%", "--metric", "log_loss", "--allocation", "thompson"), "Thompson sampling of 'log_loss'"),
        (("--arm", "v9=1%", "--metric", "log_loss"), "9"),
        (("--arm", "v2=1%", "--metric", "orders.shop", "--better", "lower", "--within", "1d"), "no column of numbers"),
    ],
)
def test_nonsense_is_told(cli: Cli, copy: Path, words: tuple[str, ...], said: str) -> None:
    done = cli(*START, *words, "--project", copy)
    assert done.code == 2
    assert said in done.err


def test_exploration_is_shown_and_a_counterfactual_without_it_is_insufficient(cli: Cli, copy: Path) -> None:
    at = ("--project", copy)
    done = cli("route", "explore", "2%", "--flip", "0.25", "--why", "for later", *at)
    assert done.code == 0, done.err
    assert "2.00% of the entities: each decision is turned over with 25%" in done.out
    assert cli("route", "show", "--json", *at).json["explore"] == {"share": 0.02, "flip": 0.25, "chance": 0.005}
    assert "'half' is no share" in cli("route", "explore", "half", "--why", "x", *at).err
    told = cli("counterfactual", "--threshold", 0.3, "--cost", "1:20", *at)
    assert told.code == 0, told.err
    assert "INSUFFICIENT" in told.out
    answer = cli("counterfactual", "--threshold", 0.3, "--metric", "outcome", "--json", *at).json
    assert [one["method"] for one in answer["estimates"]] == ["ips", "snips", "dr"]
    assert answer["estimates"][0]["policy"]["value"]["insufficient"] == "there are no rows"
    neither = cli("counterfactual", "--threshold", 0.3, *at).err
    assert "neither a metric nor the costs" in neither
    assert "--metric outcome, or --cost 1:20" in neither
    assert "1970" not in told.out
    assert "within is ''" in cli("counterfactual", "--threshold", 0.3, "--metric", "orders.size", *at).err
