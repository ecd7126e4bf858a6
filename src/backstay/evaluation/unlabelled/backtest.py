"""Estimates **backtested**: what was said without labels, held against what the labels said when they came."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.interval import Insufficient, Interval
from backstay.evaluation.quantiles import level_tails, student_quantile
from backstay.evaluation.unlabelled.estimate import Estimation


@dataclass(frozen=True, slots=True)
class Backtest(Shown):
    """How well estimates did.

    windows:        those with an estimate and labels; left_out: those without the one or the other
    mean_error:     the mean absolute error, in the metric's unit; None: there is no window
    bias:           the mean of estimate less realised: below 0 of an AUC, it was better than said
    coverage:       the share of windows whose realised value lies in the interval; `level`: what was promised
    sampling_error: the mean standard error of the realised values, from their own intervals: no estimate can be nearer
                    than that on average but for a factor of about 0.8; None: they came without
    """

    windows: int
    left_out: int
    mean_error: float | None
    bias: float | None
    coverage: float | None
    level: float | None
    sampling_error: float | None


def backtest(estimates: Sequence[Estimation], realised: Sequence[Interval | Insufficient | float | None]) -> Backtest:
    """How well estimates of one metric did, window by window; None or `Insufficient`: no labels came.

    Raises `InputError` for lengths that differ.

    >>> from backstay.evaluation.unlabelled import ScoredReference, estimate
    >>> random = np.random.default_rng(0)
    >>> score = random.beta(1, 3, 9_000)
    >>> happened = random.random(9_000) < score
    >>> reference = ScoredReference.of(happened[:5_000], score[:5_000])
    >>> windows = [slice(start, start + 1_000) for start in range(5_000, 9_000, 1_000)]
    >>> said = [estimate(reference, score[one], metric="prevalence") for one in windows]
    >>> found = backtest(said, [float(happened[one].mean()) for one in windows])
    >>> found.windows, found.coverage, round(found.mean_error, 3)
    (4, 1.0, 0.006)
    """
    if len(estimates) != len(realised):
        found = f"there are {len(estimates)} estimates and {len(realised)} realised values"
        raise InputError(found, where="realised", expected="one a window")
    gaps, inside, errors, levels = [], [], [], []
    for said, came in zip(estimates, realised, strict=True):
        if said.interval is None or came is None or isinstance(came, Insufficient):
            continue
        value = came.estimate if isinstance(came, Interval) else float(came)
        gaps.append(said.interval.estimate - value)
        inside.append(said.interval.low <= value <= said.interval.high)
        levels.append(said.interval.level)
        if isinstance(came, Interval):
            errors.append((came.high - came.low) / 2.0 / _reach(came))
    if not gaps:
        return Backtest(0, len(estimates), None, None, None, None, None)
    return Backtest(
        len(gaps),
        len(estimates) - len(gaps),
        float(np.mean(np.abs(gaps))),
        math.fsum(gaps) / len(gaps),
        float(np.mean(inside)),
        float(np.mean(levels)),
        float(np.mean(errors)) if errors else None,
    )


def _reach(interval: Interval) -> float:
    return student_quantile(level_tails(interval.level)[1], max(interval.clusters - 1, 1))
