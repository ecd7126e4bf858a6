"""A training set is checked before it is learned from, and the answer stands in the ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.errors import DefinitionError
from backstay.core.times import DAY, instant
from backstay.definitions import DataPolicy
from backstay.lifecycle.data_checks import DataRefused
from backstay.project import Project
from tests.serving import shop


def opened(path: Path, days: int = 0) -> Project:
    return Project(path, clock=ReplayClock(instant(shop.SECOND) + days * DAY), actor="ann")


def changed(path: Path, *pairs: tuple[str, str]) -> None:
    models = path / "models.py"
    text = models.read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    models.write_text(text)


def policy(arguments: str) -> tuple[tuple[str, str], ...]:
    return ('    "late",\n', f'    "late",\n    data=DataPolicy({arguments}),\n'), (
        "Ask, Count,",
        "Ask, Count, DataPolicy,",
    )


def test_each_training_has_its_answer_in_the_ledger(base: Path) -> None:
    project = Project(base)
    first, second = project.entries("data")
    versions = project.versions("late")
    assert [one.body["dataset"] for one in (first, second)] == [one.manifest.dataset.digest for one in versions]
    checks = {one["name"]: one["reason"] for one in second.body["decision"]["checks"]}
    assert set(checks) == {
        "rows_suffice", "label_rate_holds", "inputs_hold", "nothing_missing", "no_leak", "label_apart",
    }  # fmt: skip
    assert "in version 1" in checks["rows_suffice"]
    assert "none before" in first.body["decision"]["checks"][0]["reason"]
    assert {one.body["decision"]["verdict"] for one in (first, second)} == {"PASS"}


def test_data_that_are_not_like_before_stop_the_training(path: Path) -> None:
    changed(
        path,
        ('    "late",\n', '    "late",\n    data=DataPolicy(volume=1.0, minimum_rows=10),\n'),
        ("Ask, Count,", "Ask, Count, DataPolicy,"),
    )
    project = opened(path)
    before = len(project.versions("late"))
    with pytest.raises(DataRefused, match=r"rows_suffice: [\d,]+ rows, [\d,]+ in version 2") as caught:
        project.train("late", as_of="2024-01-20")
    assert caught.value.decision is not None
    entry = project.entries("data")[-1]
    assert f"ledger entry {entry.id}" in str(caught.value)
    assert entry.body["decision"]["verdict"] == "FAIL"
    assert len(project.versions("late")) == before


def test_they_can_be_accepted_with_a_reason(path: Path) -> None:
    changed(
        path,
        ('    "late",\n', '    "late",\n    data=DataPolicy(volume=1.0, minimum_rows=10),\n'),
        ("Ask, Count,", "Ask, Count, DataPolicy,"),
    )
    project = opened(path)
    version = project.train("late", as_of="2024-01-20", accept="a year that begins anew")
    entry = project.entries("data")[-1]
    assert (entry.body["accepted"], entry.body["dataset"]) == (
        "a year that begins anew",
        version.manifest.dataset.digest,
    )
    again = project.train("late", as_of="2024-01-21")  # what was accepted is what comes next is compared with
    assert again.number == version.number + 1


def test_the_labels_own_column_as_an_input(path: Path) -> None:
    changed(
        path,
        ('Request(size="float"', 'Request(late="bool", size="float"'),
    )
    project = opened(path)
    with pytest.raises(
        DataRefused, match=r"no_leak: late alone tells the outcome.*label_apart: late is read from the column"
    ):
        project.train("late", as_of=shop.SECOND)


def test_rows_that_a_drill_changed_are_not_what_comes_next_is_compared_with(path: Path) -> None:
    project = opened(path)
    project.train(
        "late", as_of=shop.SECOND, note="planted", alter=lambda frame: frame.with_columns(size=frame["size"] * 60)
    )
    version = project.train("late", as_of=shop.SECOND, seed=9)
    checks = project.entries("data")[-1].body["decision"]["checks"]
    assert version.number == 4
    assert "in version 2" in checks[0]["reason"]


def test_a_tick_says_so_and_goes_on(path: Path) -> None:
    changed(
        path,
        ('    "late",\n', '    "late",\n    data=DataPolicy(minimum_rows=1_000_000),\n'),
        ("Ask, Count,", "Ask, Count, DataPolicy,"),
    )
    project = opened(path, days=6)
    ticked = project.tick("late")
    assert ticked.trained == ()
    assert len(ticked.waiting) == 1
    assert "the policy wants 1,000,000" in ticked.waiting[0]


@pytest.mark.parametrize(
    "wrong",
    [{"volume": 1.5}, {"missing": -0.1}, {"leak": 0.4}, {"label_rate": 0.5}, {"drift": 0.0}, {"minimum_rows": 0}],
)
def test_a_policy_that_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(DefinitionError, match=next(iter(wrong))):
        DataPolicy(**wrong)  # type: ignore[arg-type]
