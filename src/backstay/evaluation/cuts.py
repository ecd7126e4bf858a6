"""A **cut** is a score from which on rows are flagged: all of the model's possible decisions, from few flagged to all.

Every curve is read from them: precision against recall, the ROC curve, cost by threshold. Equal scores are flagged
together, so a cut stands at each different score and the order of the rows does not matter.

>>> all_cuts([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4]).precision.round(4).tolist()
[1.0, 0.6667, 0.5]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import Floats, as_outcome, as_scores

Counts = NDArray[np.int64]
POINTS = 200
"""Points that a curve is drawn with, at the most."""


@dataclass(frozen=True, slots=True)
class Cuts:
    """What is flagged from each different score on, the highest first.

    threshold: the score, shape (cuts,): rows with this score or a higher one are flagged
    flagged:   how many rows those are; hits: how many of them have outcome 1
    run:       each row's cut in the order of the rows, shape (rows,)
    cases, rows: outcomes that are 1, and all of them
    """

    threshold: Floats
    flagged: Counts
    hits: Counts
    run: NDArray[np.intp]
    cases: int
    rows: int

    @property
    def precision(self) -> Floats:
        """The share of the flagged rows that have outcome 1, a cut."""
        return self.hits / self.flagged

    @property
    def recall(self) -> Floats:
        """The share of the rows with outcome 1 that are flagged, a cut; `NotEnough` where there are none."""
        if not self.cases:
            raise NotEnough("no row has outcome 1", where="outcome", expected="at least one to find")
        return self.hits / self.cases

    @property
    def false_positive_rate(self) -> Floats:
        """The share of the rows with outcome 0 that are flagged, a cut; `NotEnough` where there are none."""
        if self.cases == self.rows:
            raise NotEnough("no row has outcome 0", where="outcome", expected="at least one to spare")
        return (self.flagged - self.hits) / (self.rows - self.cases)


def all_cuts(outcome: ArrayLike, score: ArrayLike) -> Cuts:
    """The cuts of a score, by one sort. Raises `InputError` as `auc` does, `NotEnough` without rows."""
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    if not y.size:
        raise NotEnough("there are no rows", where="outcome", expected="at least one")
    order = np.argsort(-s)
    ranked = s[order]
    last = np.flatnonzero(np.concatenate((ranked[1:] != ranked[:-1], [True])))  # where each run of equal scores ends
    hits = np.cumsum(y[order], dtype=np.int64)[last]
    run = np.empty(y.size, dtype=np.intp)
    run[order] = np.repeat(np.arange(last.size), np.diff(last, prepend=-1))
    return Cuts(ranked[last] + 0.0, last.astype(np.int64) + 1, hits, run, int(hits[-1]), y.size)


@dataclass(frozen=True, slots=True)
class Curve(Shown):
    """Points of a curve from left to right, thinned so that a person can be shown them.

    x, y are called what `names` says; threshold is the score from which on rows are flagged at that point
    """

    names: tuple[str, str]
    x: tuple[float, ...]
    y: tuple[float, ...]
    threshold: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, each axis under its name; a threshold that is not finite (nothing is flagged) is None."""
        threshold = [value if math.isfinite(value) else None for value in self.threshold]
        return {self.names[0]: list(self.x), self.names[1]: list(self.y), "threshold": threshold}


def precision_recall_curve(outcome: ArrayLike, score: ArrayLike, points: int = POINTS) -> Curve:
    """Precision against recall, from the highest score down; errors as for `average_precision`.

    A model that knows nothing has the share of outcomes that are 1 as its precision everywhere.

    >>> precision_recall_curve([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4]).as_dict()["recall"]
    [0.5, 1.0, 1.0]
    """
    cuts = all_cuts(outcome, score)
    return curve(("recall", "precision"), cuts.recall, cuts.precision, cuts.threshold, points)


def roc_curve(outcome: ArrayLike, score: ArrayLike, points: int = POINTS) -> Curve:
    """Recall against the false positive rate, from the highest score down; errors as for `auc`.

    It begins with the first cut, not at (0, 0), where nothing is flagged.

    >>> roc_curve([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4]).as_dict()["recall"]
    [0.5, 1.0, 1.0]
    """
    cuts = all_cuts(outcome, score)
    names = ("false_positive_rate", "recall")
    return curve(names, cuts.false_positive_rate, cuts.recall, cuts.threshold, points)


def curve(names: tuple[str, str], x: Floats, y: Floats, threshold: Floats, points: int = POINTS) -> Curve:
    """At most so many of these points, evenly along both axes, always with the first, the last, the lowest and highest.

    Raises `InputError` for fewer than 8 points.
    """
    if points < 8:
        raise InputError(f"{points} points make no curve", where="points", expected="8 or more")
    if x.size > points:
        keep = {0, x.size - 1, int(np.argmin(y)), int(np.argmax(y))}
        way = np.zeros(x.size)
        for axis in (x, y):  # the length walked along the curve, each axis counting the same
            step = np.abs(np.diff(axis))
            way[1:] += np.cumsum(step) / max(float(step.sum()), 1e-300)
        even = np.searchsorted(way, np.linspace(0.0, way[-1], points - len(keep)))
        chosen = np.array(sorted(keep | set(np.minimum(even, x.size - 1).tolist())))
        x, y, threshold = x[chosen], y[chosen], threshold[chosen]
    return Curve(names, tuple(x.tolist()), tuple(y.tolist()), tuple(threshold.tolist()))
