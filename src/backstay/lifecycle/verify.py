"""Proof of parity: served predictions computed again from the events record, features and scores, bit for bit.

From a prediction only what was *asked* is taken (keys, request fields, T and the read watermark). Values and statuses
come from the events record, scores from the registered model file; what was logged is then held against them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.identity import canonical_json, sha256
from backstay.core.show import Shown
from backstay.definitions import Model
from backstay.features.parity import recompute
from backstay.features.rows import Rows, plain
from backstay.features.views import Status
from backstay.lifecycle.records import Records
from backstay.runtimes.onnx import OnnxScorer
from backstay.storage.predictions import Prediction, predictions

_EXAMPLES = 10


@dataclass(slots=True)
class ParityReport(Shown):
    """How many predictions were computed again, how many came out the same, and where the others differ."""

    model: str
    logged: int = 0
    checked: int = 0
    equal: int = 0
    features: Counter[str] = field(default_factory=Counter)
    """feature (or "score", "decision") to the number of predictions in which it differs"""
    examples: list[dict[str, Any]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return self.checked > 0 and self.equal == self.checked

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "logged": self.logged,
            "checked": self.checked,
            "equal": self.equal,
            "holds": self.holds,
            "differences": dict(self.features.most_common()),
            "examples": self.examples,
        }


def verify(records: Records, model: Model, *, sample: int | None = None) -> ParityReport:
    """Compute predictions again and compare. `sample` takes that many, by a hash of what was asked (None: all).

    The sample does not depend on the order of serving or on ids, so two equal replays check the same rows.
    """
    report = ParityReport(model.name)
    chosen = _sample(predictions(records.predictions, model=model.name), sample, report)
    groups: dict[tuple[str, str], list[Prediction]] = {}
    for prediction in chosen:
        groups.setdefault((prediction.version, prediction.feature_set), []).append(prediction)
    for (version, feature_set), group in sorted(groups.items()):
        if feature_set != model.features.hash:
            raise InputError(
                f"{len(group)} predictions were served from feature set {feature_set[:12]}",
                where=f"model {model.name!r}",
                expected=f"the feature set defined here, {model.features.hash[:12]}",
                fix="verify them with the definitions they were served with",
            )
        _compare(records, model, version, group, report)
    return report


def _sample(logged: Iterable[Prediction], size: int | None, report: ParityReport) -> list[Prediction]:
    def counted() -> Iterable[Prediction]:
        for prediction in logged:
            report.logged += 1
            yield prediction

    if size is None:
        return list(counted())
    return heapq.nsmallest(size, counted(), key=lambda p: sha256(canonical_json([p.keys, p.fields, p.at])))


def asked_frame(model: Model, group: list[Prediction]) -> pl.DataFrame:
    """What was asked, as `features` wants it: `at`, keys and request fields, of the declared types."""
    columns: dict[str, pl.Series] = {"at": pl.Series([p.at for p in group], dtype=pl.Int64)}
    for view in model.features.views:
        for key in view.entity.keys:
            columns[key] = pl.Series([p.keys[key] for p in group], dtype=view.source.schema[key])
    for feature in model.features.requests:
        values = [p.fields[feature.name] for p in group]
        if isinstance(feature.dtype, pl.Datetime):
            columns[feature.name] = pl.Series(values, dtype=pl.Int64).cast(feature.dtype)
        else:
            columns[feature.name] = pl.Series(values, dtype=feature.dtype)
    return pl.DataFrame(columns)


def _compare(records: Records, model: Model, digest: str, group: list[Prediction], report: ParityReport) -> None:
    rows = recompute(model.features, asked_frame(model, group), [p.watermark for p in group], records.events).rows
    version = records.registry.by_digest(digest)
    scorer = OnnxScorer(records.registry.file(version, "model.onnx"), len(model.features.vector))
    scores = scorer.score(rows.vector())
    differs: dict[int, dict[str, Any]] = {}
    for place, name, told in _feature_differences(model, group, rows):
        differs.setdefault(place, {})[name] = told
    logged = np.array([p.score for p in group])
    for place in np.flatnonzero(logged.view(np.int64) != scores.view(np.int64)).tolist():
        differs.setdefault(place, {})["score"] = {"logged": float(logged[place]), "recomputed": float(scores[place])}
    decisions = scores >= version.manifest.threshold
    for place, prediction in enumerate(group):
        if prediction.decision != decisions[place]:
            told = {"logged": prediction.decision, "recomputed": bool(decisions[place])}
            differs.setdefault(place, {})["decision"] = told
    report.checked += len(group)
    report.equal += len(group) - len(differs)
    for place, names in sorted(differs.items()):
        report.features.update(names.keys())
        if len(report.examples) < _EXAMPLES:
            report.examples.append({"prediction_id": group[place].id, "keys": group[place].keys, "differs": names})


def _feature_differences(
    model: Model, group: list[Prediction], rows: Rows
) -> Iterable[tuple[int, str, Mapping[str, Any]]]:
    statuses = np.frombuffer(b"".join(p.statuses for p in group), np.uint8).reshape(len(group), -1)
    frame = rows.frame()
    for column, feature in enumerate(model.features):
        again = plain(frame.get_column(feature.name))
        logged = pl.Series([p.values[column] for p in group], dtype=again.dtype, strict=True)
        same = _bits(again).eq_missing(_bits(logged)).to_numpy() & (statuses[:, column] == rows.statuses[:, column])
        for place in np.flatnonzero(~same).tolist():
            yield (
                place,
                feature.name,
                {
                    "logged": _shown(logged[place], statuses[place, column]),
                    "recomputed": _shown(again[place], rows.statuses[place, column]),
                },
            )


def _bits(column: pl.Series) -> pl.Series:
    """Floats by their bits, so that NaN equals itself and 0.0 differs from -0.0."""
    return column.reinterpret(signed=True) if column.dtype.is_float() else column


def _shown(value: Any, status: int) -> dict[str, Any]:
    shown = repr(value) if isinstance(value, float) and not np.isfinite(value) else value
    return {"value": shown, "status": Status(status).name}
