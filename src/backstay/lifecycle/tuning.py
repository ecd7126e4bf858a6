"""Tuning a model: trials on folds in time, each of them a run; the best parameters, for `train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backstay.core.errors import InputError
from backstay.core.identity import digest_of
from backstay.core.show import Shown
from backstay.core.times import duration, instant_text
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet, training_set
from backstay.lifecycle.measured import measured
from backstay.lifecycle.records import Records
from backstay.registry.experiments import Run
from backstay.rollout.gate import SCORERS
from backstay.storage.digest import frame_digest
from backstay.storage.runs import RunRecord
from backstay.training.fit import fold_scores
from backstay.training.splits import Fold, time_folds
from backstay.training.study import Study, Tried

TUNED = "tuned."
"""What stands before a parameter that was searched, in a run's parameters."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Tuned(Shown):
    """What a search has come to.

    best:       the parameters of the best trial; `value` is the mean of its folds
    trials:     how many are done, `pruned` of them given up; `fresh` were made now
    default:    the value of the estimator as it is defined, on the same folds
    """

    model: str
    metric: str
    best: dict[str, Any]
    value: float
    default: float
    trials: int
    pruned: int
    fresh: int
    run: str


def tune(
    records: Records, model: Model, *, as_of: int, trials: int, seed: int, folder: Path, progress: Progress
) -> Tuned:
    """Search until `trials` are done, those of before counted; `InputError` for a model without a `Tuning`."""
    if model.tuning is None:
        raise InputError(
            f"model {model.name!r} says nothing about tuning",
            where=model.where,
            expected="Model(tuning=Tuning({...}))",
            fix='write tuning=Tuning({"num_leaves": IntRange(7, 127, log=True)})',
        )
    window = model.retrain.window
    data = training_set(model, records.events, as_of=as_of, since=None if window is None else as_of - duration(window))
    folds = _folds(model, data)
    asked = {"dataset.digest": frame_digest(data.frame), "dataset.as_of": instant_text(as_of), "seed": seed}
    name = digest_of([model.name, asked["dataset.digest"], model.tuning.canonical(), model.gate.metric, seed])[:16]
    maximize = model.gate.metric == "auc"
    with Study(folder, name, model.tuning.space, maximize=maximize, seed=seed, prune=model.tuning.prune) as study:
        default = _default(records, model, data, folds, asked, name, seed)
        done, fresh = len(study.done()), 0
        while done < trials:
            progress(done, trials)
            _try(records, model, data, folds, study, asked, name, seed)
            done, fresh = len(study.done()), fresh + 1
        progress(done, trials)
        return _told(records, model, study.done(), default, name, fresh)


def _folds(model: Model, data: TrainingSet) -> list[Fold]:
    assert model.tuning is not None
    group = model.tuning.group
    if group is not None and group not in data.frame.columns:
        raise InputError(
            f"there is no key {group!r} to group by", where=model.tuning.where,
            expected=f"one of {', '.join(model.keys)}",
        )  # fmt: skip
    groups = None if group is None else data.frame.get_column(group).to_numpy()
    at = data.frame.get_column("at").to_numpy()
    return time_folds(at, model.label.maturity, model.tuning.folds, embargo=model.tuning.embargo, groups=groups)


def _default(
    records: Records, model: Model, data: TrainingSet, folds: list[Fold], asked: Mapping[str, Any], name: str, seed: int
) -> float:
    """The value of the estimator as it is defined; of the run of before, if this search has one."""
    for before in _trials(records, name, "default"):
        if before.status == "finished":
            return before.metrics[f"mean.{model.gate.metric}"]
    with _run(records, model, asked, {}, name, "default") as run, measured(run):
        values = [_score(run, model, data, fold, {}, seed, step) for step, fold in enumerate(folds)]
        run.log(f"mean.{model.gate.metric}", float(np.mean(values)))
    return float(np.mean(values))


def _try(
    records: Records, model: Model, data: TrainingSet, folds: list[Fold], study: Study, asked: Mapping[str, Any],
    name: str, seed: int,
) -> None:  # fmt: skip
    trial = study.ask()
    with _run(records, model, asked, trial.params, name, str(trial.number)) as run, measured(run):
        values: list[float] = []
        for step, fold in enumerate(folds):
            values.append(_score(run, model, data, fold, trial.params, seed, step))
            trial.report(float(np.mean(values)), step)
            if step + 1 < len(folds) and trial.should_prune():
                run.tag("pruned", f"after fold {step + 1} of {len(folds)}")
                study.tell(trial, None)
                return
        run.log(f"mean.{model.gate.metric}", float(np.mean(values)))
        study.tell(trial, float(np.mean(values)))


def _run(
    records: Records, model: Model, asked: Mapping[str, Any], parameters: Mapping[str, Any], name: str, trial: str
) -> Run:
    told = {**asked, **{f"{TUNED}{key}": value for key, value in parameters.items()}}
    return records.runs.begin(model.name, parameters=told, tags={"study": name, "trial": trial})


def _score(
    run: Run, model: Model, data: TrainingSet, fold: Fold, parameters: Mapping[str, Any], seed: int, step: int
) -> float:
    scores = fold_scores(model, data, fold.train, fold.test, parameters, seed)
    value = SCORERS[model.gate.metric](data.outcome[fold.test], scores)
    run.log(model.gate.metric, value, step)
    return value


def _trials(records: Records, name: str, trial: str) -> list[RunRecord]:
    """The runs of a trial of a search, the newest first."""
    return [one for one in records.runs.search() if (one.tags.get("study"), one.tags.get("trial")) == (name, trial)]


def _told(records: Records, model: Model, done: list[Tried], default: float, name: str, fresh: int) -> Tuned:
    known = [one for one in done if one.value is not None]
    if not known:
        raise InputError(f"none of {len(done)} trials came to its end", where=f"tuning of {model.name!r}")
    sign = -1 if model.gate.metric == "auc" else 1
    best = min(known, key=lambda one: (sign * (one.value or 0.0), one.number))
    (run, *_) = _trials(records, name, str(best.number))
    assert best.value is not None
    return Tuned(
        model.name, model.gate.metric, best.parameters, best.value, default, len(done), len(done) - len(known), fresh,
        run.id,
    )  # fmt: skip


def parameters_of(records: Records, model: Model, run: str) -> dict[str, Any]:
    """The parameters that a trial had, by its run."""
    found = records.runs.get(run)
    told = {key.removeprefix(TUNED): value for key, value in found.parameters.items() if key.startswith(TUNED)}
    if found.name != model.name or not told:
        raise InputError(
            f"run {found.id} is no trial of model {model.name!r}", where=f"run {found.id}",
            expected="a run that backstay tune made", fix="see: backstay runs",
        )  # fmt: skip
    return told
