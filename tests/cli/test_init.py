"""`init`: what it writes runs, loads and parses, calls verbs that exist, and overwrites nothing."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from backstay import Project
from backstay.cli.app import app
from backstay.cli.init import ROUND
from tests.cli.conftest import HERE, Run

Cli = Callable[..., Run]


def test_a_new_project_runs(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my shop"
    made = cli("init", folder, "--ci", "github", "--json")
    assert made.code == 0
    assert made.json["made"] is True
    assert all(Path(one).is_file() for one in made.json["written"])
    project = Project(folder)
    assert (project.name, list(project.definitions.models)) == ("my-shop", ["late"])
    project.close()
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=tests.xml"]
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    tests = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert tests.returncode == 0, tests.stdout
    monkeypatch.chdir(folder)
    for line in ROUND[2:-1]:  # as a newcomer types it
        run = cli(*line.split()[1:])
        assert run.code == 0, (run.out, run.err)
    assert "champion  version 1" in run.out


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "models.py").write_text("mine")
    run = cli("init", tmp_path)
    assert run.code == 2
    assert "models.py: it exists" in run.err
    assert [one.name for one in tmp_path.iterdir()] == ["models.py"]
    assert (tmp_path / "models.py").read_text() == "mine"
    new = tmp_path / "new"
    made = cli("init", new)
    assert made.code == 0
    assert made.err.splitlines()[1:] == ["  " + line.format(new) for line in ROUND]
    assert cli("init", new).code == 2
    before = (new / "models.py").read_bytes()
    assert cli("init", new, "--ci", "gitlab").code == 0
    assert (new / "models.py").read_bytes() == before
    again = cli("init", new, "--ci", "gitlab")
    assert (again.code, "it exists" in again.err) == (2, True)
    wrong = cli("init", tmp_path / "other", "--ci", "jenkins")
    assert (wrong.code, "github or gitlab" in wrong.err, (tmp_path / "other").exists()) == (2, True, False)
    assert cli("init", tmp_path / "models.py").code == 2


def test_a_project_inside_a_repository_has_its_workflow_at_the_root(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert cli("init", tmp_path / "ml" / "late", "--ci", "github").code == 0
    text = (tmp_path / ".github/workflows/backstay.yml").read_text()
    assert "working-directory: ml/late" in text
    assert "ml/late/check.*" in text
    assert "@" not in re.sub(r"actions/\S+@v\d", "", text)


@pytest.mark.parametrize(("ci", "path"), [("github", ".github/workflows/backstay.yml"), ("gitlab", ".gitlab-ci.yml")])
def test_the_workflow_parses_and_calls_what_there_is(cli: Cli, tmp_path: Path, ci: str, path: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert cli("init", tmp_path / "shop", "--ci", ci).code == 0
    document = yaml.safe_load((tmp_path / "shop" / path).read_text())
    scripts = list(_github(document) if ci == "github" else _gitlab(document))
    called = [words for script in scripts for words in _calls(script)]
    assert {words[0] for words in called} == {
        "ingest",
        "quarantine",
        "train",
        "check",
        "promote",
        "rollout",
        "tick",
        "route",
    }
    assert any("pytest" in script for script in scripts)
    assert any("ruff" in script for script in scripts)
    root: Any = typer.main.get_command(app)
    for words in called:
        command = root
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for one in command.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= known
        assert cli(*_path(command, root), "--help").code == 0


@pytest.mark.parametrize(("ci", "path"), [("github", ".github/workflows/backstay.yml"), ("gitlab", ".gitlab-ci.yml")])
@pytest.mark.parametrize(("declared", "called"), [("true", "tick --home h"), ("false", "route set shadow=v3 --home h")])
def test_a_shadow_is_set_by_hand_only_where_no_rollout_is_declared(
    cli: Cli, tmp_path: Path, ci: str, path: str, declared: str, called: str
) -> None:
    """The step's own script, with a command that tells how it is called."""
    yaml = pytest.importorskip("yaml")
    assert cli("init", tmp_path / "shop", "--ci", ci).code == 0
    document = yaml.safe_load((tmp_path / "shop" / path).read_text())
    (script,) = [one for one in (_github if ci == "github" else _gitlab)(document) if "rollout show" in one]
    (tmp_path / "check.json").write_text('{"number": 3, "against": 2}')
    told = f'backstay() {{ case $1 in rollout) echo \'{{"declared": {declared}}}\';; *) echo "$@";; esac; }}\n'
    words, environment = ["bash", "-eo", "pipefail", "-c", told + script], {**os.environ, "BACKSTAY_HOME": "h"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(called), done.stderr


def _path(command: Any, root: Any) -> list[str]:
    for name, one in root.commands.items():
        if one is command:
            return [name]
        if hasattr(one, "commands") and command in one.commands.values():
            return [name, next(key for key, value in one.commands.items() if value is command)]
    raise AssertionError(command)


def _github(document: dict[Any, Any]) -> Iterator[str]:
    assert {"name", "jobs"} <= document.keys()
    assert {"pull_request", "push"} <= document[True].keys()  # YAML 1.1 reads the key `on` as true
    for job in document["jobs"].values():
        assert {"runs-on", "steps"} <= job.keys()
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "run" in step:
                yield step["run"]


def _gitlab(document: dict[str, Any]) -> Iterator[str]:
    for name, job in document.items():
        if isinstance(job, dict) and "script" in job:
            assert job["stage"] in document["stages"], name
            assert all(isinstance(line, str) for line in job["script"])
            yield "\n".join(job["script"])


def _calls(script: str) -> Iterator[list[str]]:
    """The words after each `backstay` that a shell would run."""
    for line in re.split(r"\n|; then |; fi|&&|\$\(", script):
        words = shlex.split(line, comments=True)
        if words and words[0] == "backstay":
            yield words[1:]
