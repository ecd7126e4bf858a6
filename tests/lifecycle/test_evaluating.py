"""An evaluation of a version: the record, the page made of it, and nothing on the page that is not in the record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError
from backstay.core.times import HOUR, instant
from backstay.evaluation.comparison import Comparison
from backstay.evaluation.interval import Insufficient
from backstay.project import Project
from tests.serving import shop


@pytest.fixture(scope="module")
def project(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    path = shop.copied(base, tmp_path_factory.mktemp("evaluated"))
    return Project(path, clock=ReplayClock(instant("2024-02-27")), actor="ann")


def numbers(value: Any) -> Iterator[float]:
    """Every number of a record."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from numbers(one)
            yield from map(float, re.findall(r"-?\d+(?:\.\d+)?", str(name)))
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, str):
        yield from map(float, re.findall(r"-?\d+(?:\.\d+)?", value))
    elif isinstance(value, int | float):
        yield float(value)


def test_a_candidate_is_held_beside_the_champion(project: Project, tmp_path: Path) -> None:
    found = project.evaluations.report(2, "late", cost=(1, 5), top=40)
    told = found.as_dict()
    assert found.against == told["comparison"]["against"] == 1
    assert told["evaluation"]["n"] == told["about"]["evaluated"] == found.rows.labelled.rows
    assert told["evaluation"]["decisions"]["threshold"] == 0.5
    assert told["evaluation"]["at_k"]["k"] == 40
    assert told["slices"]["rows"] == found.rows.labelled.rows
    page, record = found.save(tmp_path / "evaluation.html")
    assert json.loads(record.read_text()) == json.loads(json.dumps(told))
    assert "http" not in page.read_text()
    assert "<script" not in page.read_text()
    assert page.read_text().count("<svg") >= 4


def test_every_number_on_the_page_is_in_the_record(project: Project) -> None:
    found = project.evaluations.report(2, "late", cost=(1, 5), top=40)
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", found.page(), flags=re.S)
    body = unescape(re.sub(r"<[^>]+>", " ", body)).replace(",", "")
    shown = {float(one) for one in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.-])", body)}
    there = set(numbers(found.as_dict()))
    rounded = there | {float(f"{one:.4g}") for one in there} | {round(one) for one in there}
    said = {0.0, 1.0, 95.0}  # "0 is right", "outcome 1", and 95%, whose level is 0.95
    assert shown - rounded - said == set()
    assert len(shown) > 60


def test_the_champion_is_evaluated_alone(project: Project) -> None:
    found = project.evaluations.report(1, "late")
    assert (found.against, found.comparison, found.fairness) == (None, None, None)
    assert "<iframe" in found._repr_html_()
    assert "Beside version" not in found.page()


def test_the_champion_is_met_on_rows_it_has_not_learned_from_wherever_the_evaluation_begins(path: Path) -> None:
    project = Project(path, clock=ReplayClock(instant("2024-02-27")), actor="ann")
    registry = project.records.registry
    move = registry.alias("late", "champion")
    assert move is not None
    registry.move_alias("late", "champion", 2, evidence={"reason": "a test"}, at=1, actor="ann", expect=move.entry_id)
    first, second = (registry.get("late", number).manifest.cutoff for number in (1, 2))
    assert first < second
    whole = project.evaluations.report(1, "late").comparison
    later = project.evaluations.report(1, "late", since=second + HOUR).comparison
    assert isinstance(whole, Comparison)
    assert isinstance(later, Comparison)
    assert whole.n == later.n == project.evaluations.rows(2, "late").labelled.rows
    none = project.evaluations.report(1, "late", until=second)
    assert isinstance(none.comparison, Insufficient)
    assert none.as_dict()["comparison"]["against"] == 2
    assert "none is later" in none.page()


def test_a_page_that_can_not_be_written_is_said(project: Project, tmp_path: Path) -> None:
    found = project.evaluations.report(1, "late")
    with pytest.raises(InputError, match="cannot be written"):
        found.save(tmp_path / "no" / "e.html")
    for folder in ("", "/", tmp_path):
        with pytest.raises(InputError, match="cannot be written: Is a directory"):
            found.save(folder)
    with pytest.raises(InputError, match="the name of the record"):
        found.save(tmp_path / "e.json")
