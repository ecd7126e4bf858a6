"""`ledger show`, `ledger verify` and `ledger head`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.cli.ledger import _told as told
from backstay.rollout.stages import State
from tests.cli.conftest import Life, Run, write_project

Cli = Callable[..., Run]


def test_show(cli: Cli, life: Life) -> None:
    entries = cli("ledger", "show", "--project", life.project, "--json").json["entries"]
    kinds = [entry["kind"] for entry in entries]
    assert kinds[:6] == ["data", "version", "gate", "gate", "alias", "server"]
    assert {*kinds[6:]} <= {"server"}, "other tests start servers too"
    assert [entry["id"] for entry in entries] == [*range(1, len(kinds) + 1)]
    assert entries[4]["body"]["evidence"]["gate"] == 4
    assert entries[5]["at"] == entries[4]["at"], "a replay has no time of its own"
    last = cli("ledger", "show", "-n", 1, "--kind", "gate", "--project", life.project).out.splitlines()
    assert len(last) == 3
    assert "late/1" in last[-1]
    assert "PASS against the base rate on " in last[-1]
    none = cli("ledger", "show", "--kind", "rollout", "--project", life.project)
    assert (none.code, none.out) == (0, "there is no entry of the kind rollout\n")


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Path:
    shutil.copytree(life.project, tmp_path / "copy")
    return tmp_path / "copy"


def test_verify_reads_everything(cli: Cli, copy: Path) -> None:
    done = cli("ledger", "verify", "--project", copy)
    assert done.code == 0, done.err
    assert "none: every byte is what was written" in done.out
    answer = cli("ledger", "verify", "--project", copy, "--json").json
    assert answer["sound"] is True
    assert (answer["versions"], answer["tables"], answer["problems"]) == (1, 1, [])
    assert answer["files"] >= 2
    head = cli("ledger", "head", "--project", copy).out.strip()
    assert head == answer["head"] == cli("ledger", "head", "--project", copy, "--json").json["head"]
    assert cli("ledger", "verify", "--head", head, "--project", copy).code == 0


def test_verify_names_what_was_changed_and_exits_with_1(cli: Cli, copy: Path) -> None:
    tables = (copy / ".backstay" / "events" / "orders").glob("*.parquet")
    artifacts = (one for one in (copy / ".backstay" / "artifacts").rglob("*") if one.is_file())
    for path in (next(tables), next(artifacts)):
        path.chmod(0o644)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        done = cli("ledger", "verify", "--project", copy)
        assert done.code == 1
        assert "restore" in done.out
        told = cli("ledger", "verify", "--project", copy, "--json")
        assert told.code == 1
        assert path.name in str(told.json["problems"]), "in the table a long path goes on below itself, anywhere"


def test_a_head_of_another_ledger(cli: Cli, copy: Path) -> None:
    other = cli("ledger", "verify", "--head", f"2:{'0' * 64}", "--project", copy)
    assert (other.code, "entry 2 of the ledger has the digest" in other.err) == (3, True)
    assert cli("ledger", "verify", "--head", "two", "--project", copy).code == 2


def test_a_ledger_that_was_cut_is_not_opened(cli: Cli, copy: Path, life: Life) -> None:
    (copy / ".backstay" / "ledger.sqlite").unlink()
    for words in (("ledger", "show"), ("status",), ("train",)):
        done = cli(*words, "--project", copy)
        assert (done.code, "its end was cut off" in done.err) == (3, True), done.err


def test_who_answers_is_told_in_a_sentence() -> None:
    state = State("late", 7, "d7", 5, "d5", 40, 41, "canary", 0, 0.05, 1, 2, 3, reason="no harm shown")
    parts = [
        {"name": "v7", "shadow": False, "spans": [[0, 500]]}, {"name": "v8", "shadow": True, "spans": [[0, 10_000]]},
    ]  # fmt: skip
    tests = {"tests": 12, "failures": 1, "errors": 0, "skipped": 2}
    assert told("rollout", state.as_dict()) == "version 7: canary 5%: no harm shown"
    assert told("route", {"parts": parts, "why": "so"}) == "v7 5%, shadow v8 100%: so"
    assert told("route", {"parts": [], "why": "so"}) == "all to the champion: so"
    assert told("tests", tests) == "12 feature tests, 1 failures, 2 skipped"


def test_an_empty_ledger(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path)
    assert cli("ledger", "head", "--project", project).out.strip() == "the ledger is empty"
    assert cli("ledger", "verify", "--project", project).code == 0
