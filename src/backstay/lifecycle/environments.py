"""From one project to another: development, staging and production are projects of their own.

A version goes over as a *parcel*: its manifest and files, and the ledger's entries about it (that it was registered,
every answer of its gate, approvals, moves of aliases), each with the digest that it has in the ledger it comes from.
On arrival everything is verified before anything is written: entry by entry, file by file. The parcel's document is
kept there, and the version's entry names it, so that the other project's evidence can be held against the digests too.

The gate is not asked again: the other project has other events, or none. What counts is the last answer it gave where
the version was made, and, where stakes are high, an approval there or here by another person than its author.

Where the other project declares a rollout and has a champion, the version is registered there and answers nobody yet:
it goes by that rollout, of which the other project's own gate is the first stage. One that did harm in a rollout, in
either project, does not go over at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from backstay.core.errors import InputError, IntegrityError, RefusedError
from backstay.core.identity import canonical_json, sha256
from backstay.core.show import Shown
from backstay.core.times import duration, instant_text
from backstay.definitions import Model
from backstay.lifecycle.approval import APPROVAL, ApprovalNeeded, approved, as_evidence
from backstay.lifecycle.ends import spent
from backstay.lifecycle.records import Records
from backstay.lifecycle.rollouts import running
from backstay.registry.manifest import read_manifest
from backstay.registry.rules import RULE, Kind, rule_name
from backstay.registry.versions import AliasMove, ModelVersion
from backstay.rollout.stages import FAULTS
from backstay.storage.chain import check_entry
from backstay.storage.ports import Entry

_FORM = "backstay-parcel-1"


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the ledger that the parcel comes from."""

    id: int
    at: int
    actor: str
    kind: str
    subject: str
    body: dict[str, Any]
    previous: str
    digest: str

    def entry(self) -> Entry:
        return Entry(**msgspec.structs.asdict(self))


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a parcel says of itself: the project and version it is, and what its ledger says about that.

    head: number and digest of the other ledger's last entry when the parcel was made
    rule: the documents of the calibration and the threshold in force; None: as it was trained
    """

    form: str
    project: str
    model: str
    number: int
    manifest: str
    entries: list[Sent]
    head: str
    rule: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """A version on its way. `document` is canonical JSON, `manifest` the manifest's, `files` are by name."""

    document: bytes
    manifest: bytes
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Arrived(Shown):
    """What came of sending a version: its number in the other project, and the move that made it champion there.

    move: None where it goes by the rollout that is declared there, and is no champion yet
    project: the other project's folder
    """

    version: ModelVersion
    move: AliasMove | None
    project: str = ""


def packed(records: Records, project: str, model: str, number: int) -> Parcel:
    """The parcel of a version; every file is verified as it is read. `RefusedError` for one that did harm here."""
    version = records.registry.get(model, number)
    _harmless(records, version)
    subjects = {f"{model}/{number}"}
    about = [
        one
        for one in records.ledger.entries()
        if (one.kind in ("gate", APPROVAL, "override", "calibration", "threshold", RULE) and one.subject in subjects)
        or (one.kind == "version" and one.id == version.entry_id)
        or (one.kind == "alias" and one.body["to"] == number and one.subject.startswith(f"{model}/"))
    ]
    last = records.ledger.entries(after=records.ledger.revision() - 1)[-1]
    document = Document(
        _FORM, project, model, number, version.digest, [_sent(one) for one in about], f"{last.id}:{last.digest}",
        _rule(records, version),
    )  # fmt: skip
    files = {name: records.registry.file(version, name) for name in version.manifest.files}
    return Parcel(canonical_json(msgspec.to_builtins(document)), version.manifest.canonical(), files)


