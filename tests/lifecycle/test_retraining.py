"""Retraining on the records: what a tick trains by, what it keeps of why, and that bad data stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import Ask, EventSource, IncidentPolicy
from backstay.core.times import DAY, HOUR, MINUTE, instant, instant_datetime
from backstay.definitions import Model, RetrainPolicy
from backstay.lifecycle import retraining
from backstay.lifecycle.incidents import MONITOR, act
from backstay.lifecycle.records import Records
from backstay.lifecycle.retraining import RETRAIN, TRAINING, retrain, trigger
from backstay.lifecycle.tick import tick
from backstay.monitoring.incidents import resolve
from backstay.monitoring.signals import Signal
from backstay.monitoring.triggers import Blocked, Trigger
from backstay.project import Project
from backstay.registry.versions import ModelVersion
from tests.lifecycle.signalled import START, Watched, made
from tests.serving import shop


def life(**policy: object) -> Watched:
    given = {"every": "60d", "cooldown": "1d", **policy}
    out = Watched(made(IncidentPolicy(clean=1), RetrainPolicy(**given)))  # type: ignore[arg-type]
    out.register(START - DAY)
    return out


def test_without_a_version_nothing_is_due() -> None:
    bare = Watched()
    bare.window({"log_loss": "realised_loss"})
    assert trigger(bare.records, bare.model) is None


def test_the_last_window_says_what_is_due() -> None:
    one = life(retrain_on="psi")
    assert trigger(one.records, one.model) is None
    one.window({"place_wind": "input_drift"}, effect=0.3)
    found = trigger(one.records, one.model)
    assert isinstance(found, Trigger)
    assert (found.reason, found.evidence["monitor"]) == ("psi", 2)
    one.window({}, "place_wind")
    assert trigger(one.records, one.model) is None


def test_bad_data_block_it_also_before_any_tick_wrote_the_incident_and_until_they_are_sound() -> None:
    one = life(every="1d")
    one.window({"place_wind": "data_quality"})
    blocked = trigger(one.records, one.model)
    assert isinstance(blocked, Blocked)
    one.settle()
    one.window({"place_wind": "data_quality"})
    assert trigger(one.records, one.model) == blocked
    act(one.records, one.model, 1, lambda each, now: resolve(each, "ann", now, "mended"))
    assert isinstance(trigger(one.records, one.model), Trigger)


def test_where_nobody_looks_any_more_no_incident_stops_it() -> None:
    one = life(every="1d")
    one.window({"place_wind": "data_quality"})
    one.settle()
    assert isinstance(trigger(one.records, one.model), Blocked)
    one.model.monitor = None
    assert isinstance(trigger(one.records, one.model), Trigger)


def test_volume_counts_rows_whose_labels_are_mature() -> None:
    one = life(retrain_on="volume", rows=3)
    one.window({})
    one.window({})  # it is START + 2d, and labels are mature after one
    times = [START - 3 * DAY, START - DAY, START + HOUR, START + 23 * HOUR, START + 30 * HOUR]
    at = pl.Series([instant_datetime(time) for time in times], dtype=pl.Datetime("us", "UTC"))
    rows = pl.DataFrame({"event_time": at, "known_time": at, "trip": list("abcde"), "place": "x", "miles": 1.0})
    one.records.events.append("asked", rows)
    found = trigger(one.records, one.model)
    assert isinstance(found, Trigger)
    assert found.evidence == {"rows": 3, "least": 3}


@pytest.mark.parametrize("known", [None, "known"])
def test_volume_reads_what_became_known_since_where_nothing_is_known_ahead(known: str | None) -> None:
    one, read = life(retrain_on="volume", rows=1), list[int | None]()
    one.window({})
    one.window({})
    source = one.model.ask.source
    timetable = EventSource("asked", schema=source.schema, event_time="at", known_time=known)
    one.model.ask = Ask(timetable)
    at = [START + hours * HOUR for hours in (-800, 1, 2, 3, 30)]
    # What is imported with known times of its own may be known long before; live events by a few minutes, at the most.
    ahead = 4 * MINUTE if known is None else 100 * DAY
    times = {"event_time": at, "known_time": [time - ahead for time in at]}
    rows = pl.DataFrame(
        {name: pl.Series(of).cast(pl.Datetime("us", "UTC")) for name, of in times.items()}
        | {"trip": list("abcde"), "place": ["x"] * 5, "miles": [1.0] * 5}
    )
    one.records.events.append("asked", rows)
    events = one.records.events

    class Noted:
        def __getattr__(self, name: str) -> object:
            return getattr(events, name)

        def read(self, source: str, **given: Any) -> pl.DataFrame:
            read.append(given.get("known_after"))
            return events.read(source, **given)

    found = trigger(replace(one.records, events=Noted()), one.model)  # type: ignore[arg-type]
    assert isinstance(found, Trigger)
    assert found.evidence["rows"] == 3
    assert [after is None for after in read] == [known is not None]


def test_a_training_that_takes_hours_is_not_begun_again_beside_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    one, begun = life(every="1d"), list[int]()
    one.clock.advance(START + 10 * DAY)
    by, other = trigger(one.records, one.model), one.beside("cron")
    assert isinstance(by, Trigger)
    monkeypatch.setattr(retraining, "_BEAT", 10_000)  # it wakes each 10 ms; the clock moves ten minutes at once

    def slow(records: Records, model: Model, *_: object, **__: object) -> ModelVersion:
        begun.append(records.clock.now())
        for words in range(1, 18):  # three hours
            one.clock.advance(one.clock.now() + 10 * MINUTE)
            _wait(lambda words=words: len(records.ledger.entries(kind=TRAINING)) >= words)  # type: ignore[misc]
            trained, said = retrain(other, model, None, by, strict=False)  # type: ignore[arg-type]
            assert (trained, "is being trained" in said[0]) == ([], True)
        raise KeyboardInterrupt

    monkeypatch.setattr(retraining, "train_candidate", slow)
    with pytest.raises(KeyboardInterrupt):
        retrain(one.records, one.model, None, by, strict=False)  # type: ignore[arg-type]
    assert len(begun) == 1
    # It failed: the claim ends at once, and its words with it.
    monkeypatch.setattr(retraining, "train_candidate", lambda *_, **__: one.records.registry.get("late", 1))
    assert len(retrain(other, one.model, None, by, strict=False)[0]) == 1  # type: ignore[arg-type]


def test_a_claim_ends_half_an_hour_after_the_last_word_and_over_history_none_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = life(every="1d")
    one.clock.advance(START + 10 * DAY)
    by = trigger(one.records, one.model)
    assert isinstance(by, Trigger)
    monkeypatch.setattr(retraining, "_BEAT", 10_000)
    monkeypatch.setattr(retraining, "train_candidate", lambda *_, **__: time.sleep(0.05))
    retrain(one.records, one.model, None, by, strict=False)  # type: ignore[arg-type]
    assert one.records.ledger.entries(kind=TRAINING) == []
    assert "is being trained" in retrain(one.beside(), one.model, None, by, strict=False)[1][0]  # type: ignore[arg-type]
    later(one, 30 * MINUTE)
    assert retrain(one.beside(), one.model, None, by, strict=False)[1] == []  # type: ignore[arg-type]


def later(life: Watched, micros: int) -> None:
    life.clock.advance(life.clock.now() + micros)


def _wait(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not there():
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.fixture
def project(base: Path, tmp_path: Path) -> Project:
    from backstay.core.clock import ReplayClock

    path = shop.copied(base, tmp_path)
    text = (path / "models.py").read_text()
    text = text.replace('RetrainPolicy(every="4d")', 'RetrainPolicy(every="400d", cooldown="1d")')
    (path / "models.py").write_text(text)
    return Project(path, clock=ReplayClock(instant(shop.SECOND) + 7 * DAY), actor="tick")


def _close(project: Project, *signals: tuple[str, str, str]) -> None:
    end = project.clock.now() // DAY * DAY
    told = [
        Signal(kind, what, state, 0.3 if state == "DRIFT" else 0.0, 0.1, end - DAY, (end - DAY, end))
        for kind, what, state in signals
    ]
    body = {"window": [end - DAY, end], "rows": 9, "signals": [one.as_dict() for one in told]}
    project.records.ledger.append(MONITOR, "late", body, at=project.clock.now(), actor="monitor")


def test_a_tick_trains_by_a_trigger_and_keeps_why(project: Project) -> None:
    model, records = project.model("late"), project.records
    _close(project, ("realised_loss", "log_loss", "DRIFT"), ("data_quality", "items", "DRIFT"))
    first = tick(records, model, project.environment)
    assert (first.trained, first.trigger, [one.incident.event for one in first.incidents]) == ((), None, ["opened"])
    assert any("data are bad" in one for one in first.waiting)
    project.clock.advance(project.clock.now() + DAY)  # type: ignore[attr-defined]
    _close(project, ("realised_loss", "log_loss", "DRIFT"), ("data_quality", "items", "OK"))
    assert tick(records, model, project.environment).trained == ()  # one window in order does not end it
    act(records, model, 1, lambda each, now: resolve(each, "ann", now, "mended"))
    second = tick(records, model, project.environment)
    (version,) = second.trained
    assert second.trigger is not None
    assert (second.trigger.reason, second.as_dict()["trigger"]["said"]) == (
        "realised", "realised: log_loss 0.3, tolerated 0.1",
    )  # fmt: skip
    claim = records.ledger.last(RETRAIN, "late")
    assert claim is not None
    assert claim.body["trigger"]["evidence"]["signals"][0]["what"] == "log_loss"
    assert version.manifest.note == "due by realised: log_loss 0.3, tolerated 0.1"
    assert tick(records, model, project.environment).trained == ()


def test_what_is_due_by_its_age_has_no_note() -> None:
    assert retraining._note(Trigger("cadence", "every 7d")) == ""
