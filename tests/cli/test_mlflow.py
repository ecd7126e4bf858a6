"""`mirror` and `import`, refused before a store is made; what they do is told in `tests/lifecycle/test_mlflow.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run, write_project

Cli = Callable[..., Run]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("mirror", "--to", ""), "the tracking URI is empty"),
        (("import", "models:/late/1", "--from", " "), "the tracking URI is empty"),
        (("import", "foo", "--from", "sqlite:///there.db"), "'foo' names no version of a registered model"),
    ],
)
def test_a_uri_that_names_nothing_makes_nothing(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    project = write_project(tmp_path / "shop")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = cli(*words, "--project", project)
    assert (done.code, said in done.err) == (2, True), done.err
    assert list((tmp_path / "here").iterdir()) == []
