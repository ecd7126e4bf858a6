"""Metrics of a yes-or-no outcome: one number for some rows.

The **outcome** is 0 or 1 (or False and True), the **score** any number that is higher where the outcome is likelier, a
**probability** a score between 0 and 1. Smaller is better for the log loss and the Brier score, larger for the AUC.

A row that can't be scored is an error and not a row less. Dropping NaN would grade a model on the rows it found easy:

    ok       outcome and score of the same rows, all present; void outcomes were taken out, and counted, before
    not ok   a NaN score, a probability of 1.2, an outcome of 0.3: `InputError`, naming how many and the first
    not ok   an AUC of rows of one class: `NotEnough`, never 0.5
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.interval import NotEnough

CLIP = 1e-7
"""Log losses clip the probability to [CLIP, 1 - CLIP]: one wrong certainty costs 16.1 nats, not infinity."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def log_losses(outcome: ArrayLike, probability: ArrayLike) -> Floats:
    """The log loss of each row, in nats: -log of the probability given to what happened, clipped by `CLIP`.

    Raises `InputError` for lengths that differ, outcomes other than 0 and 1, or probabilities outside [0, 1].

    >>> log_losses([1, 0], [0.5, 0.1]).round(4).tolist()
    [0.6931, 0.1054]
    """
    y, p = outcome_and_probability(outcome, probability)
    p = np.clip(p, CLIP, 1.0 - CLIP)
    losses = np.negative(np.where(y, np.log(p), np.log1p(-p)))
    return np.asarray(losses, dtype=np.float64)


def brier_losses(outcome: ArrayLike, probability: ArrayLike) -> Floats:
    """The squared error of each row's probability, between 0 and 1; errors as for `log_losses`.

    >>> brier_losses([1, 0], [0.5, 0.1]).round(4).tolist()
    [0.25, 0.01]
    """
    y, p = outcome_and_probability(outcome, probability)
    return np.square(p - y)


def log_loss(outcome: ArrayLike, probability: ArrayLike) -> float:
    """The mean log loss, in nats, clipped by `CLIP`: 0 is perfect, log 2 is what saying 0.5 costs.

    Raises `InputError` as `log_losses` does, and `NotEnough` without rows. Summed exactly: the order of the rows does
    not move a bit.

    >>> round(log_loss([1, 0, 0], [0.9, 0.2, 0.4]), 4)
    0.2798
    """
    return _mean(log_losses(outcome, probability))


def brier(outcome: ArrayLike, probability: ArrayLike) -> float:
    """The Brier score: the mean squared error of the probability (Brier 1950, the half for two classes).

    Between 0 (perfect) and 1; saying 0.5 costs 0.25. Errors as for `log_loss`.

    >>> round(brier([1, 0, 0], [0.9, 0.2, 0.4]), 4)
    0.07
    """
    return _mean(brier_losses(outcome, probability))


def auc(outcome: ArrayLike, score: ArrayLike) -> float:
    """The area under the ROC curve: how often a row with outcome 1 outscores one with outcome 0, a tie counting half.

    This is the Mann-Whitney statistic over the number of pairs (Hanley and McNeil 1982), counted in whole numbers, so
    it is exact. Scores may be infinite but not NaN (`InputError`). Raises `NotEnough` unless both classes are there: an
    AUC of one class is unknown, not 0.5.

    >>> auc([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4])
    0.875
    """
    placed = placements(outcome, score)
    return placed.area


class Placements(NamedTuple):
    """For every row, how many rows of the other class it beats, in half pairs: a win is 2, a tie 1.

    `wins` is the count of each row in the given order, `outcome` its class, `cases` and `controls` the class sizes.
    """

    outcome: Bools
    wins: NDArray[np.int64]
    cases: int
    controls: int

    @property
    def area(self) -> float:
        """The AUC: the cases' wins over all pairs."""
        return int(self.wins[self.outcome].sum()) / (2 * self.cases * self.controls)


def placements(outcome: ArrayLike, score: ArrayLike) -> Placements:
    """Place each row among the rows of the other class, by one sort (the midranks of Sun and Xu 2014).

    A case wins against the controls below it, a control against the cases above it. Whole numbers: exact, and the same
    in any order of the rows. Errors as for `auc`.

    >>> placements([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4]).wins.tolist()
    [4, 4, 3, 3]
    """
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    cases = int(np.count_nonzero(y))
    controls = y.size - cases
    if not cases or not controls:
        found = f"there are {cases} rows with outcome 1 and {controls} with outcome 0"
        raise NotEnough(found, where="outcome", expected="at least one of each to rank")
    order = np.argsort(s)
    ranked = s[order]
    first = np.concatenate(([True], ranked[1:] != ranked[:-1]))  # where each run of equal scores starts
    starts = np.flatnonzero(first)
    is_case = y[order].astype(np.int64)
    run_cases = np.add.reduceat(is_case, starts)
    run_controls = np.add.reduceat(1 - is_case, starts)
    below = np.cumsum(run_controls) - run_controls
    above = cases - np.cumsum(run_cases)
    run = np.cumsum(first) - 1
    wins = np.empty(y.size, dtype=np.int64)
    wins[order] = np.where(is_case == 1, (2 * below + run_controls)[run], (2 * above + run_cases)[run])
    return Placements(y, wins, cases, controls)


def as_outcome(outcome: ArrayLike) -> Bools:
    """The outcomes as booleans, or `InputError` naming the first that is neither 0 nor 1."""
    values = as_numbers(outcome, "outcome")
    wrong = np.flatnonzero((values != 0.0) & (values != 1.0))
    if wrong.size:
        found = f"{wrong.size} outcomes are neither 0 nor 1, the first is {values[wrong[0]]} in row {wrong[0]}"
        raise InputError(
            found, where="outcome", expected="0 or 1", fix="take unlabelled and void rows out, and count them"
        )
    return np.asarray(values == 1.0, dtype=np.bool_)


def as_scores(score: ArrayLike, name: str, *, rows: int) -> Floats:
    """The scores as float64, one for each of `rows` rows and none of them NaN, or `InputError` naming the first."""
    values = as_numbers(score, name)
    if values.size != rows:
        raise InputError(
            f"there are {values.size} values for {rows} outcomes", where=name, expected="one for each outcome"
        )
    wrong = np.flatnonzero(np.isnan(values))
    if wrong.size:
        raise InputError(f"{wrong.size} values are NaN, the first in row {wrong[0]}", where=name, expected="a number")
    return values


def as_numbers(values: ArrayLike, name: str) -> Floats:
    """A flat array of float64, or `InputError`; None becomes NaN."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"these are not all numbers: {error}", where=name, expected="an array of numbers") from error
    if numbers.ndim != 1:
        raise InputError(f"the array has {numbers.ndim} dimensions", where=name, expected="one value a row")
    return numbers


def outcome_and_probability(outcome: ArrayLike, probability: ArrayLike) -> tuple[Bools, Floats]:
    y = as_outcome(outcome)
    p = as_scores(probability, "probability", rows=y.size)
    wrong = np.flatnonzero((p < 0.0) | (p > 1.0))
    if wrong.size:
        found = f"{wrong.size} probabilities are outside [0, 1], the first is {p[wrong[0]]} in row {wrong[0]}"
        raise InputError(found, where="probability", expected="a number between 0 and 1", fix="calibrate the raw score")
    return y, p


def _mean(losses: Floats) -> float:
    if not losses.size:
        raise NotEnough("there are no rows", where="outcome", expected="at least one")
    return math.fsum(losses.tolist()) / losses.size
