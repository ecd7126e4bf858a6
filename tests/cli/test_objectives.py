"""`objectives`, and its line in `status`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backstay.core.times import HOUR, MINUTE, instant
from backstay.project import Project
from backstay.storage.counts import Counted
from tests.cli.conftest import MODELS, Run, write_project

Cli = Callable[..., Run]
NOON = instant("2026-11-25T12:00:00Z")
PROMISED = MODELS.replace("import Share,", "import Objective, Share,").replace(
    "    estimator=estimator,\n",
    '    estimator=estimator,\n    objective=Objective(latency="50ms", why="the desk waits for it"),\n',
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose servers counted for two hours, and failed in the last ten minutes."""
    path = write_project(tmp_path / "shop", PROMISED)
    opened = Project(path)
    opened.services.counts.append(
        [
            *(Counted(NOON - at * MINUTE, "late", 100, 0, at % 2) for at in range(11, 121)),
            *(Counted(NOON - at * MINUTE, "late", 100, 20, 0) for at in range(1, 11)),
        ]
    )
    return path


def test_budgets_burn_rates_and_what_rings(cli: Cli, project: Path) -> None:
    shown = cli("objectives", "--as-of", "2026-11-25T12:00:00Z", "--project", project)
    assert shown.code == 0
    lines = [line.split() for line in shown.out.splitlines()]
    # 200 of 12,000 failed, where 12 may; of 11,800 answers 55 were slow, where 118 may
    assert ["budget", "left,", "answered", "-1566.7%"] in lines
    assert ["budget", "left,", "fast", "53.39%"] in lines
    assert ["answered", "99.9%", "1h", "6,000", "200", "96.667%", "33.3x", "2026-11-25T11:00Z"] in lines
    assert "the desk waits for it" in shown.out
    assert "page: burns 33.3x and 200x over 1h and 5m, alarm at 14.4x (200 bad of 6,000)" in " ".join(
        shown.out.replace("\n", " ").split()
    )


def test_as_json_as_of_any_moment(cli: Cli, project: Path) -> None:
    def told(as_of: str) -> dict[str, object]:
        (one,) = cli("objectives", "--as-of", as_of, "--json", "--project", project).json["objectives"]
        return dict(one)

    ringing = told("2026-11-25T12:00:00Z")["ringing"]
    assert isinstance(ringing, list)
    assert [text.split()[0] for text in ringing] == ["page:", "page:", "ticket:"]
    assert told("2026-11-25T11:50:00Z")["ringing"] == []
    before = told("2026-11-25T09:00:00Z")
    assert before["text"] == "99% within 50ms, 99.9% answered, over 30d: no requests"
    assert told("2026-11-25T12:00:00Z")["model"] == "late"


def test_status_has_a_line(cli: Cli, project: Path) -> None:
    shown = cli("status", "--as-of", "2026-11-25T12:00:00Z", "--project", project)
    assert "budget left: answered -1566.7%, fast 53.39%; rings: page, ticket" in " ".join(shown.out.split())
    told = cli("status", "--as-of", "2026-11-25T12:00:00Z", "--json", "--project", project).json
    assert told["models"][0]["objective"].endswith("rings: page, ticket")


def test_a_model_without_one_is_named_with_the_fix(cli: Cli, tmp_path: Path) -> None:
    path = write_project(tmp_path)
    shown = cli("objectives", "--project", path)
    assert "none declared" in shown.out
    assert "model late has none declared: Model(..., objective=Objective(latency=..., why=...))" in shown.err
    assert cli("objectives", "--project", path, "--json").json["objectives"][0]["objective"] is None
    assert not (path / ".backstay" / "counts").exists()


def test_nothing_counted_yet(cli: Cli, tmp_path: Path) -> None:
    path = write_project(tmp_path, PROMISED)
    shown = cli("objectives", "--project", path)
    assert "no requests" in shown.out
    assert "100%" not in shown.out
    assert shown.err.startswith("next: backstay serve")


def test_the_facade_has_the_same(project: Path) -> None:
    (one,) = Project(project).objectives.show("late", as_of=NOON)
    assert one.requests == 12_000
    assert one.objective is not None
    assert [budget.promise for budget in one.budgets] == ["answered", "fast"]
    assert Project(project).objectives.show(as_of=NOON - 3 * HOUR)[0].requests == 0
