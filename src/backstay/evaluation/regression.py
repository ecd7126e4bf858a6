"""How far **predictions of a number** are off: MAE, RMSE and the pinball loss, with intervals.

The target is any finite number, the prediction one in the same unit, and so are MAE and RMSE. The pinball loss is for a
prediction of a quantile: 0.9 of the targets should lie below that of 0.9, and being below costs nine times as much as
being above.

    ok       mae_interval(target, prediction, clusters=day)      in minutes, over days
    not ok   comparing two MAEs of different rows                what makes a day hard must cancel

Smaller is better for all; a difference is POSITIVE where the candidate is better, as everywhere.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.influence import Linear, linear_difference, linear_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Floats, as_numbers

LOSSES = ("mae", "rmse", "pinball")
"""What predictions of a number can be compared on."""


def absolute_errors(target: ArrayLike, prediction: ArrayLike) -> Floats:
    """|target - prediction| of each row. `InputError` for lengths that differ or numbers that are not finite.

    >>> absolute_errors([1.0, 2.0], [1.5, 1.0]).tolist()
    [0.5, 1.0]
    """
    y, p = _pairs(target, prediction)
    return np.abs(y - p)


def pinball_losses(target: ArrayLike, prediction: ArrayLike, quantile: float = 0.5) -> Floats:
    """The pinball loss of each row (Koenker and Bassett 1978); at 0.5 it is half of the absolute error.

    >>> pinball_losses([1.0, 2.0], [1.5, 1.0], quantile=0.9).round(2).tolist()
    [0.05, 0.9]
    """
    if not 0.0 < quantile < 1.0:
        raise InputError(f"the quantile is {quantile}", where="quantile", expected="between 0 and 1, such as 0.9")
    y, p = _pairs(target, prediction)
    return np.maximum(quantile * (y - p), (quantile - 1.0) * (y - p))


def mae(target: ArrayLike, prediction: ArrayLike) -> float:
    """The mean absolute error, in the unit of the target; `NotEnough` without rows.

    >>> mae([1.0, 2.0], [1.5, 1.0])
    0.75
    """
    return _mean(absolute_errors(target, prediction))


def rmse(target: ArrayLike, prediction: ArrayLike) -> float:
    """The root of the mean squared error, in the unit of the target; `NotEnough` without rows.

    >>> round(rmse([1.0, 2.0], [1.5, 1.0]), 4)
    0.7906
    """
    return math.sqrt(_mean(np.square(absolute_errors(target, prediction))))


def pinball(target: ArrayLike, prediction: ArrayLike, quantile: float = 0.5) -> float:
    """The mean pinball loss, in the unit of the target; `NotEnough` without rows.

    >>> pinball([1.0, 2.0], [1.5, 1.0])
    0.375
    """
    return _mean(pinball_losses(target, prediction, quantile))


def mae_interval(
    target: ArrayLike, prediction: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The mean absolute error with its interval, by `mean_interval`."""
    return mean_interval(absolute_errors(target, prediction), clusters, level)


def pinball_interval(
    target: ArrayLike,
    prediction: ArrayLike,
    quantile: float = 0.5,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """The mean pinball loss with its interval, by `mean_interval`."""
    return mean_interval(pinball_losses(target, prediction, quantile), clusters, level)


def rmse_interval(
    target: ArrayLike, prediction: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The RMSE with its interval, on the scale of logarithms; `NotEnough` where every row is off by as much.

    >>> print(rmse_interval([1.0, 2.0, 3.0, 4.0], [1.5, 1.0, 3.2, 4.4]))
    +0.6021 [+0.2325, +1.5595]
    """
    return linear_interval(linear_rmse(target, prediction), clusters, level)


def linear_rmse(target: ArrayLike, prediction: ArrayLike) -> Linear:
    """The RMSE and the influence of each row, (e² - MSE) / (2 n RMSE); `NotEnough` where nothing is off."""
    squares = np.square(absolute_errors(target, prediction))
    mean = _mean(squares)
    if not mean:
        raise NotEnough(f"all {squares.size} predictions are the targets", where="prediction", expected="an error")
    root = math.sqrt(mean)
    return Linear(root, (squares - mean) / (2.0 * squares.size * root), "log")


def error_difference(
    target: ArrayLike,
    champion: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike | None = None,
    metric: str = "mae",
    level: float = 0.95,
    quantile: float = 0.5,
) -> Interval:
    """By how much the candidate is less off on the same rows, in the target's unit: POSITIVE = the candidate is better.

    metric: "mae", "rmse" or "pinball" (of `quantile`); another is an `InputError`.

    >>> print(error_difference([1.0, 2.0, 3.0], [1.5, 1.0, 3.5], [1.1, 2.0, 3.3]))
    +0.5333 [-0.5009, +1.5676]
    """
    if metric == "rmse":
        return linear_difference(
            linear_rmse(target, champion), linear_rmse(target, candidate), clusters, level, larger=False
        )
    if metric not in LOSSES:
        raise InputError(f"the metric is {metric!r}", where="metric", expected=f"one of {', '.join(LOSSES)}")
    if metric == "mae":
        gained = absolute_errors(target, champion) - absolute_errors(target, candidate)
    else:
        gained = pinball_losses(target, champion, quantile) - pinball_losses(target, candidate, quantile)
    return mean_interval(gained, clusters, level)


def _pairs(target: ArrayLike, prediction: ArrayLike) -> tuple[Floats, Floats]:
    y, p = as_numbers(target, "target"), as_numbers(prediction, "prediction")
    if y.size != p.size:
        found = f"there are {p.size} predictions for {y.size} targets"
        raise InputError(found, where="prediction", expected="one for each target")
    for values, name in ((y, "target"), (p, "prediction")):
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            found = f"{wrong.size} values are not finite, the first is {values[wrong[0]]} in row {wrong[0]}"
            raise InputError(found, where=name, expected="numbers")
    return y, p


def _mean(losses: Floats) -> float:
    if not losses.size:
        raise NotEnough("there are no rows", where="target", expected="at least one")
    return math.fsum(losses.tolist()) / losses.size
