"""Advice on imbalance: every arm on the same folds in time, each of them a run, and what came of it.

The folds are those of tuning: ordered by when the rows were asked, each learned from what had matured before it, with
an embargo. An arm's answers to a fold are kept with its run, so an advice that was interrupted goes on, and one that
asks with other costs trains nothing again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

from backstay.core.errors import InputError
from backstay.core.identity import digest_of
from backstay.core.show import Shown
from backstay.core.times import DAY, duration, instant_text
from backstay.definitions import Model
from backstay.evaluation import NotEnough
from backstay.evaluation.decided import Costs
from backstay.evaluation.imbalance import Advice, Rows, Tried, advise
from backstay.evaluation.metrics import log_loss
from backstay.features.trainingset import TrainingSet, training_set
from backstay.lifecycle.measured import measured
from backstay.lifecycle.records import Records
from backstay.storage.digest import frame_digest
from backstay.storage.runs import FINISHED, RunRecord
from backstay.training.fit import ready
from backstay.training.imbalance import ARMS, Answer, Arm, NotApplicable, Task
from backstay.training.parameters import plain_parameters, qualified_name
from backstay.training.splits import Fold, time_folds

SEMANTICS = 1
"""Raised when an arm does anything else than before: answers that were kept are then not taken."""
_KEPT = "answers.npz"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class FoldFacts(Shown):
    """A fold: what was learned from, and what was answered, in [since, until]."""

    since: int
    until: int
    train_rows: int
    train_positives: int
    test_rows: int
    test_positives: int

    def as_dict(self) -> dict[str, Any]:
        return {**Shown.as_dict(self), "since": instant_text(self.since), "until": instant_text(self.until)}


@dataclass(frozen=True, slots=True)
class ImbalanceReport(Shown):
    """The advice for a model, and what it rests on. `fresh` are the fits made now; the others were kept."""

    model: str
    estimator: str
    as_of: int
    seed: int
    rows: int
    positives: int
    folds: list[FoldFacts]
    fresh: int
    key: str
    advice: Advice

    def as_dict(self) -> dict[str, Any]:
        return {**Shown.as_dict(self), "as_of": instant_text(self.as_of)}


@dataclass(frozen=True, slots=True)
class _Trial:
    """What every arm is tried with."""

    records: Records
    model: Model
    data: TrainingSet
    folds: Sequence[Fold]
    wait: int
    seed: int
    key: str
    before: Mapping[tuple[str, str], RunRecord]


def imbalance(
    records: Records, model: Model, *, as_of: int, folds: int, costs: Costs | None, k: int | None, seed: int,
    progress: Progress,
) -> ImbalanceReport:  # fmt: skip
    """Try every arm on every fold, as everything was known at a moment, and advise.

    Raises `InputError` for fewer than one fold or too short a history, `NotEnough` where a fold holds one outcome only.
    """
    if folds < 1 or (k is not None and k < 1):
        raise InputError(f"folds={folds}, k={k}", where="imbalance", expected="at least 1 of either")
    window = model.retrain.window
    data = training_set(model, records.events, as_of=as_of, since=None if window is None else as_of - duration(window))
    embargo = duration(model.gate.embargo) if model.tuning is None else model.tuning.embargo
    at = data.frame.get_column("at").to_numpy()
    cut = time_folds(at, model.label.maturity, folds, embargo=embargo)
    _enough(data, cut)
    estimator = ready(model, seed, {})
    parts = [
        SEMANTICS, model.name, frame_digest(data.frame), qualified_name(estimator), plain_parameters(estimator), folds,
        embargo, seed,
    ]  # fmt: skip
    key = digest_of(parts)[:16]
    before = {
        (one.tags["arm"], one.tags["fold"]): one
        for one in records.runs.search()
        if one.tags.get("imbalance") == key and one.status == FINISHED
    }
    trial = _Trial(records, model, data, cut, model.label.maturity + embargo, seed, key, before)
    tried, fresh = _tried(trial, progress)
    rows = _rows(data, cut)
    return ImbalanceReport(
        model.name, qualified_name(estimator), as_of, seed, data.rows, int(data.outcome.sum()),
        [_facts(data, one) for one in cut], fresh, key, advise(rows, tried, costs=costs, k=k),
    )  # fmt: skip


def _enough(data: TrainingSet, folds: Sequence[Fold]) -> None:
    for place, fold in enumerate(folds, 1):
        for part, rows in (("trained on", fold.train), ("scored", fold.test)):
            happened = int(data.outcome[rows].sum())
            if happened in (0, len(rows)):
                raise NotEnough(
                    f"{happened:,} of the {len(rows):,} rows that are {part} in fold {place} have outcome 1",
                    where="imbalance", expected="both outcomes in each", fix="ask for a longer history, or fewer folds",
                )  # fmt: skip


def _rows(data: TrainingSet, folds: Sequence[Fold]) -> Rows:
    test = np.concatenate([one.test for one in folds])
    sizes = [len(one.test) for one in folds]
    rates = [float(data.outcome[one.train].mean()) for one in folds]
    day = data.frame.get_column("at").to_numpy()[test] // DAY
    return Rows(data.outcome[test], day, np.repeat(np.arange(len(folds)), sizes), np.repeat(rates, sizes))


def _tried(trial: _Trial, progress: Progress) -> tuple[list[Tried], int]:
    """Every arm on every fold, in the order of the arms; and how many fits were made now."""
    out, fresh, done, total = [], 0, 0, len(ARMS) * len(trial.folds)
    for arm in ARMS:
        answers: list[tuple[Answer, float]] = []
        reason = ""
        for place in range(len(trial.folds)):
            progress(done, total)
            done += 1
            if reason:
                continue
            if (kept := _kept(trial, arm, place)) is not None:
                answers.append(kept)
                continue
            try:
                answers.append(_run(trial, arm, place))
                fresh += 1
            except NotApplicable as error:
                reason = f"not tried: fold {place + 1}: {error}"
        out.append(Tried(arm.name, arm.title, reason=reason) if reason else _whole(arm, answers))
    progress(total, total)
    return out, fresh


def _whole(arm: Arm, answers: Sequence[tuple[Answer, float]]) -> Tried:
    raws = [one.raw for one, _ in answers if one.raw is not None]
    notes = tuple(f"fold {place}: {note}" for place, (one, _) in enumerate(answers, 1) for note in one.notes)
    return Tried(
        arm.name, arm.title, np.concatenate([one.probability for one, _ in answers]),
        np.concatenate(raws) if len(raws) == len(answers) else None, sum(seconds for _, seconds in answers), notes,
    )  # fmt: skip


def _run(trial: _Trial, arm: Arm, place: int) -> tuple[Answer, float]:
    """An arm on a fold, as a run that keeps what it answered; one that is not applicable fails, and is tried again."""
    fold, data = trial.folds[place], trial.data
    task = Task(
        data.vector[fold.train], data.outcome[fold.train], data.frame.get_column("at").to_numpy()[fold.train],
        data.vector[fold.test], trial.wait, trial.seed, partial(ready, trial.model, trial.seed, {}),
    )  # fmt: skip
    tags = {"imbalance": trial.key, "arm": arm.name, "fold": str(place + 1)}
    with trial.records.runs.begin(trial.model.name, parameters={"seed": trial.seed}, tags=tags) as run, measured(run):
        begun = perf_counter()
        answer = arm.run(task)
        seconds = round(perf_counter() - begun, 3)
        run.log("arm_seconds", seconds)
        run.log("log_loss", log_loss(data.outcome[fold.test], answer.probability))
        for note in answer.notes:
            run.note(note)
        run.attach(_KEPT, _packed(answer))
    return answer, seconds


def _packed(answer: Answer) -> bytes:
    out = io.BytesIO()
    raw = np.empty(0) if answer.raw is None else answer.raw
    np.savez_compressed(out, probability=answer.probability, raw=raw)
    return out.getvalue()


def _kept(trial: _Trial, arm: Arm, place: int) -> tuple[Answer, float] | None:
    """What a run of before answered, if there is one."""
    found = trial.before.get((arm.name, str(place + 1)))
    if found is None or _KEPT not in found.artifacts:
        return None
    with np.load(io.BytesIO(trial.records.runs.artifact(found.id, _KEPT)), allow_pickle=False) as kept:
        raw = kept["raw"]
        answer = Answer(kept["probability"], raw if raw.size else None, found.notes)
    return answer, found.metrics["arm_seconds"]


def _facts(data: TrainingSet, fold: Fold) -> FoldFacts:
    at = data.frame.get_column("at").to_numpy()[fold.test]
    train, test = data.outcome[fold.train], data.outcome[fold.test]
    return FoldFacts(int(at.min()), int(at.max()), len(train), int(train.sum()), len(test), int(test.sum()))
