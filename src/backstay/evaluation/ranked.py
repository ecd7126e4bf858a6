"""How good a **ranking** is at its top: average precision, and precision and recall among the k highest scores.

The AUC asks about all pairs, also of the rows that nobody will look at. Where outcome 1 is rare, a useless list of
alarms can have an AUC of 0.95; these metrics are about the list. A model that knows nothing has the share of outcomes
that are 1 as its average precision and as its precision at every k: each is read beside that share, and its **lift** is
how many times that it is.

Equal scores have no order. What a list of k rows holds when it ends among equal scores is taken on average over their
orders (McSherry and Najork 2008).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.cuts import Cuts, all_cuts
from backstay.evaluation.interval import NotEnough


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


def hits_at(cuts: Cuts, k: int) -> float:
    """How many of the k highest have outcome 1, on average over the orders of equal scores."""
    if not 1 <= k <= cuts.rows:
        raise InputError(f"k is {k}", where="k", expected=f"from 1 to the number of rows, which is {cuts.rows}")
    place = int(np.searchsorted(cuts.flagged, k))  # the first cut that flags k rows or more
    before, found = (int(cuts.flagged[place - 1]), int(cuts.hits[place - 1])) if place else (0, 0)
    share = (k - before) / (int(cuts.flagged[place]) - before)
    return found + share * (int(cuts.hits[place]) - found)


def _cases(cuts: Cuts) -> int:
    if not cuts.cases:
        raise NotEnough("no row has outcome 1", where="outcome", expected="at least one to find")
    return cuts.cases
