"""Influences: what each row adds to a metric that is no mean over rows, so that it can be counted like one.

The **pseudo-value** of a row is the metric plus n times the row's influence, the derivative of the metric by its weight
(Jaeckel 1972, "The infinitesimal jackknife"). The mean of the pseudo-values is the metric itself, and their spread over
clusters is its standard error: `mean_interval` of them is an interval, and of two models' differences one of their
difference, paired row by row. That makes the average precision, the AUC and the recall as easy to compare as a log
loss, at the price of one sort, where a bootstrap needs thousands.

    ok       mean_interval(ap_values(late, new) - ap_values(late, old), day)     by how much AP grew, over days
    not ok   two intervals that overlap     the models share their hard days, and overlapping says nothing of them

With `folds`, each fold is ranked by itself, since its scores come from a model of its own, and the metric is the mean
of the folds' weighted by their positives. The order of the rows moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import Bools, Floats, as_outcome, as_scores, placements
from backstay.evaluation.ranked import average_precision, linear_average_precision

Ints = NDArray[np.int64]


def ap_values(outcome: ArrayLike, score: ArrayLike, folds: ArrayLike | None = None) -> Floats:
    """The pseudo-values of the average precision: the mean over positives of the precision at their score.

    Rows of one score stand together, as in scikit-learn's `average_precision_score`. Raises `InputError` as `auc` does,
    and `NotEnough` where a fold has no positive.

    >>> values = ap_values([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    >>> round(float(values.mean()), 6)  # (1/1 + 2/3) / 2
    0.833333
    """
    return _by_fold(outcome, score, folds, _ap)


def auc_values(outcome: ArrayLike, score: ArrayLike, folds: ArrayLike | None = None) -> Floats:
    """The pseudo-values of the AUC: those of the placements (DeLong et al. 1988). Errors as for `auc`, fold by fold.

    >>> float(auc_values([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4]).mean())
    0.875
    """
    return _by_fold(outcome, score, folds, _auc)


def recall_values(outcome: ArrayLike, score: ArrayLike, clusters: ArrayLike, k: int) -> Floats:
    """The pseudo-values of the recall at k: of all positives, the share that is among the k highest of its cluster.

    With days as clusters it is the recall of a team that looks at k rows a day. Where rows of one score share the last
    places, each is taken to have its share of them, so the order of the rows does not matter. Raises `InputError` for k
    below 1, `NotEnough` without positives.

    >>> late, score, day = [1, 0, 1, 1], [0.9, 0.8, 0.7, 0.6], [1, 1, 2, 2]
    >>> round(float(recall_values(late, score, day, k=1).mean()), 6)  # two of three
    0.666667
    """
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    if k < 1:
        raise InputError(f"k is {k}", where="k", expected="at least one row a cluster")
    if not y.any():
        raise NotEnough("no row has outcome 1", where="outcome", expected="at least one")
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    taken = _taken(s, codes, k)
    positives = float(np.count_nonzero(y))
    recall = float(np.sort(taken[y]).sum()) / positives
    return recall + y.size * np.where(y, taken - recall, 0.0) / positives


def _by_fold(
    outcome: ArrayLike, score: ArrayLike, folds: ArrayLike | None, ask: Callable[[Bools, Floats], tuple[float, Floats]]
) -> Floats:
    """Pseudo-values of the mean of the folds' metrics, weighted by their positives."""
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    codes = np.zeros(y.size, np.int64) if folds is None else np.unique(np.asarray(folds), return_inverse=True)[1]
    if codes.shape != y.shape:
        raise InputError(f"there are {codes.size} folds for {y.size} rows", where="folds", expected="one for each row")
    metric, influence, positives = 0.0, np.zeros(y.size), int(np.count_nonzero(y))
    for code in range(int(codes.max(initial=0)) + 1):
        rows = np.flatnonzero(codes == code)
        if not y[rows].any():
            raise NotEnough(f"fold {code + 1} has no row with outcome 1", where="outcome", expected="at least one")
        share = np.count_nonzero(y[rows]) / positives
        value, parts = ask(y[rows], s[rows])
        metric += share * value
        influence[rows] = share * parts
    return metric + y.size * influence


def _ap(y: Bools, s: Floats) -> tuple[float, Floats]:
    """The average precision, and its derivative by each row's weight."""
    try:
        found = linear_average_precision(y, s)
    except NotEnough:  # one score only, or no mistake: only the base rate moves it, or nothing does
        ap = average_precision(y, s)
        return ap, np.zeros(y.size) if ap == 1.0 else (y - ap) / y.size
    return found.estimate, found.influence


def _auc(y: Bools, s: Floats) -> tuple[float, Floats]:
    """The AUC, and its derivative by each row's weight."""
    placed = placements(y, s)
    case, control = placed.wins / (2.0 * placed.controls), placed.wins / (2.0 * placed.cases)
    area = placed.area
    return area, np.where(y, (case - area) / placed.cases, (control - area) / placed.controls)


def _taken(s: Floats, codes: NDArray[np.intp], k: int) -> Floats:
    """Of each row, the share that is among the k highest of its cluster."""
    order = np.lexsort((-s, codes))
    cluster, ranked = codes[order], s[order]
    new = np.concatenate(([True], (cluster[1:] != cluster[:-1]) | (ranked[1:] != ranked[:-1])))
    starts = np.flatnonzero(new)
    sizes = np.diff(np.concatenate((starts, [s.size])))
    before = starts - np.searchsorted(cluster, cluster[starts])
    shares = np.clip((k - before) / sizes, 0.0, 1.0)
    out = np.empty(s.size)
    out[order] = np.repeat(shares, sizes)
    return out
