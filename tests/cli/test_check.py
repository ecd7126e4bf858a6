"""`check` and `override`: exit codes, Markdown, JUnit XML, JSON; who may override, and what comes of a wrong line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from backstay import Project
from tests.cli.conftest import AS_OF, Life, Run, inside

Cli = Callable[..., Run]
LATER = "2024-02-29"


@pytest.fixture(scope="module")
def folder(life: Life, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with version 1, which has not been judged by the policy that it gets here, and no champion."""
    path = tmp_path_factory.mktemp("check") / "shop"
    shutil.copytree(life.project, path)
    (path / "backstay.toml").write_text('[project]\nname = "shop"\nhome = "other"\n')
    with_history = (path / "models.py").read_text()
    (path / "models.py").write_text(
        with_history.replace("minimum_days=4)", 'minimum_days=4, feature_tests=True, at_least={"auc": 0.5})')
    )
    for words in (("ingest",), ("train", "--as-of", AS_OF, "--holdout", "14d")):
        assert inside(*words, "--project", path).code == 0
    return path


@pytest.fixture
def shop(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "shop"))


def green(path: Path, body: str = "<testcase name='a|b'/>") -> Path:
    path.write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    return path


def test_the_exit_code_is_the_answer(cli: Cli, shop: Path, tmp_path: Path) -> None:
    words = ("check", "latest", "--as-of", AS_OF, "--project", shop)
    unsure = cli(*words)
    assert unsure.code == 4
    assert "no run of feature tests is recorded" in unsure.out
    fine = cli(*words, "--tests", green(tmp_path / "t.xml"), "--json")
    assert (fine.code, fine.json["verdict"], fine.json["exit_code"]) == (0, "PASS", 0)
    assert fine.json["manifest"] == Project(shop).versions()[0].digest
    assert fine.json["expires"] == "2024-03-21T00:00:00Z"
    failed = cli(*words, "--tests", green(tmp_path / "t.xml", "<testcase><failure/></testcase>"), "--json")
    assert (failed.code, failed.json["verdict"]) == (1, "FAIL")
    assert cli("promote", 1, "--as-of", AS_OF, "--project", shop).code == 1


def test_reports_are_read_by_those_that_read_them(cli: Cli, shop: Path, tmp_path: Path) -> None:
    junit, summary = tmp_path / "check.xml", tmp_path / "check.md"
    run = cli("check", 1, "--as-of", AS_OF, "--project", shop, "--junit", junit, "--markdown", summary)
    assert run.code == 4
    root = ElementTree.parse(junit).getroot()
    suite = root.find("testsuite")
    assert suite is not None
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    names = ["period_mature", "trained_as_served", "better_than_constant", "feature_tests", "good_enough"]
    assert list(cases) == names
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors"), suite.get("skipped")) == (
        "5",
        "0",
        "1",
        "0",
    )
    error = cases["feature_tests"].find("error")
    assert error is not None
    assert error.get("type") == "INSUFFICIENT"
    assert not list(cases["good_enough"].iter("failure"))
    text = summary.read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| `\w+` \|", line)]
    assert [row.count("|") for row in rows] == [4] * 5  # nothing in a cell ends it
    assert "INSUFFICIENT: version 1 of `late`" in text
    out = cli("check", 1, "--as-of", AS_OF, "--project", shop, "--markdown", "-")
    assert out.out.startswith("<!-- backstay check late -->")


def test_an_override_by_another_person(cli: Cli, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check = ("check", 1, "--as-of", AS_OF, "--project", shop)
    override = ("override", 1, "--check", "feature_tests", "--as-of", AS_OF, "--project", shop)
    assert cli(*check).code == 4
    author = cli(*override, "--why", "fine")
    assert (author.code, "cannot override its checks" in author.err) == (2, True)
    monkeypatch.setenv("LOGNAME", "bob")
    assert cli(*override, "--why", " ").code == 2
    assert cli(*override).code == 2  # --why is not given
    made = cli(*override, "--why", "they ran by hand | <b>", "--json")
    assert (made.code, made.json["by"], made.json["until"]) == (0, "bob", None)
    junit = tmp_path / "check.xml"
    again = cli(*check, "--json", "--junit", junit)
    assert (again.code, again.json["overridden"]) == (0, ["feature_tests"])
    told = {one["name"]: one for one in again.json["checks"]}["feature_tests"]
    assert (told["verdict"], told["override"]["by"]) == ("INSUFFICIENT", "bob")
    skipped = ElementTree.parse(junit).getroot().find(".//testcase[@name='feature_tests']/skipped")
    assert skipped is not None
    assert "overridden by bob: they ran by hand" in str(skipped.get("message"))
    summary = cli(*check, "--markdown", "-").out
    assert "**Overridden**: `feature_tests`" in summary
    assert "they ran by hand \\| &lt;b&gt;" in summary
    assert "INSUFFICIENT, overridden" in cli("judge", *check[1:]).out
    taken = cli(*override, "--why", "no", "--withdraw")
    assert (taken.code, "taken back" in taken.out) == (0, True)
    assert cli(*check).code == 4


def test_lines_that_are_wrong(cli: Cli, shop: Path, tmp_path: Path) -> None:
    for words, said in (
        (("check", "7"), "none with number 7"), (("check", "seven"), "is no version"), (("check",), "CANDIDATE"),
        (("check", "1", "--tests", tmp_path / "none.xml"), "cannot be read"),
        (("check", "1", "--tests", shop / "models.py"), "it is no XML"),
        (("check", "1", "--as-of", AS_OF, "--junit", tmp_path / "no" / "x.xml"), "cannot be written"),
        (("override", "1", "--check", "x", "--why", "y"), "made version 1, and cannot"),
    ):  # fmt: skip
        run = cli(*words, "--project", shop)
        assert run.code == 2
        assert said in run.err
    both = cli("check", "1", "--json", "--markdown", "-", "--project", shop)
    assert (both.code, "one of --json" in both.json["error"]) == (2, True)


def test_the_champion_is_no_candidate(cli: Cli, life: Life) -> None:
    run = cli("check", "latest", "--as-of", LATER, "--project", life.project)
    assert (run.code, "is the champion" in run.err) == (2, True)
