"""Approval: before a version of a model with high stakes serves anybody, another person than its author says yes.

What is approved is a version, with the gate's answer that was there to see, against the champion of that moment; the
*bundle* of that evidence is kept by its SHA-256 and named in the ledger's entry. An approval holds until somebody
decides otherwise, or another version becomes champion: then it was given about another comparison. It is bound to what
the gate said (`answer_digest`): a later judgement that says the same, as after the answer expired, keeps it, and one
that says anything else needs a new approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from backstay.core.errors import ConflictError, InputError, RefusedError
from backstay.core.identity import canonical_json, digest_of
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.lifecycle.overrides import applied, in_force
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.rollout.verdict import Check
from backstay.rollout.verdict import Decision as Outcome
from backstay.storage.ports import Entry

APPROVAL = "approval"
"""The ledger's kind of entry for an approval or a rejection; its subject is `model/number`."""

Decision = Literal["approve", "reject"]


class ApprovalNeeded(RefusedError):  # noqa: N818  an answer, not a mistake
    """A version that may not serve yet: another person than its author has not approved it, or has rejected it."""


@dataclass(frozen=True, slots=True)
class Approval(Shown):
    """What somebody decided about a version: who, when, why, and on which evidence.

    against: the champion that it was compared with; None for a first version
    gate:    the ledger entry of the gate's answer; None of a version that came from another project, with its evidence
    bundle:  the SHA-256 of the evidence as it was, among the artifacts
    """

    model: str
    number: int
    decision: Decision
    why: str
    by: str
    at: int
    against: int | None
    gate: int | None
    bundle: str
    entry_id: int
    answer: str | None = None
    """the digest of what the gate had said; "" if it had said nothing, None in entries of older versions"""


def decide(records: Records, model: Model, number: int, decision: Decision, why: str) -> Approval:
    """Approve or reject a version that passed its gate; `InputError` for its author, and without a reason."""
    version = records.registry.get(model.name, number)
    where = f"{model.name}/{number}"
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    if version.author == records.actor:
        raise InputError(
            f"{records.actor} made version {number}, and cannot {decision} it",
            where=where,
            expected="another person than its author",
            fix="ask a colleague with the role approve",
        )
    gate = records.ledger.last("gate", where)
    verdict = None if gate is None else _answer(records, version, gate).verdict.value
    if version.origin is None and (verdict is None or (decision == "approve" and verdict != "PASS")):
        said = "has not been judged" if verdict is None else f"was answered {verdict} by its gate"
        raise InputError(
            f"version {number} {said}",
            where=where,
            expected="a version that passed its gate",
            fix=f"backstay judge {number} --model {model.name}",
        )
    bundle = records.registry.keep(canonical_json(evidence(records, model, version)))
    champion = records.registry.alias(model.name, "champion")
    body = {
        "decision": decision,
        "why": why,
        "manifest": version.digest,
        "against": None if champion is None else champion.to,
        "gate": None if gate is None else gate.id,
        "bundle": bundle,
        "answer": answer_digest(records, version, gate),
    }
    last = records.ledger.last(APPROVAL, where)
    try:
        entry = records.ledger.append(
            APPROVAL, where, body, at=records.clock.now(), actor=records.actor, expect=0 if last is None else last.id
        )
    except ConflictError as error:
        raise ConflictError("somebody else decided first", where=where, fix="see: backstay ledger show") from error
    return _approval(model.name, number, entry)


def evidence(records: Records, model: Model, version: ModelVersion) -> dict[str, Any]:
    """What there is to see about a version, as plain data: the *bundle*.

    Its manifest, its author, where it came from and its rule; what its gate's last answer comes to with the overrides
    in force (`answer`), all its answers and what was overridden; its
    shadow beside what was answered, if it was one; its rollout so far; what was decided about it before.
    """
    where, records_of = f"{version.model}/{version.number}", records.ledger.entries
    gate = records.ledger.last("gate", where)
    return {
        "version": where,
        "author": version.author,
        "registered": version.at,
        "digest": version.digest,
        "origin": version.origin,
        "manifest": msgspec.to_builtins(version.manifest),
        "rule": records.rules.in_force(version).name,
        "answer": None if gate is None else _answer(records, version, gate).as_dict(),
        "gates": [_told(one) for one in records_of(kind="gate", subject=where)],
        "overrides": [_told(one) for one in records_of(kind="override", subject=where)],
        "shadow": _shadow(records, model, version),
        "rollout": [_told(one) for one in records_of(kind="rollout", subject=version.model) if _of(one, version)],
        "decisions": [_told(one) for one in records_of(kind=APPROVAL, subject=where)],
    }


