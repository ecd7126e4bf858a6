"""The decision curve: for each of some thresholds, how many rows are decided true, by cluster, rightly and wrongly.

Everything that a choice of threshold asks for is a sum over it; a bootstrap over clusters is one product of matrices.
Thresholds are taken where decisions change most: among the scores of the cases, and ever closer together towards the
highest scores, where rare outcomes are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import as_outcome, as_scores

Floats = NDArray[np.float64]

THRESHOLDS, BUNDLES = 512, 500
"""At the most: thresholds looked at; groups that clusters are bundled into, where there are more of them."""


@dataclass(frozen=True, slots=True)
class DecisionCurve:
    """Counts by bundle of clusters and threshold; a row is decided true from the threshold on.

    thresholds: rising, shape (k,); hits, alarms: cases and others decided true, shape (bundles, k)
    cases, others, rows: of each bundle, shape (bundles,); n: all rows; clusters: how many there were
    """

    thresholds: Floats
    hits: Floats
    alarms: Floats
    cases: Floats
    others: Floats
    n: int
    clusters: int

    @property
    def missed(self) -> Floats:
        """Cases that are not decided true, by bundle and threshold."""
        return self.cases[:, None] - self.hits

    def draws(self, count: int, seed: int) -> Floats:
        """How often each bundle is drawn in each of `count` bootstrap samples, shape (count, bundles)."""
        bundles = len(self.cases)
        rng = np.random.default_rng(seed)
        return rng.multinomial(bundles, np.full(bundles, 1 / bundles), count).astype(np.float64)


def decision_curve(
    outcome: ArrayLike, probability: ArrayLike, clusters: ArrayLike, also: Sequence[float] = ()
) -> DecisionCurve:
    """The curve of some rows; `also`: thresholds that are looked at in any case.

    `InputError` for NaN, `NotEnough` with one class or one cluster only.

    >>> found = decision_curve([0, 1, 1, 0], [0.1, 0.9, 0.4, 0.4], clusters=[1, 1, 2, 2])
    >>> found.thresholds.tolist(), found.hits.sum(0).tolist(), found.alarms.sum(0).tolist()
    ([0.1, 0.4, 0.9], [2.0, 2.0, 1.0], [2.0, 1.0, 0.0])
    """
    y = as_outcome(outcome)
    p = as_scores(probability, "probability", rows=y.size)
    if not y.any() or y.all():
        raise NotEnough(f"{int(y.sum())} of {y.size} rows have outcome 1", where="outcome", expected="both outcomes")
    codes, groups = cluster_codes(clusters, rows=y.size)
    assert codes is not None
    if groups > BUNDLES:
        codes = codes % BUNDLES
    bundles, grid = min(groups, BUNDLES), np.unique([*_grid(y, p), *also])
    place = np.searchsorted(grid, p, side="right")  # how many thresholds a row reaches
    cell = codes * (len(grid) + 1) + place
    size = bundles * (len(grid) + 1)
    found = [np.bincount(cell[member], minlength=size).reshape(bundles, -1) for member in (y, ~y)]
    reached = [np.cumsum(one[:, ::-1], axis=1)[:, ::-1][:, 1:].astype(np.float64) for one in found]
    cases, others = (one.sum(axis=1).astype(np.float64) for one in found)
    return DecisionCurve(grid, reached[0], reached[1], cases, others, int(y.size), groups)


def _grid(y: NDArray[np.bool_], p: Floats) -> Floats:
    distinct = np.unique(p)
    if len(distinct) <= THRESHOLDS:
        return distinct
    ranked, half = np.sort(p)[::-1], THRESHOLDS // 2
    ranks = np.unique(np.geomspace(1, len(ranked), half).astype(np.int64)) - 1
    among = np.quantile(p[y], np.linspace(0, 1, half), method="nearest")
    return np.unique(np.concatenate([ranked[ranks], among]))


def positive(value: float, name: str) -> float:
    """`value`, or `InputError` unless it is finite and above 0."""
    if not (np.isfinite(value) and value > 0):
        raise InputError(f"{name} is {value}", where=name, expected="a number above 0")
    return float(value)
