"""Errors of predictions of numbers, against scikit-learn, and their differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.regression import (
    error_difference,
    linear_rmse,
    mae,
    mae_interval,
    pinball,
    pinball_interval,
    rmse,
    rmse_interval,
)

RNG = np.random.default_rng(14)
TARGET = RNG.gamma(2, 10, 1000)
PREDICTION = TARGET + RNG.normal(1, 5, 1000)
BETTER = TARGET + RNG.normal(0, 4, 1000)
DAY = np.arange(1000) // 25


def test_agree_with_scikit_learn() -> None:
    assert mae(TARGET, PREDICTION) == pytest.approx(theirs.mean_absolute_error(TARGET, PREDICTION), rel=1e-12)
    assert rmse(TARGET, PREDICTION) == pytest.approx(theirs.root_mean_squared_error(TARGET, PREDICTION), rel=1e-12)
    for quantile in (0.1, 0.5, 0.9):
        expected = theirs.mean_pinball_loss(TARGET, PREDICTION, alpha=quantile)
        assert pinball(TARGET, PREDICTION, quantile) == pytest.approx(expected, rel=1e-12)
        assert pinball_interval(TARGET, PREDICTION, quantile, DAY).estimate == pytest.approx(expected, rel=1e-12)


def test_rmse_covers() -> None:
    rng, held = np.random.default_rng(1), []
    for _ in range(300):
        one = rmse_interval(np.zeros(200), rng.normal(0, 2, 200))
        held.append(one.low <= 2 <= one.high)
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


def test_influence_is_the_derivative_of_the_weighted_rmse() -> None:
    ours, weight = linear_rmse(TARGET, PREDICTION), np.ones(1000)
    weight[3] += 1e-6
    moved = theirs.root_mean_squared_error(TARGET, PREDICTION, sample_weight=weight) - ours.estimate
    assert ours.influence[3] == pytest.approx(moved / 1e-6, abs=1e-7)


@pytest.mark.parametrize("metric", ["mae", "rmse", "pinball"])
def test_positive_means_the_candidate_is_better(metric: str) -> None:
    gain = error_difference(TARGET, PREDICTION, BETTER, DAY, metric)
    loss = error_difference(TARGET, BETTER, PREDICTION, DAY, metric)
    assert gain.low > 0
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low), rel=1e-9)
    same = error_difference(TARGET, BETTER, BETTER, DAY, metric)
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("target", "prediction"), [([1.0], [1.0, 2.0]), ([1.0, np.nan], [1.0, 2.0]), ([1.0, 2.0], [1.0, np.inf])]
)
def test_refuses_what_is_no_number(target: Any, prediction: Any) -> None:
    with pytest.raises(InputError):
        mae_interval(target, prediction)


def test_what_is_not_enough() -> None:
    for ask in (mae, rmse, rmse_interval, mae_interval):
        with pytest.raises(NotEnough):
            ask([], [])
    with pytest.raises(NotEnough, match="are the targets"):
        rmse_interval(TARGET, TARGET)
    with pytest.raises(InputError, match="quantile"):
        pinball(TARGET, PREDICTION, 1.0)
    with pytest.raises(InputError, match="accuracy"):
        error_difference(TARGET, PREDICTION, BETTER, metric="accuracy")
