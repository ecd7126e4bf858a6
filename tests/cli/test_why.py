"""`why`: what was looked at, the page, the JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backstay.investigation import Cause
from tests.cli.conftest import AS_OF, Life, Run

SPAN = ("--since", AS_OF, "--until", "2024-03-20", "--as-of", "2024-03-20")
Cli = Callable[..., Run]


def test_every_cause_is_told_and_the_page_is_written(cli: Cli, life: Life, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    done = cli("why", *SPAN, "--html", page, "--project", life.project)
    assert done.code == 0, done.err
    assert "offline" in done.out
    assert "and 50 are needed" in " ".join(done.out.split())  # of these orders hardly one came
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    told = cli("why", *SPAN, "--json", "--project", life.project).json
    assert [one["cause"] for one in told["verdicts"]] == [cause.value for cause in Cause]


def test_a_span_without_answers_is_told(cli: Cli, life: Life) -> None:
    done = cli("why", "--since", "2020-01-01", "--until", "2020-02-01", "--project", life.project)
    assert done.code == 2
    assert "nothing was answered" in done.err
    assert cli("why", *SPAN, "--html", "/no/such/place.html", "--project", life.project).code == 2
