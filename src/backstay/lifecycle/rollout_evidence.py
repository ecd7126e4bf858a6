"""What there is to see about a rollout at a moment: the evidence that its state machine goes by."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backstay.core.errors import told
from backstay.definitions import Canary, Guard, Model
from backstay.definitions import Rollout as Policy
from backstay.lifecycle.approval import ApprovalNeeded, approved, last_decision
from backstay.lifecycle.gates import where_it_stands
from backstay.lifecycle.judgement import GATE, expires_at, fallen
from backstay.lifecycle.records import Records
from backstay.lifecycle.rollout_rows import canary_rows
from backstay.registry.routing import BASELINE, BUCKETS, ROUTE, Part, RouteEntry, Routing
from backstay.registry.versions import ModelVersion
from backstay.rollout.stages import CANARY, PROMOTING, SHADOW, Champion, Look, Route, Seen, State
from backstay.rollout.verdict import Check, Verdict
from backstay.storage.ports import Entry

if TYPE_CHECKING:
    from backstay.rollout.guards import Rows, Step

_logger = logging.getLogger("backstay.rollout")


def see(records: Records, model: Model, state: State, past: Sequence[State], now: int) -> Seen:
    """The evidence about a rollout in this state; `past` are its states so far, with this one, the first one first.

    Where rows or labels cannot be read the evidence says why (`problem`): time goes on meanwhile, and nothing else. The
    text of a foreign error may hold a customer's values, and `problem` goes into the hash chain: it has the error's
    class and place, and the log has the text.
    """
    version = records.registry.get(model.name, state.number)
    seen = standing(records, model, version, state)
    policy = model.rollout
    if state.stage not in (SHADOW, CANARY) or policy is None:
        return seen
    try:
        if state.stage == SHADOW and policy.shadow is not None:
            return replace(seen, shadow=_shadow(records, model, version, seen.route, policy, now))
        if state.stage == CANARY:
            return _canary(records, model, state, past, seen, policy.canary or Canary(), now)
    except Exception as error:
        _logger.warning("the evidence about %s/%s cannot be read", model.name, state.number, exc_info=True)
        return replace(seen, problem=f"the evidence cannot be read: {told(error)}")
    return seen


def standing(records: Records, model: Model, version: ModelVersion, state: State | None = None) -> Seen:
    """What stands in the ledger: the champion, the route, the gate's answer, and whether it may serve."""
    needed, rejected = "", False
    try:
        approved(records, model, version)
    except ApprovalNeeded as error:
        needed = error.what
        decided = last_decision(records, version)
        rejected = decided is not None and decided.decision == "reject"
    champion = champion_of(records, model.name)
    gate = withdrawn(records, model, version, state)
    return Seen(champion, route_of(records, model, state), gate, approval=needed, rejected=rejected)


def champion_of(records: Records, model: str) -> Champion | None:
    """The champion as it is."""
    move = records.registry.alias(model, "champion")
    return None if move is None else Champion(move.to, move.digest, move.entry_id, move.actor)


def gate_of(records: Records, model: str, number: int, begun_with: int | None = None) -> Entry | None:
    """The answer of a version's gate that counts: the last one, or, once its rollout has begun, that with which it did.

    begun_with: the ledger's entry of that one. A later answer takes its place if it is final and as of no earlier
                moment: anybody may look at a version at any time, and a look at part of the rows says nothing new
    """
    found = records.ledger.entries(kind=GATE, subject=f"{model}/{number}")
    if begun_with is None:
        return found[-1] if found else None
    first = next((one for one in found if one.id == begun_with), None)
    if first is None:
        return None
    later = [
        one for one in found if one.id > first.id and one.body["final"] and one.body["as_of"] >= first.body["as_of"]
    ]
    return (later or [first])[-1]


def withdrawn(records: Records, model: Model, version: ModelVersion, state: State | None = None) -> str:
    """Why the gate lets a version through no more, in a sentence; "" if it does.

    state: of its rollout, if it has begun. Where customers see it already, an answer that held when it began to answer
           may expire
    """
    now = records.clock.now()
    entry = gate_of(records, model.name, version.number, None if state is None else state.gate)
    if entry is None:
        return f"its gate lets version {version.number} through no more: it has not been judged"
    found = where_it_stands(records, model, version, as_of=now, entry=entry)
    why = found.why
    if why and state is not None and state.stage in (CANARY, PROMOTING):
        why = fallen(records, model, version, entry, as_of=min(now, expires_at(model, entry.body) - 1))
    if why or found.judgement is None:
        return f"its gate lets version {version.number} through no more: {why}"
    decision = found.judgement.decision
    if decision.verdict is not Verdict.PASS:
        return f"the gate of version {version.number} answers {decision.verdict.value}: {decision.reason}"
    return ""


