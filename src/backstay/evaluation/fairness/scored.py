"""Scores of cells: how many rows of each outcome are at each height, for bands and thresholds alike.

Scores are put into up to 200 steps of like numbers of rows, at values that scores have; the model's own threshold is
one of them. Everything after works on these counts, whatever the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.fairness.cells import Floats, Ints, Partition
from backstay.evaluation.metrics import Bools

STEPS = 200
"""The most thresholds that are told apart."""


@dataclass(frozen=True, slots=True)
class Heights:
    """Where each row's score stands.

    edges: the thresholds, ascending; a row at step s is selected by the thresholds edges[:s] and by no other
    step:  of each row, 0 to len(edges)
    """

    edges: Floats
    step: NDArray[np.int64]


def heights(score: Floats, threshold: float, most: int = STEPS) -> Heights:
    """Put scores into steps.

    >>> found = heights(np.array([0.1, 0.5, 0.5, 0.9]), 0.5)
    >>> found.edges.tolist(), found.step.tolist()
    ([0.1, 0.5, 0.9], [1, 2, 2, 3])
    """
    ordered = np.sort(score)
    picked = ordered[np.unique(np.linspace(0, score.size - 1, most).astype(np.int64))]
    edges = np.unique(np.append(picked, threshold))
    return Heights(edges, np.searchsorted(edges, score, side="right"))


def by_step(partition: Partition, outcome: Bools, found: Heights) -> Ints:
    """How many rows of each outcome are at each step of each cell: shape (cells, steps, 2)."""
    cells, steps = len(partition.values), found.edges.size + 1
    place = (partition.code * steps + found.step) * 2 + outcome
    return np.bincount(place, minlength=cells * steps * 2).reshape(cells, steps, 2).astype(np.int64)


def mean_scores(partition: Partition, score: Floats) -> Floats | None:
    """Each cell's mean score; None where scores are no probabilities.

    Summed in whole steps of 2^-k, k from 32 to 40: exactly, so that the order of rows moves no bit.
    """
    if not score.size or float(score.min()) < 0.0 or float(score.max()) > 1.0:
        return None
    cells = len(partition.values)
    unit = 2.0 ** max(min(40, 52 - score.size.bit_length()), 20)
    summed = np.bincount(partition.code, weights=np.rint(score * unit), minlength=cells)
    return np.asarray(summed / unit / np.maximum(np.bincount(partition.code, minlength=cells), 1), np.float64)
