"""The tick: what is due now, by policy. A rollout goes on as far as its evidence does; candidates whose rows are mature
are judged, and winners go into their rollout, or are promoted at once where the model declares none; a new candidate is
trained when the last is old enough. What servers logged meanwhile is compacted. Calling it twice does nothing the
second time.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from backstay.core.errors import ConflictError, RefusedError
from backstay.core.show import Shown
from backstay.core.times import HOUR, duration, instant_text
from backstay.definitions import Model
from backstay.lifecycle.approval import ApprovalNeeded, approved
from backstay.lifecycle.candidates import train_candidate
from backstay.lifecycle.compaction import compact
from backstay.lifecycle.data_checks import DATA, DataRefused
from backstay.lifecycle.ends import spent
from backstay.lifecycle.experiments import Turned, experiment_tick
from backstay.lifecycle.gates import standing
from backstay.lifecycle.judge import GATE, Judgement, judge, period, promote
from backstay.lifecycle.overrides import reopened
from backstay.lifecycle.records import Records
from backstay.lifecycle.rollouts import Turn, carry_on, history, last, running, start
from backstay.registry.environment import Environment
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout import Verdict
from backstay.rollout.stages import APPROVAL, PROMOTED
from backstay.storage.ports import Compacted, Entry

RETRAIN = "retrain"
"""The ledger's kind of entry for the claim of a training that is due; its subject is the model."""


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


def tick(records: Records, model: Model, environment: Environment, *, strict: bool = False) -> Ticked:
    """Carry on, judge, promote and retrain what is due at the clock's time, then compact the prediction log."""
    now = records.clock.now()
    turned, before = experiment_tick(records, model), last(records, model.name)
    carry_on(records, model)
    there = last(records, model.name)
    judged, promoted, waiting = judge_due(records, model)
    if last(records, model.name) != there:  # what was looked at just now is not read again
        carry_on(records, model)
    turns = _since(records, model, before)
    versions = records.registry.versions(model.name)
    trained: list[ModelVersion] = []
    newest = max((v.manifest.dataset.as_of for v in versions), default=now)
    if versions and now - newest >= duration(model.retrain.every):
        refused = _refused(records, model, now)
        if not refused:
            trained, refused = _retrained(records, model, environment, newest, strict=strict)
        waiting += refused
    moves = [] if not turns else records.registry.history(model.name, "champion")
    ends = {one.state.evidence.get("alias") for one in turns if one.state.stage == PROMOTED}
    promoted = [*(move for move in moves if move.entry_id in ends), *promoted]
    return Ticked(
        tuple(judged), tuple(promoted), tuple(trained), compact(records), tuple(waiting), tuple(turns), turned
    )


def _since(records: Records, model: Model, before: Turn | None) -> list[Turn]:
    """Where the model's rollouts went since then, their beginnings too."""
    now = last(records, model.name)
    if now is None or (before is not None and before.entry_id == now.entry_id):
        return []
    return [one for one in history(records, model.name) if before is None or one.entry_id > before.entry_id]


def _refused(records: Records, model: Model, now: int) -> list[str]:
    """That the data were refused within the hour, if they were: ticks may come every minute."""
    entry = records.ledger.last(DATA, model.name)
    if entry is None or now - entry.at >= HOUR or "accepted" in entry.body:
        return []
    decision = entry.body["decision"]
    failed = decision["verdict"] == Verdict.FAIL.value
    return [f"the data are not fit to be learned from: {decision['reason']}"] if failed else []


def _retrained(
    records: Records, model: Model, environment: Environment, newest: int, *, strict: bool
) -> tuple[list[ModelVersion], list[str]]:
    """Train the version that is due; or why not, where another tick does, or the data are refused.

    It is claimed in the ledger first, so that of ticks at once one trains. The claim ends where the training fails, and
    after an hour in any case: a process that was killed holds it no longer than that.

    newest: as of when the newest version was trained, which says which training this is
    """
    last, now = records.ledger.last(RETRAIN, model.name), records.clock.now()
    if last is not None and last.body["newest"] == newest and now < last.body["until"]:
        return [], [f"a version is being trained: {last.actor} began at {instant_text(last.at)}"]
    try:
        mine = _claim(records, model, newest, now + HOUR, 0 if last is None else last.id)
    except ConflictError:
        return [], ["a version is being trained: another tick began just now"]
    try:
        return [train_candidate(records, model, environment, as_of=now, strict=strict)], []
    except BaseException as error:
        with suppress(ConflictError):  # it took so long that the next one has begun
            _claim(records, model, newest, records.clock.now(), mine.id)
        if isinstance(error, DataRefused):  # it stands in the ledger; a tick an hour later looks again
            return [], [error.what]
        raise


def _claim(records: Records, model: Model, newest: int, until: int, expect: int) -> Entry:
    body = {"newest": newest, "until": until}
    return records.ledger.append(
        RETRAIN, model.name, body, at=records.clock.now(), actor=records.actor, expect=expect
    )  # fmt: skip


def judge_due(records: Records, model: Model) -> tuple[list[Judgement], list[AliasMove], list[str]]:
    """Judge every candidate whose rows are all mature, oldest first; those that pass are promoted, if approved.

    Where the model declares a rollout, the oldest that passed begins it instead, and the others wait in line. A first
    version has nothing to be compared with, and is promoted. What waits is told, and is judged once: again only when
    it has been approved, or another version has become champion. One that passes by overrides is judged as of the
    answer that they are about: on other rows it would need others.
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
