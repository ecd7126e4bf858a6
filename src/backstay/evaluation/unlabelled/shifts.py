"""How the rows differ from the reference: by importance **weights**, or by another **prevalence** alone.

Weights are the ratio of two densities, window over reference, by the odds of a logistic regression that tells the one
from the other (Bickel, Brückner and Scheffer 2009). It sees each column in bins, so that no outlier, no unit and no
missing value carries it away, and a few rows of either side are assumed in every bin, so that few rows say little.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from backstay.core.errors import InputError
from backstay.evaluation.influence import Linear, linear_variance
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.logistic import expits, greatest_likelihood

Floats = NDArray[np.float64]

BINS, ROWS_A_BIN = 8, 30
"""Bins of a column at the most, and rows of the window for each."""
ASSUMED = 8.0
"""Rows that are assumed in each bin, parted between the sides as all rows are."""
FITTED = 30_000
"""Rows of either side that the regression is fitted to; the others are only weighed."""
STEPS = 100


def importance(reference: Floats, window: Floats) -> Floats:
    """How often each row of the reference, shape (rows, columns), stands for one of the window; the mean is 1.

    Raises `InputError` for another number of columns, `NotEnough` where the two have nothing in common.

    >>> random = np.random.default_rng(0)
    >>> before, after = random.normal(0, 1, (4_000, 1)), random.normal(0.5, 1, (2_000, 1))
    >>> weights = importance(before, after)
    >>> round(float(np.average(before[:, 0], weights=weights)), 1), round(effective(weights)) < 4_000
    (0.5, True)
    """
    if reference.shape[1] != window.shape[1]:
        found = f"the reference has {reference.shape[1]} columns, the window {window.shape[1]}"
        raise InputError(found, where="vector", expected="the same features")
    bins = max(min(BINS, window.shape[0] // ROWS_A_BIN), 2)
    edges = [_edges(reference[:, column], window[:, column], bins) for column in range(reference.shape[1])]
    known = _flags(reference, edges)
    some, other = known[:: max(len(known) // FITTED, 1)], _flags(window[:: max(len(window) // FITTED, 1)], edges)
    share = len(other) / (len(some) + len(other))
    alone = np.column_stack([np.ones(known.shape[1] - 1), np.eye(known.shape[1] - 1)])
    design = np.vstack([some, other, alone])
    target = np.concatenate([np.zeros(len(some)), np.ones(len(other)), np.full(len(alone), share)])
    counts = np.concatenate([np.ones(len(some) + len(other)), np.full(len(alone), ASSUMED)])
    fitted = greatest_likelihood(design, target, ridge=1e-9, counts=counts)
    if fitted is None:
        raise NotEnough("the window's rows are unlike all of the reference", where="vector", expected="some alike")
    odds = known @ fitted[0]
    weights = np.exp(odds - odds.max())
    return np.asarray(weights / weights.mean(), np.float64)


def effective(weights: Floats) -> float:
    """Kish's (1965) effective rows: so many rows of equal weight would tell as much."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def prevalence(r: Floats, q: Floats, clusters: NDArray[np.intp] | None) -> tuple[float, float]:
    """The prevalence of greatest likelihood of the window, and its variance over clusters.

    r, q: each row's likelihood as one of outcome 1, and of outcome 0, up to a factor of its own: p / prevalence and
    (1 - p) / (1 - prevalence) of the reference. The likelihood is concave, and its maximum is where the EM algorithm of
    Saerens, Latinne and Decaestecker (2002) ends. It is found by bisection.
    """
    low, high = 1e-9, 1.0 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2.0
        slope = float(((r - q) / (middle * r + (1.0 - middle) * q)).sum())
        low, high = (middle, high) if slope > 0.0 else (low, middle)
    found = (low + high) / 2.0
    pull = (r - q) / (found * r + (1.0 - found) * q)
    information = math.fsum(np.square(pull).tolist())
    if not information > 0.0:
        raise NotEnough("the scores do not tell the outcomes apart", where="scores", expected="scores that differ")
    return found, linear_variance(Linear(found, (pull - pull.mean()) / information), clusters)[0]


def by_decisions(
    decided: NDArray[np.bool_], outcome: NDArray[np.bool_], before: NDArray[np.bool_],
    clusters: NDArray[np.intp] | None,
) -> tuple[float, float]:  # fmt: skip
    """The same by the share of positive decisions (Lipton, Wang and Smola 2018): (share - fpr) / (tpr - fpr).

    decided: the window's decisions; outcome, before: outcomes and decisions of the reference
    """
    tpr, fpr = float(before[outcome].mean()), float(before[~outcome].mean())
    if tpr - fpr < 0.05:
        found = f"decisions are true of {tpr:.1%} of the cases and {fpr:.1%} of the others"
        raise NotEnough(found, where="threshold", expected="decisions that tell them apart")
    share = float(decided.mean())
    found_share = (share - fpr) / (tpr - fpr)
    cases = int(outcome.sum())
    spread = linear_variance(Linear(share, (decided - share) / decided.size), clusters)[0]
    spread += found_share**2 * tpr * (1.0 - tpr) / cases
    spread += (1.0 - found_share) ** 2 * fpr * (1.0 - fpr) / (outcome.size - cases)
    return min(max(found_share, 1e-6), 1.0 - 1e-6), spread / (tpr - fpr) ** 2


def moved(p: Floats, before: float, after: float) -> Floats:
    """The probabilities of rows whose prevalence was `before` and is `after`, all else the same (Elkan 2001)."""
    step = math.log(after / (1.0 - after)) - math.log(before / (1.0 - before))
    clipped = np.clip(p, 1e-12, 1.0 - 1e-12)
    return expits(np.log(clipped) - np.log1p(-clipped) + step)


def _edges(reference: Floats, window: Floats, bins: int) -> Floats:
    """The inner edges of a column's bins; a column of few values has one for each."""
    values = np.concatenate([reference[:: max(len(reference) // 20_000, 1)], window[:: max(len(window) // 20_000, 1)]])
    values = values[np.isfinite(values)]
    different = np.unique(values)
    if different.size <= 2 * bins:
        return different[1:]
    return np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))


def _flags(rows: Floats, edges: list[Floats]) -> Floats:
    """An intercept, and which bin each row is in, column by column, the first bin left out; missing is a bin."""
    columns = [np.ones((len(rows), 1))]
    for place, edge in enumerate(edges):
        values = rows[:, place]
        bin_of = np.where(np.isnan(values), edge.size + 1, np.searchsorted(edge, values, side="right"))
        columns.append((bin_of[:, None] == np.arange(1, edge.size + 2)).astype(np.float64))
    return np.hstack(columns)
