"""Which project a verb is about, and that its answer, its notes and its progress go where they belong."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backstay.cli.shell import _plain
from tests.cli.conftest import HERE, Life, Run, command, write_project

Cli = Callable[..., Run]


def test_the_nearest_project_above(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = write_project(tmp_path / "shop")
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert cli("settings", "--json").json["project"] == str(project)
    monkeypatch.chdir(tmp_path)
    assert f"there is no backstay.toml in {tmp_path}" in cli("settings").err


def test_options_before_the_verb_and_after_it(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = write_project(tmp_path / "one"), write_project(tmp_path / "two")
    home = tmp_path / "home"
    assert cli("--json", "--project", "one", "settings").json["project"] == str(one)
    assert cli("--project", "one", "settings", "--json", "--project", "two").json["project"] == str(two)
    assert cli("--home", home, "--project", one, "ledger", "show", "--json").json == {"entries": []}
    assert (home / "ledger.sqlite").exists()
    assert not (one / ".backstay").exists()


def test_what_the_project_prints_never_spoils_json(life: Life) -> None:
    ingest = life.steps["ingest"]
    assert ingest.json["sources"][0]["added"] == 3000
    assert ingest.err == "reading the history\n"


def test_the_next_command_can_be_copied(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path / "a shop")
    run = cli("ingest", "--project", project, "--home", tmp_path / "home")
    assert run.err.splitlines()[-1] == (
        f"next: backstay train --as-of 2024-03-02 --holdout 14d --project '{project}' --home {tmp_path / 'home'}"
    )
    assert "next:" not in run.out


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit(cli: Cli, life: Life, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    prediction = life.answers[0]["prediction_id"]
    for words in (
        ["features", "list"], ["versions"], ["predictions"], ["trace", prediction], ["status"], ["quality"],
        ["ledger", "show"], ["settings"], ["features", "verify", "--sample", "10"],
    ):  # fmt: skip
        run = cli(*words, "--project", life.project)
        assert run.code == 0
        assert max(len(line) for line in run.out.splitlines()) <= width, words
        assert "…" not in run.out


def test_a_narrow_terminal_loses_no_character(cli: Cli, life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for answer in life.answers[-3:]:
        assert answer["prediction_id"] in cli("predictions", "--project", life.project).out


def test_progress_is_shown_on_a_terminal_only(cli: Cli, life: Life) -> None:
    words = ["features", "verify", "--sample", "20", "--project", str(life.project)]
    master, terminal = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src"), "TERM": "xterm", "COLUMNS": "100"}
    # The terminal is read while the verb runs: what nobody reads fills its buffer, and then the verb waits.
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(_everything, master)
        try:
            done = subprocess.run(
                command(*words, "--json"),
                stdout=subprocess.PIPE,
                stderr=terminal,
                text=True,
                env=environment,
                check=True,
            )
        finally:
            os.close(terminal)
        shown = reading.result()
    os.close(master)
    assert "computing predictions again" in shown
    assert "0:00:0" in shown
    assert json.loads(done.stdout)["holds"] is True
    assert cli(*words, "--json").err == ""


def _everything(master: int) -> str:
    """What is written to a terminal until its last writer closes it."""
    read = b""
    with contextlib.suppress(OSError):  # Linux's way to say that no writer is left
        while chunk := os.read(master, 65_536):
            read += chunk
    return read.decode()


def test_json_has_a_form_for_every_number() -> None:
    assert _plain({"a": (float("nan"), float("-inf"), 1.5), 2: None, "p": Path("x")}) == {
        "a": ["nan", "-inf", 1.5], "2": None, "p": "x",
    }  # fmt: skip
