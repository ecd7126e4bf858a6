"""Quality before the labels: of real answers, by every method, and held against the labels when they came."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec import structs

from backstay.core.errors import InputError
from backstay.core.times import DAY
from backstay.evaluation import Interval
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled import METHODS
from backstay.lifecycle.estimated import EstimatedQuality
from backstay.storage.predictions import SHADOW
from tests.lifecycle.watched import FIRST, Days
from tests.serving import shop


@pytest.fixture(scope="module")
def weeks(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Days:
    """Three weeks as they were in training; of the last one's rows, those of its last day are not mature."""
    days = Days(shop.copied(base, tmp_path_factory.mktemp("estimated")), None)
    for _ in range(21):
        days.serve(300)
        days.day += 1
    days.serve(300)
    days.project.clock.advance(FIRST + days.day * DAY + DAY // 2)  # type: ignore[attr-defined]
    return days


@pytest.fixture(scope="module")
def told(weeks: Days) -> EstimatedQuality:
    return weeks.project.labels.estimated("late")


def test_each_week_is_estimated_by_every_method_and_tested_once_its_labels_came(told: EstimatedQuality) -> None:
    assert [one.start for one in told.weeks] == [FIRST + 7 * DAY * place for place in range(4)]
    assert [one.mature for one in told.weeks[:3]] == [1.0] * 3
    assert told.weeks[3].mature < 1.0
    for one in told.weeks[:3]:
        assert (one.version, one.served, one.rows, one.why) == (1, 2_100, 2_100, "")
        assert set(one.estimates) == set(METHODS)
        said, came = one.estimates["cbpe"]["log_loss"], one.realised["log_loss"]
        assert said.state is State.OK
        assert said.interval is not None
        assert isinstance(came, Interval)
        assert said.interval.low < came.estimate < said.interval.high
        assert "no concept drift" in said.assumes
    tested = told.backtests["cbpe"]["log_loss"]
    assert (tested.windows, tested.left_out, tested.coverage) == (3, 0, 1.0)


def test_weeks_are_counted_back_from_the_moment(weeks: Days, told: EstimatedQuality) -> None:
    last = weeks.project.labels.estimated("late", weeks=2)
    assert [one.as_dict() for one in last.weeks] == [one.as_dict() for one in told.weeks[2:]]
    early = weeks.project.labels.estimated("late", as_of=FIRST + 8 * DAY)
    assert [one.served for one in early.weeks] == [2_100, 300]
    with pytest.raises(InputError, match="0 weeks"):
        weeks.project.labels.estimated("late", weeks=0)


def test_concept_drift_is_what_no_estimate_sees_and_the_backtest_tells(weeks: Days, tmp_path: Path) -> None:
    days = Days(Path(shutil.copytree(weeks.path, tmp_path / "shop")), None, day=28, like=weeks)
    for _ in range(7):
        days.serve(300, wrong=0.3)
        days.day += 1
    days.project.clock.advance(FIRST + (days.day + 7) * DAY)  # type: ignore[attr-defined]
    turned = days.project.labels.estimated("late", weeks=1)
    (week,) = turned.weeks
    said, came = week.estimates["cbpe"]["log_loss"].interval, week.realised["log_loss"]
    assert said is not None
    assert isinstance(came, Interval)
    assert came.estimate > said.high
    assert turned.backtests["cbpe"]["log_loss"].coverage == 0.0


def test_a_version_that_the_registry_does_not_have_loses_no_other_week(weeks: Days, tmp_path: Path) -> None:
    days = Days(Path(shutil.copytree(weeks.path, tmp_path / "shop")), None, day=28, like=weeks)
    version = days.project.records.registry.get("late", 1)
    predictions = days.project.services.predictions
    (one,) = list(predictions.scan(last=1))
    predictions.append([structs.replace(one, id="elsewhere", at=FIRST + 28 * DAY, version="imported")])
    days.project.clock.advance(FIRST + 29 * DAY)  # type: ignore[attr-defined]
    *before, last = days.project.labels.estimated("late").weeks
    assert (last.version, dict(last.estimates), "imported" in last.why) == (None, {}, True)
    assert [one.version for one in before] == [version.number] * 4
    assert all(one.estimates for one in before)


def test_what_is_said_as_of_a_moment_does_not_change_when_a_version_becomes_champion_later(
    base: Path, tmp_path: Path
) -> None:
    days = Days(shop.copied(base, tmp_path), None)
    for _ in range(8):
        days.serve(300)
        days.serve(400, number=2, route="canary")
        days.day += 1
    days.project.clock.advance(FIRST + 20 * DAY)  # type: ignore[attr-defined]
    early = days.project.labels.estimated("late", as_of=FIRST + 6 * DAY)
    assert [one.version for one in early.weeks] == [2]
    records = days.project.records
    seen = records.registry.alias("late", "champion")
    records.registry.move_alias(
        "late", "champion", 2, at=records.clock.now(), actor="ann", evidence={"reason": "it is"},
        expect=None if seen is None else seen.entry_id,
    )  # fmt: skip
    assert days.project.labels.estimated("late", as_of=FIRST + 6 * DAY).as_dict() == early.as_dict()


def test_what_cannot_be_estimated_says_why(base: Path, tmp_path: Path) -> None:
    days = Days(shop.copied(base, tmp_path), None)
    assert days.project.labels.estimated("late").weeks == ()
    days.serve(50, route=SHADOW)
    days.serve(50, feature_set="another")
    days.day += 1
    days.project.clock.advance(FIRST + DAY)  # type: ignore[attr-defined]
    (week,) = days.project.labels.estimated("late").weeks
    assert (week.served, week.rows, week.version, dict(week.estimates)) == (50, 0, None, {})
    assert "the features that the model has now" in week.why
