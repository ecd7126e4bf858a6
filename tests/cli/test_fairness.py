"""`fairness` and `fairness-guide`: tables, a page, JSON, and questions where somebody can be asked."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import AS_OF, MODELS, Life, Run

Cli = Callable[..., Run]
ALL = ("--kind", "assistive", "--capacity", "limited", "--labels", "trusted", "--feedback", "all")


@pytest.fixture
def project(life: Life, tmp_path: Path) -> Path:
    """A copy of the life, whose model says now by what its decisions are compared."""
    path = Path(shutil.copytree(life.project, tmp_path / "shop"))
    models = MODELS.replace("EventSource, FeatureSet", "EventSource, Fairness, FeatureSet")
    people = 'people = FeatureSet("people", [Latest(orders, by=shop, name="shop")])\n'
    declared = people + 'late = Model(\n    "late",\n    fairness=Fairness(people, tolerance=0.2, kind="assistive"),'
    (path / "models.py").write_text(models.replace('late = Model(\n    "late",', declared), encoding="utf-8")
    return path


def test_fairness(cli: Cli, project: Path, tmp_path: Path) -> None:
    shown = cli("fairness", 1, "--as-of", AS_OF, "--project", project)
    assert shown.code == 0, shown.err
    for said in (
        "fairness of version 1 of late", "by shop_name", "gaps by shop_name", "FPR = p/(1-p)",
        "equalized_odds", "conflicts by", "frontier", "none is chosen", "shop6",
    ):  # fmt: skip
        assert said in shown.out, said
    assert "next: backstay fairness-guide" in shown.err
    page = tmp_path / "fairness.html"
    told = cli("fairness", 1, "--as-of", AS_OF, "--by", "name", "--html", page, "--project", project, "--json").json
    assert told["html"] == str(page)
    assert [group["name"] for group in told["report"]["groups"]] == ["shop_name"]
    assert sum(cell["rows"] for cell in told["report"]["groups"][0]["cells"]) == told["report"]["rows"] > 500
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.count("<svg") >= 4
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org", "")
    missing = cli("fairness", 1, "--as-of", AS_OF, "--by", "sex", "--project", project)
    assert (missing.code, "there is no attribute 'sex'" in missing.err) == (2, True)
    nowhere = cli("fairness", 1, "--as-of", AS_OF, "--html", tmp_path / "none" / "a.html", "--project", project)
    assert nowhere.code == 2


def test_fairness_of_a_model_that_declares_none(cli: Cli, life: Life) -> None:
    done = cli("fairness", 1, "--as-of", AS_OF, "--project", life.project)
    assert (done.code, "declares no protected attributes" in done.err) == (2, True)


def test_fairness_guide(cli: Cli, project: Path) -> None:
    unasked = cli("fairness-guide", "--project", project)  # the kind is declared
    assert unasked.code == 2
    assert "capacity, labels, feedback is not answered" in unasked.err
    assert cli("fairness-guide", *ALL, "--project", project).code == 2  # no reason, and nobody to ask
    done = cli("fairness-guide", *ALL, "--why", "places are short", "--project", project)
    assert done.code == 0, done.err
    for said in ("equal_opportunity", "places are short", "given up", "demographic_parity"):
        assert said in done.out
    told = cli(
        "fairness-guide", "--criterion", "equalized_odds", "--why", "both matter", "--project", project, "--json"
    ).json
    assert (told["criterion"], told["proposed"], told["answers"]) == ("equalized_odds", None, {})
    shown = cli("fairness", 1, "--as-of", "2030-01-01", "--project", project)
    assert "equalized_odds, chosen by" in shown.out
    listed = cli("ledger", "show", "--kind", "fairness.criterion", "--project", project, "--json").json
    assert [entry["body"]["criterion"] for entry in listed["entries"]] == ["equal_opportunity", "equalized_odds"]


def test_the_guide_asks_on_a_terminal(cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("harm\nunlimited\nbiased\nselected\nthe labels are arrests\n"))
    done = cli("fairness-guide", "--project", project, "--json")
    assert done.code == 0, done.err
    assert (done.json["criterion"], done.json["why"]) == ("demographic_parity", "the labels are arrests")
    assert "How many can be selected?" in done.err
    assert "given up: equalized_odds" in done.err