def arrive(records: Records, model: Model, parcel: Parcel) -> Arrived:
    """Verify a parcel, register its version in this project, and make it champion, or leave that to its rollout."""
    move = records.registry.alias(model.name, "champion")
    document, gate, author = _verified(model, parcel)
    _check_holds(model, document, gate, records.clock.now())
    manifest = read_manifest(parcel.manifest, where="the parcel's manifest")
    if manifest.feature_set.hash != model.features.hash:
        raise InputError(
            f"it was trained on another definition of {model.features.name!r} than this project has",
            where=f"{model.name}/{document.number} of {document.project}",
            expected=f"the feature set {model.features.hash[:12]}",
            fix="bring both projects to the same definitions first",
        )
    origin = {
        "project": document.project, "number": document.number, "author": author,
        "parcel": records.registry.keep(parcel.document), "head": document.head,
    }  # fmt: skip
    version = records.registry.register(
        manifest, parcel.files, at=records.clock.now(), actor=records.actor, trust_code=model.trust_code, origin=origin
    )
    records.scorer(model, version).close()  # it can be served
    _harmless(records, version)
    decided = _decided(model, document, author)
    if model.rollout is not None and move is not None and move.to != version.number:
        if running(records, model.name) is None:  # what its rollout has shown is about the rule it began with
            _put_in_force(records, model, version, document)
        return Arrived(version, None)
    _put_in_force(records, model, version, document)
    decision = gate.body["decision"]
    evidence = {
        "from": {"project": document.project, "number": document.number, "gate": gate.id, "digest": gate.digest},
        "parcel": origin["parcel"],
        "reason": decision["reason"],
        "rule": {"judged": gate.body.get("rule", {}), "in_force": records.rules.in_force(version).digests},
        **_approval(records, model, version, document, decided),
    }
    return Arrived(
        version,
        records.registry.move_alias(
            model.name, "champion", version.number, evidence=evidence, at=records.clock.now(), actor=records.actor,
            expect=None if move is None else move.entry_id,
        ),
    )  # fmt: skip


def _harmless(records: Records, version: ModelVersion) -> None:
    """`RefusedError` for a version that a rollout of this project ended for a fault of its own."""
    ended = spent(records, version.model).get(version.number)
    if ended is not None and ended.cause in FAULTS:
        raise RefusedError(
            f"version {version.number} was {ended.where}: {ended.reason}", where=f"{version.model}/{version.number}",
            expected="a version that did nothing wrong in its rollout", fix="train another one",
        )  # fmt: skip


def _check_holds(model: Model, document: Document, gate: Entry, now: int) -> None:
    """`RefusedError` for an answer that was given too long ago, or that passed by an override which has ended."""
    ends = [gate.at + duration(model.gate.expires)]
    ends += [check["override"]["until"] for check in gate.body["decision"]["checks"] if check.get("override")]
    end = min(one for one in ends if one is not None)
    if now >= end:
        raise RefusedError(
            f"its gate's answer expired on {instant_text(end)}", where=f"{document.model}/{document.number}",
            expected="an answer that holds",
            fix=f"backstay check {document.number} --model {model.name}, in the project {document.project}",
        )  # fmt: skip


def _rule(records: Records, version: ModelVersion) -> dict[str, Any] | None:
    found = records.rules.in_force(version)
    pair = {"calibration": found.calibration, "threshold": found.chosen}
    told = {kind: None if one is None else dict(one.document) for kind, one in pair.items()}
    return told if found.name else None


