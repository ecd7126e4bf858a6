"""The tick: what is due now, by policy. A rollout goes on as far as its evidence does; candidates whose rows are mature
are judged, and winners go into their rollout, or are promoted at once where the model declares none; what the monitor
finds in windows that were closed becomes incidents; a new candidate is trained when a trigger makes one due. What
servers logged meanwhile is compacted. Calling it twice does nothing the second time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from backstay.core.errors import BackstayError, ConflictError, RefusedError
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.lifecycle.approval import ApprovalNeeded, approved
from backstay.lifecycle.compaction import compact
from backstay.lifecycle.ends import spent
from backstay.lifecycle.experiments import Turned, experiment_tick
from backstay.lifecycle.experiments import running as experimenting
from backstay.lifecycle.gates import standing
from backstay.lifecycle.incidents import Kept, settle
from backstay.lifecycle.judge import GATE, Judgement, judge, period, promote
from backstay.lifecycle.monitoring import Watched, monitor_tick
from backstay.lifecycle.notifying import Delivery
from backstay.lifecycle.overrides import reopened
from backstay.lifecycle.records import Records
from backstay.lifecycle.retraining import retrain, trigger
from backstay.lifecycle.rollouts import Turn, carry_on, history, last, running, start
from backstay.monitoring.triggers import Blocked, Trigger
from backstay.registry.environment import Environment
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout import Verdict
from backstay.rollout.stages import APPROVAL, PROMOTED
from backstay.storage.ports import Compacted


@dataclass(frozen=True, slots=True)
class Ticked(Shown):
    """What one tick did."""

    judged: tuple[Judgement, ...]
    promoted: tuple[AliasMove, ...]
    trained: tuple[ModelVersion, ...]
    compacted: Compacted
    waiting: tuple[str, ...] = ()
    """what a person has to see to, each in a sentence: a version that needs approval, data that were refused"""
    rollouts: tuple[Turn, ...] = ()
    """where rollouts went, step by step"""
    experiments: tuple[Turned, ...] = ()
    """what experiments came to: new shares, or their end"""
    incidents: tuple[Kept, ...] = ()
    """what happened to incidents: they were opened, grew, got worse, ended, came back"""
    trigger: Trigger | None = None
    """what made the training due; None where nothing was trained"""
    watched: Watched = field(default_factory=Watched)
    """what the windows said that were closed since the last tick"""
    notified: tuple[Delivery, ...] = ()
    """what was sent to people, and what could not be"""
    blocked: Blocked | None = None
    """a training that is due and must not be, with the incidents that forbid it"""


def tick(records: Records, model: Model, environment: Environment, *, strict: bool = False) -> Ticked:
    """Carry on, judge, promote and retrain what is due at the clock's time, then compact the prediction log."""
    watched, unseen = _watched(records, model)
    opened = settle(records, model)  # first: whatever fails below, what was found is told
    turned, before = experiment_tick(records, model), last(records, model.name)
    carry_on(records, model)
    there = last(records, model.name)
    judged, promoted, waiting = judge_due(records, model)
    waiting += unseen
    if last(records, model.name) != there:  # what was looked at just now is not read again
        carry_on(records, model)
    turns = _since(records, model, before)
    by = trigger(records, model)
    trained: list[ModelVersion] = []
    if isinstance(by, Trigger):
        trained, refused = retrain(records, model, environment, by, strict=strict)
        waiting += refused
    elif by is not None:
        waiting.append(by.why)
    moves = [] if not turns else records.registry.history(model.name, "champion")
    ends = {one.state.evidence.get("alias") for one in turns if one.state.stage == PROMOTED}
    promoted = [*(move for move in moves if move.entry_id in ends), *promoted]
    return Ticked(
        tuple(judged), tuple(promoted), tuple(trained), compact(records), tuple(waiting), tuple(turns), turned,
        watched=watched, incidents=tuple(opened), trigger=by if isinstance(by, Trigger) and trained else None,
        blocked=by if isinstance(by, Blocked) else None,
    )  # fmt: skip


def _watched(records: Records, model: Model) -> tuple[Watched, list[str]]:
    """What closed windows say; or why they cannot be looked at, which keeps nothing else from being done."""
    try:
        return monitor_tick(records, model), []
    except BackstayError as error:
        return Watched(), [f"the monitor cannot look at closed windows: {error}"]


def _since(records: Records, model: Model, before: Turn | None) -> list[Turn]:
    """Where the model's rollouts went since then, their beginnings too."""
    now = last(records, model.name)
    if now is None or (before is not None and before.entry_id == now.entry_id):
        return []
    return [one for one in history(records, model.name) if before is None or one.entry_id > before.entry_id]


