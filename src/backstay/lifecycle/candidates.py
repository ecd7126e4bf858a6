"""Training a candidate: a training set as known at a moment, a fit, a registered version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from backstay.core.errors import InputError
from backstay.core.machine import machine
from backstay.core.times import duration, duration_text, instant_text
from backstay.definitions import Model
from backstay.features.rows import RowEngine
from backstay.features.trainingset import TrainingSet
from backstay.lifecycle.data_checks import check_data
from backstay.lifecycle.measured import measured
from backstay.lifecycle.records import Records
from backstay.lifecycle.references import training_files
from backstay.lifecycle.training_rows import training_rows
from backstay.registry.environment import Environment
from backstay.registry.versions import ModelVersion
from backstay.training.train import train

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
    accept: str | None = None,
    tuned: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Train on all rows mature at `as_of - holdout`, and register the version. It is recorded as a run.

    holdout: microseconds before `as_of` kept back, in time order, for a first gate to judge on.
    accept:  why data are trained on although the data gates fail; without it they are a `DataRefused`.
    tuned:   parameters that are set otherwise than the model's definition has them.
    alter:   changes the training rows in a way that serving does not: a planted fault, for drills. The note says so.
    """
    asked = {"seed": seed, "dataset.as_of": instant_text(as_of), "dataset.holdout": _shown(holdout)}
    with records.runs.begin(model.name, parameters=asked, note=note) as run, measured(run):
        cutoff, window = as_of - holdout, model.retrain.window
        since = None if window is None else cutoff - duration(window)
        data = _data(records, model, environment, as_of, cutoff, since)
        check_data(records, model, data, as_of=as_of, accept=accept)
        if alter is not None:
            data = _altered(model, data, alter)
        run.parameters({"dataset.rows": data.rows, "features.hash": model.features.hash})
        manifest, files = train(
            model, data, environment=environment, as_of=as_of, since=since, until=cutoff, cutoff=cutoff, seed=seed,
            note=note, attach=training_files(model, data), told=run.parameters, tuned=tuned,
            steps=records.steps,
        )  # fmt: skip
        run.parameters({"dataset.digest": manifest.dataset.digest, "estimator.class": manifest.estimator})
        version = records.registry.register(
            manifest, files, at=records.clock.now(), actor=records.actor, strict=strict, trust_code=model.trust_code,
            machine=machine(),
        )  # fmt: skip
        run.registered(version.number)
    return version


def _shown(span: int) -> str:
    return duration_text(span) if span else "0s"


def _data(
    records: Records, model: Model, environment: Environment, as_of: int, cutoff: int, since: int | None
) -> TrainingSet:
    """The rows whose labels were mature at the cut-off."""
    data = training_rows(records, model, environment, as_of=as_of, since=since)
    if cutoff < as_of:
        data = data.before(cutoff, model.label.maturity)
        if not data.rows:
            raise InputError(
                f"no row has a mature label at {instant_text(cutoff)}",
                where=f"training of model {model.name!r}",
                fix="hold out less, or ingest a longer history",
            )
    return data


def _altered(model: Model, data: TrainingSet, alter: Alter) -> TrainingSet:
    frame = alter(data.frame)
    if frame.columns != data.frame.columns or frame.height != data.frame.height:
        raise InputError("the altered training rows have other rows or columns", where="alter", expected="the same")
    return replace(data, frame=frame, vector=RowEngine(model.features).vector(frame))
