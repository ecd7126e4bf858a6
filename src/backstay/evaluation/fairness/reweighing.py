"""Reweighing: sample weights with which group and outcome are independent in the training rows.

Kamiran and Calders (2012): the weight of a row of group g with outcome y is n_g n_y / (n n_gy), what its kind of row
would be if the two were independent over what it is. It needs the attribute when training and not when serving. It
changes what is learned, not what is true: scores are no longer calibrated to the base rates there are, and whether it
was worth it is seen on the frontier alone (`frontier.place`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.fairness.cells import Floats, Partition
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import as_outcome


def reweighing(partition: Partition, outcome: ArrayLike) -> Floats:
    """A weight a row, to be given as `sample_weight`; they come to the number of rows.

    Raises `NotEnough` where a group has one outcome only: no weight makes the other appear.

    >>> from backstay.evaluation.fairness.cells import partitions
    >>> groups = partitions({"sex": ["f", "f", "f", "m", "m", "m"]})[0]
    >>> reweighing(groups, [1, 0, 0, 1, 1, 0]).round(3).tolist()
    [1.5, 0.75, 0.75, 0.75, 0.75, 1.5]
    """
    y = as_outcome(outcome)
    if y.size != partition.code.size:
        raise InputError(f"{y.size} outcomes for {partition.code.size} rows", where="outcome", expected="one a row")
    cells = len(partition.values)
    both = np.bincount(partition.code * 2 + y, minlength=cells * 2).reshape(cells, 2)
    empty = np.flatnonzero((both == 0).any(axis=1))
    if empty.size:
        cell = int(empty[0])
        only = 0 if both[cell, 0] else 1
        raise NotEnough(
            f"all {int(both[cell].sum())} rows of {partition.cells[cell]} have outcome {only}",
            where=f"group {partition.cells[cell]!r}", expected="both outcomes in every group",
            fix="put it together with another group, or get more rows of it",
        )  # fmt: skip
    weight = both.sum(axis=1, keepdims=True) * both.sum(axis=0, keepdims=True) / (both.sum() * both)
    return np.asarray(weight[partition.code, y.astype(np.int64)], np.float64)
