"""Help that teaches, instantly; verbs that are found, or guessed; the exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from backstay import __version__
from backstay.cli.app import app
from backstay.cli.failures import CODES
from tests.cli.conftest import HERE, Run

Cli = Callable[..., Run]
ORDER = (
    "ingest", "features", "train", "versions", "judge", "promote", "tick", "serve", "predictions", "trace",
    "status", "quality", "settings", "ledger", "access",
)  # fmt: skip


def verbs(group: Any = None, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in (group or typer.main.get_command(app)).commands.items():
        if isinstance(command, TyperGroup):
            yield from verbs(command, (*before, name))
        else:
            yield (*before, name), command


@pytest.mark.parametrize("words", [("--help",), (), ("train", "--help"), ("features",)])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    code = (
        f"import sys; sys.argv = ['backstay', *{words!r}]; from backstay.cli import main; code = main();"
        "heavy = {'polars', 'numpy', 'sqlalchemy', 'deltalake', 'lmdb', 'msgspec', 'uvicorn', 'onnxruntime'};"
        "heavy &= set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage: backstay" in done.stdout


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_the_overview_lists_every_verb_in_the_order_of_a_models_life(cli: Cli, words: tuple[str, ...]) -> None:
    run = cli(*words)
    assert run.code == 0
    places = [run.out.index(f"│ {verb} ") for verb in ORDER]
    assert places == sorted(places)
    flat = " ".join(run.out.split())
    for code, meaning in CODES:
        assert f"{code} {meaning}" in flat


@pytest.mark.parametrize(("words", "command"), [pytest.param(*one, id=" ".join(one[0])) for one in verbs()])
def test_every_verb_teaches(cli: Cli, words: tuple[str, ...], command: Any) -> None:
    help_text = cli(*words, "--help").out
    for option in ("--json", "--project", "--home", "Example:"):
        assert option in help_text
    sentence, when = command.help.split("\n\n")
    assert sentence.rstrip().endswith(".")
    assert when.strip()
    example = command.epilog.removeprefix("Example:  [bold]backstay ").removesuffix("[/]").split()
    assert tuple(example[: len(words)]) == words
    command.make_context(words[-1], example[len(words) :])  # it parses
    told = command.help or ""
    assert "\n" not in told.replace("\n\n", ""), "a terminal is as wide as it is: only paragraphs end lines"


def test_version(cli: Cli) -> None:
    assert cli("--version") == Run(0, f"backstay {__version__}\n", "")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["trian"], "backstay train"),
        (["promot", "1"], "backstay promote"),
        (["verify"], "backstay features verify, or backstay ledger verify"),
        (["features", "backfil"], "backstay features backfill"),
        (["stats", "--json"], "backstay status"),
    ],
)
def test_an_unknown_verb_is_told_the_nearest(cli: Cli, typed: list[str], meant: str) -> None:
    run = cli(*typed)
    assert run.code == 2
    assert f"there is no verb '{typed[0] if typed[0] != 'features' else typed[1]}'; did you mean: {meant}?" in (
        run.json["error"] if "--json" in typed else run.err
    )


def test_an_unknown_verb_like_none_is_told_where_they_are(cli: Cli) -> None:
    run = cli("xyzzy")
    assert (run.code, run.out) == (2, "")
    assert run.err == "error: there is no verb 'xyzzy'\n  fix: see: backstay --help\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["judge"], "NUMBER"),
        (["judge", "one"], "NUMBER"),
        (["train", "--sed", "1"], "--seed"),
        (["train", "--seed", "x"], "--seed"),
        (["serve", "--port", "99999"], "--port"),
        (["features", "verify", "--sample", "0"], "--sample"),
        (["ingest", "a", "b"], "b"),
    ],
)
def test_a_wrong_command_line(cli: Cli, words: list[str], told: str) -> None:
    run = cli(*words)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("error: ")
    assert told in run.err
    assert f"fix: see: backstay {words[0]}" in run.err
    assert "Traceback" not in run.err
    told_json = cli(*words, "--json")
    assert told_json.code == 2
    assert told_json.json.keys() == {"error", "where", "expected", "fix"}
    assert told_json.err == ""


def test_python_dash_m_is_the_same(cli: Cli) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "backstay", "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == cli("--version").out
