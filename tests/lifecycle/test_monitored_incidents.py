"""From served rows to an incident and a training: the monitor's windows, incidents of them, and what they make due."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backstay.definitions import RetrainPolicy
from backstay.lifecycle.incidents import act, incidents, settle
from backstay.lifecycle.retraining import trigger
from backstay.monitoring.incidents import resolve
from backstay.monitoring.triggers import Blocked, Trigger
from tests.lifecycle.watched import Days
from tests.serving import shop


@pytest.fixture
def days(base: Path, tmp_path: Path) -> Days:
    out = Days(shop.copied(base, tmp_path))
    out.project.model("late").retrain = RetrainPolicy(every="4d", cooldown="1d")
    return out


def lived(days: Days, number: int, **more: Any) -> list[str]:
    """Days, each with its look; what happened to incidents."""
    out: list[str] = []
    for _ in range(number):
        days.live(1, **more)
        model = days.project.model("late")
        out += [f"{one.incident.number} {one.incident.event}" for one in settle(days.project.records, model)]
    return out


def due(days: Days) -> Trigger | Blocked | None:
    return trigger(days.project.records, days.project.model("late"))


def in_cents(row: dict[str, Any]) -> None:
    row["size"] *= 25


def test_a_unit_error_is_one_incident_that_stops_trainings_and_ends_by_itself(days: Days) -> None:
    assert lived(days, 5) == []
    assert isinstance(due(days), Trigger)
    assert lived(days, 3, change=in_cents)[0] == "1 opened"
    (one,) = incidents(days.project.records, "late")
    assert (one.incident.cause, one.incident.origins) == ("data_quality", {"the caller"})
    blocked = due(days)
    assert isinstance(blocked, Blocked)
    assert "while data are bad: incident 1 (" in blocked.why
    assert lived(days, 6) == ["1 ended"]
    assert isinstance(due(days), Trigger)


def test_a_loss_without_a_drift_makes_a_training_due(days: Days) -> None:
    days.project.model("late").retrain = RetrainPolicy(every="400d", cooldown="1d")
    lived(days, 3)
    assert due(days) is None
    told = lived(days, 3, wrong=0.5)
    assert told[0] == "1 opened"
    found = due(days)
    assert isinstance(found, Trigger)
    assert found.reason == "realised"
    records, model = days.project.records, days.project.model("late")
    act(records, model, 1, lambda one, now: resolve(one, "ann", now, "a new version is on its way"))
    assert lived(days, 2, wrong=0.5) == ["1 reopened"]
