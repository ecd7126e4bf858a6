"""The stages of a rollout: a state machine that is a pure function of the evidence.

    gate PASS --> shadow --> approval --> canary 1%, 5%, 25% --> promoting --> promoted
                    |           |             |                      |
                    +-----+-----+             +----------+-----------+
                          |                              |
                       refused                      rolled_back
               (no customer ever saw it)     (the champion answers again)

A stage that is not declared is left out, and so is "approval" where nobody has to say yes. Each state is whole: what a
process must know to go on is in it and in the records. `advance` reads no store and no clock, so that the same state
with the same evidence always goes the same way.

>>> from backstay.definitions import Rollout
>>> champion = Champion(5, "d5", 40)
>>> first = begin("late", 7, "d7", 41, Seen(champion), Rollout(), now=0)
>>> first.where
'shadow'
>>> pairs = Check("shadow", Verdict.PASS, "1,000 pairs, and no error")
>>> then = advance(first, Seen(champion, shadow=pairs), Rollout(), now=60)
>>> then.where, then.reason
('canary 1%', '1,000 pairs, and no error')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import duration, duration_text
from backstay.definitions.rollout import Canary, Rollout
from backstay.rollout.verdict import Check, Verdict

SHADOW, APPROVAL, CANARY, PROMOTING = "shadow", "approval", "canary", "promoting"
PROMOTED, ROLLED_BACK, REFUSED = "promoted", "rolled_back", "refused"
ENDS = (PROMOTED, ROLLED_BACK, REFUSED)
FAULTS = ("harm", "cut", "assignment", "shadow")
"""Causes for which a version is not started again. Where the lot was not fair, nobody knows whom it failed."""


@dataclass(frozen=True, slots=True)
class State(Shown):
    """Where a rollout is, whole.

    number, digest: the candidate, and its manifest
    against, against_digest, met: the champion that it was judged against, and the ledger entry that made it champion
    gate:   the ledger entry of the gate's answer
    stage:  shadow, approval, canary or promoting; or an end: promoted, rolled_back or refused
    step:   of a canary, which one
    share:  what it gets there; of a shadow, of whose requests it is shown
    began:  when the rollout did; since: when this stage or step did
    route:  the route's entry that was there when this state was written (0: none). The next one is this state's own
    cause:  of an end, in a word: harm, cut, assignment, shadow, time, gate, approval, champion, route, stopped
    reason: what led here, in a sentence; evidence: the numbers behind it
    """

    model: str
    number: int
    digest: str
    against: int
    against_digest: str
    met: int
    gate: int
    stage: str
    step: int
    share: float
    began: int
    since: int
    route: int
    cause: str = ""
    reason: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.stage in ENDS

    @property
    def where(self) -> str:
        """The stage as people name it."""
        return f"canary {100 * self.share:.4g}%" if self.stage == CANARY else self.stage.replace("_", " ")

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> State:
        """The state that these plain values, of `as_dict`, are."""
        return cls(**{one.name: told[one.name] for one in fields(cls)})


@dataclass(frozen=True, slots=True)
class Champion:
    """The champion as it is: its number and manifest, the ledger entry that made it champion, and who wrote that."""

    number: int
    digest: str
    entry: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """The route as it is: its last entry, who set it, when and why.

    own:   whether it is what the state says; otherwise somebody else set it
    cut:   why a server took the candidate's share away; "" if none did
    """

    entry: int = 0
    at: int = 0
    own: bool = True
    by: str = ""
    why: str = ""
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Look(Shown):
    """What one guard sees. Harm is shown or it is not; that there is none is never shown.

    missing: there should be evidence, and there is none: a label that never joins, times that nobody took
    counted: how many values of the arm that has fewer are compared; first: how many must be before any step goes on;
             needed: before everybody gets it
    """

    metric: str
    harm: bool
    reason: str
    missing: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)
    counted: int = 0
    needed: int = 0
    first: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """The evidence, as it was read at one moment.

    champion:  None if the alias is gone
    gate:      why the answer of its gate holds no more; "" if it does
    approval:  what is missing before it may answer anybody, in a sentence; "" if nothing is
    rejected:  whether somebody said no
    shadow:    what the comparison in the shadow shows
    candidate, baseline: requests that each arm answered in this step
    lot:       the answer of the assignment test: a sentence if the arms did not get their shares, else ""
    guards:    what each guard sees
    problem:   why the evidence could not be read; "" if it could. Nothing goes forward then
    """

    champion: Champion | None
    route: Route = field(default_factory=Route)
    gate: str = ""
    approval: str = ""
    rejected: bool = False
    shadow: Check | None = None
    candidate: int = 0
    baseline: int = 0
    lot: str = ""
    guards: tuple[Look, ...] = ()
    problem: str = ""

    def numbers(self) -> dict[str, Any]:
        """What a state's entry keeps of a canary's evidence."""
        return {
            "candidate": self.candidate, "baseline": self.baseline, "guards": [one.as_dict() for one in self.guards],
            **({"lot": self.lot} if self.lot else {}), **({"problem": self.problem} if self.problem else {}),
        }  # fmt: skip


def begin(model: str, number: int, digest: str, gate: int, seen: Seen, policy: Rollout, now: int) -> State:
    """The first state of a rollout of a version that passed its gate against the champion that is seen."""
    champion = seen.champion
    assert champion is not None
    empty = State(
        model, number, digest, champion.number, champion.digest, champion.entry, gate, "", 0, 0.0, now, now, 0
    )
    return _forward(empty, seen, policy, now, "it passed its gate", {})


def advance(state: State, seen: Seen, policy: Rollout | None, now: int) -> State | None:
    """The state that follows by this evidence; None if the rollout stays where it is.

    policy: None: the model declares no rollout any more, which ends it
    """
    if state.ended:
        return None
    if state.stage == PROMOTING and seen.champion is not None and seen.champion.digest == state.digest:
        return _promoted(state, seen.champion, seen.route, now)
    why = broken(state, seen, policy)
    if why is not None:
        return end(state, *why, now=now, route=seen.route)
    assert policy is not None
    if state.stage == SHADOW:
        return _shadow(state, seen, policy, now)
    if state.stage == PROMOTING:  # its alias is moved by whoever carries the state out
        return end(state, "approval", seen.approval, now=now, route=seen.route) if seen.approval else None
    if state.stage == APPROVAL:
        return None if seen.approval else _forward(state, seen, policy, now, "it was approved", {})
    return _canary(state, seen, policy, now)


def end(
    state: State, cause: str, reason: str, evidence: Mapping[str, Any] | None = None, *, now: int, route: Route
) -> State:
    """The end without the version: rolled back, where customers have seen it, else refused."""
    stage = ROLLED_BACK if state.stage in (CANARY, PROMOTING) else REFUSED
    return replace(
        state, stage=stage, since=now, route=_left(state, route), cause=cause, reason=reason,
        evidence=dict(evidence or {}),
    )  # fmt: skip


def _left(state: State, route: Route) -> int:
    """The route's entry on top of which an end is written, to clear it. One that somebody else set is theirs: the end
    is not written on top of it, and so leaves it alone."""
    return route.entry if route.own or route.cut else state.route


def broken(state: State, seen: Seen, policy: Rollout | None) -> tuple[str, str, Mapping[str, Any]] | None:
    """Why a rollout cannot go on at all: cause, sentence, numbers. What somebody else did is not undone.

    Whoever moves the alias asks this too: a state that says so may be older than what it says it of.
    """
    if seen.champion is None or seen.champion.entry != state.met:
        return "champion", _moved(state, seen.champion), {}
    if seen.route.cut:
        return "cut", f"a server cut it: {seen.route.cut}", {"entry": seen.route.entry, **seen.numbers()}
    if not seen.route.own:
        reason = f"{seen.route.by} set the route meanwhile: {seen.route.why}"
        return "route", reason, {"entry": seen.route.entry}
    if policy is None:
        return "stopped", f"model {state.model!r} declares no rollout any more", {}
    if seen.gate:
        return "gate", seen.gate, {}
    if seen.rejected:
        return "approval", seen.approval, {}
    return None


def _moved(state: State, champion: Champion | None) -> str:
    if champion is None:
        return f"model {state.model!r} has no champion any more"
    what = "it" if champion.number == state.number else f"version {champion.number}"
    return f"{champion.by} made {what} champion meanwhile; it was judged against version {state.against}"


def _shadow(state: State, seen: Seen, policy: Rollout, now: int) -> State | None:
    found, limit = seen.shadow, policy.shadow
    told = {} if found is None else {"shadow": found.as_dict()}
    if found is not None and not seen.problem:
        if found.verdict is Verdict.FAIL:
            return end(state, "shadow", found.reason, told, now=now, route=seen.route)
        if found.verdict is Verdict.PASS:
            return _forward(state, seen, policy, now, found.reason, told)
    if limit is None:  # its shadow is declared no more: it goes on, as a version that starts now would
        return _forward(state, seen, policy, now, "a shadow is asked for no more", told)
    if now - state.since < duration(limit.at_most):
        return None
    why = seen.problem or ("nothing was compared" if found is None else found.reason)
    reason = f"after {limit.at_most} its shadow had not shown what it must: {why}"
    return end(state, "time", reason, told, now=now, route=seen.route)


def _canary(state: State, seen: Seen, policy: Rollout, now: int) -> State | None:
    limit = policy.canary or Canary()
    harm = [one for one in seen.guards if one.harm]
    if harm:
        reason = f"{state.where}: {'; '.join(one.reason for one in harm)}"
        return end(state, "harm", reason, seen.numbers(), now=now, route=seen.route)
    if seen.lot:
        return end(state, "assignment", f"{state.where}: {seen.lot}", seen.numbers(), now=now, route=seen.route)
    if seen.approval:
        return end(state, "approval", seen.approval, seen.numbers(), now=now, route=seen.route)
    lacking = _lacking(state, seen, limit)
    if not lacking and seen.route.at and now - max(seen.route.at, state.since) >= duration(limit.least):
        answered = f"{seen.candidate:,} requests answered beside {seen.baseline:,}"
        return _forward(state, seen, policy, now, f"{state.where}: {answered}, no harm shown", seen.numbers())
    if lacking and now - state.since >= duration(limit.at_most):
        reason = f"{state.where}: after {limit.at_most} its evidence is not together: {lacking}"
        return end(state, "time", reason, seen.numbers(), now=now, route=seen.route)
    return None


def _lacking(state: State, seen: Seen, limit: Canary) -> str:
    """What a step still needs before the next, in a sentence; "" if nothing."""
    if seen.problem:
        return seen.problem
    missing = [one.reason for one in seen.guards if one.missing]
    if missing:
        return "; ".join(missing)
    if min(seen.candidate, seen.baseline) < limit.requests:
        return f"{seen.candidate:,} requests answered beside {seen.baseline:,}, and {limit.requests:,} each are needed"
    more = any(state.share < share < 1 for share in limit.steps)
    asked = [(one, one.first if more else max(one.first, one.needed)) for one in seen.guards]
    few = [(one, least) for one, least in asked if one.counted < least]
    return "; ".join(f"{one.metric}: {one.counted:,} counted an arm, and {least:,} are needed" for one, least in few)


def _promoted(state: State, champion: Champion, route: Route, now: int) -> State:
    """The end with the version: the alias has been moved, by whoever carried the state out."""
    return replace(
        state, stage=PROMOTED, since=now, route=_left(state, route), cause="", evidence={"alias": champion.entry},
        reason=f"it is champion, before was version {state.against}",
    )  # fmt: skip


def _forward(state: State, seen: Seen, policy: Rollout, now: int, reason: str, evidence: Mapping[str, Any]) -> State:
    """The next stage or step that is declared."""
    steps = () if policy.canary is None else [share for share in policy.canary.steps if share < 1]
    before = ("", SHADOW, APPROVAL, CANARY).index(state.stage)
    stage, step, share = PROMOTING, 0, state.share
    if before < 1 and policy.shadow is not None:
        stage, share = SHADOW, policy.shadow.share
    elif before < 2 and seen.approval:
        stage, share = APPROVAL, 0.0
        reason = f"{reason}; {seen.approval}"
    elif before < 3 and steps:
        stage, share = CANARY, steps[0]
    elif before == 3 and (more := [(place, one) for place, one in enumerate(steps) if one > state.share]):
        stage, (step, share) = CANARY, more[0]
    return replace(
        state, stage=stage, step=step, share=share, since=now, route=seen.route.entry, cause="", reason=reason,
        evidence=dict(evidence),
    )  # fmt: skip


def time_left(state: State, policy: Rollout, now: int) -> str:
    """How long a stage may still last, for people; "" where it has no limit."""
    limit = {SHADOW: policy.shadow, CANARY: policy.canary}.get(state.stage)
    if limit is None:
        return ""
    left = state.since + duration(limit.at_most) - now
    minute = 60_000_000
    return duration_text(max(left, 0) // minute * minute) if left >= minute else "none"
