"""`imbalance`: a table, the reasons, JSON, and a page with its JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Life, Run

Cli = Callable[..., Run]


def test_imbalance(cli: Cli, life: Life, tmp_path: Path) -> None:
    given = ("imbalance", "late", "--as-of", "2024-02-20", "--folds", 1, "--project", life.project)
    page = tmp_path / "report.html"
    done = cli(*given, "--cost-fn", 3, "--out", page)
    assert done.code == 0, done.err
    for text in (
        "effective positives",
        "nothing but regularisation",
        "Not tried",
        "For decisions, by cost",
        "For ranking",
    ):
        assert text in done.out
    assert "yes from a probability of 0.25 on" in done.out
    assert f"written: {page}, {page.with_suffix('.json')}" in done.err
    told = cli(*given, "--cost-fn", 3, "--json").json
    beside = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert {**beside, "fresh": 0} == told
    drawn = page.read_text(encoding="utf-8")
    assert drawn.startswith("<!doctype html>")
    assert drawn.count('<svg class="chart') == 3
    assert "<script" not in drawn
    assert cli(*given, "--cost-fn", 0).code == 2
    assert cli(*given, "--out", tmp_path / "none" / "report.html").code == 2
    assert cli("imbalance", "later", "--project", life.project).code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("late", "--model", "unborn"), "two models are named: late and unborn"),
        (("--cost-fp", 5), "the cost of a false alarm says nothing alone"),
        (("--out", "o.json"), "o.json is the name of the record"),
        (("--out", "none/report.html"), "name a file in a folder there is"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_the_work(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)  # which has no project: none is opened
    done = cli("imbalance", *words)
    assert (done.code, said in done.err) == (2, True)
    assert list(tmp_path.iterdir()) == []
