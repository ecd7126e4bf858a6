"""The controller: it carries a rollout out, and can be killed at any moment.

What a rollout is stands in the ledger, one entry a state, appended by compare-and-swap on the one before: so there is
one rollout a model, and one step after another, however many controllers run. **The entry is the truth and the effects
follow it**: the route is made what the state says, and the champion's alias too, each by compare-and-swap on what was
there when the state was written. A controller that was killed in between, or another one, does what is missing and goes
on. What somebody else set meanwhile is never undone: the rollout ends, and says who did what.

    carry_on(records, model)        # what `backstay tick` does
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.lifecycle import experiments
from backstay.lifecycle.approval import ApprovalNeeded, approved, as_evidence
from backstay.lifecycle.ends import ROLLOUT, blameless
from backstay.lifecycle.gates import where_it_stands
from backstay.lifecycle.judgement import GATE
from backstay.lifecycle.records import Records
from backstay.lifecycle.rollout_evidence import champion_of, gate_of, route_of, same, see, standing, wanted
from backstay.registry.routing import Routing
from backstay.registry.versions import ModelVersion
from backstay.rollout.stages import PROMOTING, State, advance, begin, broken, end

_MOST = 50
"""Steps that one call takes at most: more than there are."""


@dataclass(frozen=True, slots=True)
class Turn(Shown):
    """A state of a rollout as it stands in the ledger: since when, who wrote it, and which entry it is."""

    state: State
    at: int
    actor: str
    entry_id: int

    def as_dict(self) -> dict[str, Any]:
        return {**self.state.as_dict(), "at": self.at, "actor": self.actor, "entry_id": self.entry_id}


def last(records: Records, model: str) -> Turn | None:
    """Where the last rollout of a model is, ended or not; None if there was none."""
    entry = records.ledger.last(ROLLOUT, model)
    return None if entry is None else Turn(State.from_dict(entry.body), entry.at, entry.actor, entry.id)


def running(records: Records, model: str) -> Turn | None:
    """The rollout of a model that has not ended."""
    turn = last(records, model)
    return None if turn is None or turn.state.ended else turn


def history(records: Records, model: str) -> list[Turn]:
    """Every state of every rollout of a model, in order."""
    entries = records.ledger.entries(kind=ROLLOUT, subject=model)
    return [Turn(State.from_dict(one.body), one.at, one.actor, one.id) for one in entries]


def start(records: Records, model: Model, number: int, *, expect: int | None = None) -> Turn:
    """Begin the rollout of a version that passed its gate.

    expect: the last entry of the model's rollouts that was seen (0: none); by default whichever is the last

    `RefusedError` for one that did harm before, and while another rollout or anything else is on the route;
    `InputError` where a rollout makes no sense.
    """
    version = records.registry.get(model.name, number)
    seen = _startable(records, model, version)
    before = last(records, model.name)
    known = (0 if before is None else before.entry_id) if expect is None else expect
    now = records.clock.now()
    gate = records.ledger.last(GATE, f"{model.name}/{number}")
    assert model.rollout is not None
    assert gate is not None
    first = begin(model.name, number, version.digest, gate.id, seen, model.rollout, now)
    turn = _append(records, first, known)
    settle(records, model, first)
    return turn


def stop(records: Records, model: Model, why: str) -> Turn:
    """End the rollout of a model by hand; the champion goes on answering everybody.

    `NotFoundError` where none is running; `RefusedError` where its version is champion already, but for its last entry:
    that is written, and to go back is a rollback.
    """
    where = f"rollout of model {model.name!r}"
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    turn = running(records, model.name)
    if turn is None:
        raise NotFoundError(
            "no rollout is running", where=where, fix=f"see: backstay rollout show --model {model.name}"
        )
    champion = champion_of(records, model.name)
    if champion is not None and champion.digest == turn.state.digest:
        carry_on(records, model)
        raise RefusedError(
            f"version {turn.state.number} is champion already", where=where, expected="a rollout that has not ended",
            fix=f'back to the champion before: backstay rollback --model {model.name} --why "..."',
        )  # fmt: skip
    route = route_of(records, model, turn.state)
    ended = end(turn.state, "stopped", f"{records.actor} stopped it: {why}", now=records.clock.now(), route=route)
    made = _append(records, ended, turn.entry_id)
    settle(records, model, ended)
    return made


def carry_on(records: Records, model: Model) -> list[Turn]:
    """Do what the last state asks for, and go on as far as the evidence goes; the states that were added, in order."""
    out: list[Turn] = []
    for _ in range(_MOST):
        turn = last(records, model.name)
        if turn is None:
            break
        settle(records, model, turn.state)
        if turn.state.ended:
            break
        now = records.clock.now()
        seen = see(records, model, turn.state, states(records, turn.state), now)
        following = advance(turn.state, seen, model.rollout, now)
        if following is None:
            break
        try:
            out.append(_append(records, following, turn.entry_id))
        except ConflictError:
            continue  # another controller, or a person, was first: what they wrote is gone on with
    return out


def settle(records: Records, model: Model, state: State) -> None:
    """Make the champion's alias and the route what a state says. What is so already is left; calling it again is free.

    What somebody else changed since the state was written is left too: the evidence will show it.
    """
    try:
        if state.stage == PROMOTING:
            _promote(records, model, state)
        _set_route(records, model, state)
    except ConflictError:  # somebody else was first: what they did is seen next, and ends the rollout if it must
        return


def blocked(records: Records, model: Model, version: ModelVersion) -> str:
    """Why no rollout of a version can begin, as far as others are concerned, in a sentence; "" if it can."""
    turn = running(records, model.name)
    if turn is not None:
        return f"version {version.number} waits: version {turn.state.number} is in its rollout ({turn.state.where})"
    if experiments.running(records, model.name) is not None:
        return f"version {version.number} waits: an experiment is running"
    route = Routing(records.ledger, records.registry).get(model.name)
    if route is not None and route.parts and not _ours(records, model.name, route.entry_id):
        return f"version {version.number} waits: the route is in use, {route.actor} set it: {route.why}"
    return ""


def _ours(records: Records, model: str, route: int) -> bool:
    """Whether a route is what the last rollout left and is to be cleared: it was killed before that."""
    turn = last(records, model)
    return turn is not None and turn.state.ended and turn.state.route == route


def _startable(records: Records, model: Model, version: ModelVersion) -> Any:
    where, number = f"{model.name}/{version.number}", version.number
    if model.rollout is None:
        raise InputError(
            f"model {model.name!r} declares no rollout", where=where, expected="Model(..., rollout=Rollout())",
            fix=f"backstay promote {number} --model {model.name}",
        )  # fmt: skip
    seen = standing(records, model, version)
    if seen.champion is None:
        raise InputError(
            f"model {model.name!r} has no champion to compare it with", where=where,
            fix=f"backstay promote {number} --model {model.name}",
        )  # fmt: skip
    if number in {move.to for move in records.registry.history(model.name, "champion")}:
        raise RefusedError(
            f"version {number} is champion, or was", where=where, expected="a version that never was",
            fix=f'back to the champion before: backstay rollback --model {model.name} --why "..."',
        )  # fmt: skip
    blameless(records, version, where)
    if version.manifest.feature_set.hash != model.features.hash:
        raise RefusedError(
            f"version {number} was trained on another definition of {model.features.name!r}", where=where,
            expected="a version that a server can compute", fix="train a new version",
        )  # fmt: skip
    if seen.gate:
        fix = f"backstay check {number} --model {model.name}"
        raise RefusedError(seen.gate, where=where, expected="a version that passed its gate", fix=fix)
    if seen.rejected:
        raise RefusedError(seen.approval, where=where, expected="a version that nobody rejected")
    if waits := blocked(records, model, version):
        raise RefusedError(
            waits, where=where, expected="one rollout a model at a time",
            fix=f"wait for it, or: backstay rollout show --model {model.name}",
        )  # fmt: skip
    return seen


def _append(records: Records, state: State, expect: int) -> Turn:
    body: Mapping[str, Any] = state.as_dict()
    entry = records.ledger.append(
        ROLLOUT, state.model, body, at=records.clock.now(), actor=records.actor, expect=expect
    )
    return Turn(state, entry.at, entry.actor, entry.id)


def states(records: Records, state: State) -> list[State]:
    """The states of the rollout that this one is of, the first one first."""
    whole = [one.state for one in history(records, state.model)]
    return [one for one in whole if (one.number, one.began) == (state.number, state.began)]


def _set_route(records: Records, model: Model, state: State) -> None:
    """Set the route that a state asks for, unless another has been set since the state was written."""
    parts, routing = wanted(state), Routing(records.ledger, records.registry)
    route = routing.get(model.name)
    if parts is None or (0 if route is None else route.entry_id) != state.route:
        return
    if same(route, parts):
        return
    # A rollout draws its own lot: what came of an earlier one's cohorts is not this one's.
    fresh = route is not None and not any(one.digest == state.digest for one in route.parts) and bool(parts)
    # A key that an experiment chose is not this rollout's: few entities are too few to tell harm by.
    free = route is None or not (route.parts or route.explore)
    key = model.keys if route is None or free else route.key
    if model.rollout is not None and model.rollout.canary is not None and model.rollout.canary.key:
        key = tuple(model.rollout.canary.key)
    routing.set(
        model.name, parts, key=key, why=_why(state), at=records.clock.now(), actor=records.actor,
        expect=state.route, reshuffle=fresh,
        breakers=None if model.rollout is None else model.rollout.breakers,
    )  # fmt: skip


def _why(state: State) -> str:
    """The reason that the route's entry keeps; why the rollout got there is in its own entry."""
    said = f"rollout of version {state.number}: {state.where}"
    return f"{said}: {state.reason}" if state.ended else said


