"""`route show | set | clear` and `rollback`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Life, Run

Cli = Callable[..., Run]


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Path:
    shutil.copytree(life.project, tmp_path / "shop")
    return tmp_path / "shop"


def test_a_route_is_set_shown_and_cleared(cli: Cli, copy: Path) -> None:
    bare = cli("route", "show", "--json", "--project", copy).json
    assert [(one["name"], one["share"]) for one in bare["parts"]] == [("champion", 1.0)]
    done = cli("route", "set", "1=5%", "shadow=v1:10%", "--why", "try it", "--key", "order", "--project", copy)
    assert done.code == 0, done.err
    assert "95.00%" in done.out
    assert "is shown requests" in done.out
    shown = cli("route", "show", "--json", "--project", copy).json
    assert [(one["name"], one["version"], one["share"], one["shadow"]) for one in shown["parts"]] == [
        ("champion", shown["parts"][0]["version"], 0.95, False), ("v1", 1, 0.05, False), ("v1", 1, 0.1, True),
    ]  # fmt: skip
    assert (shown["why"], shown["key"]) == ("try it", ["order"])
    told = cli("status", "--project", copy).out
    assert "champion 95.00%, v1 5.00%, v1 shadows 10.00%: try it" in " ".join(told.split())
    (model,) = cli("status", "--json", "--project", copy).json["models"]
    assert model["route"]["parts"] == [one for one in shown["parts"] if one["name"] != "champion"]
    assert cli("status", "--json", "--as-of", "2024-03-02", "--project", copy).json["models"][0]["route"] is None
    assert cli("route", "clear", "--why", "over", "--project", copy).code == 0
    assert cli("status", "--json", "--project", copy).json["models"][0]["route"] is None
    cleared = cli("route", "show", "--json", "--project", copy).json
    assert [one["name"] for one in cleared["parts"]] == ["champion"]
    entries = cli("ledger", "show", "--kind", "route", "--json", "--project", copy).json
    assert len(entries["entries"]) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["v1"], "is no part of a route"),
        (["v1=5"], "v7=5%, shadow=v8"),
        (["v1=0%"], "the share of v1 is 0"),
        (["v1=120%"], "above 0 and at most 1"),
        (["v9=5%"], "none with number 9"),
        (["challenger=5%"], "no alias 'challenger'"),
        (["v1=5%", "v1=6%"], "stands in it twice"),
        (["v1=5%", "1=6%"], "stands in it twice"),
        (["v1=5%", "--key", "nothing"], "the route's key is nothing"),
    ],
)
def test_what_is_no_route_is_refused(cli: Cli, copy: Path, words: list[str], says: str) -> None:
    run = cli("route", "set", *words, "--why", "a test", "--project", copy)
    assert run.code == 2
    assert says in " ".join(run.err.split())


def test_there_is_nothing_to_roll_back_to(cli: Cli, copy: Path) -> None:
    run = cli("rollback", "--why", "a test", "--project", copy)
    assert run.code == 2
    assert "has no champion before this one" in run.err