def judge_due(records: Records, model: Model) -> tuple[list[Judgement], list[AliasMove], list[str]]:
    """Judge every candidate whose rows are all mature, oldest first; those that pass are promoted, if approved.

    Where the model declares a rollout, the oldest that passed begins it instead, and the others wait in line. A first
    version has nothing to be compared with, and is promoted. While an experiment is running nobody is. What waits is
    told, and is judged once: again only when it has been approved, or another version has become champion. One that
    passes by overrides is judged as of the answer that they are about: on other rows it would need others.
    """
    judged: list[Judgement] = []
    promoted: list[AliasMove] = []
    waiting: list[str] = []
    for version in open_candidates(records, model):
        move = records.registry.alias(model.name, "champion")
        champion = None if move is None else records.registry.get(model.name, move.to)
        staged = model.rollout is not None and champion is not None
        if (turn := running(records, model.name)) is not None and turn.state.number == version.number:
            # It goes by the answer with which it began, also when that expires while customers see it.
            waiting += [_needed(records, model, version)] if turn.state.stage == APPROVAL else []
            continue
        if not _due(records, model, version, champion):
            continue
        needed, passed = _needed(records, model, version), _passed(records, model, version)
        if not staged:  # where it is, `_begun` asks
            needed = needed or _held(records, model, version)
        if passed is not None and (needed or staged):
            waiting += _begun(records, model, version) if staged else [needed]
            continue
        moment = passed.as_of if passed is not None and passed.decision.overridden else records.clock.now()
        judged.append(judge(records, model, version.number, as_of=moment))
        if judged[-1].decision.verdict is not Verdict.PASS:
            continue
        if staged:
            waiting += _begun(records, model, version)
        elif needed:
            waiting.append(needed)
        else:
            try:
                promoted.append(promote(records, model, judged[-1]))
            except ConflictError as error:  # another tick, or a person: the next one compares it with their champion
                waiting.append(f"version {version.number} passed, and another became champion meanwhile: {error.what}")
    return judged, promoted, waiting


def _due(records: Records, model: Model, version: ModelVersion, champion: ModelVersion | None) -> bool:
    """Whether the rows that are to judge a version are all mature."""
    now = records.clock.now()
    _, end = period(records, model, version, champion, now)
    return champion is None or now >= end + model.label.maturity


def _passed(records: Records, model: Model, version: ModelVersion) -> Judgement | None:
    """The answer that has let a version through already, against the champion there is now, and still does."""
    found = standing(records, model, version, as_of=records.clock.now())
    return found if found is not None and found.decision.verdict is Verdict.PASS else None


def _begun(records: Records, model: Model, version: ModelVersion) -> list[str]:
    """Begin a version's rollout; what it waits for, if it cannot begin yet."""
    seen = last(records, model.name)
    if version.number in spent(records, model.name):
        return []  # it ended since the candidates were read: only a person starts it again
    try:
        turn = start(records, model, version.number, expect=0 if seen is None else seen.entry_id)
    except (RefusedError, ConflictError) as error:
        return [error.what]
    return [_needed(records, model, version)] if turn.state.stage == APPROVAL else []


def _needed(records: Records, model: Model, version: ModelVersion) -> str:
    """What is missing before a version may serve, in a sentence; "" if nothing is."""
    try:
        approved(records, model, version)
    except ApprovalNeeded as error:
        return error.what
    return ""


def _held(records: Records, model: Model, version: ModelVersion) -> str:
    """Why a version that passed is not promoted now: another champion would end the experiment that is running."""
    standing = experimenting(records, model.name)
    if standing is None:
        return ""
    return f"version {version.number} waits: experiment {standing.experiment.name} is running"


def open_candidates(records: Records, model: Model) -> list[ModelVersion]:
    """Versions that have had no final answer from the gate, oldest first: the last one counts.

    One that passed and was not promoted (the process ended in between, or another was promoted first) is judged again,
    and so is one whose check was overridden since. One whose rollout ended without it is not.
    """
    final = {
        entry.subject: entry.body["decision"]["verdict"]
        for entry in records.ledger.entries(kind=GATE)
        if entry.body["final"] and entry.subject.startswith(f"{model.name}/")
    }
    answered = {subject for subject, verdict in final.items() if verdict != Verdict.PASS.value}
    answered -= reopened(records, model)
    promoted = {move.to for move in records.registry.history(model.name, "champion")}
    answered |= {f"{model.name}/{number}" for number in spent(records, model.name)}
    return [
        version
        for version in records.registry.versions(model.name)
        if f"{model.name}/{version.number}" not in answered and version.number not in promoted
    ]
