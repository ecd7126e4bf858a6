"""What of one model is deployed: its versions, how they share requests, the champion's files, and how it is served."""

from __future__ import annotations

from typing import Any

from backstay.core.errors import BackstayError
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.lifecycle.records import Records
from backstay.registry.routing import Routing
from backstay.registry.versions import AliasMove, ModelVersion


def deployed(records: Records, model: Model) -> dict[str, Any]:
    """As plain data; of what is missing, None."""
    registry = records.registry
    routing = Routing(records.ledger, registry)
    move, entry = registry.alias(model.name, "champion"), routing.get(model.name)
    champion = None if move is None else registry.get(model.name, move.to)
    shares = [{"name": "champion", "version": None if move is None else move.to, "share": 1.0, "shadow": False}]
    if entry is not None:
        shares[0]["share"] = entry.champion
        shares += [part.as_dict() for part in entry.parts]
    return {
        "runtime": None if champion is None else _runtime(records, champion),
        "files": [] if champion is None else _files(records, champion),
        "versions": {
            "registered": len(registry.versions(model.name)),
            "champion": None if champion is None or move is None else _champion(champion, move),
            "previous": routing.before(model.name),
            "shadows": [one["version"] for one in shares if one["shadow"]],
        },
        "routes": [one for one in shares if one["version"] is not None],
        "route_why": None if entry is None else entry.why,
    }


def _runtime(records: Records, version: ModelVersion) -> dict[str, Any]:
    scoring, rule = version.manifest.scorer, records.rules.in_force(version)
    return {
        "format": scoring.format,
        "estimator": version.manifest.estimator,
        "threshold": rule.threshold,
        "rule": rule.name or None,
        "max_difference": scoring.max_difference,
        "compared_rows": scoring.rows,
        "can_hold_code": scoring.code,
    }


def _champion(version: ModelVersion, move: AliasMove) -> dict[str, Any]:
    manifest = version.manifest
    return {
        "number": version.number,
        "digest": version.digest,
        "since": instant_text(move.at),
        "by": move.actor,
        "why": move.evidence.get("reason"),
        "rows": manifest.dataset.rows,
        "cutoff": instant_text(manifest.cutoff),
        "dataset": manifest.dataset.digest,
        "tables": dict(manifest.dataset.sources),
        "feature_set": manifest.feature_set.hash,
        "commit": manifest.code.commit,
        "note": manifest.note,
    }


def _files(records: Records, version: ModelVersion) -> list[dict[str, Any]]:
    """The version's files, each read and verified; what is wrong with one is told beside it."""
    out = []
    for name, digest in sorted(version.manifest.files.items()):
        row: dict[str, Any] = {"file": name, "bytes": None, "sha256": digest, "problem": None}
        try:
            row["bytes"] = len(records.registry.file(version, name))
        except BackstayError as error:
            row["problem"] = error.what
        out.append(row)
    return out