def _answer(records: Records, version: ModelVersion, gate: Entry) -> Outcome:
    """What a gate's answer comes to with the overrides in force. Whether it has expired is asked on promotion."""
    recorded = [Check.from_dict(one) for one in gate.body["decision"]["checks"]]
    found = in_force(records, version, as_of=records.clock.now())
    return Outcome.of(applied(recorded, found, against=gate.body["against"]))


def answer_digest(records: Records, version: ModelVersion, gate: Entry | None) -> str:
    """The digest of what a gate says: its checks' verdicts with the overrides in force, by which rule and policy.

    The numbers are not part of it, nor when it was asked: the same answer on newer rows is the same. "" without one.
    """
    if gate is None:
        return ""
    checks = [
        [one.name, one.verdict.value, None if one.override is None else one.override["entry"]]
        for one in _answer(records, version, gate).checks
    ]
    return digest_of({"checks": checks, "rule": gate.body.get("rule", {}), "policy": gate.body.get("policy")})


def _changed(records: Records, version: ModelVersion, found: Approval) -> str:
    """That the gate says another thing than was approved, in a sentence; "" if it does not."""
    gate = records.ledger.last("gate", f"{version.model}/{version.number}")
    now = None if gate is None else gate.id
    # An entry of an older version is bound to the gate's entry alone.
    same = now == found.gate if found.answer is None else answer_digest(records, version, gate) == found.answer
    if same:
        return ""
    before = "without an answer of its gate" if found.gate is None else f"on its gate's answer of entry {found.gate}"
    told = "there is none now"
    if gate is not None:
        said = _answer(records, version, gate)
        what = "it has answered again since" if found.answer is None else "it says another thing now"
        told = f"{what}, {said.verdict.value}: {said.reason}"
    return f"version {version.number} was approved by {found.by} {before}; {told}"


def _told(entry: Entry) -> dict[str, Any]:
    return {"entry": entry.id, "at": entry.at, "by": entry.actor, **entry.body}


def _of(entry: Entry, version: ModelVersion) -> bool:
    return bool(entry.body.get("digest") == version.digest)


def _shadow(records: Records, model: Model, version: ModelVersion) -> dict[str, Any] | None:
    """What it said as a shadow since it was registered; None of a version that never was one."""
    from backstay.lifecycle.shadow import shadow_comparison, shadowed  # loaded late: a server compares nothing

    if not shadowed(records, version):
        return None
    found = shadow_comparison(records, model, version, since=version.at)
    policy = None if model.rollout is None else model.rollout.shadow
    return {**found.as_dict(), "check": None if policy is None else found.check(policy).as_dict()}


def last_decision(records: Records, version: ModelVersion) -> Approval | None:
    """The last that was decided about a version."""
    entry = records.ledger.last(APPROVAL, f"{version.model}/{version.number}")
    if entry is None or entry.body["manifest"] != version.digest:
        return None
    return _approval(version.model, version.number, entry)


def approved(records: Records, model: Model, version: ModelVersion) -> Approval | None:
    """The approval by which a version may serve; None where none is needed. `ApprovalNeeded` says what is missing."""
    if model.stakes != "high":
        return None
    found, move = last_decision(records, version), records.registry.alias(model.name, "champion")
    champion = None if move is None else move.to
    where = f"{model.name}/{version.number}"
    what, fix = "", f'backstay approve {version.number} --model {model.name} --why "..."'
    if found is None:
        what = f"version {version.number} waits for approval by another person than {version.author}, who made it"
    elif found.decision == "reject":
        what, fix = f"version {version.number} was rejected by {found.by}: {found.why}", "train another one"
    elif champion not in (found.against, version.number):
        before = "there was no champion" if found.against is None else f"version {found.against} was champion"
        what = f"version {version.number} was approved when {before}; it is version {champion} now"
    else:
        what = _changed(records, version, found)
    if what:
        raise ApprovalNeeded(what, where=where, expected="an approval that holds: its stakes are high", fix=fix)
    return found


def as_evidence(approval: Approval | None) -> Mapping[str, Any]:
    """What a move of an alias says of the approval that allowed it."""
    if approval is None:
        return {}
    return {"approval": {"entry": approval.entry_id, "by": approval.by, "why": approval.why}}


def _approval(model: str, number: int, entry: Entry) -> Approval:
    body = entry.body
    return Approval(
        model, number, body["decision"], body["why"], entry.actor, entry.at, body["against"], body["gate"],
        body["bundle"], entry.id, body.get("answer"),
    )  # fmt: skip
