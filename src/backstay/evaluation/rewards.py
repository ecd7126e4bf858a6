"""A plain **reward model**: what comes of a decision, by the score, where little is known of the rarer decision.

For each decision it says the mean reward by bins of the score, drawn to the decision's own mean as if by `PRIOR` rows
more. Each half of the entities is predicted by the other half: no row has learned from itself, as `doubly_robust` asks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
BINS, PRIOR = 10, 10.0


def cross_fitted(score: Floats, decision: Bools, reward: Floats, entity: NDArray[np.int64]) -> Floats:
    """What the model says of both decisions, shape (rows, 2): of `false` first.

    >>> rng = np.random.default_rng(0)
    >>> score, decision = rng.random(4_000), rng.random(4_000) < 0.1
    >>> said = cross_fitted(score, decision, score + decision, np.arange(4_000))
    >>> [round(float(one), 1) for one in said[score > 0.9].mean(axis=0)]
    [0.9, 1.8]
    """
    edges = np.unique(np.quantile(score, np.arange(1, BINS) / BINS)) if score.size else np.empty(0)
    place = np.searchsorted(edges, score, side="right")
    half = entity % 2 == 0
    out = np.zeros((score.size, 2))
    for mine in (half, ~half):
        for taken in (False, True):
            known = ~mine & (decision == taken)
            mean = float(reward[known].mean()) if known.any() else 0.0
            sums = np.bincount(place[known], weights=reward[known], minlength=edges.size + 1)
            counts = np.bincount(place[known], minlength=edges.size + 1)
            out[mine, int(taken)] = ((sums + PRIOR * mean) / (counts + PRIOR))[place[mine]]
    return out
