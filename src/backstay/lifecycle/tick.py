"""The tick: what is due now, by policy. Candidates whose rows are mature are judged, winners promoted, and a new
candidate is trained when the last is old enough. What servers logged meanwhile is compacted. Calling it twice does
nothing the second time.
"""

from __future__ import annotations

from dataclasses import dataclass

from backstay.core.show import Shown
from backstay.core.times import duration
from backstay.definitions import Model
from backstay.lifecycle.approval import ApprovalNeeded, approved
from backstay.lifecycle.candidates import train_candidate
from backstay.lifecycle.compaction import compact
from backstay.lifecycle.data_checks import DataRefused
from backstay.lifecycle.judge import GATE, Judgement, judge, period, promote
from backstay.lifecycle.records import Records
from backstay.registry.environment import Environment
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout import Verdict
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


def tick(records: Records, model: Model, environment: Environment, *, strict: bool = False) -> Ticked:
    """Judge, promote and retrain what is due at the clock's time, then compact the prediction log."""
    now = records.clock.now()
    judged, promoted, waiting = judge_due(records, model)
    versions = records.registry.versions(model.name)
    trained = []
    if versions and now - max(v.manifest.dataset.as_of for v in versions) >= duration(model.retrain.every):
        try:
            trained.append(train_candidate(records, model, environment, as_of=now, strict=strict))
        except DataRefused as error:  # it stands in the ledger; the next tick looks again
            waiting.append(error.what)
    return Ticked(tuple(judged), tuple(promoted), tuple(trained), compact(records), tuple(waiting))


def judge_due(records: Records, model: Model) -> tuple[list[Judgement], list[AliasMove], list[str]]:
    """Judge every candidate whose rows are all mature, oldest first; promote those that pass, if they are approved.

    What waits for a person is told, and is judged once: again only when it has been approved.
    """
    now = records.clock.now()
    judged: list[Judgement] = []
    promoted: list[AliasMove] = []
    waiting: list[str] = []
    for version in open_candidates(records, model):
        move = records.registry.alias(model.name, "champion")
        champion = None if move is None else records.registry.get(model.name, move.to)
        _, end = period(records, model, version, champion, now)
        if champion is not None and now < end + model.label.maturity:
            continue
        needed = _needed(records, model, version)
        passed = records.ledger.last(GATE, f"{model.name}/{version.number}")
        if needed and passed is not None and passed.body["against"] == (None if champion is None else champion.number):
            waiting.append(needed)
            continue
        judged.append(judge(records, model, version.number, as_of=now))
        if judged[-1].decision.verdict is not Verdict.PASS:
            continue
        if needed:
            waiting.append(needed)
        else:
            promoted.append(promote(records, model, judged[-1]))
    return judged, promoted, waiting


def _needed(records: Records, model: Model, version: ModelVersion) -> str:
    """What is missing before a version may serve, in a sentence; "" if nothing is."""
    try:
        approved(records, model, version)
    except ApprovalNeeded as error:
        return error.what
    return ""


def open_candidates(records: Records, model: Model) -> list[ModelVersion]:
    """Versions that have had no final answer from the gate, oldest first.

    One that passed and was not promoted (the process ended in between, or another was promoted first) is judged again.
    """
    answered = {
        entry.subject
        for entry in records.ledger.entries(kind=GATE)
        if entry.body["final"]
        and entry.body["decision"]["verdict"] != Verdict.PASS.value
        and entry.subject.startswith(f"{model.name}/")
    }
    promoted = {move.to for move in records.registry.history(model.name, "champion")}
    return [
        version
        for version in records.registry.versions(model.name)
        if f"{model.name}/{version.number}" not in answered and version.number not in promoted
    ]
