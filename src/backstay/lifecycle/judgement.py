"""The answer of a gate: what it says, what it is bound to, and how long it holds.

It is bound to the version's manifest, to the rule and the policy it was judged by, and to the champion it met; and it
expires. `fallen` says why an answer no longer holds, `standing` (`lifecycle/gates.py`) gives the one that does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backstay.core.identity import digest_of
from backstay.core.show import Shown
from backstay.core.times import duration, instant_text
from backstay.definitions import Model
from backstay.lifecycle.records import Records
from backstay.registry.versions import ModelVersion
from backstay.rollout import Check, Decision
from backstay.storage.ports import Entry

GATE = "gate"
"""The ledger's kind of entry for a gate's answer; its subject is `model/number`."""


@dataclass(frozen=True, slots=True)
class Reuse(Shown):
    """How often rows of this period have judged: every candidate that they are shown is one more chance to be fooled.

    candidates: different versions that were judged on overlapping periods, this one among them
    looks:      different comparisons that were made
    level:      at which each of them would have to be judged, for the policy's level over all of them (Bonferroni)
    verdict:    what the comparison of this version says at that level
    """

    candidates: int = 1
    looks: int = 1
    level: float | None = None
    verdict: str | None = None

    @property
    def warning(self) -> str:
        """A sentence, where there is something to be warned about; else ""."""
        if self.candidates < 2 or self.level is None:
            return ""
        return (
            f"rows of this period have judged {self.candidates} candidates: each is one more chance to be fooled. "
            f"For the policy's level over all of them each takes {self.level:.4%}; at that, the comparison of this one "
            f"says {self.verdict}"
        )


@dataclass(frozen=True, slots=True)
class Judgement(Shown):
    """A gate's answer about one version, and where it stands in the ledger."""

    model: str
    number: int
    against: int | None
    """the champion it met; None for the first, which meets the constant base rate"""
    start: int
    end: int
    rows: int
    metric: str
    margin: float
    final: bool
    """the rows of the whole period were mature; an answer that is not final is given again later"""
    decision: Decision
    entry_id: int
    met: int | None = None
    """the ledger entry that had made `against` champion: what a promotion is compared and swapped with"""
    manifest: str = ""
    """the digest of the version that was judged"""
    as_of: int = 0
    expires: int = 0
    """from when on it no longer holds, in microseconds"""
    refresh: bool = False
    """the candidate was the champion's definition on newer rows: see `GatePolicy.refresh_margin`"""
    reuse: Reuse = field(default_factory=Reuse)

    def interval(self) -> dict[str, Any] | None:
        """The interval of the comparison, where there was one."""
        for check in self.decision.checks:
            interval = check.evidence.get("gain")
            if check.name.startswith("better_than") and isinstance(interval, dict):
                return interval
        return None


def policy_digest(model: Model) -> str:
    """The digest of the policy that a gate goes by."""
    return digest_of(model.gate.canonical())


def read_judgement(model: Model, entry: Entry, checks: Iterable[Check] | None = None) -> Judgement:
    """The judgement that an entry of the ledger holds; `checks` instead of those recorded, where overrides differ.

    Entries of older versions lack some of it: they are taken to have been judged by the policy as it is.
    """
    body = entry.body
    recorded = [Check.from_dict(one) for one in body["decision"]["checks"]]
    reuse = body.get("reuse")
    return Judgement(
        model=model.name, number=int(entry.subject.rpartition("/")[2]), against=body["against"], start=body["start"],
        end=body["end"], rows=body["rows"], metric=body.get("metric", model.gate.metric),
        margin=body.get("margin", model.gate.margin), final=body["final"],
        decision=Decision.of(recorded if checks is None else checks), entry_id=entry.id, met=body.get("met"),
        manifest=body["manifest"], as_of=body["as_of"], expires=expires_at(model, body),
        refresh=body.get("refresh", False), reuse=Reuse() if reuse is None else Reuse(**reuse),
    )  # fmt: skip


def expires_at(model: Model, body: Mapping[str, Any]) -> int:
    """From when on an answer no longer holds, by what it says, and by the policy if that is sooner now."""
    by_policy = int(body["as_of"]) + duration(model.gate.expires)
    return min(int(body.get("expires", by_policy)), by_policy)


def fallen(records: Records, model: Model, version: ModelVersion, entry: Entry, *, as_of: int) -> str:
    """Why an answer about a version does not hold at a moment, in a sentence; "" if it does.

    Whether the champion is still the one it met is not asked here: a promotion is compared and swapped with it.
    """
    body = entry.body
    if body["manifest"] != version.digest:
        return f"the answer is about another manifest, {body['manifest'][:12]} instead of {version.digest[:12]}"
    if as_of >= (end := expires_at(model, body)):
        return f"the answer of {instant_text(body['as_of'])} expired on {instant_text(end)}"
    if body.get("policy", policy_digest(model)) != policy_digest(model):
        return "the gate's policy is another one now than the version was judged by"
    if body.get("rule", {}) != records.rules.in_force(version).digests:
        return "another calibration or threshold is in force now than the version was judged with"
    return ""
