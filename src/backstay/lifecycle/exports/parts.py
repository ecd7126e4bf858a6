"""What the exports share: the files that serve, the manifest beside them, and what whoever sends it has to know."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from backstay.lifecycle.about import About
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import REFERENCE, REFERENCES
from backstay.registry.manifest import DIFF

MANIFEST = "backstay/manifest.json"
_STAYS = (REFERENCE, REFERENCES, DIFF)
"""A sample of training rows, their distribution, and code: the manifest has their digests, and they do not leave with a
model."""


@dataclass(frozen=True, slots=True)
class Given:
    """What only whoever sends an export knows; where it is not given, a name in capitals stands in its place.

    image: the container that serves the files
    store: where the export's files will lie, as a URI
    """

    image: str | None = None
    store: str | None = None


def served(records: Records, told: About) -> dict[str, bytes]:
    """The files that serve, verified as they are read, and the manifest under which they were registered."""
    names = [name for name in sorted(told.manifest.files) if name not in _STAYS]
    found = {name: records.registry.file(told.version, name) for name in names}
    return {**found, MANIFEST: told.manifest.canonical()}


def document(value: Any) -> bytes:
    """JSON for people and programs, the same bytes for the same value."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sentence(told: About) -> str:
    """The version in one line."""
    version = told.version
    said = f"Version {version.number} of {version.model} in {told.project}, manifest sha256 {version.digest}."
    said = f"{said} {ruled(told)}".rstrip()
    description = " ".join(told.model.description.split()).rstrip(".")
    return f"{description}. {said}" if description else said


def ruled(told: About) -> str:
    """The rule in force, which is no part of the files; empty for a version as it was trained."""
    rule = told.rule
    if rule.calibration is not None:
        return (
            f"Its files give raw scores: the rule {rule.name} is in force, whose calibration is not applied to them; "
            f"true from a calibrated {rule.threshold:g}."
        )
    return f"True from {rule.threshold:g}, by the rule {rule.name}." if rule.name else ""


def deciding(told: About) -> dict[str, Any]:
    """What makes a decision of a score, for metadata: the threshold in force, and the calibration that goes before."""
    rule = told.rule
    of = None if rule.calibration is None else f"{rule.calibration.number} {rule.calibration.digest[:12]} - not applied"
    return {"threshold": rule.threshold, "rule": rule.name or None, "calibration": of}


def outcome(told: About) -> str:
    """What was decided about it: "approved", "rejected", or "pending".

    A person's word goes first. Without one, a champion was let through by its gate, and a FAIL is a no.
    """
    if told.approvals:
        return "approved" if told.approvals[-1]["decision"] == "approve" else "rejected"
    if told.champion:
        return "approved"
    return "rejected" if told.gates and told.gates[-1]["verdict"] == "FAIL" else "pending"