def wanted(state: State) -> list[Part] | None:
    """The parts of the route that a state asks for; None: as it is."""
    number, digest = state.number, state.digest
    buckets = max(1, round(state.share * BUCKETS))
    if state.stage == SHADOW:
        return [Part(f"v{number}", number, digest, buckets, shadow=True)]
    if state.stage == CANARY:
        buckets = min(buckets, BUCKETS - 1)
        beside = min(buckets, BUCKETS - buckets)
        return [
            Part(f"v{number}", number, digest, buckets),
            Part(BASELINE, state.against, state.against_digest, beside),
        ]
    return None if state.stage == PROMOTING else []


def route_of(records: Records, model: Model, state: State | None) -> Route:
    """The route as it is, and whether it is what the state asks for: set by it, or there before and the same."""
    entry = records.ledger.last(ROUTE, model.name)
    route = Routing(records.ledger, records.registry).get(model.name)
    if entry is None or route is None:
        return Route(own=state is None or not wanted(state))
    if state is None:
        return Route(route.entry_id, route.at, True, route.actor, route.why)
    parts = wanted(state)
    follows = entry.id == state.route or (entry.body["previous"] or 0) == state.route
    own = entry.id == state.route if parts is None else follows and same(route, parts)
    cut = "" if route.cut is None or route.cut["version"] != state.digest else str(route.cut["reason"])
    return Route(route.entry_id, route.at, own, route.actor, route.why, "" if own else cut)


def same(route: RouteEntry | None, parts: Sequence[Part]) -> bool:
    """Whether a route is made of these parts."""
    there = () if route is None else route.parts
    return [(one.name, one.digest, one.buckets, one.shadow) for one in there] == [
        (one.name, one.digest, one.buckets, one.shadow) for one in parts
    ]


def _shadow(records: Records, model: Model, version: ModelVersion, route: Route, policy: Policy, now: int) -> Check:
    from backstay.lifecycle.shadow import shadow_comparison  # loaded late: a server compares nothing

    assert policy.shadow is not None
    found = shadow_comparison(records, model, version, since=route.at, until=now, as_of=now)
    return found.check(policy.shadow)


def _canary(
    records: Records, model: Model, state: State, past: Sequence[State], seen: Seen, policy: Canary, now: int
) -> Seen:
    from backstay.rollout.guards import LABELLED, lot  # loaded late: a server guards nobody

    steps, begun = steps_of(records, model.name, past)
    if not steps:
        return replace(seen, problem="its route has not been set")
    route = Routing(records.ledger, records.registry).get(model.name)
    assert route is not None
    labels = any(one.metric in LABELLED for one in policy.guards)
    name = f"v{state.number}"
    rows, unread = canary_rows(records, model, name, key=route.key, since=steps[0].since, until=now, labels=labels)
    here = rows.candidate[rows.at >= begun]
    guards = tuple(_look(one, rows, steps, unread) for one in policy.guards)
    return replace(
        seen, candidate=int(here.sum()), baseline=int(here.size - here.sum()), lot=lot(rows, steps), guards=guards
    )


def _look(guard: Guard, rows: Rows, steps: Sequence[Step], unread: str) -> Look:
    """What one guard sees. One that cannot be computed sees nothing, and leaves the others their eyes."""
    from backstay.rollout.guards import LABELLED, look

    try:
        if unread and guard.metric in LABELLED:
            return Look(guard.metric, False, f"{guard.metric}: {unread}", missing=True)
        return look(guard, rows, steps)
    except Exception as error:  # whatever it is, it is told, and is no evidence for going on
        _logger.warning("the guard %s of a canary cannot be computed", guard.metric, exc_info=error)
        reason = f"{guard.metric}: it cannot be computed: {told(error)}"
        return Look(guard.metric, False, reason, missing=True)


def steps_of(records: Records, model: str, past: Sequence[State]) -> tuple[list[Step], int]:
    """The steps of a canary, each since its route was set, and when that of the last one was."""
    after: dict[int, Any] = {
        entry.body["previous"] or 0: entry for entry in records.ledger.entries(kind=ROUTE, subject=model)
    }
    from backstay.rollout.guards import Step

    out = []
    for one in past:
        entry = after.get(one.route)
        if one.stage != CANARY or entry is None:
            continue
        shares = {part["name"]: sum(end - begin for begin, end in part["spans"]) for part in entry.body["parts"]}
        if f"v{one.number}" in shares and BASELINE in shares:
            shares_of = shares[f"v{one.number}"] / BUCKETS, shares[BASELINE] / BUCKETS
            out.append(Step(entry.at, *shares_of))
    return out, out[-1].since if out else 0
