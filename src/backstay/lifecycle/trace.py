"""The trace: from one prediction to everything behind it, and what came of it.

Its feature values with the times of the events they rest on, the model version with its data, code and parameters, the
evidence that let that version through, and the label if it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from backstay.core.errors import NotFoundError
from backstay.core.show import Shown
from backstay.core.times import duration_text, instant_text
from backstay.definitions import FeatureSet, Model
from backstay.features.labels import join_labels
from backstay.features.offline import FeatureRows
from backstay.features.parity import recompute
from backstay.features.views import Status
from backstay.lifecycle.judge import GATE
from backstay.lifecycle.records import Records
from backstay.lifecycle.verify import asked_frame
from backstay.registry.versions import ModelVersion
from backstay.storage.predictions import Prediction


@dataclass(frozen=True, slots=True)
class Trace(Shown):
    """Everything behind one prediction, as plain data under a few headings."""

    prediction: dict[str, Any]
    features: list[dict[str, Any]]
    version: dict[str, Any]
    rule: dict[str, Any] | None
    """the calibration and threshold that made the answer; None: the version as it was trained"""
    promotion: dict[str, Any] | None
    gate: dict[str, Any] | None
    label: dict[str, Any]


def find(records: Records, prediction_id: str) -> Prediction:
    """The prediction with this id, or `NotFoundError`."""
    for prediction in records.predictions.scan(ids=[prediction_id]):
        return prediction
    raise NotFoundError(
        f"there is no prediction {prediction_id!r}",
        where="the predictions record",
        expected="the prediction_id of an answer",
        fix="copy it from the server's answer, or list some with: backstay predictions",
    )


def trace(records: Records, model: Model, prediction: Prediction) -> Trace:
    """Trace one prediction of a model."""
    version = records.registry.by_digest(prediction.version)
    rows = None
    if not prediction.given and not prediction.degraded:
        asked = asked_frame(model, [prediction])
        rows = recompute(model.features, asked, [prediction.watermark], records.events)
    promotion = _promotion(records, model, prediction, version)
    return Trace(
        prediction={
            "id": prediction.id,
            "at": instant_text(prediction.at),
            "served_at": instant_text(prediction.served_at),
            "replayed": prediction.replayed,
            "model": prediction.model,
            "route": prediction.route,
            "propensity": prediction.propensity,
            "degraded": prediction.degraded,
            "of": prediction.of,
            "error": prediction.error,
            "score": prediction.score,
            "decision": prediction.decision,
            "chance": prediction.chance,
            "rule": prediction.rule,
            "keys": prediction.keys,
            "watermark": prediction.watermark,
        },
        features=_features(model.features, prediction, rows),
        version=_version(version),
        rule=_rule(records, version, prediction.rule),
        promotion=promotion,
        gate=_gate(records, promotion),
        label=_label(records, model, prediction),
    )


def _features(features: FeatureSet, prediction: Prediction, rows: FeatureRows | None) -> list[dict[str, Any]]:
    """Each feature's value and what it rests on. `rows` is None where nothing was looked up."""
    out = []
    for place, feature in enumerate(features):
        time = -1
        came_from: str = feature.kind if rows is not None else prediction.degraded or "the request"
        if feature.view >= 0 and rows is not None:
            time, came_from = int(rows.computed[feature.view].event_time[0]), features.views[feature.view].name
        out.append(
            {
                "feature": feature.name,
                "value": _shown(feature.dtype, prediction.values[place]),
                "status": Status(prediction.statuses[place]).name,
                "from": came_from,
                "event_time": None if time < 0 else instant_text(time),
                "age": None if time < 0 else duration_text((prediction.at - time) // 1_000_000 * 1_000_000),
            }
        )
    return out


def _shown(kind: pl.DataType, value: Any) -> Any:
    if value is not None and isinstance(kind, pl.Datetime):
        return instant_text(value)
    return repr(value) if isinstance(value, float) and value != value else value


def _version(version: ModelVersion) -> dict[str, Any]:
    manifest = version.manifest
    return {
        "number": version.number,
        "digest": version.digest,
        "registered": instant_text(version.at),
        "author": version.author,
        "origin": None if version.origin is None else dict(version.origin),
        "machine": None if version.machine is None else dict(version.machine),
        "cutoff": instant_text(manifest.cutoff),
        "dataset": {
            "digest": manifest.dataset.digest,
            "rows": manifest.dataset.rows,
            "as_of": instant_text(manifest.dataset.as_of),
            "sources": manifest.dataset.sources,
        },
        "feature_set": {"name": manifest.feature_set.name, "hash": manifest.feature_set.hash},
        "code": {"commit": manifest.code.commit, "dirty": manifest.code.dirty, "lock": manifest.code.lock},
        "estimator": manifest.estimator,
        "parameters": manifest.parameters,
        "seed": manifest.seed,
        "note": manifest.note,
    }


def _rule(records: Records, version: ModelVersion, name: str) -> dict[str, Any] | None:
    if not name:
        return None
    found = records.rules.named(version, name)
    made = {
        what: one and {"number": one.number, "digest": one.digest, "by": one.by, "at": instant_text(one.at)}
        for what, one in (("calibration", found.calibration), ("chosen", found.chosen))
    }
    return {"name": name, "threshold": found.threshold, **made}


def _promotion(records: Records, model: Model, prediction: Prediction, version: ModelVersion) -> dict[str, Any] | None:
    """The last move that made this version champion before it served this prediction."""
    moves = [move for move in records.registry.history(model.name, "champion") if move.to == version.number]
    if not moves:
        return None
    earlier = [move for move in moves if move.at <= prediction.served_at]
    move = (earlier or moves)[-1]
    return {
        "alias": move.name,
        "at": instant_text(move.at),
        "by": move.actor,
        "previous": move.previous,
        "entry": move.entry_id,
        "evidence": dict(move.evidence),
    }


def _gate(records: Records, promotion: dict[str, Any] | None) -> dict[str, Any] | None:
    if promotion is None or "gate" not in promotion["evidence"]:
        return None
    wanted = promotion["evidence"]["gate"]
    for entry in records.ledger.entries(kind=GATE, after=wanted - 1):
        if entry.id == wanted:
            return {"entry": entry.id, "at": instant_text(entry.at), **entry.body["decision"]}
    return None


def _label(records: Records, model: Model, prediction: Prediction) -> dict[str, Any]:
    key = model.label.key
    told = {"name": model.label.name, "keyed": key in prediction.keys}
    matures = instant_text(prediction.at + model.label.maturity)
    if key not in prediction.keys:
        return {**told, "value": None, "void": False, "mature": False, "matures": matures}
    kind = model.label.source.schema[key]
    asked = pl.DataFrame({"at": [prediction.at], key: pl.Series([prediction.keys[key]], dtype=kind)})
    row = join_labels(asked, model.label, records.events, as_of=records.clock.now()).row(0, named=True)
    return {**told, "value": row["label"], "void": row["void"], "mature": row["mature"], "matures": matures}
