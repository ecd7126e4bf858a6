"""`approve`, `reject`, and `promote --to`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import AS_OF, Life, Run, process, write_project

Cli = Callable[..., Run]


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Path:
    return Path(shutil.copytree(life.project, tmp_path / "copy"))


def test_promote_to_another_project(cli: Cli, copy: Path, tmp_path: Path) -> None:
    write_project(tmp_path / "production", toml='[project]\nname = "shop-production"\n')
    with (copy / "backstay.toml").open("a") as file:
        file.write('\n[environments]\nproduction = "../production"\n')
    done = cli("promote", 1, "--to", "production", "--project", copy)
    assert done.code == 0, done.err
    assert "version 1 is number 1 there" in done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["champion", "version", "1"] in lines
    assert any(line[:3] == ["evidence", "gate", "entry"] for line in lines)
    answer = cli("promote", 1, "--to", "production", "--project", copy, "--json").json
    assert (answer["promoted"], answer["project"], answer["version"]["number"]) == (True, "production", 1)
    shown = cli("ledger", "show", "--project", tmp_path / "production", "--json").json
    assert [entry["kind"] for entry in shown["entries"]] == ["version", "alias", "alias"]
    assert cli("promote", 1, "--to", "nowhere", "--project", copy).code == 2


def test_high_stakes(cli: Cli, copy: Path) -> None:
    models = copy / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    assert cli("train", "--as-of", AS_OF, "--holdout", "14d", "--seed", 3, "--project", copy).code == 0
    refused = cli("promote", 2, "--as-of", AS_OF, "--project", copy)
    assert refused.code == 1
    assert "waits for approval by another person than" in refused.err
    assert "fix: backstay approve 2 --model late" in refused.err
    mine = cli("reject", 2, "--why", "mine", "--project", copy)
    assert (mine.code, "another person than its author" in mine.err) == (2, True)
    assert cli("approve", 2, "--project", copy).code == 2  # a reason is part of it


def test_another_person_approves(copy: Path) -> None:
    """Who somebody is: the login name, which is believed (docs/governance.md)."""
    models = copy / "models.py"
    models.write_text(models.read_text().replace('    "late",\n', '    "late",\n    stakes="high",\n', 1))
    done = process("approve", 1, "--why", "it serves already", "--project", copy, LOGNAME="bob", USER="bob")
    assert done.code == 0, done.err
    assert ["by", "bob"] in [line.split() for line in done.out.splitlines()]
    assert "next: backstay promote 1" in done.err
    rejected = process("reject", 1, "--why", "no", "--project", copy, "--json", LOGNAME="eve", USER="eve")
    assert (rejected.json["decision"], rejected.json["by"], rejected.json["why"]) == ("reject", "eve", "no")