def _promote(records: Records, model: Model, state: State) -> None:
    """Move the champion's alias to the candidate, if nothing ends the rollout by now.

    A controller may have been killed long ago, after it wrote the state and before this: since then the champion may
    have been moved, the share cut, the route cleared, the gate have answered otherwise.
    """
    version = records.registry.get(model.name, state.number)
    if broken(state, standing(records, model, version, state), model.rollout) is not None:
        return  # it is seen next, and ends the rollout
    try:
        approval = approved(records, model, version)
    except ApprovalNeeded:
        return  # it is missing in the evidence too, and ends the rollout
    entry = gate_of(records, model.name, state.number, state.gate)
    gate = where_it_stands(records, model, version, as_of=records.clock.now(), entry=entry).judgement
    overridden = [] if gate is None else gate.decision.overridden
    evidence = {
        "gate": state.gate if entry is None else entry.id, "reason": state.reason, "rollout": _evidence(records, state),
        "interval": None if gate is None else gate.interval(),
        **({"overridden": {one.name: dict(one.override or {}) for one in overridden}} if overridden else {}),
        **as_evidence(approval),
    }  # fmt: skip
    records.registry.move_alias(
        model.name, "champion", state.number, evidence=evidence, at=records.clock.now(), actor=records.actor,
        expect=state.met,
    )  # fmt: skip


def _evidence(records: Records, state: State) -> list[dict[str, Any]]:
    """The entries of the rollout that led here, stage by stage."""
    whole = [one for one in history(records, state.model) if one.state.began == state.began]
    return [
        {"entry": one.entry_id, "stage": one.state.where, "at": one.at, "reason": one.state.reason}
        for one in whole
        if one.state.number == state.number
    ]
