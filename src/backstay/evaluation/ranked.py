"""How good a **ranking** is at its top: average precision, and precision and recall among the k highest scores.

The AUC asks about all pairs, also of the rows that nobody will look at. Where outcome 1 is rare, a useless list of
alarms can have an AUC of 0.95; these metrics are about the list. A model that knows nothing has the share of outcomes
that are 1 as its average precision and as its precision at every k: each is read beside that share, and its **lift** is
how many times that it is.

Their intervals are made from the influence of rows, the average precision's on log-odds and around what is left of it
without what each case adds to the precision at its own cut: of 20 cases it may be half as high again as the truth.
Those at k are exact intervals of a share (`share_by_influence`): k is a capacity, so the score that just fits in is
found anew in every sample, and that is counted. There is none where a class is missing, every score is the same, or no
pair is wrong.

Equal scores have no order. What a list of k rows holds when it ends among equal scores is taken on average over their
orders (McSherry and Najork 2008).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.clustered import share_by_influence
from backstay.evaluation.cuts import Cuts, all_cuts
from backstay.evaluation.influence import Linear, linear_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Floats, as_outcome


def average_precision(outcome: ArrayLike, score: ArrayLike) -> float:
    """The precision at each cut, weighted by the recall that it adds: Σ (R_i - R_{i-1}) P_i, in (0, 1].

    Nothing is interpolated (Davis and Goadrich 2006 say why). Raises `InputError` as `auc` does, `NotEnough` where no
    row has outcome 1.

    >>> round(average_precision([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4]), 4)
    0.8333
    """
    return cuts_average_precision(all_cuts(outcome, score))


def cuts_average_precision(cuts: Cuts) -> float:
    """The same of cuts that are made already."""
    _cases(cuts)
    gained = np.diff(cuts.hits, prepend=0)
    return math.fsum((gained * cuts.precision).tolist()) / cuts.cases


def precision_at(outcome: ArrayLike, score: ArrayLike, k: int) -> float:
    """The share with outcome 1 among the k rows with the highest scores; k is from 1 to the number of rows.

    Raises `InputError` as `auc` does and for another k; rows of one class are no obstacle.

    >>> precision_at([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4], k=2)
    0.75
    """
    return hits_at(all_cuts(outcome, score), k) / k


def recall_at(outcome: ArrayLike, score: ArrayLike, k: int) -> float:
    """The share of the rows with outcome 1 that are among the k with the highest scores; `NotEnough` without any.

    >>> recall_at([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4], k=2)
    0.75
    """
    cuts = all_cuts(outcome, score)
    return hits_at(cuts, k) / _cases(cuts)


def average_precision_interval(
    outcome: ArrayLike, score: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The average precision with its interval, over clusters or (None) rows that stand for themselves.

    `NotEnough` unless two clusters hold outcomes that are 1, where all scores are the same, and for a ranking without
    a mistake, whose interval would be [1, 1].

    >>> print(average_precision_interval([0, 1, 0, 1, 1, 0], [0.1, 0.8, 0.4, 0.3, 0.6, 0.2]))
    +0.9167 [+0.0543, +0.9992]
    """
    return linear_interval(linear_average_precision(outcome, score), clusters, level)


def linear_average_precision(outcome: ArrayLike, score: ArrayLike) -> Linear:
    """The average precision and the influence of each row, through its own cut and through the cuts below it.

    With P the precision, N the rows flagged and g the cases gained at a cut, and m cases in all, a row with outcome y
    adds (y (P - AP) + Σ (y - P) g / N) / m, the sum being over its own cut and those below.
    """
    y, cuts = as_outcome(outcome), all_cuts(outcome, score)
    whole, precision = cuts_average_precision(cuts), cuts.precision
    _ranks(cuts)
    if whole == 1.0:
        raise NotEnough("the ranking is without a mistake", where="score", expected="one, to tell how far it is off")
    share = np.diff(cuts.hits, prepend=0) / cuts.flagged
    itself = math.fsum((share * (1.0 - precision)).tolist()) / cuts.cases
    raised, lowered = (np.cumsum(part[::-1])[::-1] for part in (share, share * precision))
    moved = y * (precision[cuts.run] - whole + raised[cuts.run]) - lowered[cuts.run]
    return Linear(whole, moved / cuts.cases, "log_odds", among=y, bias=itself)


