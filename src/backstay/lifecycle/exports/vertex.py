"""To Vertex AI: the files under `artifacts`, and the body of projects.locations.models.upload that registers them.

Put `artifacts` at `store`, fill in what stands in capitals, and send the body. It is for a new model; for a further
version of one, name that in `parentModel` in the place of `modelId`.
"""

from __future__ import annotations

import re
from typing import Any

from backstay.lifecycle.about import About
from backstay.lifecycle.exports.parts import Given, document, outcome, sentence, served
from backstay.lifecycle.records import Records

_IMAGE = "REGION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE:TAG"
_STORE = "gs://BUCKET/PREFIX"
_LABEL = 63


def files(records: Records, told: About, given: Given) -> dict[str, bytes]:
    """The files that serve, and the request's body."""
    found = {f"artifacts/{name}": data for name, data in served(records, told).items()}
    return {**found, "upload_model.json": document(request(told, given))}


def request(told: About, given: Given) -> dict[str, Any]:
    """The body, within the limits that the service sets on lengths and characters."""
    version = told.version
    labels = {
        "backstay_project": told.project, "backstay_version": version.number,
        "backstay_manifest": version.digest, "backstay_dataset": told.manifest.dataset.digest,
        "backstay_decision": outcome(told), "runtime": told.manifest.scorer.format,
        **({"backstay_rule": told.rule.name} if told.rule.name else {}),
        **{f"tag_{tag}": "yes" for tag in told.manifest.feature_set.tags},
    }  # fmt: skip
    return {
        "modelId": version.model,
        "model": {
            "displayName": f"{version.model} {version.number}",
            "description": sentence(told),
            "versionDescription": f"manifest sha256 {version.digest}",
            "versionAliases": [f"v{version.number}", *(["champion"] if told.champion else [])],
            "labels": {_label(name): _label(str(value)) for name, value in labels.items()},
            "containerSpec": {"imageUri": given.image or _IMAGE},
            "artifactUri": f"{(given.store or _STORE).rstrip('/')}/artifacts",
        },
    }


def _label(text: str) -> str:
    """A text in the characters and the length that a label may have; digests lose their last digit there."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:_LABEL]
