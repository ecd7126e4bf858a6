"""Overrides: a person takes the responsibility for a check that was not passed, with a reason, in the ledger.

The check goes on saying what it says, and the override stands beside it wherever it is shown. It is bound to the
version's manifest, to what the check found (its verdict, its sentence and its numbers), and to the champion that was
met: who excused an AUC of 0.79 has not excused one of 0.51, and nothing is excused against another champion. Judged
again on the same rows a check finds the same; on others it needs a new override.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from backstay.core.errors import ConflictError, InputError
from backstay.core.identity import digest_of
from backstay.core.show import Shown
from backstay.core.times import duration, instant_text
from backstay.definitions import Model
from backstay.lifecycle.judgement import GATE, fallen
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check, Verdict
from backstay.storage.ports import Entry

OVERRIDE = "override"
"""The ledger's kind of entry for an override, or for taking one back; its subject is `model/number`."""
NEVER = {
    "period_mature": "nothing was looked at yet: there is no other check that could be passed",
    "scores_sound": "a score that is no number decides nothing",
}
"""Checks that nobody can override, and why. That an answer is about this manifest and has not expired is no check."""


@dataclass(frozen=True, slots=True)
class Override(Shown):
    """Who lets a check not count, why, and until when (None: as long as version and champion are the same)."""

    model: str
    number: int
    check: str
    verdict: str
    why: str
    by: str
    at: int
    until: int | None
    against: int | None
    gate: int
    entry_id: int
    withdrawn: bool = False
    reason: str = ""
    """what the check said"""
    finding: str | None = None
    """the digest of what it found; None in entries of older versions, which are bound to its sentence"""

    def as_dict(self) -> dict[str, Any]:
        until = None if self.until is None else instant_text(self.until)
        return {
            "model": self.model, "number": self.number, "check": self.check, "verdict": self.verdict, "why": self.why,
            "by": self.by, "at": instant_text(self.at), "until": until, "against": self.against, "gate": self.gate,
            "entry": self.entry_id, "withdrawn": self.withdrawn,
        }  # fmt: skip


def override(
    records: Records, model: Model, number: int, check: str, why: str, *, expires: str | None = None,
    withdraw: bool = False, as_of: int | None = None,
) -> Override:  # fmt: skip
    """Let a check of a version's last judgement not count, or take that back; the reason is kept.

    expires: after which time it no longer holds, such as "7d"
    as_of:   the moment at which the answer must hold; by default now; what is taken back need not
    `InputError` without a reason, for the version's author, and for a check that was passed, is not there, or is one of
    `NEVER`.
    """
    version = records.registry.get(model.name, number)
    where, now = f"{model.name}/{number}", records.clock.now()
    if not why.strip():
        raise InputError("there is no reason", where=where, expected="why, in a sentence", fix='--why "..."')
    if version.author == records.actor:
        raise InputError(
            f"{records.actor} made version {number}, and cannot override its checks", where=where,
            expected="another person than its author", fix="ask a colleague with the role approve",
        )  # fmt: skip
    if withdraw:
        bound = _in_force(records, version, check, where, now)
    else:
        bound = _bound(records, model, version, check, now if as_of is None else as_of)
    body: dict[str, Any] = {
        "manifest": version.digest, "check": check, **bound, "why": why.strip(), "withdrawn": withdraw,
        "until": None if expires is None else now + _positive(expires, where),
    }  # fmt: skip
    last = records.ledger.last(OVERRIDE, where)
    try:
        entry = records.ledger.append(
            OVERRIDE, where, body, at=now, actor=records.actor, expect=0 if last is None else last.id
        )
    except ConflictError as error:
        raise ConflictError("somebody else decided first", where=where, fix="see: backstay ledger show") from error
    return _override(version, entry)


def _in_force(records: Records, version: ModelVersion, check: str, where: str, now: int) -> dict[str, Any]:
    """What the override of a check that is in force is bound to; it can be taken back whatever the check says now."""
    for one in in_force(records, version, as_of=now):
        if one.check == check:
            return {"verdict": one.verdict, "reason": one.reason, "finding": one.finding, "against": one.against,
                    "gate": one.gate}  # fmt: skip
    raise InputError(f"no override of {check!r} is in force", where=where, expected="one to take back")


