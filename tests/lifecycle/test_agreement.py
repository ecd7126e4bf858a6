"""What the parity report says about each feature: every category and every cause, made on purpose."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl
import pytest

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.features.views import Status
from backstay.lifecycle.agreement import Agreement
from backstay.project import Project
from backstay.storage.backends.local import LocalEvents
from backstay.storage.predictions import Prediction
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
