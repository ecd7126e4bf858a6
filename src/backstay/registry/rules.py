"""Rules: calibrations and thresholds of a version, and which of them are in force.

A calibration and a threshold are artefacts of their own, apart from the version that they belong to: documents named by
their SHA-256, numbered from 1 within the version. What is *in force* is one entry of the ledger, moved by
compare-and-swap, with who, when and why; before the first, a version answers its own scores and its own threshold.

A threshold is chosen on probabilities: it belongs to the calibration that made them, and is not put in force with
another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from backstay.core.errors import ConflictError, InputError, NotFoundError, RefusedError
from backstay.core.identity import canonical_json
from backstay.core.show import Shown
from backstay.registry.versions import ModelVersion, Registry
from backstay.storage.ports import Entry, Ledger

Kind = Literal["calibration", "threshold"]
RULE = "rule"
"""The ledger's kind of entry for what is in force; its subject is `model/number`."""
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Artefact(Shown):
    """A calibration or a threshold of a version: `number` counts from 1, `digest` names its document."""

    kind: Kind
    model: str
    version: int
    number: int
    digest: str
    document: Mapping[str, Any]
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class InForce(Shown):
    """What makes a version's answers of its scores. Without artefacts and entry: the version as it was trained.

    threshold: from which probability on the decision is true
    """

    calibration: Artefact | None
    chosen: Artefact | None
    threshold: float
    at: int | None = None
    by: str | None = None
    why: str = ""
    entry_id: int | None = None

    @property
    def name(self) -> str:
        """Which these are, such as "c1 t2", as predictions name it; "" for the version as it was trained."""
        return rule_name(*(None if one is None else one.number for one in (self.calibration, self.chosen)))

    @property
    def fitted_until(self) -> int:
        """Up to when the rows were asked that its artefacts were fitted on, in microseconds; 0 without any."""
        return max((one.document["until"] for one in (self.calibration, self.chosen) if one is not None), default=0)

    @property
    def digests(self) -> dict[str, str]:
        """What it is made of, by kind."""
        return {one.kind: one.digest for one in (self.calibration, self.chosen) if one is not None}

    @property
    def calibrator(self) -> Mapping[str, Any] | None:
        """What the calibration's document says of its calibrator."""
        return None if self.calibration is None else self.calibration.document["calibrator"]


def rule_name(calibration: int | None, threshold: int | None) -> str:
    """The name of a rule, by the numbers of its artefacts.

    >>> rule_name(1, 2), rule_name(None, 3), rule_name(None, None)
    ('c1 t2', 't3', '')
    """
    parts = ("c", calibration), ("t", threshold)
    return " ".join(f"{letter}{number}" for letter, number in parts if number is not None)


