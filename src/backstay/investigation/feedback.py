"""Feedback: a model that is trained on what it chose itself comes to know only that, and to be sure of it.

Two signs, which are asked for together:

    exploration against exposed   on rows that it would not have chosen, and that a lot or a hold-out chose, it is worse
                                  than on those that it chose: what it was judged on flatters it (`exploration_gap`)
    concentration over retrains   from version to version its choices narrow to fewer items or a smaller share of all
                                  (`concentration`; Chaney, Stewart and Engelhardt 2018; Jiang et al. 2019)

Quality of everybody is then the mean of both by inverse chance, and it needs exploration that was logged: without a
chance below 1 nothing here can be told.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import Linear, linear_interval
from backstay.evaluation.interval import Estimate, Insufficient, Interval, estimated
from backstay.evaluation.metrics import as_numbers, as_outcome
from backstay.evaluation.quantiles import level_tails, student_quantile
from backstay.investigation.weighted import LARGER, between, gained, outcome_weights, weighted_quality

Floats = NDArray[np.float64]

ROWS = 30
"""Rows of each kind, below which nothing is told."""


@dataclass(frozen=True, slots=True)
class Exploration(Shown):
    """Quality on rows that the model chose, and on those that a lot chose.

    exposed, explored: the metric on each
    gap:               by how much it is better on those it chose, in the metric's unit: above 0, it flatters itself
    whole:             on everybody, by inverse chance; None where chances were not given
    flattered:         by how much the exposed rows' quality is better than everybody's, likewise
    """

    metric: str
    exposed: Estimate
    explored: Estimate
    gap: Estimate
    whole: Estimate | None
    flattered: Estimate | None


def exploration_gap(
    metric: str, outcome: ArrayLike, score: ArrayLike, explored: ArrayLike, *, chance: ArrayLike | None = None,
    clusters: ArrayLike | None = None, level: float = 0.95,
) -> Exploration:  # fmt: skip
    """Hold the quality on an exploration slice against that on the rows the model chose.

    metric:   "auc", "log_loss" or "brier"; outcome: 0 or 1, of labelled rows only; score: shape (rows,)
    explored: whether the row is there only because a lot turned its decision over, or holds it out, shape (rows,)
    chance:   with which probability the row's decision was taken, in (0, 1]

    `Insufficient` with fewer than 30 rows of either kind, or of one outcome only.

    >>> rng = np.random.default_rng(0)
    >>> truth, explored = rng.normal(size=3000), rng.random(3000) < 0.2
    >>> y, score = rng.random(3000) < 1 / (1 + np.exp(-2 * truth)), np.where(explored, rng.normal(size=3000), truth)
    >>> exploration_gap("auc", y, score, explored).gap.low > 0
    True
    """
    y, s, lot = as_outcome(outcome), as_numbers(score, "score"), np.asarray(explored, np.bool_)
    if not y.size == s.size == lot.size:
        raise InputError(
            f"there are {y.size} outcomes and {lot.size} marks", where="explored", expected="one each a row"
        )
    groups = None if clusters is None else np.asarray(clusters)
    parts: list[Linear | Insufficient] = []
    for member, name in ((~lot, "rows the model chose"), (lot, "rows a lot chose")):
        if member.sum() < ROWS:
            parts.append(Insufficient(f"there are {int(member.sum())} {name}; {ROWS} are needed", int(member.sum())))
            continue
        told = estimated(partial(weighted_quality, metric, s[member], *outcome_weights(y[member])), int(member.sum()))
        parts.append(told)
    sides = [None if groups is None else groups[member] for member in (~lot, lot)]
    shown = [
        one if isinstance(one, Insufficient) else estimated(partial(linear_interval, one, side, level))
        for one, side in zip(parts, sides, strict=True)
    ]
    gap = _difference(parts, sides, level, LARGER[metric])
    whole, flattered = (None, None) if chance is None else _whole(metric, y, s, lot, chance, groups, level)
    return Exploration(metric, shown[0], shown[1], gap, whole, flattered)


def _difference(parts: list[Any], sides: list[Any], level: float, larger: bool) -> Estimate:
    for one in parts:
        if isinstance(one, Insufficient):
            return one
    first, second = (parts[0], parts[1]) if larger else (parts[1], parts[0])
    clusters, others = (sides[0], sides[1]) if larger else (sides[1], sides[0])
    return estimated(lambda: between(first, second, clusters, others, level))


def _whole(
    metric: str, y: NDArray[np.bool_], s: Floats, lot: NDArray[np.bool_], chance: ArrayLike, groups: Any, level: float
) -> tuple[Estimate, Estimate]:
    c = as_numbers(chance, "chance")
    if c.size != y.size or not ((c > 0.0) & (c <= 1.0)).all():
        raise InputError("a chance is not in (0, 1]", where="chance", expected="what was logged, one a row")
    every = estimated(lambda: weighted_quality(metric, s, *outcome_weights(y, 1.0 / c)), y.size)
    chosen = estimated(lambda: weighted_quality(metric, s, *outcome_weights(y, (~lot).astype(np.float64))), y.size)
    if isinstance(every, Insufficient):
        return every, every
    whole = estimated(lambda: linear_interval(every, groups, level))
    if isinstance(chosen, Insufficient):
        return whole, chosen
    moved = gained(every, chosen, larger=LARGER[metric])
    return whole, estimated(lambda: linear_interval(moved, groups, level))


@dataclass(frozen=True, slots=True)
class Concentration(Shown):
    """How choices narrow from version to version.

    versions: in the order in which they were trained; rows: choices of each
    gini:     of each, how unequally choices fall on items: 0 equally, near 1 on one (of all items that any chose). Of
              few choices it is above 0 by chance alone, which `items` is not
    items:    of each, the effective number of items: one over the probability that two choices fall on the same
    trend:    by which share that probability changes from one version to the next, a line through its logarithms: above
              0, choices narrow
    """

    versions: tuple[Any, ...]
    rows: tuple[int, ...]
    gini: tuple[float, ...]
    items: tuple[float, ...]
    trend: Estimate


def concentration(item: ArrayLike, version: ArrayLike, *, level: float = 0.95) -> Concentration:
    """How unequally the choices of each version fall on items.

    item:    what was chosen: a product, a segment, a bin of a feature; one label a choice
    version: which version chose, one number a choice, in the order of training

    The probability that two choices fall on the same item, sum p^2 (Simpson 1949), is estimated without bias by
    sum n (n - 1) / N (N - 1), and has the variance of that U-statistic. `Insufficient` with fewer than three versions.
    Choices are taken as independent of each other.

    >>> rng = np.random.default_rng(0)
    >>> item = np.concatenate([rng.integers(0, 50, 2000), rng.integers(0, 25, 2000), rng.integers(0, 10, 2000)])
    >>> found = concentration(item, np.repeat([1, 2, 3], 2000))
    >>> [round(one) for one in found.items], found.trend.low > 0
    ([50, 25, 10], True)
    """
    labels, versions = np.asarray(item), np.asarray(version)
    if labels.size != versions.size:
        raise InputError(
            f"{labels.size} items, {versions.size} versions", where="version", expected="one each a choice"
        )
    names, which = np.unique(versions, return_inverse=True)
    known, codes = np.unique(labels, return_inverse=True)
    counts = np.bincount(which * known.size + codes, minlength=names.size * known.size)
    table: Floats = counts.reshape(names.size, known.size).astype(np.float64)
    total = table.sum(axis=1)
    pairs = np.maximum(total * (total - 1.0), 1.0)
    same = (table * (table - 1.0)).sum(axis=1) / pairs
    # First order of Hoeffding's decomposition, and the second, which is all there is where items are equally likely.
    first = 4.0 * (table * np.square((table - 1.0) / np.maximum(total - 1.0, 1.0)[:, None] - same[:, None])).sum(axis=1)
    variance = first / np.square(np.maximum(total, 1.0)) + 2.0 * same / pairs
    rows = tuple(int(one) for one in total)
    effective = np.divide(1.0, same, out=np.full(same.size, np.inf), where=same > 0.0)
    gini = tuple(_gini(one) for one in table)
    return Concentration(
        tuple(names.tolist()), rows, gini, tuple(effective.tolist()), _trend(same, variance, rows, level)
    )


def _gini(counts: Floats) -> float:
    ordered, k = np.sort(counts), counts.size
    return float(2.0 * np.sum(np.arange(1, k + 1) * ordered) / (k * ordered.sum()) - (k + 1) / k)


def _trend(same: Floats, variance: Floats, rows: tuple[int, ...], level: float) -> Estimate:
    if same.size < 3:
        return Insufficient(f"there are {same.size} versions; a trend needs three", sum(rows))
    if min(rows) < ROWS or not (same > 0.0).all():
        return Insufficient(f"a version has {min(rows)} choices, too few to fall on the same items", sum(rows))
    time = np.arange(same.size) - (same.size - 1) / 2.0
    weight = time / float(np.square(time).sum())
    slope, error = float(weight @ np.log(same)), math.sqrt(float(np.square(weight / same) @ variance))
    reach = student_quantile(level_tails(level)[1], math.inf) * error
    low, middle, high = (math.expm1(slope + sign * reach) for sign in (-1.0, 0.0, 1.0))
    return Interval(middle, low, high, level, sum(rows), same.size)
