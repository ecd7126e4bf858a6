"""What verbs answer as plain data: the JSON of --json. Times are ISO 8601 in UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backstay.core.times import duration_text, instant_text

if TYPE_CHECKING:
    from backstay.definitions import FeatureSet, Model
    from backstay.lifecycle.judge import Judgement
    from backstay.project.ingestion import Ingested
    from backstay.registry.versions import AliasMove, ModelVersion
    from backstay.storage.ports import Entry
    from backstay.storage.predictions import Prediction

_TYPES = {"Float64": "float", "Int64": "int", "Boolean": "bool", "String": "string", "Datetime": "datetime"}
"""Column types by the names that definitions use."""


def ingested(one: Ingested) -> dict[str, Any]:
    known = None if one.known_until is None else instant_text(one.known_until)
    return {
        "source": one.source, "added": one.added, "events": one.events, "version": one.version, "known_until": known,
    }  # fmt: skip


def version(one: ModelVersion) -> dict[str, Any]:
    manifest = one.manifest
    data, code = manifest.dataset, manifest.code
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
        "feature_set": {"name": manifest.feature_set.name, "hash": manifest.feature_set.hash},
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


def feature_set(one: FeatureSet, models: list[Model]) -> dict[str, Any]:
    return {
        "name": one.name,
        "hash": one.hash,
        "description": one.description,
        "owner": one.owner,
        "models": [model.name for model in models if model.features is one],
        "keys": list(one.keys),
        "features": [
            {
                "name": feature.name,
                "kind": feature.kind,
                "type": _TYPES.get(str(feature.dtype).partition("(")[0], str(feature.dtype)),
                "source": one.views[feature.view].source.name if feature.view >= 0 else None,
                "entity": one.views[feature.view].entity.name if feature.view >= 0 else None,
                "window": None if feature.window is None else duration_text(feature.window),
                "max_age": None if feature.max_age is None else duration_text(feature.max_age),
                "default": feature.default,
                "in_vector": feature.name in one.vector,
            }
            for feature in one
        ],
    }
