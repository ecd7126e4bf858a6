"""Which predictions used events that were wrong: held against looking at every event of every prediction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backstay.core.errors import InputError
from backstay.core.times import DAY, instant
from backstay.lifecycle.impact import Impact, reached_features
from backstay.project import Project
from backstay.storage.predictions import Prediction
from tests.serving import shop

DAYS = [("2024-02-21", "2024-02-22"), ("2024-02-18", "2024-02-19"), ("2024-01-03", "2024-01-04")]


def micros(time: datetime) -> int:
    return round((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def naive(project: Project, since: str, until: str, column: str | None = None) -> list[str]:
    """The ids, by looking: every event of every prediction, in plain Python."""
    events = [
        (micros(one["event_time"]), micros(one["known_time"]), one["sequence"], one["shop"], one["counter"])
        for one in project.services.events.read("orders").iter_rows(named=True)
    ]
    begin, end = instant(since), instant(until)

    def used(one: Prediction) -> bool:
        seen = [
            event for event in events
            if event[0] < one.at and event[1] <= one.at and event[2] <= one.watermark.get("orders", 0)
        ]  # fmt: skip
        shops = [event for event in seen if event[3] == one.keys["shop"]]
        counters = [event for event in seen if event[4] == one.keys["counter"]]
        found = []
        if column in (None, "late", "shop"):
            found += [event for event in shops if event[0] >= one.at - 7 * DAY]
        if column in (None, "size", "counter"):
            found += [event for event in counters if event[0] >= one.at - DAY]
        if column in (None, "size", "shop") and shops:
            found.append(max(shops))
        return any(begin <= event[0] < end for event in found)

    return [one.id for one in project.services.predictions.scan() if used(one)]


def found(project: Project, source: str, since: str, until: str) -> Impact:
    return project.archive.impact(source, since=since, until=until)


@pytest.mark.parametrize("column", [None, "late", "size", "shop", "counter"])
@pytest.mark.parametrize(("since", "until"), DAYS)
def test_it_is_what_looking_at_everything_finds(life: Path, since: str, until: str, column: str | None) -> None:
    project = Project(life)
    told = found(project, "orders" if column is None else f"orders.{column}", since, until)
    (late, *_) = told.used
    assert late.model == "late"
    assert late.ids == naive(project, since, until, column)
    assert (late.used, sum(late.numbers.values())) == (len(late.ids), len(late.ids))
    assert late.checked + late.unknown >= late.used
    if since == "2024-02-21":
        assert 0 < late.used < len(list(project.services.predictions.scan()))
        assert late.first is not None
        assert instant(since) < late.first
    project.close()


def test_versions_that_were_trained_with_them(life: Path) -> None:
    project = Project(life)
    assert [one.number for one in found(project, "orders", "2024-01-03", "2024-01-04").versions] == [1, 2]
    assert [one.number for one in found(project, "orders", "2024-02-16", "2024-02-17").versions] == [2]
    assert found(project, "orders", "2024-02-25", "2024-02-26").versions == ()
    told = found(project, "orders", "2024-01-03", "2024-01-04").as_dict()["trained_with"]
    assert told == [
        {"version": "late/1", "champion": [[f"{shop.FIRST}T00:00:00Z", None]]},
        {"version": "late/2", "champion": []},
    ]
    nothing = found(project, "orders", "2020-01-01", "2020-01-02")
    assert (nothing.events, nothing.versions, nothing.used[0].used) == (0, (), 0)
    project.close()


def test_features_are_reached_through_others(life: Path) -> None:
    model = Project(life).definitions.model("late")
    source = model.features.sources[0]
    assert reached_features(model.features, source, "late") == ["shop_late_1d", "shop_late_7d"]
    assert set(reached_features(model.features, source, "size")) == {"counter_size_1d", "shop_last_size", "size_ratio"}
    assert reached_features(model.features, source, "note") == []


def test_a_column_that_nothing_reads_has_no_impact(life: Path) -> None:
    assert found(Project(life), "orders.note", "2024-02-21", "2024-02-22").used == ()


def test_mistakes_are_named(life: Path) -> None:
    project = Project(life)
    with pytest.raises(InputError, match="there is no source 'order'"):
        found(project, "order", "2024-02-21", "2024-02-22")
    with pytest.raises(InputError, match=r"no column 'sizes'.*shop, counter"):
        found(project, "orders.sizes", "2024-02-21", "2024-02-22")
    with pytest.raises(InputError):
        found(project, "orders", "then", "2024-02-22")


def test_predictions_that_cannot_be_looked_at_are_counted(life: Path) -> None:
    models = life / "models.py"
    models.write_text(models.read_text().replace('max_age="2d"', 'max_age="3d"'))
    project = Project(life)
    (late, *_) = found(project, "orders", "2024-02-21", "2024-02-22").used
    assert (late.checked, late.used) == (0, 0)
    assert late.unknown > 0