def _bound(records: Records, model: Model, version: ModelVersion, check: str, as_of: int) -> dict[str, Any]:
    """What an override of a check of the last answer is bound to."""
    where = f"{model.name}/{version.number}"
    gate = records.ledger.last(GATE, where)
    if gate is None or (gone := fallen(records, model, version, gate, as_of=as_of)):
        said = f"version {version.number} has not been judged" if gate is None else gone
        raise InputError(
            said, where=where, expected="an answer of its gate that holds",
            fix=f"backstay check {version.number} --model {model.name}",
        )  # fmt: skip
    found = _overridable(gate, check, where)
    return {
        "verdict": found.verdict.value, "reason": found.reason, "finding": finding(found),
        "against": gate.body["against"], "gate": gate.id,
    }  # fmt: skip


def finding(check: Check) -> str:
    """The digest of what a check found: its name, verdict, sentence and numbers."""
    told = check.as_dict()
    return digest_of([told[name] for name in ("name", "verdict", "reason", "evidence")])


def _overridable(gate: Entry, check: str, where: str) -> Check:
    checks = {one["name"]: Check.from_dict(one) for one in gate.body["decision"]["checks"]}
    if check in NEVER:
        raise InputError(f"{check} cannot be overridden: {NEVER[check]}", where=where, expected="another check")
    if check not in checks:
        raise InputError(
            f"the last judgement has no check {check!r}", where=where,
            expected=f"one of {', '.join(name for name in checks if name not in NEVER)}",
        )  # fmt: skip
    if checks[check].verdict is Verdict.PASS:
        raise InputError(f"{check} was passed: there is nothing to override", where=where)
    return checks[check]


def _positive(expires: str, where: str) -> int:
    found = duration(expires, where="expires")
    if not found:
        raise InputError("an override that expires at once is none", where=where, expected='such as "7d"')
    return found


def in_force(records: Records, version: ModelVersion, *, as_of: int) -> list[Override]:
    """The overrides of a version that hold at a moment, the last of each check."""
    out: dict[str, Override] = {}
    for one in overrides(records, version):
        if one.at <= as_of:
            out[one.check] = one
    return [one for one in out.values() if not one.withdrawn and (one.until is None or as_of < one.until)]


def reopened(records: Records, model: Model) -> set[str]:
    """Versions (`model/number`) about whose checks somebody has decided since their gate answered."""
    answers = {entry.subject: entry.id for entry in records.ledger.entries(kind=GATE)}
    decided = {entry.subject: entry.id for entry in records.ledger.entries(kind=OVERRIDE)}
    mine = (one for one in decided if one.rpartition("/")[0] == model.name)
    return {one for one in mine if decided[one] > answers.get(one, 0)}


def overrides(records: Records, version: ModelVersion) -> list[Override]:
    """All that was ever overridden of a version or taken back, the oldest first; those of another manifest left out."""
    entries = records.ledger.entries(kind=OVERRIDE, subject=f"{version.model}/{version.number}")
    return [_override(version, entry) for entry in entries if entry.body["manifest"] == version.digest]


def applied(checks: Iterable[Check], found: Iterable[Override], *, against: int | None) -> list[Check]:
    """The checks with the overrides that are about them, and without any other."""
    by = {one.check: one for one in found if one.against == against and one.check not in NEVER}
    out = []
    for check in checks:
        one = by.get(check.name)
        told = None
        if one is not None and _about(one, check):
            told = {"by": one.by, "why": one.why, "until": one.until, "entry": one.entry_id}
        out.append(replace(check, override=told))
    return out


def _about(one: Override, check: Check) -> bool:
    """Whether an override is about what a check has found now."""
    if one.verdict != check.verdict.value:
        return False
    return one.reason == check.reason if one.finding is None else one.finding == finding(check)


def _override(version: ModelVersion, entry: Entry) -> Override:
    body = entry.body
    return Override(
        version.model, version.number, body["check"], body["verdict"], body["why"], entry.actor, entry.at,
        body["until"], body["against"], body["gate"], entry.id, body["withdrawn"],
        body.get("reason", ""), body.get("finding"),
    )  # fmt: skip
