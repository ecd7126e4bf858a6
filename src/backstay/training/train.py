"""One training run: fit, and the manifest of what came out and what went in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backstay.core.identity import sha256
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet
from backstay.registry import Dataset, Environment, Manifest
from backstay.registry.declared import declared_features, declared_signature
from backstay.registry.manifest import DIFF
from backstay.registry.steps import Steps
from backstay.storage.digest import frame_digest
from backstay.training.cached import FitCache
from backstay.training.fit import Fitted, fit, silent


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
    steps: Steps | None = None,
) -> tuple[Manifest, dict[str, bytes]]:
    """Fit the model, and assemble its manifest and files, ready for `Registry.register`.

    `as_of`, `since` and `until` are those that `data` was made with; `cutoff` is the last moment at which anything in
    it became known: `as_of`, unless later rows were held out. `attach` adds files. `metrics` are of rows that were held
    out. `told` is handed the parameters before the fit, `tuned` are those that the model's definition has otherwise,
    `steps` is where a fit that was made before is taken from. The training set is not among the files: its digest and
    the versions of its sources say how to make it again.
    """
    digest = frame_digest(data.frame)
    cache = FitCache(steps, environment.code, digest) if steps else None
    fitted = _fitted(model, data, seed, told, tuned, cache)
    code = {} if environment.diff is None else {DIFF: environment.diff}
    files = {**fitted.files, **(attach or {}), **code}
    manifest = Manifest(
        model=model.name,
        files={name: sha256(content) for name, content in files.items()},
        dataset=_dataset(data, digest, as_of, since, until),
        cutoff=as_of if cutoff is None else cutoff,
        feature_set=declared_features(model.features),
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
        signature=declared_signature(model),
        tuned=dict(tuned or {}),
    )
    return manifest, files


def _fitted(
    model: Model,
    data: TrainingSet,
    seed: int,
    told: Callable[[Mapping[str, Any]], None],
    tuned: Mapping[str, Any] | None,
    cache: FitCache | None,
) -> Fitted:
    fitted = fit(model, data, seed, told, tuned, cache)
    if cache is not None and cache.hit:
        told({"fit": "taken from the step cache"})
    return fitted


def _dataset(data: TrainingSet, digest: str, as_of: int, since: int | None, until: int | None) -> Dataset:
    return Dataset(
        digest=digest,
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
