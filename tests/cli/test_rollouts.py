"""`rollout show | start | stop` and `watch`: what they say, and how they are told to stop."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from backstay.cli.app import app
from backstay.cli.rollouts import onward
from backstay.cli.shell import Shell
from tests.cli.conftest import HERE, MODELS, Life, Run, command, write_project

Cli = Callable[..., Run]
DECLARED = MODELS.replace("Share, Windowed", "Share, Windowed, Rollout").replace(
    "    ask=Ask(", "    rollout=Rollout(),\n    ask=Ask("
)


def test_where_nothing_is_rolled_out(cli: Cli, tmp_path: Path) -> None:
    plain, declared = write_project(tmp_path / "a"), write_project(tmp_path / "b", DECLARED)
    shown = cli("rollout", "--project", plain)
    assert (shown.code, "none is declared" in shown.out) == (0, True)
    answer = cli("rollout", "show", "--project", declared, "--json").json
    assert (answer["declared"], answer["running"], answer["rollout"], answer["history"]) == (True, False, None, [])


def test_what_cannot_be_meant_is_refused(cli: Cli, life: Life, tmp_path: Path) -> None:
    refused = cli("rollout", "start", 1, "--project", life.project)
    assert (refused.code, "declares no rollout" in refused.err) == (2, True)
    project = write_project(tmp_path, DECLARED)
    assert "no versions, none with number 7" in cli("rollout", "start", 7, "--project", project).err
    assert "no rollout is running" in cli("rollout", "stop", "--why", "so", "--project", project).err
    assert "Missing option '--why'" in cli("rollout", "stop", "--project", project).err
    assert "a tenth of a second or more" in cli("watch", "--every", "0s", "--project", project).err
    assert "there is no model 'nope'" in cli("watch", "--model", "nope", "--project", project).err


def test_no_next_command_goes_round_a_rollout(
    cli: Cli, life: Life, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(life.project, tmp_path / "shop")
    assert cli("train", "--as-of", "2024-02-28", "--project", copy).code == 0
    assert "next: backstay route set shadow=v2" in cli("shadow", 2, "--project", copy).err
    context = typer.Context(typer.main.get_command(app))
    for models, said in ((MODELS, "promote 2"), (DECLARED, "rollout start 2")):
        (copy / "models.py").write_text(models)
        with Shell(context, copy, None, as_json=False) as shell:
            onward(shell, 2, None)
        assert f"next: backstay {said} --project {copy}" in capfd.readouterr().err
    assert f"next: backstay rollout show --project {copy}" in cli("shadow", 2, "--project", copy).err


def test_watch_ticks_until_it_is_told_to_stop(tmp_path: Path) -> None:
    project = write_project(tmp_path, DECLARED)
    gauges = tmp_path / "backstay.prom"
    words = command("watch", "--every", "100ms", "--metrics", gauges, "--project", project, "--json")
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(30) == 0
    assert 'backstay_incidents_cost{model="late"} 0.0' in gauges.read_text()
    assert all('"model": "late"' in line and '"rollouts": []' in line for line in lines)
