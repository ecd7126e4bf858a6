"""Errors: one message that says what, where and the fix; no trace; an exit code that says which kind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backstay import Project
from backstay.core.errors import BackstayError, ConflictError, InputError, IntegrityError, NotFoundError
from tests.cli.conftest import HERE, MODELS, TOML, Life, Run, command, process, write_project

Cli = Callable[..., Run]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("a"), 2),
        (NotFoundError("a"), 2),
        (BackstayError("a"), 2),
        (ConflictError("a"), 3),
        (IntegrityError("a"), 3),
    ],
)
def test_exit_codes(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BackstayError, code: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Project, "status", fail)
    assert cli("status", "--project", write_project(tmp_path)) == Run(code, "", "error: a\n")


def test_an_error_for_people_and_for_programs(cli: Cli, tmp_path: Path) -> None:
    run = cli("status", "--project", tmp_path)
    assert (run.code, run.out) == (2, "")
    lines = run.err.splitlines()
    assert lines[0] == f"error: there is no backstay.toml in {tmp_path}"
    assert lines[-1].startswith("  fix: go to the project's folder, or name it with --project")
    told = cli("--json", "status", "--project", tmp_path)
    assert (told.code, told.err) == (2, "")
    assert told.json["error"] == lines[0].removeprefix("error: ")
    assert told.json["fix"] == lines[-1].removeprefix("  fix: ")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["train", "--model", "nosuch"], "there is no model 'nosuch'"),
        (["judge", "7"], "none with number 7"),
        (["promote", "0"], "none with number 0"),
        (["train", "--as-of", "yesterday"], "'yesterday' is not a time"),
        (["train", "--as-of", "2024-02-20T12:00:00"], "has no time zone"),
        (["status", "--as-of", "2024-13-01"], "is not a time"),
        (["train", "--holdout", "2 moons"], "'2 moons' is not a duration"),
        (["features", "backfill", "--until", "now"], "'now' is not a time"),
        (["ingest", "nosuch"], "there is no source 'nosuch'"),
        (["trace", "nosuch"], "there is no prediction 'nosuch'"),
        (["serve", "--replay", "--host", "0.0.0.0"], "loopback"),
    ],
)
def test_bad_input_changes_nothing_and_names_what(cli: Cli, life: Life, words: list[str], told: str) -> None:
    before = len(cli("ledger", "show", "--project", life.project, "--json").json["entries"])
    run = cli(*words, "--project", life.project)
    assert (run.code, run.out) == (2, "")
    assert told in run.err
    assert "Traceback" not in run.err
    assert len(cli("ledger", "show", "--project", life.project, "--json").json["entries"]) == before


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[project\n", "backstay.toml is not TOML"),
        ("[serving]\nport = 'x'\n", "serving.port is 'x'"),
        ("[serving]\nprot = 1\n", "there is no setting 'serving.prot'"),
    ],
)
def test_bad_settings(cli: Cli, tmp_path: Path, toml: str, told: str) -> None:
    run = cli("settings", "--project", write_project(tmp_path, toml=toml))
    assert run.code == 2
    assert told in run.err
    assert f"at: {tmp_path / 'backstay.toml'}" in run.err


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda project: project / "models.py", "there is no backstay.toml in"),
        (lambda project: _in_its_place(project), "backstay.toml cannot be read: Is a directory"),
    ],
    ids=["a file is named", "settings are a folder"],
)
def test_what_is_no_project_is_said_in_words(
    cli: Cli, tmp_path: Path, spoil: Callable[[Path], Path], told: str
) -> None:
    run = cli("settings", "--project", spoil(write_project(tmp_path)))
    assert (run.code, run.out) == (2, "")
    assert told in run.err
    assert "  fix: " in run.err
    assert "Traceback" not in run.err


def _in_its_place(project: Path) -> Path:
    (project / "backstay.toml").unlink()
    (project / "backstay.toml").mkdir()
    return project


@pytest.mark.parametrize(
    ("models", "told", "line"),
    [
        ("x = 1\ny = x +\n", "SyntaxError", 2),
        ("import polars\n\nraise ValueError('no')\n", "ValueError: no", 3),
        ("import nosuchmodule\n", "No module named 'nosuchmodule'", 1),
        ("from backstay import Entity\n\nEntity('not a name')\n", "not a name", 3),
        (MODELS.replace('"size": float, ', ""), "size", MODELS[: MODELS.index("Latest(orders")].count("\n") + 1),
    ],
)
def test_a_broken_models_file_is_named_with_its_line(
    cli: Cli, tmp_path: Path, models: str, told: str, line: int
) -> None:
    run = cli("features", "list", "--project", write_project(tmp_path, models))
    assert (run.code, run.out) == (2, "")
    assert told in run.err
    assert f"{tmp_path / 'models.py'}:{line}" in run.err
    assert "Traceback" not in run.err


def test_a_project_without_models(cli: Cli, tmp_path: Path) -> None:
    project = write_project(tmp_path, "x = 1\n")
    assert "the module defines no model" in cli("status", "--project", project).err
    (project / "models.py").unlink()
    assert "there is no models.py" in cli("status", "--project", project).err


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise FileNotFoundError('orders.csv')", "cannot be read: FileNotFoundError: orders.csv"),
        ("return None", "read() returns NoneType"),
        ("return pl.DataFrame({'x': [1]})", "there is no column 'paid'"),
    ],
)
def test_a_history_that_cannot_be_read(cli: Cli, tmp_path: Path, body: str, told: str) -> None:
    models = MODELS.replace('    print("reading the history")', f"    {body}")
    run = cli("ingest", "--project", write_project(tmp_path, models))
    assert (run.code, run.out) == (2, "")
    assert told in run.err
    assert "source 'orders'" in run.err


def test_a_history_that_was_changed_is_refused(cli: Cli, life: Life, tmp_path: Path) -> None:
    project = tmp_path / "shop"
    shutil.copytree(life.project, project)
    write_project(project, MODELS.replace("n * n * 7717", "n * n * 7727"))
    run = cli("ingest", "--project", project)
    assert (run.code, run.out) == (2, "")
    assert "does not begin with the 3000 events in the record" in run.err


def test_a_tampered_model_is_not_served(life: Life, tmp_path: Path) -> None:
    project = tmp_path / "shop"
    shutil.copytree(life.project, project)
    digest = Project(project).versions()[0].manifest.files["model.onnx"]
    path = project / ".backstay" / "artifacts" / digest[:2] / digest[2:]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    run = process("serve", "--port", 0, "--project", project)
    assert (run.code, run.out) == (3, "")
    assert "error: " in run.err
    assert digest[:12] in run.err
    assert "Traceback" not in run.err
    told = process("serve", "--port", 0, "--project", project, "--json")
    assert told.code == 3
    assert digest[:12] in f"{told.json['error']} {told.json['where']} {told.json['expected']}"


def test_a_defect_shows_its_trace(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(Project, "status", fail)
    run = cli("status", "--project", write_project(tmp_path))
    assert (run.code, run.out) == (70, "")
    assert "Traceback" in run.err
    assert run.err.splitlines()[-2] == "error: ZeroDivisionError: oh"
    told = cli("status", "--project", tmp_path, "--json")
    assert told.code == 70
    assert told.json["error"] == "ZeroDivisionError: oh"


def test_interrupted(tmp_path: Path) -> None:
    models = MODELS.replace('print("reading the history")', 'import time; print("reading", flush=True); time.sleep(60)')
    words = command("ingest", "--project", write_project(tmp_path, models))
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    started = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert started.stderr is not None
    assert started.stderr.readline() == "reading\n"
    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=20)
    assert (started.returncode, out, err) == (130, "", "interrupted\n")


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    project = write_project(tmp_path, toml=TOML)
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    for words in (["settings"], ["settings", "--json"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            command(*words, "--project", project),
            stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, check=False,
        )  # fmt: skip
        os.close(writer)
        assert done.stderr == ""
        assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_an_answer_that_there_is_no_room_for_is_told_in_words(tmp_path: Path) -> None:
    """It ended in a trace; with --json in two, and in the exit code of a gate that says no."""
    project = write_project(tmp_path, toml=TOML)
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    for words in (["settings"], ["settings", "--json"], ["judge", "7", "--json"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command(*words, "--project", project),
                stdout=full, stderr=subprocess.PIPE, text=True, env=environment, check=False,
            )  # fmt: skip
        assert done.stderr.splitlines()[:1] == ["error: the answer could not be written: No space left on device"]
        assert "Traceback" not in done.stderr
        assert done.returncode == 2


def test_outputs_that_are_closed_are_nowhere(tmp_path: Path) -> None:
    project = write_project(tmp_path, toml=TOML)
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    words = " ".join(command("settings", "--project", project))
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(
            ["/bin/sh", "-c", f"{words} {closed}"], capture_output=True, text=True, env=environment, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), closed
