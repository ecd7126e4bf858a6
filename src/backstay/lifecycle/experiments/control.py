"""Carries experiments out. Each state is an entry of the ledger, appended by compare-and-swap; the route follows it.

A process that is killed in between leaves an entry whose route is not set yet: the next tick sets it. What somebody
else set meanwhile is never undone: the experiment ends, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import BackstayError, ConflictError, InputError, NotFoundError, RefusedError
from backstay.core.show import Shown
from backstay.definitions import Breakers, EventSource, Model
from backstay.definitions.experiments import Experiment
from backstay.lifecycle.approval import ApprovalNeeded, approved
from backstay.lifecycle.ends import blameless
from backstay.lifecycle.experiments.metrics import feature_place, measure
from backstay.lifecycle.experiments.rows import read
from backstay.lifecycle.experiments.state import (
    EXPERIMENT,
    REALLOCATED,
    STARTED,
    STOPPED,
    Standing,
    Version,
    last,
    running,
)
from backstay.lifecycle.judge import GATE
from backstay.lifecycle.records import Records
from backstay.registry.routing import BUCKETS, Part, RouteEntry, Routing
from backstay.registry.versions import ModelVersion
from backstay.rollout.experiments import (
    EXPIRED,
    HARM,
    RUNNING,
    Analysis,
    Conclusion,
    Evidence,
    analyse,
    conclude,
    next_shares,
)

INTERRUPTED = "interrupted"
"""The end of an experiment whose route or champion somebody else changed, or of whose arm somebody said no."""
UNREADABLE = "unreadable"
"""What a tick says of an experiment whose evidence it could not read: nothing is concluded from that."""
_ROLLOUT_ENDS = ("promoted", "rolled_back", "refused")


@dataclass(frozen=True, slots=True)
class Look(Shown):
    """What an experiment shows now.

    rows, early: predictions read, and those left out because servers had not yet seen the shares of their stage
    """

    standing: Standing
    analysis: Analysis
    conclusion: Conclusion
    evidence: Evidence
    rows: int
    early: int
    as_of: int

    @property
    def left(self) -> int:
        """Microseconds until it ends by itself; 0 if it has ended."""
        standing = self.standing
        ends = standing.began + standing.experiment.length
        return max(ends - self.as_of, 0) if standing.running else 0

    def as_dict(self) -> dict[str, Any]:
        return {
            **self.standing.as_dict(), "analysis": self.analysis.as_dict(), "conclusion": self.conclusion.as_dict(),
            "rows": self.rows, "early": self.early, "seconds_left": self.left // 1_000_000,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turned(Shown):
    """What a tick did with an experiment: gave new shares, or ended it; why, in a sentence."""

    name: str
    state: str
    why: str
    shares: Mapping[str, float]


def look(records: Records, model: Model, standing: Standing, *, as_of: int | None = None) -> Look:
    """What an experiment shows at a moment; by default now. One that has ended shows what came of its rows since."""
    moment = records.clock.now() if as_of is None else as_of
    found = read(records, model, standing, as_of=moment)
    analysis = analyse(standing.experiment, found.evidence, standing.shares)
    conclusion = conclude(standing.experiment, analysis, age=moment - standing.began)
    return Look(standing, analysis, conclusion, found.evidence, found.rows, found.early, moment)


def start(
    records: Records, model: Model, experiment: Experiment, *, sources: Mapping[str, EventSource], why: str
) -> Standing:
    """Start an experiment, and set the route. Entities are drawn anew, independently of any experiment before.

    Raises `RefusedError` while anything else is on the model's route, and for a version that its gate answered FAIL, or
    that was stopped in its rollout for what it did; `InputError` for what is none of this model; `ConflictError` if
    another was started meanwhile.
    """
    where = f"experiment {experiment.name!r}"
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    before, routing = last(records, model.name), Routing(records.ledger, records.registry)
    _free(records, model, before, routing.get(model.name), where)
    versions = [_champion(records, model, where), *(_arm(records, model, name, where) for name in experiment.arms)]
    if len({one.digest for one in versions}) < len(versions):
        raise InputError("a version takes part twice, or is the champion", where=where, expected="each version once")
    named = _renamed(experiment, versions[1:])
    _computed(model, versions, where)
    feature_place(model, named.covariate)
    read_by = measure(model, named.metric, named.key or model.keys, sources)
    told = [
        Version("champion" if place == 0 else f"v{one.number}", one.number, one.digest, _gate(records, model, one))
        for place, one in enumerate(versions)
    ]
    body = {
        "state": STARTED, "experiment": named.as_dict(), "measure": read_by.as_dict(), "why": why,
        "versions": [one.as_dict() for one in told], "shares": _whole([0.0, *named.arms.values()]),
    }  # fmt: skip
    _append(records, model, body, 0 if before is None else before.entry_id)
    standing = running(records, model.name)
    assert standing is not None
    _settle(records, model, standing)
    return standing


def stop(records: Records, model: Model, why: str) -> Standing:
    """End the experiment of a model by hand: its champion answers everybody."""
    where = f"experiment of model {model.name!r}"
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    standing = running(records, model.name)
    if standing is None:
        raise NotFoundError("none is running", where=where, fix=f"see: backstay experiment show --model {model.name}")
    _settle(records, model, standing)
    seen, shown = _seen(records, model, standing)
    conclusion = Conclusion(STOPPED, f"{records.actor} stopped it: {why}", shown.arm)
    return _end(records, model, standing, conclusion, seen)


def experiment_tick(records: Records, model: Model) -> tuple[Turned, ...]:
    """Carry the experiment of a model on: set what a killed process did not, end it, or give new shares."""
    standing = last(records, model.name)
    if standing is None:
        return ()
    problem = _settle(records, model, standing)
    if not standing.running:
        return ()
    try:
        seen, conclusion = _seen(records, model, standing)
        conclusion = problem or conclusion
        if conclusion.ends:
            ended = _end(records, model, standing, conclusion, seen)
            return (_turned(ended, conclusion.state, conclusion.why),)
        if seen is None:
            return (_turned(standing, UNREADABLE, conclusion.why),)
        return _reallocated(records, model, standing, seen)
    except ConflictError:  # another tick, or a person, was first: the next tick goes on from there
        return ()


def _seen(records: Records, model: Model, standing: Standing) -> tuple[Look | None, Conclusion]:
    """What it shows and concludes; without evidence that can be read it is running, until its time is over."""
    try:
        seen = look(records, model, standing)
    except BackstayError as error:
        why = f"the evidence cannot be read: {error}"
        over = records.clock.now() - standing.began >= standing.experiment.length
        return None, Conclusion(EXPIRED if over else RUNNING, why)
    return seen, seen.conclusion


def _reallocated(records: Records, model: Model, standing: Standing, seen: Look) -> tuple[Turned, ...]:
    experiment, stage = standing.experiment, standing.stages[-1]
    if experiment.allocation == "fixed" or records.clock.now() - stage.since < experiment.block:
        return ()
    shares = _whole(next_shares(experiment, seen.evidence))
    if tuple(shares) == stage.shares:
        return ()
    body = {"state": REALLOCATED, "name": experiment.name, "shares": shares, "analysis": seen.analysis.as_dict()}
    _append(records, model, body, standing.entry_id)
    after = last(records, model.name)
    assert after is not None
    _settle(records, model, after)
    return (_turned(after, REALLOCATED, f"{experiment.allocation}: by what is mature"),)


def _turned(standing: Standing, state: str, why: str) -> Turned:
    names = [one.name for one in standing.versions]
    return Turned(standing.experiment.name, state, why, dict(zip(names, standing.shares, strict=True)))


def _end(records: Records, model: Model, standing: Standing, conclusion: Conclusion, seen: Look | None) -> Standing:
    told = {**conclusion.as_dict(), "analysis": None if seen is None else seen.analysis.as_dict()}
    # What somebody else has set is left as it is; a server only takes away.
    route = Routing(records.ledger, records.registry).get(model.name)
    own = _same(route, standing.parts()) or (route is not None and route.cut is not None)
    body = {"state": STOPPED, "name": standing.experiment.name, "end": told, "own": own}
    _append(records, model, body, standing.entry_id)
    ended = last(records, model.name)
    assert ended is not None
    _settle(records, model, ended)
    return ended


def _append(records: Records, model: Model, body: Mapping[str, Any], expect: int) -> None:
    """One state more, with the entry of the route that was there: the next one of the route is this state's own."""
    route = Routing(records.ledger, records.registry).get(model.name)
    whole = {**body, "route": 0 if route is None else route.entry_id}
    try:
        records.ledger.append(EXPERIMENT, model.name, whole, at=records.clock.now(), actor=records.actor, expect=expect)
    except ConflictError as error:
        raise ConflictError(
            "somebody else was first", where=f"experiment of model {model.name!r}", fix="see: backstay experiment show"
        ) from error


