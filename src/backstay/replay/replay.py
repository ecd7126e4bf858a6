"""The replay: a model's production life over a period of history, with the real server and a replayed clock.

Slice by slice, what became known is pushed and what was asked is asked, each request with its own T. Between slices, at
the model's retraining interval, the tick runs as it would in production: candidates are judged, winners promoted, a new
candidate trained. The server follows the champion by itself; the replay only waits until it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstay.core.clock import ReplayClock
from backstay.core.errors import BackstayError, InputError
from backstay.core.times import duration, instant
from backstay.definitions import Model
from backstay.lifecycle.candidates import Alter
from backstay.lifecycle.judge import Judgement, judge
from backstay.lifecycle.tick import Ticked, judge_due, open_candidates
from backstay.monitoring.quality import Cohort
from backstay.project import Project
from backstay.replay.client import Client, Outcome
from backstay.replay.server import ServerProcess
from backstay.replay.world import Slice, World

_FOLLOW_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Planted:
    """A fault planted on purpose: a candidate trained at the first tick at or after `at`, on altered rows."""

    at: str
    alter: Alter
    note: str


@dataclass(frozen=True, slots=True)
class Week:
    """One turn between slices, as seen at that moment."""

    at: int
    ticked: Ticked
    planted: tuple[int, ...]
    cohort: Cohort | None
    """the predictions asked in the interval that just ended"""


@dataclass(slots=True)
class Replayed:
    """What a replay did."""

    model: Model
    start: int
    end: int
    in_flight: int
    outcome: Outcome = field(default_factory=Outcome)
    serving_seconds: float = 0.0
    weeks: list[Week] = field(default_factory=list)
    judgements: dict[int, Judgement] = field(default_factory=dict)
    """the last answer about each version"""
    served_by: dict[int, set[int]] = field(default_factory=dict)
    """versions that answered, by the start of the slice"""


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
    and how many there will be, "served" and how many more were, and "week" and the `Week` that ended.
    """
    if not isinstance(project.clock, ReplayClock):
        raise InputError("a replay needs a clock that can be moved", where="Project(clock=...)", expected="ReplayClock")
    one = project.model(model)
    out = Replayed(one, instant(start), instant(end), in_flight)
    every = duration(one.retrain.every)
    world = World(one, project.services.events, start=out.start, end=out.end)
    watch("requests", len(world))
    project.backfill(until=out.start)
    faults = sorted(planted, key=lambda fault: instant(fault.at))
    with ServerProcess(project.path, project.services.home) as server:
        client = Client(server.url, server.token, in_flight)
        try:
            for part in world.slices(duration(slice)):
                if part.start > out.start and (part.start - out.start) % every == 0:
                    _turn(project, out, part.start, client, faults, watch)
                _play(out, part, client, watch)
            _turn(project, out, out.end, client, [], watch)
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
    """What happens between slices once a retraining interval has passed."""
    assert isinstance(project.clock, ReplayClock)
    project.clock.advance(now)
    ticked = project.tick(out.model.name)
    for judgement in ticked.judged:
        out.judgements[judgement.number] = judgement
    if ticked.promoted:
        _followed(client, out.model.name, ticked.promoted[-1].to)
    numbers = []
    while faults and instant(faults[0].at) <= now:
        fault = faults.pop(0)
        version = project.train(out.model.name, as_of=now, alter=fault.alter, note=f"planted fault: {fault.note}")
        numbers.append(version.number)
    cohorts = project.quality(out.model.name, as_of=now, start=out.start)
    week = Week(now, ticked, tuple(numbers), cohorts[-1] if cohorts else None)
    out.weeks.append(week)
    watch("week", week)


def _followed(client: Client, model: str, number: int) -> None:
    """Wait until the running server serves the new champion."""
    deadline = time.monotonic() + _FOLLOW_SECONDS
    while True:
        told = client.get(f"/v1/models/{model}")
        if told["version"] == number:
            return
        if told["problem"] or time.monotonic() > deadline:
            raise BackstayError(
                f"the server did not follow to version {number}: {told['problem'] or 'it is still on another'}",
                where=f"model {model!r}",
            )
        time.sleep(0.01)


def _settle(project: Project, out: Replayed) -> None:
    """Let the last labels mature, and give every candidate that is still open the answer that can be given."""
    assert isinstance(project.clock, ReplayClock)
    project.clock.advance(out.end + out.model.label.maturity)
    judged, *_ = judge_due(project.records, out.model)
    judged += [
        judge(project.records, out.model, version.number, as_of=project.clock.now())
        for version in open_candidates(project.records, out.model)
    ]
    for judgement in judged:
        out.judgements[judgement.number] = judgement
