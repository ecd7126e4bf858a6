"""Everything that the record says about one version: its manifest, and what was decided about it since.

What the manifest does not hold (descriptions, owners, stakes, objective) is in the definitions of today; it is only
taken for the version's where the definitions have the hashes that the manifest names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from backstay.core.errors import NotFoundError
from backstay.core.identity import digest_of
from backstay.core.times import instant, instant_text
from backstay.definitions import Model
from backstay.lifecycle.approval import APPROVAL, ApprovalNeeded, approved
from backstay.lifecycle.environments import Document
from backstay.lifecycle.judge import GATE
from backstay.lifecycle.overrides import OVERRIDE
from backstay.lifecycle.records import Records
from backstay.registry.manifest import ORIGIN, Manifest, missing_lineage
from backstay.registry.routing import BUCKETS, ROUTE, Routing
from backstay.registry.rules import RULE, InForce
from backstay.registry.versions import ModelVersion
from backstay.rollout.slices import NAME as SLICES
from backstay.storage.chain import check_entry
from backstay.storage.ports import Entry


@dataclass(frozen=True, slots=True)
class About:
    """One version, as plain data where it is to be shown. Times are ISO 8601 in UTC.

    same_features, same_label: the definitions of today are those it was made of
    gates:     every answer of its gate, the first one first; `project` is where it was given, None: here
    approvals: what people decided about it
    overrides: checks that somebody lets not count, or no longer
    reigns:    when it was champion; `until` is None while it is
    routes:    how its share of the requests was set
    rule:      the calibration and threshold in force
    limits:    what its record shows against it, or does not show
    entries:   how many entries of the ledger are about it, and when the last of them was written
    imported:  what MLflow said of it, and what was claimed, as `lifecycle/mlflow` wrote it down; None: it was trained
               here. Empty if it was retired
    """

    project: str
    model: Model
    version: ModelVersion
    same_features: bool
    same_label: bool
    gates: list[dict[str, Any]]
    approvals: list[dict[str, Any]]
    overrides: list[dict[str, Any]]
    reigns: list[dict[str, Any]]
    routes: list[dict[str, Any]]
    rule: InForce
    limits: list[str]
    entries: int
    last: int
    imported: Mapping[str, Any] | None = None

    @property
    def manifest(self) -> Manifest:
        return self.version.manifest

    @property
    def base_rate(self) -> float | None:
        """The share of 1 in its training rows; None if nobody knows it."""
        claimed = self.imported is None or self.manifest.base_rate > 0
        return self.manifest.base_rate if claimed else None

    @property
    def seed(self) -> int | None:
        """The seed of its training; None if nobody knows it."""
        return self.manifest.seed if self.imported is None else None

    @property
    def champion(self) -> bool:
        return bool(self.reigns) and self.reigns[-1]["until"] is None


def about(records: Records, project: str, model: Model, number: int) -> About:
    """What the record says about a version now."""
    version = records.registry.get(model.name, number)
    told = list(_told(records, version))
    gates = [_gate(where, entry) for where, entry in told if entry.kind == GATE]
    approvals = [_approval(where, entry) for where, entry in told if entry.kind == APPROVAL]
    reigns, routes = _reigns(records, version), _routes(records, version)
    rules = [entry.at for entry in _entries(records, RULE, f"{version.model}/{version.number}")]
    texts = [*(one["since"] for one in reigns), *(one["until"] for one in reigns), *(one["at"] for one in routes)]
    moments = [version.at, *rules, *(entry.at for _, entry in told)]
    moments += [instant(text) for text in texts if text is not None]
    same = model.features.hash == version.manifest.feature_set.hash
    return About(
        project=project,
        model=model,
        version=version,
        same_features=same,
        same_label=digest_of(model.label.canonical()) == digest_of(version.manifest.label),
        gates=gates,
        approvals=approvals,
        overrides=[_override(where, entry) for where, entry in told if entry.kind == OVERRIDE],
        reigns=reigns,
        routes=routes,
        rule=records.rules.in_force(version),
        limits=list(_limits(records, model, version, gates)),
        entries=len(moments),
        last=max(moments),
        imported=_imported(records, version),
    )


def _imported(records: Records, version: ModelVersion) -> Mapping[str, Any] | None:
    if ORIGIN not in version.manifest.files:
        return None
    try:
        found: Mapping[str, Any] = msgspec.json.decode(records.registry.file(version, ORIGIN))
    except NotFoundError:  # it was retired
        return {}
    return found


def _told(records: Records, version: ModelVersion) -> Iterator[tuple[str | None, Entry]]:
    """Gates and approvals: those that came along from another project, then those of here."""
    if version.origin is not None:
        parcel = msgspec.json.decode(records.registry.kept(version.origin["parcel"]), type=Document)
        subject = f"{parcel.model}/{parcel.number}"
        for sent in parcel.entries:
            if sent.subject == subject and sent.body.get("manifest") == version.digest:
                yield parcel.project, sent.entry()
    subject = f"{version.model}/{version.number}"
    for kind in (GATE, APPROVAL, OVERRIDE):
        for entry in _entries(records, kind, subject):
            if entry.body["manifest"] == version.digest:
                yield None, entry


def _entries(records: Records, kind: str, subject: str) -> Iterator[Entry]:
    """Entries of the ledger, each proven by its own digest."""
    for entry in records.ledger.entries(kind=kind, subject=subject):
        check_entry(entry, (entry.id - 1, entry.previous))
        yield entry


def _gate(project: str | None, entry: Entry) -> dict[str, Any]:
    body, decision = entry.body, entry.body["decision"]
    compared = [_compared(check) for check in decision["checks"] if "gain" in check["evidence"]]
    return {
        "entry": entry.id, "project": project, "at": instant_text(entry.at), "by": entry.actor,
        "against": body["against"], "start": instant_text(body["start"]), "end": instant_text(body["end"]),
        "rows": body["rows"], "final": body["final"], "verdict": decision["verdict"], "reason": decision["reason"],
        "checks": [_check(check) for check in decision["checks"]],
        "compared": compared,
    }  # fmt: skip


def _check(check: dict[str, Any]) -> dict[str, Any]:
    """What it says, and who overrides it, if anybody does."""
    return {name: check[name] for name in ("name", "verdict", "reason", "override") if name in check}


def _override(project: str | None, entry: Entry) -> dict[str, Any]:
    body = entry.body
    return {
        "entry": entry.id, "project": project, "at": instant_text(entry.at), "by": entry.actor, "check": body["check"],
        "verdict": body["verdict"], "why": body["why"], "withdrawn": body["withdrawn"], "against": body["against"],
        "until": None if body["until"] is None else instant_text(body["until"]),
    }  # fmt: skip


def _compared(check: dict[str, Any]) -> dict[str, Any]:
    """A comparison: the metric of both, the gain with its interval, and the margin that it had to clear."""
    told = check["evidence"]
    return {name: told.get(name) for name in ("metric", "margin", "candidate", "champion", "rows", "days", "gain")}


def _approval(project: str | None, entry: Entry) -> dict[str, Any]:
    body = entry.body
    return {
        "entry": entry.id, "project": project, "at": instant_text(entry.at), "by": entry.actor,
        "decision": body["decision"], "why": body["why"], "against": body["against"],
    }  # fmt: skip


def _reigns(records: Records, version: ModelVersion) -> list[dict[str, Any]]:
    moves, out = records.registry.history(version.model, "champion"), []
    for place, move in enumerate(moves):
        if move.to != version.number:
            continue
        until = moves[place + 1].at if place + 1 < len(moves) else None
        out.append({
            "entry": move.entry_id, "since": instant_text(move.at), "by": move.actor, "previous": move.previous,
            "until": None if until is None else instant_text(until), "why": str(move.evidence.get("reason", "")),
        })  # fmt: skip
    return out


def _routes(records: Records, version: ModelVersion) -> list[dict[str, Any]]:
    """The routes that gave it a share or showed it requests, and those that took it off again."""
    now = Routing(records.ledger, records.registry).get(version.model)
    out: list[dict[str, Any]] = []
    had: list[Any] = []
    for entry in _entries(records, ROUTE, version.model):
        parts = [one for one in entry.body["parts"] if one["version"] == version.number]
        if parts or had:
            out.append({
                "entry": entry.id, "at": instant_text(entry.at), "by": entry.actor, "why": entry.body["why"],
                "now": now is not None and now.entry_id == entry.id,
                "parts": [
                    {
                        "name": one["name"], "shadow": one["shadow"],
                        "share": sum(end - begin for begin, end in one["spans"]) / BUCKETS,
                    }
                    for one in parts
                ],
            })  # fmt: skip
        had = parts
    return out


def _limits(records: Records, model: Model, version: ModelVersion, gates: list[dict[str, Any]]) -> Iterator[str]:
    manifest, data = version.manifest, version.manifest.dataset
    if missing := missing_lineage(manifest):
        yield f"Its lineage is incomplete: {', '.join(missing)} missing."
    if manifest.code.dirty is not None:
        yield "It was made from a working tree with changes that no commit holds; they are kept with it as code.diff."
    if unsealed := [name for name, number in data.sources.items() if number >= 0 and name not in data.seals]:
        yield f"Tables without a seal, whose bytes cannot be held against what was read: {', '.join(unsealed)}."
    if not gates:
        yield "Its gate was never asked."
    elif gates[-1]["verdict"] != "PASS":
        yield f"Its gate's last answer is {gates[-1]['verdict']}: {gates[-1]['reason']}."
    for one in gates[-1]["checks"] if gates else []:
        if told := one.get("override"):
            yield f"The check {one['name']} says {one['verdict']}, and {told['by']} overrides it: {told['why']}."
    try:
        if approved(records, model, version) is None:
            yield "Its stakes are low: it may serve without an approval by another person than its author."
    except ApprovalNeeded as error:
        yield f"Its stakes are high, and no approval holds: {error.what}."
    if manifest.scorer.code:
        yield f"Its files can hold code ({manifest.scorer.format}), which runs when they are loaded."
    if not manifest.metrics and not any(gate["compared"] for gate in gates):
        yield "Nothing is recorded of how good it is."
    untold = "".join(f"{one}, " for one in _untold(records, version, gates))
    yield f"Not recorded of it: {untold}{'and ' if untold else ''}who is meant to use it."


def _untold(records: Records, version: ModelVersion, gates: list[dict[str, Any]]) -> Iterator[str]:
    """What no gate could tell of it, and nobody fitted."""
    checks = {one["name"] for gate in gates for one in gate["checks"] if one["verdict"] != "INSUFFICIENT"}
    if SLICES not in checks:
        yield "quality by slice"
    if not records.rules.all("calibration", version):
        yield "calibration"
    if "fair" not in checks:
        yield "fairness"
