"""`access grant | revoke | list | token`, and what everybody else is told afterwards."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay import Project
from backstay.core.identity import sha256
from tests.cli.conftest import Run, write_project
from tests.project.library import MODELS

Cli = Callable[..., Run]
ME = getpass.getuser()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "shop", MODELS)


def entries(project: Path) -> list[tuple[str, str, str]]:
    found = Project(project).entries("access")
    return [(one.actor, one.subject, one.body["action"]) for one in found]


def test_an_open_project_says_so(cli: Cli, project: Path) -> None:
    assert "the project is open" in cli("access", "list", "--project", project).out
    assert cli("access", "list", "--project", project, "--json").json == {"open": True, "principals": []}
    run = cli("access", "token", "scoring", "--project", project)
    assert run.code == 2
    assert "begin with a grant" in run.err


def test_a_life_of_grants_and_tokens(cli: Cli, project: Path) -> None:
    first = cli("access", "grant", "scoring", "read_online", "--feature-set", "spending", "--project", project)
    assert first.code == 0
    assert f"the project is closed now; its admin is {ME}" in first.err
    assert first.err.splitlines()[-1] == f"next: backstay access token scoring --project {project}"
    again = cli("access", "grant", "scoring", "read_online", "--feature-set", "spending", "--project", project)
    assert "closed now" not in again.err
    assert ["new", "no"] in [line.split() for line in again.out.splitlines()]
    token = cli("access", "token", "scoring", "--project", project).out.strip()
    other = cli("access", "token", "scoring", "--project", project, "--json").json["token"]
    recorded = [one.body.get("sha256") for one in Project(project).entries("access")]
    assert sha256(token.encode()) in recorded
    assert sha256(other.encode()) in recorded
    told = cli("access", "list", "--project", project, "--json").json
    assert told == {
        "open": False,
        "principals": [
            {"name": ME, "roles": [{"role": "admin", "feature_set": None}], "tokens": 0, "denied": 0},
            {
                "name": "scoring",
                "roles": [{"role": "read_online", "feature_set": "spending"}],
                "tokens": 2,
                "denied": 0,
            },
        ],
    }
    assert "read_online on feature set 'spending'" in cli("access", "list", "--project", project).out
    assert cli("access", "token", "scoring", "--revoke", "--project", project, "--json").json["revoked"] == 2
    words = ("access", "revoke", "scoring", "read_online", "--feature-set", "spending", "--project", project)
    assert cli(*words).code == 0
    assert cli(*words).code == 2
    assert entries(project) == [
        (ME, ME, "grant"), (ME, "scoring", "grant"), (ME, "scoring", "token"), (ME, "scoring", "token"),
        (ME, "scoring", "revoke_tokens"), (ME, "scoring", "revoke"),
    ]  # fmt: skip
    shown = cli("ledger", "show", "--kind", "access", "--project", project)
    assert shown.code == 0
    assert token not in shown.out


def test_whoever_lacks_the_role_is_told_and_recorded(cli: Cli, project: Path) -> None:
    Project(project, actor="somebody_else").access.grant("somebody", "write")
    run = cli("train", "--model", "risk", "--project", project)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"error: {ME} may not train model 'risk'")
    assert "expected: the role read_offline on feature set 'spending'" in run.err
    assert f"fix: an admin grants it: backstay access grant {ME} read_offline --feature-set spending" in run.err
    told = cli("access", "grant", ME, "admin", "--project", project, "--json")
    assert told.code == 2
    assert told.json["expected"] == "the role admin"
    assert entries(project)[-2:] == [(ME, ME, "denied"), (ME, ME, "denied")]
    assert [one["denied"] for one in cli("access", "list", "--project", project, "--json").json["principals"]] == [
        2 if name == ME else 0 for name in sorted([ME, "somebody", "somebody_else"])
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["grant", "bob", "write"], "write on which feature set?"),
        (["grant", "bob", "write", "--all", "--feature-set", "spending"], "write on which feature set?"),
        (["grant", "bob", "writes"], "there is no role 'writes'"),
        (["revoke", "bob", "write"], "write on which feature set?"),
        (["grant", "bob", "rite", "--all"], "there is no role 'rite'"),
        (["grant", "bob", "write", "--feature-set", "spendin"], "there is no feature set 'spendin'"),
        (["revoke", "bob", "write", "--all"], "nobody has been granted anything yet"),
    ],
)
def test_what_is_wrong_is_said(cli: Cli, project: Path, words: list[str], told: str) -> None:
    run = cli("access", *words, "--project", project)
    assert (run.code, run.out) == (2, "")
    assert told in run.err
    assert entries(project) == []


def test_the_last_admin_stays(cli: Cli, project: Path) -> None:
    cli("access", "grant", ME, "admin", "--project", project)
    run = cli("access", "revoke", ME, "admin", "--project", project)
    assert run.code == 2
    assert f"{ME} is the last admin" in run.err
