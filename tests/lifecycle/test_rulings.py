"""Thresholds of a version: what they are chosen on."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstay.core.clock import ReplayClock
from backstay.core.times import DAY, HOUR, instant
from backstay.project import Project
from tests.serving import shop

START = instant(shop.SECOND)


def test_a_capacity_is_of_the_days_asked_for_and_of_all_that_was_asked(path: Path) -> None:
    """Two days from noon to noon are two, not three; rows whose labels are not mature come too."""
    project = Project(path, clock=ReplayClock(START + 5 * DAY), actor="test")
    noon = START // DAY * DAY + DAY + 12 * HOUR
    rows = project.evaluations.rows(1, "late", since=noon, until=noon + 2 * DAY)
    assert len(set(rows.labelled.day)) == 3
    found = project.rules.threshold(1, "late", top=10, since=noon, until=noon + 2 * DAY).threshold
    scale = rows.labelled.asked / rows.labelled.rows
    assert (found.told["days"], found.told["asked"]) == (2.0, rows.labelled.asked)
    assert found.told["a_day"] == pytest.approx((rows.raw >= found.value).sum() / 2 * scale)
    assert 8 < found.told["a_day"] <= 10


def test_days_after_the_last_that_something_was_asked_on_are_not_counted(path: Path) -> None:
    project = Project(path, clock=ReplayClock(START + 1000 * DAY), actor="test")
    found = project.rules.threshold(1, "late", top=10).threshold
    rows = project.evaluations.rows(1, "late")
    assert found.told["days"] <= len(set(rows.labelled.day)) + 1
