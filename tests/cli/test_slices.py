"""`slices`: what is found, pinned and unpinned."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Life, Run

Cli = Callable[..., Run]


@pytest.fixture
def copy(life: Life, tmp_path: Path) -> Path:
    models = Path(shutil.copytree(life.project, tmp_path / "copy")) / "models.py"
    text = models.read_text().replace("Label, Latest, Model, Request", "Label, Latest, Model, Request, Slice")
    models.write_text(
        text.replace('    "late",\n', '    "late",\n    slices=[Slice("large", where=pl.col("size") > 900)],\n', 1)
    )
    return tmp_path / "copy"


def test_slices_are_listed_with_what_was_not_looked_at(cli: Cli, copy: Path) -> None:
    told = cli("slices", 1, "--loss", "error", "--project", copy)
    assert told.code == 0, told.err
    assert "Declared and pinned" in told.out
    assert "with too few rows were not" in told.out
    answer = cli("slices", 1, "--clusters", "order", "--triples", "--project", copy, "--json").json
    assert (answer["loss"], answer["clusters"], answer["found"]["order"]) == ("log_loss", "order", 3)
    (large,) = answer["known"]
    assert (large["name"], large["origin"], large["rows"] > 0) == ("large", "declared", True)


def test_a_confirmed_slice_is_pinned_and_unpinned(cli: Cli, copy: Path) -> None:
    more = ("--clusters", "order", "--project", copy)
    found = cli("slices", 1, *more, "--json").json["found"]["slices"]
    confirmed = [one for one in found if one["verdict"] == "confirmed"]
    assert confirmed
    assert cli("slices", 1, "--pin", 1, "--why", "so", *more).code == 2
    assert "no confirmed slice is number 99" in cli("slices", 1, "--pin", 99, "--name", "x", "--why", "so", *more).err
    assert "there is no reason" in cli("slices", 1, "--pin", 1, "--name", "worst", *more).err
    done = cli("slices", 1, "--pin", 1, "--name", "worst", "--why", "it is", *more, "--json")
    assert done.json["pinned"]["predicate"] == confirmed[0]["predicate"]
    known = cli("slices", 1, *more, "--json").json["known"]
    assert [one["name"] for one in known] == ["large", "worst"]
    again = cli("slices", 1, "--unpin", "worst", "--why", "it is not", *more, "--json").json
    assert [one["name"] for one in again["known"]] == ["large"]


def test_a_name_of_no_slice_is_refused(cli: Cli, tmp_path: Path) -> None:
    done = cli("slices", 1, "--name", "foo", "--project", tmp_path)
    assert (done.code, "'foo' is the name of no slice" in done.err) == (2, True)