def _put_in_force(records: Records, model: Model, version: ModelVersion, document: Document) -> None:
    """What is in force in the other project, before the version serves here; nothing where it is already."""
    subject = f"{document.model}/{document.number}"
    about = [one for one in document.entries if one.subject == subject]
    last = next((one for one in reversed(about) if one.kind == RULE), None)
    rules, now, actor = records.rules, records.clock.now(), records.actor
    numbers: dict[Kind, int | None] = {"calibration": None, "threshold": None}
    came = document.rule or {}
    for kind in numbers:
        digest = None if last is None else last.body.get(f"{kind}_bundle")
        if digest is None:
            continue
        if came.get(kind) is None or sha256(canonical_json(came[kind])) != digest:
            raise IntegrityError(
                f"the {kind} is not the one that is in force", where=f"{subject} of {document.project}"
            )
        makers = {one.actor for one in about if one.kind == kind and one.body["bundle"] == digest}
        if model.stakes == "high" and last is not None and last.actor in makers:
            raise RefusedError(
                f"{last.actor} made the {kind} and put it in force in {document.project}: its stakes are high",
                where=subject, expected="another person to have put it in force", fix="backstay rule, by a colleague",
            )  # fmt: skip
        numbers[kind] = rules.keep(kind, version, came[kind], at=now, actor=actor).number
    calibration, threshold = numbers["calibration"], numbers["threshold"]
    if rules.in_force(version).name != rule_name(calibration, threshold):
        why = f"as in {document.project}" + ("" if last is None else f": {last.body['why']}")
        rules.put(version, calibration, threshold, why=why, at=now, actor=actor)


def _verified(model: Model, parcel: Parcel) -> tuple[Document, Entry, str]:
    """The document, the gate's last answer, and who made the version; an error names what is not as it should be."""
    try:
        document = msgspec.json.decode(parcel.document, type=Document)
    except msgspec.DecodeError as error:
        raise IntegrityError(f"the parcel cannot be read: {error}", where="the parcel") from None
    where = f"{document.model}/{document.number} of {document.project}"
    if document.form != _FORM or document.model != model.name:
        raise InputError(f"it is a parcel of {document.model!r}", where=where, expected=f"one of {model.name!r}")
    entries = [one.entry() for one in document.entries]
    for entry in entries:
        check_entry(entry, (entry.id - 1, entry.previous))
    if sha256(parcel.manifest) != document.manifest:
        raise IntegrityError("the manifest is not the one that was registered", where=where)
    born = next((one for one in entries if one.kind == "version"), None)
    if born is None or born.body["manifest"] != document.manifest or born.subject != model.name:
        raise IntegrityError("there is no entry of its registration", where=where)
    subject = f"{document.model}/{document.number}"
    gates = [one for one in entries if one.kind == "gate" and one.subject == subject]
    if gates and gates[-1].body["manifest"] != document.manifest:
        raise IntegrityError("its gate answered about another manifest", where=where)
    if not gates or gates[-1].body["decision"]["verdict"] != "PASS":
        said = gates[-1].body["decision"]["verdict"] if gates else "nothing: it was not judged"
        raise InputError(
            f"its gate answered {said}",
            where=where,
            expected="PASS, as the last answer where it was made",
            fix=f"backstay judge {document.number} --model {model.name}, in the project {document.project}",
        )
    origin = born.body.get("origin")
    return document, gates[-1], born.actor if origin is None else origin["author"]


def _decided(model: Model, document: Document, author: str) -> Entry | None:
    """The approval that came with a version of high stakes; `ApprovalNeeded` where it was rejected instead."""
    if model.stakes != "high":
        return None
    subject = f"{document.model}/{document.number}"
    given = [one for one in document.entries if one.kind == APPROVAL and one.subject == subject]
    last = given[-1] if given else None
    if last is not None and last.body["manifest"] == document.manifest and last.actor != author:
        if last.body["decision"] == "approve":
            return last.entry()
        raise ApprovalNeeded(
            f"it was rejected by {last.actor} in {document.project}: {last.body['why']}",
            where=f"{model.name}/{document.number}",
            fix="train another one",
        )
    return None


def _approval(
    records: Records, model: Model, version: ModelVersion, document: Document, came: Entry | None
) -> dict[str, Any]:
    """The approval that came with the version, or one that was given here; `ApprovalNeeded` without either."""
    if came is None:
        return dict(as_evidence(approved(records, model, version)))
    told = {"entry": came.id, "by": came.actor, "why": came.body["why"], "project": document.project}
    return {"approval": told}


def _sent(entry: Entry) -> Sent:
    return Sent(
        entry.id, entry.at, entry.actor, entry.kind, entry.subject, dict(entry.body), entry.previous, entry.digest
    )
