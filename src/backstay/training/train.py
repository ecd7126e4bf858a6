"""One training run: fit, and the manifest of what came out and what went in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backstay.core.identity import sha256
from backstay.definitions import FeatureSet, Model
from backstay.definitions.sources import type_name
from backstay.features.trainingset import TrainingSet
from backstay.registry import Dataset, Environment, Features, Manifest
from backstay.registry.manifest import DIFF, Signature
from backstay.storage.digest import frame_digest
from backstay.training.fit import fit, silent


def train(
    model: Model,
    data: TrainingSet,
    *,
    environment: Environment,
    as_of: int,
    since: int | None = None,
    until: int | None = None,
    seed: int = 0,
    metrics: Mapping[str, Any] | None = None,
    note: str = "",
    cutoff: int | None = None,
    attach: Mapping[str, bytes] | None = None,
    told: Callable[[Mapping[str, Any]], None] = silent,
    tuned: Mapping[str, Any] | None = None,
) -> tuple[Manifest, dict[str, bytes]]:
    """Fit the model, and assemble its manifest and files, ready for `Registry.register`.

    `as_of`, `since` and `until` are those that `data` was made with. `cutoff` is the last moment at which anything in
    it became known: `as_of`, unless later rows were held out. `attach` adds files to the version. `metrics` are the
    caller's, from rows that were held out. `told` is handed the estimator's parameters before it is fitted. `tuned`
    are parameters that are set otherwise than the model's definition has them. The
    training set itself is not among the files: its digest and the versions of its sources say how to make it again.
    """
    fitted = fit(model, data, seed, told, tuned)
    files = {**fitted.files, **(attach or {})}
    if environment.diff is not None:
        files[DIFF] = environment.diff
    manifest = Manifest(
        model=model.name,
        files={name: sha256(content) for name, content in files.items()},
        dataset=_dataset(data, as_of, since, until),
        cutoff=as_of if cutoff is None else cutoff,
        feature_set=_features(model.features),
        label=model.label.canonical(),
        estimator=fitted.estimator,
        parameters=fitted.parameters,
        seed=seed,
        code=environment.code,
        metrics=dict(metrics or {}),
        scorer=fitted.scoring,
        base_rate=fitted.base_rate,
        threshold=model.threshold,
        note=note,
        signature=_signature(model),
        tuned=dict(tuned or {}),
    )
    return manifest, files


def _signature(model: Model) -> Signature:
    sources = {key: view.source for view in model.features.views for key in view.entity.keys}
    sources |= {model.label.key: model.label.source}
    return Signature(
        keys={key: type_name(sources[key].schema[key]) for key in model.keys},
        fields={feature.name: type_name(feature.dtype) for feature in model.features.requests},
        vector=list(model.features.vector),
        dtype="float32",
        outputs={"score": "float64", "decision": "bool"},
    )


def _features(features: FeatureSet) -> Features:
    return Features(
        features.name,
        features.hash,
        list(features.vector),
        features.canonical(),
        tags=sorted(features.tags),
        untagged={feature: dict(reasons) for feature, reasons in features.untagged.items()},
    )


def _dataset(data: TrainingSet, as_of: int, since: int | None, until: int | None) -> Dataset:
    return Dataset(
        digest=frame_digest(data.frame),
        rows=data.rows,
        asked=data.asked,
        void=data.void,
        immature=data.immature,
        unlabelled=data.unlabelled,
        as_of=as_of,
        since=since,
        until=until,
        sources=dict(data.versions),
        seals=dict(data.seals),
    )
