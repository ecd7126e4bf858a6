"""Training a candidate: a training set as known at a moment, a fit, a registered version."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.times import duration, instant_text
from backstay.definitions import Model
from backstay.features.rows import RowEngine
from backstay.features.trainingset import TrainingSet, training_set
from backstay.lifecycle.records import Records
from backstay.registry.environment import Environment
from backstay.registry.versions import ModelVersion
from backstay.training.train import train

REFERENCE = "reference.npy"
"""A version's file: a sample of the rows it was trained on, float32, to hold against what is served."""

_SAMPLE = 5_000

Alter = Callable[[pl.DataFrame], pl.DataFrame]


def train_candidate(
    records: Records,
    model: Model,
    environment: Environment,
    *,
    as_of: int,
    holdout: int = 0,
    seed: int = 0,
    strict: bool = False,
    alter: Alter | None = None,
    note: str = "",
) -> ModelVersion:
    """Train on all rows mature at `as_of - holdout`, and register the version.

    holdout: microseconds before `as_of` kept back, in time order, for a first gate to judge on.
    alter:   changes the training rows in a way that serving does not: a planted fault, for drills. The note says so.
    """
    cutoff = as_of - holdout
    window = model.retrain.window
    since = None if window is None else cutoff - duration(window)
    data = training_set(model, records.events, as_of=as_of, since=since)
    if holdout:
        data = data.before(cutoff, model.label.maturity)
        if not data.rows:
            raise InputError(
                f"no row has a mature label at {instant_text(cutoff)}",
                where=f"training of model {model.name!r}",
                fix="hold out less, or ingest a longer history",
            )
    if alter is not None:
        data = _altered(model, data, alter)
    manifest, files = train(
        model,
        data,
        environment=environment,
        as_of=as_of,
        since=since,
        until=cutoff,
        cutoff=cutoff,
        seed=seed,
        metrics={},
        note=note,
        attach={REFERENCE: reference(data.vector)},
    )
    return records.registry.register(
        manifest, files, at=records.clock.now(), actor=records.actor, strict=strict, trust_code=model.trust_code
    )


def _altered(model: Model, data: TrainingSet, alter: Alter) -> TrainingSet:
    frame = alter(data.frame)
    if frame.columns != data.frame.columns or frame.height != data.frame.height:
        raise InputError("the altered training rows have other rows or columns", where="alter", expected="the same")
    return replace(data, frame=frame, vector=RowEngine(model.features).vector(frame))


def reference(vector: npt.NDArray[np.float32]) -> bytes:
    """Rows spread evenly over the training set, as a .npy file."""
    places = np.unique(np.linspace(0, len(vector) - 1, min(_SAMPLE, len(vector))).astype(np.int64))
    out = io.BytesIO()
    np.save(out, vector[places], allow_pickle=False)
    return out.getvalue()


def reference_sample(records: Records, version: ModelVersion) -> dict[str, npt.NDArray[np.float32]]:
    """A sample of each feature as the version was trained on it, verified against the manifest."""
    matrix = np.load(io.BytesIO(records.registry.file(version, REFERENCE)), allow_pickle=False)
    return {name: matrix[:, place] for place, name in enumerate(version.manifest.feature_set.vector)}