def _settle(records: Records, model: Model, standing: Standing) -> Conclusion | None:
    """Make the route what the last state says, if that was not done; why the experiment cannot go on, if it can't."""
    routing = Routing(records.ledger, records.registry)
    route = routing.get(model.name)
    arms = standing.parts() if standing.running else []
    if standing.running:
        broken = _champion_moved(records, model, standing) or _refused(records, model, standing)
        if broken is not None:
            return broken
    if standing.own and not _same(route, arms) and standing.route == (0 if route is None else route.entry_id):
        shadows = [] if route is None else [one for one in route.parts if one.shadow]
        name, key = f"experiment {standing.experiment.name}", standing.experiment.key or model.keys
        try:
            route = routing.set(
                model.name, [*arms, *shadows], key=key, why=name if arms else f"{name} has ended",
                reshuffle=standing.running and len(standing.stages) == 1,
                at=records.clock.now(), actor=records.actor, expect=standing.route,
                breakers=Breakers() if model.rollout is None else model.rollout.breakers,
            )  # fmt: skip
        except ConflictError:  # another tick has set it already, or somebody else otherwise
            route = routing.get(model.name)
    if not standing.running or _same(route, arms):
        return None
    cut = None if route is None else route.cut
    lost = [] if cut is None else [one.name for one in standing.versions if one.digest == cut["version"]]
    if cut is not None and lost:
        return Conclusion(HARM, f"a server cut {lost[0]}: {cut['reason']}", lost[0])
    who, why = ("nobody", "") if route is None else (route.actor, f": {route.why}")
    return Conclusion(INTERRUPTED, f"{who} set the route otherwise{why}")


