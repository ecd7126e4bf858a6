"""To SageMaker: `model.tar.gz`, and the request of CreateModelPackage that registers it.

Put the archive at `store`, fill in what stands in capitals, and send the request with whatever client you have:
`aws sagemaker create-model-package --cli-input-json file://create_model_package.json`.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from typing import Any

from backstay.core.times import instant_text
from backstay.lifecycle.about import About
from backstay.lifecycle.exports.parts import Given, deciding, document, outcome, sentence, served
from backstay.lifecycle.records import Records

_ARCHIVE = "model.tar.gz"
_IMAGE = "ACCOUNT.dkr.ecr.REGION.amazonaws.com/IMAGE:TAG"
_STORE = "s3://BUCKET/PREFIX"
_STATUS = {"approved": "Approved", "rejected": "Rejected", "pending": "PendingManualApproval"}


def files(records: Records, told: About, given: Given) -> dict[str, bytes]:
    """The archive and the request."""
    return {
        _ARCHIVE: archive(served(records, told)),
        "create_model_package.json": document(request(told, given)),
    }


def request(told: About, given: Given) -> dict[str, Any]:
    """The request, within the limits that the service sets on lengths and characters."""
    store = (given.store or _STORE).rstrip("/")
    recorded = {name: value for name, value in _recorded(told).items() if value not in (None, "")}
    made: dict[str, Any] = {
        "ModelPackageGroupName": told.version.model.replace("_", "-").strip("-"),
        "ModelPackageDescription": sentence(told)[:1024],
        "InferenceSpecification": {
            "Containers": [{"Image": given.image or _IMAGE, "ModelDataUrl": f"{store}/{_ARCHIVE}"}],
        },
        "ModelApprovalStatus": _STATUS[outcome(told)],
        "CustomerMetadataProperties": {f"backstay.{name}": _allowed(value) for name, value in recorded.items()},
    }
    if told.manifest.code.commit is not None:
        made["MetadataProperties"] = {"CommitId": told.manifest.code.commit, "ProjectId": _allowed(told.project)}
    return made


def archive(found: dict[str, bytes]) -> bytes:
    """The files as a compressed archive that says nothing of who made it, when, or where: the same bytes each time."""
    out = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=out, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, data in sorted(found.items()):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _recorded(told: About) -> dict[str, Any]:
    version, manifest = told.version, told.manifest
    gate = told.gates[-1] if told.gates else None
    return {
        "manifest": version.digest, "project": told.project, "model": version.model, "version": version.number,
        "registered": instant_text(version.at), "author": version.author, "cutoff": instant_text(manifest.cutoff),
        "dataset": manifest.dataset.digest, "rows": manifest.dataset.rows or None,
        "feature_set": manifest.feature_set.hash, "estimator": manifest.estimator, "runtime": manifest.scorer.format,
        "base_rate": told.base_rate, **deciding(told),
        "commit": manifest.code.commit, "lock": manifest.code.lock,
        "gate": None if gate is None else f"{gate['verdict']}: ledger entry {gate['entry']}",
        "approved_by": told.approvals[-1]["by"] if told.approvals and outcome(told) == "approved" else None,
        "tags": " ".join(manifest.feature_set.tags),
    }  # fmt: skip


def _allowed(value: Any) -> str:
    """A value in the characters and the length that metadata may have."""
    return re.sub(r"[^\w .:/=+\-@]", "-", str(value))[:256]
