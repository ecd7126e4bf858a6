"""The replay: a model's production life over a period of history, with the real server and a replayed clock.

Slice by slice, what became known is pushed and what was asked is asked, each request with its own T. Between slices the
tick runs as it would in production, daily where the model is watched or versions are rolled out in stages, else at its
retraining interval: windows are looked at, candidates are judged, winners begin their rollout or are promoted, rollouts
go on, a new candidate is trained. The server follows champion and route by itself; the replay only waits until it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstay.core.clock import ReplayClock
from backstay.core.errors import InputError
from backstay.core.times import DAY, duration, instant
from backstay.definitions import Model
from backstay.lifecycle.candidates import Alter
from backstay.lifecycle.judge import Judgement, judge
from backstay.lifecycle.rollouts import Turn, history
from backstay.lifecycle.tick import Ticked, judge_due, open_candidates
from backstay.monitoring.quality import WEEK, Cohort
from backstay.project import Project
from backstay.registry.routing import Routing
from backstay.replay.client import Client, Outcome
from backstay.replay.following import followed, shadows_done
from backstay.replay.server import ServerProcess
from backstay.replay.world import Slice, World

PLANTED = "planted fault"
"""How the note begins of a version that was trained on purpose on altered rows."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault planted on purpose: a candidate trained at the first turn at or after `at`, on altered rows.

    instead: it takes the place of the candidate that is due then; otherwise it is trained beside it
    """

    at: str
    alter: Alter
    note: str
    instead: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """One turn between slices: what the tick did, where rollouts went, and which faults were planted."""

    at: int
    ticked: Ticked
    rollouts: tuple[Turn, ...]
    planted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Week:
    """A week that has passed, as seen at its end: its turns, the last one at its end."""

    at: int
    days: tuple[Day, ...]
    cohort: Cohort | None
    """the predictions asked in it"""


@dataclass(slots=True)
class Replayed:
    """What a replay did."""

    model: Model
    start: int
    end: int
    in_flight: int
    outcome: Outcome = field(default_factory=Outcome)
    serving_seconds: float = 0.0
    days: list[Day] = field(default_factory=list)
    weeks: list[Week] = field(default_factory=list)
    judgements: dict[int, Judgement] = field(default_factory=dict)
    """the last answer about each version"""
    served_by: dict[int, set[int]] = field(default_factory=dict)
    """versions that answered, by the start of the slice"""
    shadowed: int = 0
    """rows that shadows scored, beside what was served"""
    shed: int = 0
    """rows that they were to be shown and were not: the server had too much to do"""


Watch = Callable[[str, Any], None]


def replay(
    project: Project,
    *,
    start: str | int,
    end: str | int,
    model: str | None = None,
    slice: str = "3h",
    in_flight: int = 16,
    planted: Sequence[Planted] = (),
    watch: Watch = lambda _what, _value: None,
) -> Replayed:
    """Replay a model's life from `start` to `end`, and settle the labels that come after.

    The project's clock must be a `ReplayClock` and the model must have a champion. `watch` is called with "requests"
    and how many there will be, "served" and how many more were, "day" and the `Day`, and "week" and the `Week` that
    ended.
    """
    if not isinstance(project.clock, ReplayClock):
        raise InputError("a replay needs a clock that can be moved", where="Project(clock=...)", expected="ReplayClock")
    one = project.model(model)
    out = Replayed(one, instant(start), instant(end), in_flight)
    every = duration(one.retrain.every)
    often = every if one.rollout is None and one.monitor is None else min(DAY, every)
    world = World(one, project.services.events, start=out.start, end=out.end)
    watch("requests", len(world))
    project.backfill(until=out.start)
    faults = sorted(planted, key=lambda fault: instant(fault.at))
    with ServerProcess(project.path, project.services.home) as server:
        client = Client(server.url, server.token, in_flight)
        try:
            for part in world.slices(duration(slice)):
                passed = part.start - out.start
                if passed and 0 in (passed % often, passed % WEEK):
                    _turn(project, out, part.start, client, faults, watch)
                    if passed % WEEK == 0:
                        _week(project, out, watch)
                _play(out, part, client, watch)
            _turn(project, out, out.end, client, [], watch)
            _week(project, out, watch)
        finally:
            client.close()
    _settle(project, out)
    return out


def _play(out: Replayed, part: Slice, client: Client, watch: Watch) -> None:
    for source, body in part.pushes:
        client.post(f"/v1/sources/{source}/events", body)
    begin = time.perf_counter()
    answered = client.send_all(f"/v1/models/{out.model.name}/predict", part.requests)
    out.serving_seconds += time.perf_counter() - begin
    total = out.outcome
    total.served += answered.served
    total.errors += answered.errors
    total.messages = (total.messages + answered.messages)[:5]
    total.latency_ms += answered.latency_ms
    if answered.versions:
        out.served_by[part.start] = answered.versions
    watch("served", answered.served + answered.errors)


def _turn(project: Project, out: Replayed, now: int, client: Client, faults: list[Planted], watch: Watch) -> None:
    """What happens between slices: the tick, and before it what its evidence needs, after it what it led to."""
    assert isinstance(project.clock, ReplayClock)
    if out.model.rollout is not None:
        out.shadowed, out.shed = shadows_done(client)
    project.clock.advance(now)
    due = [fault for fault in faults if instant(fault.at) <= now]
    del faults[: len(due)]
    numbers = [_plant(project, out.model, fault) for fault in due if fault.instead]
    before = len(history(project.records, out.model.name))
    ticked = project.tick(out.model.name)
    turns = tuple(history(project.records, out.model.name)[before:])
    for judgement in ticked.judged:
        out.judgements[judgement.number] = judgement
    numbers += [_plant(project, out.model, fault) for fault in due if not fault.instead]
    records = project.records
    champion = records.registry.alias(out.model.name, "champion")
    route = Routing(records.ledger, records.registry).get(out.model.name)
    followed(client, out.model.name, champion, route)
    out.days.append(Day(now, ticked, turns, tuple(numbers)))
    watch("day", out.days[-1])


def _plant(project: Project, model: Model, fault: Planted) -> int:
    now = project.clock.now()
    return project.train(model.name, as_of=now, alter=fault.alter, note=f"{PLANTED}: {fault.note}").number


def _week(project: Project, out: Replayed, watch: Watch) -> None:
    """A week has passed: how good what was served in it was, as far as is known."""
    before = out.weeks[-1].at if out.weeks else out.start
    cohorts = project.quality(out.model.name, as_of=project.clock.now(), start=out.start)
    days = tuple(day for day in out.days if day.at > before)
    out.weeks.append(Week(project.clock.now(), days, cohorts[-1] if cohorts else None))
    watch("week", out.weeks[-1])


def _settle(project: Project, out: Replayed) -> None:
    """Let the last labels mature, and give every candidate that is still open the answer that can be given."""
    assert isinstance(project.clock, ReplayClock)
    project.clock.advance(out.end + out.model.label.maturity)
    records, model = project.records, out.model
    judged: list[Judgement] = []
    if model.rollout is None:
        judged, *_ = judge_due(records, model)
    # Where versions are rolled out in stages, none begins after the end: who passed and waits is left waiting.
    waiting = {number for number, one in out.judgements.items() if model.rollout is not None and one.final}
    judged += [
        judge(records, model, version.number, as_of=project.clock.now())
        for version in open_candidates(records, model)
        if version.number not in waiting
    ]
    for judgement in judged:
        out.judgements[judgement.number] = judgement
