"""`predict` on the command line: what it prints, that it goes on when interrupted, and its mistakes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.cli.conftest import AS_OF, HERE, Life, Run, command

Cli = Callable[..., Run]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    number = pl.int_range(4_000, eager=True)
    frame = pl.DataFrame({"shop": "shop" + (number % 8).cast(pl.String), "size": (number % 900).cast(pl.Float64)})
    frame.with_columns(size=pl.when(number == 7).then(None).otherwise("size")).write_parquet(tmp_path / "asked.parquet")
    return tmp_path / "asked.parquet"


def test_predict(cli: Cli, life: Life, table: Path, tmp_path: Path) -> None:
    words = ("predict", table, "--out", tmp_path / "out", "--at", AS_OF, "--project", life.project)
    done = cli(*words)
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["version", "1", "of", "late"]
    assert ["rows", "4,000"] in lines
    assert ["scored", "3,999"] in lines
    assert ["T", f"{AS_OF}T00:00:00Z"] in lines
    assert any(line[:4] == ["size", "is", "null", "1"] and line[-1] == "7" for line in lines)
    again = cli(*words)
    assert again.err.splitlines()[-1] == "the run was finished already: nothing was scored"
    answer = cli(*words, "--json").json
    assert (answer["rows"], answer["scored"], answer["refused"], answer["parts"], answer["written"]) == (
        4_000, 3_999, 1, 1, 0,
    )  # fmt: skip
    assert answer["errors"] == {"size is null": {"rows": 1, "first": f"{table}, row 7"}}
    assert pl.read_parquet(tmp_path / "out")["score"].null_count() == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nothing.parquet",), "there is no file nothing.parquet"),
        (("{table}", "--at", "then"), "'then' is neither a column of the table nor a time"),
        (("{table}", "--version", 9), "none with number 9"),
        (("{table}", "--keep", "none"), "there is no column 'none'"),
        (("{table}", "--part", 0), "Invalid value for '--part'"),
    ],
    ids=["file", "at", "version", "keep", "part"],
)
def test_mistakes(cli: Cli, life: Life, table: Path, tmp_path: Path, words: tuple[object, ...], said: str) -> None:
    given = [str(word).replace("{table}", str(table)) for word in words]
    done = cli("predict", *given, "--out", tmp_path / "out", "--project", life.project)
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "out").exists()


def test_interrupted_it_goes_on_and_shows_how_far_it_is(cli: Cli, life: Life, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("predict", table, "--out", out, "--at", AS_OF, "--part", 16, "--project", life.project)
    here, there = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(HERE / "src"), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=there, env=environment)
    os.close(there)
    deadline = time.monotonic() + 60
    while not out.is_dir() or len(list(out.iterdir())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    shown = b""
    while True:
        try:
            some = os.read(here, 65_536)
        except OSError:
            break
        if not some:
            break
        shown += some
    assert process.wait(20) == 130
    process.stdout and process.stdout.close()
    os.close(here)
    assert b"scoring with version 1" in shown
    before = {one.name: one.stat().st_ino for one in out.iterdir()}
    done = cli(*words, "--json").json
    assert done["written"] == 250 - len(before)
    assert {name: (out / name).stat().st_ino for name in before} == before
    assert pl.read_parquet(out)["row"].to_list() == list(range(4_000))
