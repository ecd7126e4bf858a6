"""A **logistic regression** of a few columns, by Newton's method: what recalibration and calibrators are fitted by.

scikit-learn is no dependency of the core, and what is needed beside the weights is the curvature: the influence of a
row, and so every interval, comes of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS, HALVINGS, SLACK = 100, 40, 1e-12
LARGEST = 1e3
"""A weight beyond this grows for ever: the columns part the targets without a mistake."""


def greatest_likelihood(
    design: Floats, target: Floats, offset: Floats | None = None, *, ridge: float = 0.0, counts: Floats | None = None
) -> tuple[Floats, Floats] | None:
    """The weights of greatest likelihood, shape (columns,), and the curvature there, shape (columns, columns).

    design: shape (rows, columns); target: from 0 to 1, shape (rows,); offset: what is added before the curve, likewise
    ridge:  added to the curvature's diagonal: a tiny one bears columns that say the same, and hides that they do
    counts: for how many rows each row counts, of 0 or more; None: for one

    None where there are none: the targets are parted without a mistake, or a column says nothing that others do not.

    >>> weights, _ = greatest_likelihood(np.ones((4, 1)), np.array([0.0, 1, 1, 1]))
    >>> round(float(expits(weights)[0]), 12)
    0.75
    >>> greatest_likelihood(np.ones((4, 1)), np.ones(4)) is None
    True
    """
    known = np.zeros(len(target)) if offset is None else offset
    weights = np.zeros(design.shape[1])
    loss = _loss(design @ weights + known, target, counts)
    for _ in range(STEPS):
        said = expits(design @ weights + known)
        spread, gap = said * (1.0 - said), target - said
        if counts is not None:
            spread, gap = spread * counts, gap * counts
        curvature = (design * spread[:, None]).T @ design + ridge * np.eye(design.shape[1])
        try:
            step = np.linalg.solve(curvature, design.T @ gap)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(step).all():
            return None
        if float(np.abs(step).max()) < 1e-11 * (1.0 + float(np.abs(weights).max())):
            return weights + step, np.asarray(curvature, np.float64)
        for halvings in range(HALVINGS):
            tried = weights + step / 2**halvings
            new = _loss(design @ tried + known, target, counts)
            if new <= loss + SLACK * max(1.0, loss):  # near the end rounding says more than the step
                break
        weights, loss = tried, new
        if float(np.abs(weights).max()) > LARGEST:
            return None
    return None


def expits(x: Floats) -> Floats:
    """The probabilities of log-odds, without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small), np.float64)


def _loss(odds: Floats, target: Floats, counts: Floats | None) -> float:
    losses = np.logaddexp(0.0, odds) - target * odds
    return float(np.sum(losses if counts is None else losses * counts))
