"""Quality of rows that count more or less: the AUC, log loss or Brier score under weights, with influences.

A row speaks for outcome 1 with the weight `ones` and for outcome 0 with the weight `zeros`. That covers both uses:

    a row stands for others         ones = w y, zeros = w (1 - y)
    a click stands for a relevance  ones = y / propensity, zeros = 1 - y / propensity: below 0 for a click that was
                                    unlikely to be seen, and right in the mean (Joachims, Swaminathan, Schnabel 2017)

Every function is linear in both weights, or a ratio of such, so that its influences are exact.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.influence import Linear, linear_variance
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import CLIP, as_numbers
from backstay.evaluation.quantiles import level_tails, student_quantile

Floats = NDArray[np.float64]

METRICS = ("auc", "log_loss", "brier")
LARGER = {"auc": True, "log_loss": False, "brier": False}
"""Whether larger is better."""


def weighted_quality(metric: str, score: ArrayLike, ones: ArrayLike, zeros: ArrayLike) -> Linear:
    """A metric of weighted rows, with the influence of each.

    metric: "auc", "log_loss" or "brier"; score: shape (rows,), a probability unless the metric is the AUC
    ones:   how much each row speaks for outcome 1, shape (rows,); zeros: for outcome 0. Any sign, finite

    Raises `InputError` for lengths that differ, values that are not finite or another metric, and `NotEnough` where
    the weights of either outcome do not sum to more than 0.

    >>> y = np.array([1.0, 0, 1, 0])
    >>> weighted_quality("auc", [0.8, 0.3, 0.4, 0.5], y, 1 - y).estimate
    0.75
    >>> round(weighted_quality("auc", [0.8, 0.3, 0.4, 0.5], y * [1, 1, 0.5, 1], 1 - y).estimate, 4)
    0.8333
    """
    s, a, b = as_numbers(score, "score"), as_numbers(ones, "ones"), as_numbers(zeros, "zeros")
    if metric not in METRICS:
        raise InputError(f"there is no metric {metric!r} here", where="metric", expected=", ".join(METRICS))
    if not s.size == a.size == b.size:
        found = f"there are {s.size} scores, {a.size} weights of outcome 1 and {b.size} of outcome 0"
        raise InputError(found, where="score", expected="one of each a row")
    if not (np.isfinite(s).all() and np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("a score or weight is not finite", where="score", expected="numbers")
    return _area(s, a, b) if metric == "auc" else _loss(metric, s, a, b)


def outcome_weights(outcome: ArrayLike, weight: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """What rows with known outcomes (0 or 1) speak for, each with its weight (None: 1 each).

    >>> [one.tolist() for one in outcome_weights([1, 0], [2.0, 3.0])]
    [[2.0, 0.0], [0.0, 3.0]]
    """
    y = as_numbers(outcome, "outcome")
    w = np.ones(y.size) if weight is None else as_numbers(weight, "weight")
    return w * y, w * (1.0 - y)


def gained(before: Linear, after: Linear, *, larger: bool) -> Linear:
    """By how much `after` is better than `before`, of the same rows: POSITIVE = better. Its influence is theirs."""
    sign = 1.0 if larger else -1.0
    return Linear(sign * (after.estimate - before.estimate), sign * (after.influence - before.influence))


def between(
    first: Linear, second: Linear, clusters: ArrayLike | None = None, others: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:  # fmt: skip
    """`first` less `second`, which are of different rows that do not lean on each other.

    clusters, others: of the rows of each, one label a row. Degrees of freedom are Welch's. `NotEnough` as for
    `linear_interval`.

    >>> y = np.array([1.0, 0, 1, 0, 1, 0])
    >>> one = weighted_quality("brier", [0.8, 0.3, 0.4, 0.5, 0.9, 0.1], *outcome_weights(y))
    >>> print(between(one, one))
    +0.0000 [-0.1871, +0.1871]
    """
    variance, df, groups = linear_variance(first, clusters)
    against, freedom, more = linear_variance(second, others)
    whole = variance + against
    if not whole > 0.0:
        raise NotEnough("the rows show no spread", where="first", expected="rows that differ")
    held = whole**2 / (variance**2 / df + against**2 / freedom)
    reach = student_quantile(level_tails(level)[1], held) * math.sqrt(whole)
    gap = first.estimate - second.estimate
    rows = first.influence.size + second.influence.size
    return Interval(gap, gap - reach, gap + reach, level, rows, groups + more)


def _area(s: Floats, a: Floats, b: Floats) -> Linear:
    """The share of pairs of two rows, one speaking for 1 and one for 0, in which the former has the higher score."""
    order = np.argsort(s, kind="stable")
    ranked = s[order]
    first = np.concatenate(([True], ranked[1:] != ranked[:-1])) if s.size else np.zeros(0, np.bool_)
    starts, run = np.flatnonzero(first), np.cumsum(first) - 1
    total_a, total_b = float(a.sum()), float(b.sum())
    same = a * b  # a row is no pair with itself
    pairs = total_a * total_b - float(same.sum())
    if not (total_a > 0.0 and total_b > 0.0 and pairs > 0.0):
        found = f"the weights of outcome 1 sum to {total_a:.4g} and those of outcome 0 to {total_b:.4g}"
        raise NotEnough(found, where="weights", expected="both above 0 to rank")
    run_a, run_b = np.add.reduceat(a[order], starts), np.add.reduceat(b[order], starts)
    below = (np.cumsum(run_b) - run_b + run_b / 2.0)[run]
    above = (total_a - np.cumsum(run_a) + run_a / 2.0)[run]
    beaten, beating = np.empty(s.size), np.empty(s.size)
    beaten[order], beating[order] = below, above
    beaten, beating = beaten - b / 2.0, beating - a / 2.0  # without the row itself, which ties with itself
    area = float(np.sum(a * beaten)) / pairs
    moved = a * (beaten - area * (total_b - b)) + b * (beating - area * (total_a - a))
    return Linear(area, moved / pairs)


def _loss(metric: str, s: Floats, a: Floats, b: Floats) -> Linear:
    if ((s < 0.0) | (s > 1.0)).any():
        raise InputError("a score is outside [0, 1]", where="score", expected="a probability", fix="calibrate it")
    total = float((a + b).sum())
    if not total > 0.0:
        raise NotEnough(f"the weights sum to {total:.4g}", where="weights", expected="above 0")
    if metric == "brier":
        lost = a * np.square(1.0 - s) + b * np.square(s)
    else:
        p = np.clip(s, CLIP, 1.0 - CLIP)
        lost = -a * np.log(p) - b * np.log1p(-p)
    mean = math.fsum(lost.tolist()) / total
    return Linear(mean, (lost - mean * (a + b)) / total)
