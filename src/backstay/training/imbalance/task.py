"""A task: one fold that an arm is tried on. What it may learn from, what it must answer, and the estimator for it.

An arm that changes what a score means by more than a formula can undo fits a calibrator on rows that it has left as
they are and has not learned from: the **later part** of the fold's training rows. As between folds, the labels of the
earlier part had matured when the later part began.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.evaluation import NotEnough
from backstay.evaluation.calibration import Calibrator, fit_calibrator
from backstay.evaluation.calibration.fitting import LEAST

LATER = (1 / 3, 1 / 2)
"""The share of a fold's training rows that a calibrator is fitted on: the first that has enough positives."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Vector = npt.NDArray[np.float32]
Outcome = npt.NDArray[np.int8]


class NotApplicable(Exception):  # noqa: N818  an answer about an arm, not a mistake
    """An arm can't be tried here, and why: it is reported, never left out."""


@dataclass(frozen=True)
class Task:
    """One fold: rows to learn from and rows to answer, in the order they were asked.

    vector, outcome, at: of the rows that may be learned from: float32 (rows, features), 0 or 1, microseconds
    test:      the vector of the rows that are scored
    wait:      microseconds from T until a label may be learned from: maturity and embargo
    estimator: makes a fresh one, the same each time
    """

    vector: Vector
    outcome: Outcome
    at: Ints
    test: Vector
    wait: int
    seed: int
    estimator: Callable[[], Any]

    @cached_property
    def positives(self) -> Ints:
        return np.flatnonzero(self.outcome == 1)

    @cached_property
    def negatives(self) -> Ints:
        return np.flatnonzero(self.outcome == 0)

    @cached_property
    def parts(self) -> tuple[Ints, Ints]:
        """The earlier and the later part, by places; `NotApplicable` unless both hold both outcomes."""
        for share in LATER:
            begin = np.sort(self.at)[int(len(self.at) * (1 - share))]
            later = np.flatnonzero(self.at >= begin)
            if np.count_nonzero(self.outcome[later]) >= LEAST:
                break
        earlier = np.flatnonzero(self.at + self.wait <= begin)
        for part in (earlier, later):
            if len(np.unique(self.outcome[part])) < 2:
                raise NotApplicable("the rows set aside for a calibrator leave a part with one outcome only")
        return earlier, later

    def random(self, part: int = 0) -> np.random.Generator:
        """Chance, the same each time; another for each `part`."""
        return np.random.default_rng([self.seed, part])


@dataclass(frozen=True, slots=True)
class Answer:
    """What an arm says of a task's test rows.

    probability: as it would be used: corrected or calibrated
    raw:         before that; None where what it gives is no probability at all
    notes:       what was done, in words, with the numbers
    """

    probability: Floats
    raw: Floats | None
    notes: tuple[str, ...] = ()


def calibrated(task: Task, later: Floats) -> Calibrator:
    """A calibrator by the scores of the later part's rows; `NotApplicable` if these cannot bear one."""
    outcome = task.outcome[task.parts[1]]
    try:
        return fit_calibrator(outcome, later)
    except NotEnough as error:
        raise NotApplicable(
            f"no calibrator can be fitted on the later part of the training rows: {error.what}"
        ) from None