class Rules:
    """The calibrations and thresholds of versions, over a registry and its ledger."""

    def __init__(self, ledger: Ledger, registry: Registry) -> None:
        self._ledger, self._registry = ledger, registry

    def keep(self, kind: Kind, version: ModelVersion, document: Mapping[str, Any], *, at: int, actor: str) -> Artefact:
        """Number a document among those of its kind and version; the same document again is the one there is."""
        digest = self._registry.keep(canonical_json(dict(document)))
        subject = _subject(version)
        for _ in range(_ATTEMPTS):
            entries = self._ledger.entries(kind=kind, subject=subject)
            for entry in entries:
                if entry.body["bundle"] == digest:
                    return self._made(kind, version, entry)
            body = {"number": len(entries) + 1, "bundle": digest, "manifest": version.digest}
            try:
                expect = entries[-1].id if entries else 0
                entry = self._ledger.append(kind, subject, body, at=at, actor=actor, expect=expect)
            except ConflictError:
                continue
            return self._made(kind, version, entry)
        raise ConflictError(f"others kept a {kind} first, {_ATTEMPTS} times", where=subject, fix="retry")

    def all(self, kind: Kind, version: ModelVersion) -> list[Artefact]:
        """Every artefact of a kind of this version, by number."""
        entries = self._ledger.entries(kind=kind, subject=_subject(version))
        return [self._made(kind, version, entry) for entry in entries]

    def get(self, kind: Kind, version: ModelVersion, number: int) -> Artefact:
        """The artefact with this number, its document verified; `NotFoundError` names those that exist."""
        entries = self._ledger.entries(kind=kind, subject=_subject(version))
        if not 1 <= number <= len(entries):
            have = f"1 to {len(entries)}" if entries else "none"
            raise NotFoundError(
                f"version {version.number} has no {kind} {number}", where=_subject(version), expected=f"of {have}",
                fix="" if entries else f"backstay {_VERBS[kind]} {version.number}",
            )  # fmt: skip
        return self._made(kind, version, entries[number - 1])

    def in_force(self, version: ModelVersion, *, as_of: int | None = None) -> InForce:
        """What is in force, now or at a moment."""
        entry = self._ledger.last(RULE, _subject(version), as_of=as_of)
        if entry is None:
            return InForce(None, None, version.manifest.threshold)
        return self._in_force(version, entry)

    def named(self, version: ModelVersion, name: str) -> InForce:
        """What this name of a rule, as a prediction has it, is of."""
        numbers = {one[0]: int(one[1:]) for one in name.split()}
        pair = [self._optional(kind, version, numbers.get(kind[0])) for kind in _KINDS]
        return InForce(pair[0], pair[1], _threshold(version, pair[1]))

    def history(self, version: ModelVersion) -> list[InForce]:
        """All that was ever in force, the first one first."""
        return [self._in_force(version, one) for one in self._ledger.entries(kind=RULE, subject=_subject(version))]

    def put(
        self, version: ModelVersion, calibration: int | None, threshold: int | None, *, why: str, at: int, actor: str,
        others: bool = False,
    ) -> InForce:  # fmt: skip
        """Put these in force, None: none of its kind. Compare-and-swap: `ConflictError` if somebody was faster.

        others: whoever made one of them may not put it in force (`RefusedError`): where stakes are high
        """
        subject, before = _subject(version), self.in_force(version)
        if not why.strip():
            raise InputError("there is no reason", where=subject, expected="why, in a sentence", fix='--why "..."')
        asked = {"calibration": calibration, "threshold": threshold}
        pair = [self._optional(kind, version, asked[kind]) for kind in _KINDS]
        self._check_pair(version, pair[0], pair[1])
        made = [one for one in pair if one is not None and one.by == actor]
        if others and made:
            raise RefusedError(
                f"{actor} made {made[0].kind} {made[0].number}, and cannot put it in force: its stakes are high",
                where=subject, expected="another person", fix="ask a colleague with the role approve",
            )  # fmt: skip
        numbers = {kind: None if one is None else one.number for kind, one in zip(_KINDS, pair, strict=True)}
        bundles = {f"{one.kind}_bundle": one.digest for one in pair if one is not None}
        body = {**numbers, **bundles, "manifest": version.digest, "why": why}
        entry = self._ledger.append(RULE, subject, body, at=at, actor=actor, expect=before.entry_id or 0)
        return self._in_force(version, entry)

    def _check_pair(self, version: ModelVersion, calibration: Artefact | None, threshold: Artefact | None) -> None:
        """A threshold with the calibration that made the probabilities it was chosen on, and no other."""
        of = None if threshold is None else threshold.document["calibration"]
        if threshold is None or of == (None if calibration is None else calibration.digest):
            return
        right = next((one.number for one in self.all("calibration", version) if one.digest == of), None)
        said = [
            "no calibration" if number is None else f"calibration {number}"
            for number in (right, None if calibration is None else calibration.number)
        ]
        raise InputError(
            f"threshold {threshold.number} was chosen on probabilities of {said[0]}, and {said[1]} would be in force",
            where=_subject(version), expected="the two that belong together",
            fix=f"choose a threshold on {said[1]}, or put it in force with {said[0]}",
        )  # fmt: skip

    def _in_force(self, version: ModelVersion, entry: Entry) -> InForce:
        pair = [self._optional(kind, version, entry.body[kind]) for kind in _KINDS]
        threshold = _threshold(version, pair[1])
        return InForce(pair[0], pair[1], threshold, entry.at, entry.actor, entry.body["why"], entry.id)

    def _optional(self, kind: Kind, version: ModelVersion, number: int | None) -> Artefact | None:
        return None if number is None else self.get(kind, version, number)

    def _made(self, kind: Kind, version: ModelVersion, entry: Entry) -> Artefact:
        digest = entry.body["bundle"]
        document = msgspec.json.decode(self._registry.kept(digest))
        number = entry.body["number"]
        return Artefact(kind, version.model, version.number, number, digest, document, entry.at, entry.actor)


_KINDS: tuple[Kind, Kind] = ("calibration", "threshold")
_VERBS = {"calibration": "calibrate", "threshold": "threshold"}


def _subject(version: ModelVersion) -> str:
    return f"{version.model}/{version.number}"


def _threshold(version: ModelVersion, chosen: Artefact | None) -> float:
    return version.manifest.threshold if chosen is None else float(chosen.document["value"])
