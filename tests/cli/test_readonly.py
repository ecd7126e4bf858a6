"""Verbs that show, on a home that nobody may write: they show; and what would write says that it cannot."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstay.cli.failures import BUG
from tests.cli.conftest import AS_OF, HERE, Life, inside
from tests.modes import run, unwritable, writable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="how a process comes to obey modes is Linux's")

VERBS = """
import contextlib, io, json, sys
from backstay.cli import main
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
        code = main([*line, "--project", sys.argv[2], "--json"])
    print(json.dumps([code, json.loads(out.getvalue())]))
"""


@pytest.fixture
def path(life: Life, tmp_path: Path) -> Iterator[Path]:
    path = unwritable(Path(shutil.copytree(life.project, tmp_path / "shop")))
    yield path
    writable(path)


def answers(path: Path, *verbs: list[str], **environment: str) -> list[list[object]]:
    environment |= {"PYTHONPATH": str(HERE / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run(sys.executable, "-c", VERBS, json.dumps(verbs), str(path), **environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_shows_needs_not_write(path: Path, tmp_path: Path) -> None:
    span = ["--since", AS_OF, "--until", "2024-03-01"]
    verbs = [
        ["monitor", *span], ["incidents", "list"], ["quality"], ["quality", "--labels"], ["status"], ["versions"],
        ["alerts", "--out", str(tmp_path / "alerts"), "--metrics", str(tmp_path / "prom")], ["ledger", "verify"],
    ]  # fmt: skip
    told = answers(path, *verbs)
    assert [code for code, _ in told] == [0] * len(verbs)
    monitor = told[0][1]
    assert isinstance(monitor, dict)
    assert monitor["rows"] == 100


def test_what_would_write_says_what_it_needs(path: Path) -> None:
    told = answers(path, ["train", "--as-of", AS_OF], ["incidents", "show", "1"], ["why", "--since", AS_OF])
    (train, refused), (show, missing), (why, investigated) = told
    assert isinstance(refused, dict)
    assert isinstance(missing, dict)
    assert (train, show, missing["error"]) == (2, 2, "there is no incident 1")
    assert refused["fix"] == "mend the permissions, or run it as a user who may do that"
    assert why != BUG
    assert investigated  # it has an answer, or says what it lacks


def test_who_may_not_is_told_so_though_the_denial_cannot_be_kept(path: Path) -> None:
    writable(path)
    given = inside("access", "grant", "ann", "read_offline", "--all", "--project", path)
    unwritable(path)
    ((code, refused),) = answers(path, ["incidents", "list"], LOGNAME="eve")
    assert isinstance(refused, dict)
    assert (given.code, code) == (0, 2)
    assert str(refused["error"]).startswith("eve may not look at incidents of model 'late'")
