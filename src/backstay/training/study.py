"""The search: which parameters are tried next, kept in a file that survives a kill.

Optuna chooses: its TPE sampler by the trials that are done, its median pruner by their first folds. Every answer is in
a journal file before the next trial begins, so that a killed search goes on where it was: the trial that was going on
is tried again. One process searches at a time; the second one is told so.
"""

from __future__ import annotations

import fcntl
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backstay.core.errors import ConflictError
from backstay.core.packages import need
from backstay.definitions.tuning import Choice, IntRange, Space

_STARTUP = 5  # trials before any is given up


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial that is done: its number, its parameters, its value; None where it was given up."""

    number: int
    parameters: dict[str, Any]
    value: float | None


class Study:
    """One search, in a file of its own below `folder`; a context.

    name:     tells searches apart; letters, digits and -
    maximize: whether a larger value is better
    """

    def __init__(
        self, folder: Path, name: str, space: Mapping[str, Space], *, maximize: bool, seed: int, prune: bool
    ) -> None:
        self._optuna = need("optuna", "tune")
        self._path, self._name, self._space = folder / f"{name}.journal", name, space
        self._maximize, self._seed, self._prune = maximize, seed, prune
        self._lock = -1

    def __enter__(self) -> Self:
        optuna = self._optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConflictError(
                "another process is tuning this model on these data", where=str(self._path), fix="wait for it"
            ) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            backend = optuna.storages.journal.JournalFileBackend(str(self._path))
            pruner = (
                optuna.pruners.MedianPruner(n_startup_trials=_STARTUP) if self._prune else optuna.pruners.NopPruner()
            )
            self._study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend), study_name=self._name, load_if_exists=True,
                direction="maximize" if self._maximize else "minimize", pruner=pruner,
            )  # fmt: skip
        self._again()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def done(self) -> list[Tried]:
        """The trials that are done, in order; those that an error or a kill ended are not."""
        states = self._optuna.trial.TrialState
        return [
            Tried(one.number, dict(one.params), one.value if one.state == states.COMPLETE else None)
            for one in self._study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
        ]

    def ask(self) -> Any:
        """The next trial: `number`, `params`; `report` and `should_prune` are Optuna's."""
        count = len(self._study.get_trials(deepcopy=False))
        # A sampler of its own for each, so that a search that goes on asks what it would have asked.
        self._study.sampler = self._optuna.samplers.TPESampler(seed=self._seed * 1_000_003 + count)
        trial = self._study.ask()
        for name, one in self._space.items():
            if isinstance(one, Choice):
                trial.suggest_categorical(name, list(one.options))
            elif isinstance(one, IntRange):
                trial.suggest_int(name, one.low, one.high, log=one.log)
            else:
                trial.suggest_float(name, one.low, one.high, log=one.log)
        return trial

    def tell(self, trial: Any, value: float | None) -> None:
        """What came of a trial; None: it was given up."""
        states = self._optuna.trial.TrialState
        if value is None:
            self._study.tell(trial, state=states.PRUNED)
        else:
            self._study.tell(trial, value)

    def _again(self) -> None:
        """Try again what was going on when a search was killed."""
        states = self._optuna.trial.TrialState
        for one in self._study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            self._study.tell(one.number, state=states.FAIL)
            if set(one.params) == set(self._space):
                self._study.enqueue_trial(one.params)
