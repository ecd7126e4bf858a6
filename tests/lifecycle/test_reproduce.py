"""A version is made again, byte for byte, whatever has happened to the record since; and what differs is told."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from backstay.cli import main
from backstay.core.clock import ReplayClock
from backstay.core.errors import NotFoundError
from backstay.core.times import instant
from backstay.lifecycle.reproduce import Outcome, Reproduction
from backstay.project import Project
from tests.serving import shop

DATA = ["dataset", "rows"]
TIMES = {"event_time": 0, "known_time": 1, "due": 30}
FILES = ["model.onnx", "model.txt", "reference.npy", "references.json"]


def reproduced(path: Path, number: int) -> Reproduction:
    project = Project(path)
    try:
        return project.reproduce(number, "late")
    finally:
        project.close()


def differing(made: Reproduction) -> set[str]:
    return {one.name for one in (*made.made, *made.environment) if not one.same}


def changed(path: Path, old: str, new: str) -> None:
    models = path / "models.py"
    text = models.read_text()
    assert old in text
    models.write_text(text.replace(old, new))


@pytest.mark.parametrize("number", [1, 2])
def test_exact(base: Path, number: int) -> None:
    """One with rows held out, and one without."""
    project = Project(base)
    before = project.services.ledger.revision()
    made = project.reproduce(number, "late")
    assert made.outcome is Outcome.EXACT
    assert differing(made) == set()
    assert sorted(one.name for one in made.made) == sorted([*DATA, *FILES])
    assert (made.difference, made.why) == (0.0, "")
    assert made.rows > 500
    assert project.services.ledger.revision() == before
    project.close()


def test_events_that_came_since_change_nothing(path: Path) -> None:
    """Also those that say of themselves that they were known long before: a history that was imported late."""
    project = Project(path)
    events = project.services.events
    before = events.version("orders")
    times = {name: datetime(2024, 1, 20, 10, minute, tzinfo=UTC) for name, minute in TIMES.items()}
    table = events.read("orders").drop("sequence")
    late = pl.DataFrame([{**shop.event(), **times, "order": f"x{n}"} for n in range(50)])
    events.append("orders", late.select(pl.col(name).cast(kind) for name, kind in table.schema.items()))
    assert events.version("orders") > before
    project.close()
    for number in (1, 2):
        assert reproduced(path, number).outcome is Outcome.EXACT


def test_in_a_fresh_process_on_the_command_line(path: Path) -> None:
    words = [sys.executable, "-m", "backstay", "reproduce", "2", "--model", "late", "--project", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, env=shop.environment(), timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "exact: dataset and model are the same byte for byte" in done.stdout


def test_another_parameter_is_named(path: Path) -> None:
    changed(path, "num_leaves=7", "num_leaves=8")
    made = reproduced(path, 2)
    assert made.outcome is Outcome.DIFFERENT
    assert {"num_leaves", "model.onnx", "model.txt"} == differing(made)
    (leaves,) = (one for one in made.environment if one.name == "num_leaves")
    assert (leaves.recorded, leaves.found) == ("7", "8")
    assert made.difference is not None
    assert made.difference > 1e-3


def test_another_definition_is_not_even_tried(path: Path) -> None:
    changed(path, 'max_age="2d"', 'max_age="3d"')
    made = reproduced(path, 2)
    assert made.outcome is Outcome.DIFFERENT
    assert "feature set" in differing(made)
    assert "check out the commit" in made.why
    assert (made.made, made.difference) == ((), None)


def test_another_history_is_another_dataset(path: Path) -> None:
    import shutil

    from backstay.storage.backends.local import LocalEvents

    folder = path / ".backstay" / "events"
    table = LocalEvents(folder).read("orders").drop("sequence")
    shutil.rmtree(folder / "orders")
    row = pl.int_range(pl.len()) == 100
    LocalEvents(folder).append("orders", table.with_columns(size=pl.when(row).then(1.0).otherwise("size")))
    made = reproduced(path, 2)
    assert made.outcome is Outcome.DIFFERENT
    assert "dataset" in differing(made)
    assert "rows" not in differing(made)


def test_rows_that_a_drill_changed_cannot_be_made_again(path: Path) -> None:
    project = Project(path, clock=ReplayClock(instant(shop.SECOND)), actor="test")
    planted = project.train(
        "late", as_of=shop.SECOND, note="planted", alter=lambda frame: frame.with_columns(pl.col("size") * 2)
    )
    project.close()
    made = reproduced(path, planted.number)
    assert made.outcome is Outcome.DIFFERENT
    assert "dataset" in differing(made)


def test_a_tampered_model_is_refused_and_a_number_that_is_not_there(path: Path) -> None:
    from backstay.core.errors import IntegrityError

    shop.tamper(shop.model_file(path, 1))
    with pytest.raises(IntegrityError):
        reproduced(path, 1)
    with pytest.raises(NotFoundError, match="none with number 9"):
        reproduced(path, 9)


def test_the_command_line_says_what_differs(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    changed(path, "num_leaves=7", "num_leaves=8")
    assert main(["reproduce", "2", "--model", "late", "--project", str(path)]) == 1
    lines = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert ["num_leaves", "7", "8", "differs"] in lines
    assert any(line[:1] == ["scores"] for line in lines)