def recall_at_interval(
    outcome: ArrayLike, score: ArrayLike, k: int, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The recall at k with its interval: k of so many rows is the share that can be looked at.

    >>> print(recall_at_interval([0, 1, 0, 1, 1, 0], [0.1, 0.8, 0.4, 0.3, 0.6, 0.2], k=2))
    +0.6667 [+0.0943, +0.9916]
    """
    metric = linear_recall_at(outcome, score, k)
    return share_by_influence(metric, int(np.count_nonzero(as_outcome(outcome))), clusters, level)


def precision_at_interval(
    outcome: ArrayLike, score: ArrayLike, k: int, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The precision at k with its interval; as for `recall_at_interval`.

    >>> print(precision_at_interval([0, 1, 0, 1, 1, 0], [0.1, 0.8, 0.4, 0.3, 0.6, 0.2], k=2))
    +1.0000 [+0.1581, +1.0000]
    """
    return share_by_influence(linear_precision_at(outcome, score, k), k, clusters, level)


def linear_recall_at(outcome: ArrayLike, score: ArrayLike, k: int) -> Linear:
    """The recall at k and the influence of each row: (y f - R y - λ (f - k/n)) / m.

    f is whether the row is among the k, λ how often rows at the very end of the list have outcome 1: what a row more
    above it pushes out.
    """
    y, cuts = as_outcome(outcome), all_cuts(outcome, score)
    recall = hits_at(cuts, k) / _cases(cuts)
    among, last = _listed(cuts, k)
    moved = y * (among - recall) - last * (among - k / cuts.rows)
    return Linear(recall, moved / cuts.cases, "log_odds", among=y)


def linear_precision_at(outcome: ArrayLike, score: ArrayLike, k: int) -> Linear:
    """The precision at k and the influence of each row: (y f - P k/n - λ (f - k/n)) / k."""
    y, cuts = as_outcome(outcome), all_cuts(outcome, score)
    precision, part = hits_at(cuts, k) / k, k / cuts.rows
    among, last = _listed(cuts, k)
    return Linear(precision, (y * among - precision * part - last * (among - part)) / k, "log_odds", among=among > 0.0)


def hits_at(cuts: Cuts, k: int) -> float:
    """How many of the k highest have outcome 1, on average over the orders of equal scores."""
    if not 1 <= k <= cuts.rows:
        raise InputError(f"k is {k}", where="k", expected=f"from 1 to the number of rows, which is {cuts.rows}")
    place = int(np.searchsorted(cuts.flagged, k))  # the first cut that flags k rows or more
    before, found = (int(cuts.flagged[place - 1]), int(cuts.hits[place - 1])) if place else (0, 0)
    share = (k - before) / (int(cuts.flagged[place]) - before)
    return found + share * (int(cuts.hits[place]) - found)


def _listed(cuts: Cuts, k: int) -> tuple[Floats, float]:
    """How much of each row is among the k, and the share with outcome 1 around the end of the list."""
    _ranks(cuts)
    flagged = cuts.flagged[cuts.run]
    alike = np.diff(cuts.flagged, prepend=0)[cuts.run]
    among = np.clip((k - (flagged - alike)) / alike, 0.0, 1.0)
    around = max(10, math.isqrt(k))
    first, end = max(k - around, 0), min(k + around, cuts.rows)
    found = hits_at(cuts, end) - (hits_at(cuts, first) if first else 0.0)
    return among, found / (end - first)


def _ranks(cuts: Cuts) -> None:
    if cuts.threshold.size == 1:
        raise NotEnough("every row has the same score", where="score", expected="scores that rank the rows")


def _cases(cuts: Cuts) -> int:
    if not cuts.cases:
        raise NotEnough("no row has outcome 1", where="outcome", expected="at least one to find")
    return cuts.cases
