"""Incidents on the records: read from the monitor's entries, by one tick or many, killed or not; what people do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import IncidentPolicy
from backstay.core.errors import ConflictError, NotFoundError
from backstay.core.times import DAY, HOUR, instant_datetime
from backstay.lifecycle import incidents as module
from backstay.lifecycle.changes import changes
from backstay.lifecycle.incidents import INCIDENT, act, incident, settle, timeline
from backstay.monitoring.incidents import acknowledge, resolve, snooze
from backstay.storage.backends.local.ledger import LocalLedger
from backstay.storage.backends.memory import MemoryLedger
from tests.lifecycle.signalled import START, Watched, made

WIND = {"place_wind": "input_drift", "per_mile": "input_drift"}


def test_a_year_of_quiet_writes_nothing() -> None:
    life = Watched()
    for _ in range(30):
        life.window({})
        assert life.settle() == []
    assert life.records.ledger.entries(kind=INCIDENT) == []


def test_an_incident_from_its_onset_to_its_end() -> None:
    life = Watched(made(IncidentPolicy(owner="meteo", runbook="https://wiki/wind", clean=2)))
    life.window({})
    life.window(WIND)
    assert (life.settle(), life.settle()) == (["1 opened"], [])
    life.window(WIND | {"score": "score_drift"})
    assert life.settle() == ["1 worsened"]
    life.window(WIND)
    assert life.settle() == []  # it merely goes on
    life.window({}, "place_wind", "per_mile")
    life.window({})
    assert life.settle() == []  # of the score nothing was said
    for _ in range(12):
        life.window({})
    assert life.settle() == ["1 ended"]
    told = timeline(life.records, "late", 1)
    assert [one.incident.event for one in told] == ["opened", "worsened", "ended"]
    one = told[0]
    assert (one.incident.origins, one.incident.owner, one.incident.runbook) == (
        frozenset({"weather", "the caller"}), "meteo", "https://wiki/wind",
    )  # fmt: skip
    assert one.incident.read == 2  # the monitor's entry that it stands on
    assert (one.as_dict()["cause"], told[1].as_dict()["severity"]) == ("input_drift", "score_drift")


def test_windows_that_no_tick_saw_are_taken_into_account_later() -> None:
    one, many = Watched(), Watched()
    for life, each in ((one, False), (many, True)):
        for what in (WIND, WIND, {"score": "score_drift"}, WIND):
            life.window(what)
            if each:
                life.settle()
        life.settle()
    strip = [[replace(each, at=0, entry_id=0, incident=replace(each.incident, read=0)) for each in life.kept]
             for life in (one, many)]  # fmt: skip
    assert strip[0] == strip[1]
    assert [each.incident.event for each in timeline(one.records, "late", 1)] == ["opened", "worsened"]


def test_years_without_incidents_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Watched()
    for _ in range(40):
        life.window({})
    life.settle()
    assert life.records.ledger.last(INCIDENT, "late") is not None
    life.window(WIND)
    assert len(module.looked(life.records, "late", module._from(life.records, life.model, []))) == 1
    assert life.settle() == ["1 opened"]


def test_of_one_that_lasts_it_is_written_down_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    life, events = Watched(), list[str]()
    for _ in range(65):
        life.window(WIND)
        events += life.settle()
        assert life.settle() == []
    assert events == ["1 opened", "1 lasts", "1 lasts"]
    read = module._from(life.records, life.model, [one.incident for one in life.kept])
    assert len(module.looked(life.records, "late", read)) <= 30


class Killed(BaseException):
    """The process was killed."""


class Killing(MemoryLedger):
    """A ledger whose process is killed, once, before or after its nth append of an incident."""

    at, after, done = -1, False, 0

    def append(self, kind: str, *more: Any, **named: Any) -> Any:
        here = kind == INCIDENT and self.done == self.at
        if here:
            self.at = -1
            if not self.after:
                raise Killed
        entry = super().append(kind, *more, **named)
        self.done += kind == INCIDENT
        if here:
            raise Killed
        return entry


def _lived(ledger: MemoryLedger) -> tuple[list[Any], int]:
    """Two causes in one window, one of which gets worse, both end and come back; what is killed is tried again."""
    life, killed = Watched(made(IncidentPolicy(clean=1, silent="1d")), ledger), 0
    two = {"place_wind": "input_drift", "trip_before": "skew"}
    for what in (two, {"place_wind": "input_drift", "score": "score_drift"}, {}, two):
        life.window(what, since={"place_wind": -9})
        for _ in range(3):
            try:
                life.settle()
            except Killed:
                killed += 1
    told = [one.incident for one in life.kept]
    return [(one.number, one.state, one.keys, one.reopened, one.event) for one in told], killed


def test_killed_between_any_two_entries_it_ends_as_without() -> None:
    whole = MemoryLedger()
    expected, _ = _lived(whole)
    number = len(whole.entries(kind=INCIDENT))
    assert ([one[:2] for one in expected], number) == ([(1, "open"), (2, "open")], 7)
    kills = 0
    for place in range(number):
        for after in (False, True):
            ledger = Killing()
            ledger.at, ledger.after = place, after
            found, killed = _lived(ledger)
            kills += killed
            assert found == expected, f"killed {'after' if after else 'before'} entry {place}"
    assert kills == 2 * number


def test_two_ticks_at_once_open_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Watched()
    life.window(WIND)
    fold, other = module.fold, life.beside()
    done: list[bool] = []

    def meanwhile(*given: Any) -> Any:
        found = fold(*given)
        if not done:
            done.append(True)
            assert [one.incident.event for one in settle(other, life.model)] == ["opened"]
        return found

    monkeypatch.setattr(module, "fold", meanwhile)
    assert life.settle() == []
    assert (life.states, life.kept[0].actor) == ({1: "open"}, "another")


def test_many_ticks_at_once_on_a_real_ledger(tmp_path: Path) -> None:
    life = Watched(ledger=LocalLedger(tmp_path / "ledger.sqlite"))
    failed: list[BaseException] = []

    def looks(name: str) -> None:
        try:
            for _ in range(3):
                settle(life.beside(name), life.model)
        except BaseException as error:  # noqa: BLE001 - the test tells it
            failed.append(error)

    for what in (WIND | {"trip_before": "skew"}, WIND | {"score": "score_drift"}):
        life.window(what, since={"place_wind": -9, "per_mile": -9})
        ticks = [threading.Thread(target=looks, args=(f"tick{place}",)) for place in range(4)]
        for each in ticks:
            each.start()
        for each in ticks:
            each.join()
    assert failed == []
    told = [one.body["event"] for one in life.records.ledger.entries(kind=INCIDENT)]
    assert (sorted(told), life.states) == (["opened", "opened", "worsened"], {1: "open", 2: "open"})


def test_people_act_and_the_ledger_says_who() -> None:
    life = Watched()
    life.window(WIND)
    records, model = life.beside("ann"), life.model
    kept = act(records, model, 1, lambda one, now: acknowledge(one, "ann", "looking"))
    assert (kept.actor, kept.incident.state, kept.incident.owner) == ("ann", "acknowledged", "ann")
    act(records, model, 1, lambda one, now: snooze(one, "ann", now + 2 * DAY, now))
    life.window(WIND)
    assert life.settle() == []
    life.window(WIND)
    assert life.settle() == ["1 woke"]
    act(records, model, 1, lambda one, now: resolve(one, "ann", now, "the feed was mended"))
    assert life.states == {1: "resolved"}
    life.window({})
    life.window(WIND)
    assert life.settle() == ["1 reopened"]
    events = [one.incident.event for one in timeline(records, "late", 1)]
    assert events == ["opened", "acknowledged", "snoozed", "woke", "resolved", "reopened"]
    with pytest.raises(NotFoundError, match="no incident 7"):
        incident(records, "late", 7)


def test_of_two_people_at_once_the_second_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Watched()
    life.window(WIND)

    def faster(one: Any, now: int) -> Any:
        act(life.beside("bob"), life.model, 1, lambda each, _: acknowledge(each, "bob"))
        return acknowledge(one, "ann")

    with pytest.raises(ConflictError):
        act(life.beside("ann"), life.model, 1, faster)
    assert life.kept[0].incident.who == "bob"


def _at(micros: int) -> datetime:
    return instant_datetime(micros)


def _events(life: Watched, source: str, times: list[int], **columns: list[Any]) -> None:
    at = pl.Series([_at(one) for one in times], dtype=pl.Datetime("us", "UTC"))
    life.records.events.append(source, pl.DataFrame({"event_time": at, "known_time": at, **columns}))


def test_what_changed_in_the_day_before_is_told_with_it() -> None:
    life = Watched()
    life.window({})
    life.window({})
    onset, registry = START + 2 * DAY, life.records.registry
    for number, at in ((1, START - 9 * DAY), (2, onset - 5 * HOUR)):
        label = {"name": "late", "horizon": number}
        assert life.register(at, label=label) == number
        before = registry.alias("late", "champion")
        registry.move_alias(
            "late", "champion", number, evidence={"reason": "so"}, at=at + HOUR, actor="ann",
            expect=None if before is None else before.entry_id,
        )  # fmt: skip
    life.records.ledger.append("route", "late", {"why": "an experiment"}, at=onset - HOUR, actor="bob")
    life.records.ledger.append("route", "other", {"why": "not ours"}, at=onset - HOUR, actor="bob")
    _events(life, "weather", [onset - 30 * HOUR], place=["x"], wind=[3.0])
    _events(life, "quarantine_trips", [onset - 2 * HOUR, onset - HOUR], expectation=["type", "type"])
    life.window(WIND)
    assert life.settle() == ["1 opened"]
    told = [(one["kind"], one["said"], one["who"]) for one in life.kept[0].incident.before]
    assert told[:4] == [
        ("version", "version 2 was registered", "ann"),
        ("alias", "alias champion moved to version 2", "ann"),
        ("definition", "version 2 has other label than version 1", "ann"),
        ("quarantine", "trips: 2 events broke type", ""),
    ]
    assert told[4] == ("route", "the route was set: an experiment", "bob")
    assert told[5][1].startswith("weather was late: nothing became known for ")
    assert len(told) == 6
    assert [one.kind for one in changes(life.records, life.model, START - 3 * DAY, START - 2 * DAY)] == ["source"]


def test_what_changed_before_it_came_back_is_gathered_anew() -> None:
    life = Watched(made(IncidentPolicy(clean=1)))
    life.window({"place_wind": "input_drift"})
    life.settle()
    life.window({}, "place_wind")
    assert life.settle() == ["1 ended"]
    assert not any(each["kind"] == "version" for each in life.kept[0].incident.before)
    life.register(life.clock.now())
    life.window({"place_wind": "input_drift"})
    assert life.settle() == ["1 reopened"]
    assert any(each["kind"] == "version" for each in life.kept[0].incident.before)


def test_a_source_that_cannot_be_read_is_told_and_the_rest_too(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Watched()
    life.records.ledger.append("route", "late", {"why": "x"}, at=START, actor="bob")
    read: Callable[..., Any] = life.records.events.last_sequence

    def broken(source: str) -> int:
        if source == "weather":
            raise NotFoundError("the disk is gone")
        return read(source)

    monkeypatch.setattr(life.records.events, "last_sequence", broken)
    told = [one.said for one in changes(life.records, life.model, START - DAY, START)]
    assert told == ["source weather cannot be read: the disk is gone", "the route was set: x"]


def test_times_of_windows_are_those_of_the_monitor() -> None:
    life = Watched()
    life.window(WIND)
    life.settle()
    one = life.kept[0].incident
    assert instant_datetime(one.onset) == datetime(2024, 3, 1, tzinfo=UTC)
    assert instant_datetime(one.first) - instant_datetime(one.onset) == timedelta(days=1)