def _champion_moved(records: Records, model: Model, standing: Standing) -> Conclusion | None:
    champion = records.registry.alias(model.name, "champion")
    if champion is not None and champion.digest == standing.versions[0].digest:
        return None
    now = "there is none" if champion is None else f"it is version {champion.to} now"
    return Conclusion(INTERRUPTED, f"version {standing.versions[0].number} is champion no more: {now}")


def _refused(records: Records, model: Model, standing: Standing) -> Conclusion | None:
    """That an arm may serve no more: it was rejected, or its approval does not hold any longer."""
    for one in standing.versions[1:]:
        try:
            approved(records, model, records.registry.get(model.name, one.number))
        except ApprovalNeeded as error:
            return Conclusion(INTERRUPTED, f"{one.name} may serve no more: {error.what}", one.name)
    return None


def _same(route: RouteEntry | None, arms: list[Part]) -> bool:
    there = () if route is None else tuple((one.digest, one.buckets) for one in route.parts if not one.shadow)
    return there == tuple((one.digest, one.buckets) for one in arms)


def _free(records: Records, model: Model, before: Standing | None, route: RouteEntry | None, where: str) -> None:
    """`RefusedError` while something else is on the route."""
    what, fix = "", ""
    if before is not None and before.running:
        what, fix = f"experiment {before.experiment.name!r} is running", 'backstay experiment stop --why "..."'
    rollout = records.ledger.last("rollout", model.name)
    if rollout is not None and rollout.body["stage"] not in _ROLLOUT_ENDS:
        what, fix = f"version {rollout.body['number']} is being rolled out", "wait until it has ended, or stop it"
    parts = [] if route is None else [one.name for one in route.parts if not one.shadow]
    if not what and parts:
        what, fix = f"{', '.join(parts)} has a share of the route", 'backstay route clear --why "..."'
    if what:
        raise RefusedError(what, where=where, expected="a route that is the champion's alone", fix=fix)


def _champion(records: Records, model: Model, where: str) -> ModelVersion:
    move = records.registry.alias(model.name, "champion")
    if move is None:
        fix = f"backstay promote NUMBER --model {model.name}"
        raise InputError("there is no champion to compare with", where=where, fix=fix)
    return records.registry.get(model.name, move.to)


def _arm(records: Records, model: Model, name: str, where: str) -> ModelVersion:
    number = name.removeprefix("v")
    if number.isdecimal():
        version = records.registry.get(model.name, int(number))
    else:
        move = records.registry.alias(model.name, name)
        if move is None:
            raise NotFoundError(
                f"model {model.name!r} has no alias {name!r}", where=where,
                expected="v and a version's number, or an alias", fix=f"backstay versions --model {model.name}",
            )  # fmt: skip
        version = records.registry.get(model.name, move.to)
    approved(records, model, version)
    blameless(records, version, where)
    if _gate(records, model, version) == "FAIL":
        raise RefusedError(
            f"version {version.number} was answered FAIL by its gate", where=where,
            expected="a version that is not shown to be worse", fix="train another one",
        )  # fmt: skip
    return version


def _computed(model: Model, versions: Sequence[ModelVersion], where: str) -> None:
    """`InputError` unless a server can compute all of them."""
    for one in versions:
        if one.manifest.feature_set.hash != model.features.hash:
            raise InputError(
                f"version {one.number} was trained on another definition of {model.features.name!r}", where=where,
                expected="versions that a server can compute", fix="train a new version",
            )  # fmt: skip


def _gate(records: Records, model: Model, version: ModelVersion) -> str:
    entry = records.ledger.last(GATE, f"{model.name}/{version.number}")
    return "" if entry is None else str(entry.body["decision"]["verdict"])


def _renamed(experiment: Experiment, arms: list[ModelVersion]) -> Experiment:
    """With the arms called by their numbers: an alias may move while it is running."""
    shares = {f"v{one.number}": share for one, share in zip(arms, experiment.arms.values(), strict=True)}
    if len(shares) < len(arms):
        raise InputError("a version takes part twice", where=f"experiment {experiment.name!r}", expected="each once")
    return Experiment.from_dict({**experiment.as_dict(), "arms": shares})


def _whole(shares: Sequence[float]) -> list[float]:
    """In whole buckets, at least one each; the champion has what the arms leave, as the route will have it."""
    arms = [max(1, round(share * BUCKETS)) for share in shares[1:]]
    return [(BUCKETS - sum(arms)) / BUCKETS, *(one / BUCKETS for one in arms)]
