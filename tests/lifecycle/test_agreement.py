"""What the parity report says about each feature: every category and every cause, made on purpose."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf, nan
from pathlib import Path
from time import sleep

import msgspec
import numpy as np
import polars as pl
import pytest

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import Feature
from backstay.features.rows import plain
from backstay.features.views import Status
from backstay.lifecycle.agreement import Agreement, Column
from backstay.project import Project
from backstay.storage.backends.local import LocalEvents
from backstay.storage.predictions import Prediction, decode, encode
from tests.lifecycle.test_parity import _rewrite_predictions
from tests.serving import shop

AT = 150
"""The prediction that is changed."""


def _told(one: Agreement) -> dict[str, object]:
    """What is not zero, without the sum of errors."""
    return {
        name: value for name, value in one.as_dict().items() if value and name not in ("match", "smape", "defaults")
    }


def _place(path: Path, name: str) -> int:
    return [feature.name for feature in Project(path).model("late").features].index(name)


def _changed(path: Path, name: str, value: object, status: Status | None, at: int = AT) -> Agreement:
    """The report on a feature, of which one logged value was changed."""
    place = _place(path, name)

    def change(row: int, one: Prediction) -> Prediction:
        if row != at:
            return one
        values, statuses = list(one.values), bytearray(one.statuses)
        values[place] = value
        statuses[place] = statuses[place] if status is None else status
        return msgspec.structs.replace(one, values=values, statuses=bytes(statuses))

    _rewrite_predictions(path, change)
    report = Project(path).verify("late")
    assert not report.holds
    assert report.features[name] == 1
    assert {other for other, one in report.agreement.items() if one.causes} == {name}
    return report.agreement[name]


def test_all_of_it_matches(served: Path) -> None:
    report = Project(served).verify("late")
    assert report.stale == report.other_definition == 0
    for name, one in report.agreement.items():
        assert one.match == report.checked, name
        assert not one.causes
        assert one.smape in (0, None)
    assert report.agreement["shop_late_1d"].smape == 0


def test_numbers_that_float32_does_not_hold_agree(path: Path) -> None:
    with shop.Server(path, "--replay") as server:
        assert server.predict(shop.request(size=1.7e308))[0] == 200
    assert "Warning" not in (path.parent / "server.log").read_text()
    project = Project(path)
    report = project.verify("late")
    assert report.holds
    assert report.agreement["size"].as_dict()["smape"] == 0
    assert "size" in project.features.skew("late").features  # where a warning would fail the test too
    project.close()


def test_another_value_is_a_mismatch(life: Path) -> None:
    before = shop.logged(life)[AT].values[_place(life, "shop_orders_7d")]
    one = _changed(life, "shop_orders_7d", before * 3, None)
    assert _told(one) == {"mismatch": 1, "causes": {"bug": 1}}
    assert one.smape == pytest.approx(2 * (3 - 1) / (3 + 1) / (one.match + 1))


def test_a_value_that_the_log_has_not_is_missing(life: Path) -> None:
    assert _told(_changed(life, "shop_last_size", None, Status.NULL)) == {"missing": 1, "causes": {"bug": 1}}


def test_a_default_that_was_used_is_told(life: Path) -> None:
    one = _changed(life, "shop_late_1d", 0.5, Status.MISSING)
    assert _told(one) == {"missing": 1, "causes": {"default used": 1}}
    assert one.defaults >= 1


def test_a_value_that_the_record_has_not_is_extra(life: Path) -> None:
    place = _place(life, "note")
    empty = next(row for row, one in enumerate(shop.logged(life)) if one.statuses[place] == Status.NULL)
    assert _told(_changed(life, "note", "fragile", Status.OK, at=empty)) == {"extra": 1, "causes": {"bug": 1}}


def test_an_event_appended_after_the_answer_came_late(life: Path) -> None:
    folder = life / ".backstay" / "events"
    table = LocalEvents(folder).read("orders").drop("sequence")
    LocalEvents(folder).append("orders", table[1990:2000].with_columns(size=pl.lit(1e6)))
    project = Project(life)
    report = project.verify("late")
    assert report.holds
    assert report.equal == report.checked
    assert report.stale > 0
    causes = {cause for one in report.agreement.values() for cause in one.causes}
    assert causes == {"late event"}
    assert report.agreement["shop_orders_7d"].stale > 0
    assert report.agreement["size"].stale == 0  # a request-time input rests on no event
    assert not project.verify("late", max_stale=0.0).holds
    assert project.verify("late", max_stale=1.0).holds


def test_an_event_that_was_not_applied_yet_is_online_lag(path: Path) -> None:
    project = Project(path)
    one = project.services.events.read("orders")[1:2].drop("sequence")  # shop1, counter 1
    with shop.Server(path) as server:
        time = pl.lit(project.clock.now() - 60_000_000).cast(pl.Datetime("us", "UTC"))
        project.services.events.append(
            "orders", one.with_columns(event_time=time, known_time=time + pl.duration(seconds=5))
        )
        assert server.predict(shop.live())[0] == 200
        assert server.push(shop.event(event_time="2026-01-01T00:00:00Z"))[0] == 200
    report = project.verify("late")
    assert (report.checked, report.equal, report.stale) == (1, 1, 1)
    assert dict(report.agreement["shop_orders_1d"].causes) == {"online lag": 1}


def test_the_record_does_not_always_show_which_of_both_it_was(path: Path) -> None:
    """An event of 20 minutes ago is ingested between two predictions: only a stamped one around it would tell."""
    project = Project(path)
    one = project.services.events.read("orders")[1:2].drop("sequence")

    def ingested(minutes: float) -> None:
        time = pl.lit(project.clock.now() - int(minutes * 60e6)).cast(pl.Datetime("us", "UTC"))
        project.services.events.append(
            "orders", one.with_columns(event_time=time, known_time=time + pl.duration(minutes=1))
        )

    with shop.Server(path) as server:
        ingested(20)
        assert server.predict(shop.live())[0] == 200
        assert _causes(path) == {"late event or online lag": 1}
        assert server.push(shop.event(event_time="2026-01-01T00:00:00Z"))[0] == 200  # and what came before is applied
        assert server.predict(shop.live())[0] == 200
        sleep(2)  # by more than clocks may disagree
        assert server.push(shop.event(event_time="2026-01-01T00:00:01Z"))[0] == 200
        ingested(10)
        assert _causes(path) == {"late event or online lag": 1, "late event": 1}


def _causes(path: Path) -> dict[str, int]:
    return dict(Project(path).verify("late").agreement["shop_orders_1d"].causes)


def test_another_definition_is_not_compared(life: Path) -> None:
    models = life / "models.py"
    models.write_text(models.read_text().replace('max_age="2d"', 'max_age="3d"'))
    report = Project(life).verify("late")
    assert (report.checked, report.other_definition, report.holds) == (0, report.logged, False)


def test_a_share_of_the_entities_and_a_span(served: Path) -> None:
    project = Project(served)
    everything = project.verify("late")
    half, again = project.verify("late", share=0.5), project.verify("late", share=0.5)
    assert half.as_dict() == again.as_dict()
    assert 0 < half.checked < everything.checked
    middle = "2024-02-24"
    first, second = project.verify("late", until=middle), project.verify("late", since=middle)
    assert first.checked + second.checked == everything.checked
    assert min(first.checked, second.checked) > 0
    assert first.checked == sum(one.at < instant(middle) for one in shop.logged(served))
    with pytest.raises(InputError, match="share"):
        project.verify("late", share=1.5)


TIME = pl.col("t")
DERIVED = {
    "a duration": TIME - TIME.dt.truncate("1d"),
    "a date": TIME.dt.date(),
    "a time of day": TIME.dt.time(),
    "a local time": TIME.dt.convert_time_zone("America/New_York"),
    "bytes": pl.col("w").cast(pl.Binary),
    "a category": pl.col("w").cast(pl.Categorical),
    "a decimal": pl.col("x").cast(pl.Decimal(20, 3)),
    "a list of local times": pl.concat_list(TIME.dt.convert_time_zone("America/New_York")),
    "a struct": pl.struct("t", "w", span=TIME - TIME.dt.truncate("1h")),
    "nothing": pl.lit(None),
}


@pytest.mark.parametrize("kind", DERIVED)
def test_a_derived_value_of_any_type_is_verified(kind: str) -> None:
    times = [datetime(2024, 5, 1, 12, 34, 56, 789, tzinfo=UTC), datetime(2024, 5, 2, 3, tzinfo=UTC), None]
    frame = pl.DataFrame(
        {"t": times, "w": ["a", "b", None], "x": [1.25, 2.5, None]}, schema_overrides={"t": pl.Datetime("us", "UTC")}
    )
    made = frame.with_columns(made=DERIVED[kind]).get_column("made")
    values = plain(made).to_list()
    one = Prediction("p", 1, 2, "m", "v", "champion", 1.0, "f", {}, {}, {}, values, b"", 0.25, False)
    statuses = np.zeros(3, np.uint8)
    again = Column.again(made, statuses)
    logged = Column.of(decode(encode(one)).values, statuses, again.values.dtype)
    assert logged.same(again).all()
    assert logged.told(0) == again.told(0)
    json.dumps(again.told(0))
    turned = Column.again(made.gather([1, 0, 2]), statuses)
    assert logged.same(turned).tolist() == [kind == "nothing", kind == "nothing", True]


@pytest.mark.parametrize(
    ("logged", "known", "smape"),
    [
        (inf, inf, 0.0),
        (-inf, -inf, 0.0),
        (nan, nan, 0.0),
        (0.0, 0.0, 0.0),
        (inf, -inf, 2.0),
        (1.0, inf, 2.0),
        (nan, 1.0, 2.0),
        (1.0, 3.0, 1.0),
    ],
)
def test_equal_values_are_not_apart_whatever_they_are(logged: float, known: float, smape: float) -> None:
    found = Agreement()
    log, now = (Column(pl.Series([one]), np.zeros(1, np.uint8)) for one in (logged, known))
    found.add(Feature("f", "derived", pl.Float64()), log, now, now, (np.ones(1, bool), np.zeros(1, bool)))
    assert found.smape == smape
