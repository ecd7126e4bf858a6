"""What verbs answer as plain data: the JSON of --json. Times are ISO 8601 in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backstay.core.times import instant_text

if TYPE_CHECKING:
    from backstay.lifecycle.judge import Judgement
    from backstay.project.ingestion import Ingested
    from backstay.registry.versions import AliasMove, ModelVersion
    from backstay.storage.ports import Entry
    from backstay.storage.predictions import Prediction


def ingested(one: Ingested) -> dict[str, Any]:
    known = None if one.known_until is None else instant_text(one.known_until)
    return {
        "source": one.source, "added": one.added, "events": one.events, "version": one.version, "known_until": known,
        "quarantined": one.quarantined, "reasons": one.reasons, "alarms": list(one.alarms),
    }  # fmt: skip


def version(one: ModelVersion) -> dict[str, Any]:
    manifest = one.manifest
    data, code, features = manifest.dataset, manifest.code, manifest.feature_set
    return {
        "model": one.model,
        "number": one.number,
        "digest": one.digest,
        "registered": instant_text(one.at),
        "as_of": instant_text(data.as_of),
        "cutoff": instant_text(manifest.cutoff),
        "dataset": {
            "digest": data.digest, "rows": data.rows, "asked": data.asked, "void": data.void, "immature": data.immature,
            "unlabelled": data.unlabelled, "sources": data.sources,
        },
        "base_rate": manifest.base_rate,
        "feature_set": {
            "name": features.name, "hash": features.hash, "tags": features.tags, "untagged": features.untagged,
        },
        "code": {"commit": code.commit, "dirty": code.dirty, "lock": code.lock},
        "estimator": manifest.estimator,
        "seed": manifest.seed,
        "note": manifest.note,
    }  # fmt: skip


def judgement(one: Judgement) -> dict[str, Any]:
    return {
        "model": one.model,
        "number": one.number,
        "against": one.against,
        "start": instant_text(one.start),
        "end": instant_text(one.end),
        "rows": one.rows,
        "final": one.final,
        **one.decision.as_dict(),
        "interval": one.interval(),
        "entry": one.entry_id,
    }


def move(one: AliasMove) -> dict[str, Any]:
    return {
        "model": one.model,
        "alias": one.name,
        "to": one.to,
        "previous": one.previous,
        "digest": one.digest,
        "at": instant_text(one.at),
        "by": one.actor,
        "evidence": dict(one.evidence),
        "entry": one.entry_id,
    }


def prediction(one: Prediction, number: int | None) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": instant_text(one.at),
        "served_at": instant_text(one.served_at),
        "model": one.model,
        "version": number,
        "route": one.route,
        "of": one.of,
        "error": one.error,
        "score": one.score,
        "decision": one.decision,
        "keys": one.keys,
        "replayed": one.replayed,
    }


def entry(one: Entry) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": instant_text(one.at),
        "actor": one.actor,
        "kind": one.kind,
        "subject": one.subject,
        "body": dict(one.body),
        "digest": one.digest,
    }
