"""Scoring times of two arms whose calls are of different sizes: a call with more rows takes longer, and nobody is slow.

A call is one batch that a version scored. What its rows cost is known to nobody, but for two things: more rows never
take less time, and at most in proportion. Neighbours in time, one of each arm, make a pair. The larger one is allowed
what its size explains at most, so that the mean of the pairs' differences is zero or less where the arms are equally
fast, whatever the sizes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PARTS = 8
"""Classes of size from one power of two to the next: up to 15 rows each size is a class of its own."""


def size_class(size: Ints) -> Ints:
    """The class of each size, in rows; 1 or more.

    >>> size_class(np.array([1, 2, 14, 15, 16, 17, 1_000, 1_020])).tolist()
    [0, 8, 30, 31, 32, 32, 79, 79]
    """
    return np.asarray(np.floor(PARTS * np.log2(np.maximum(size, 1))), np.int64)


def pairs(candidate: Bools, size: Ints, took: Ints, kind: Ints) -> tuple[Ints, Floats]:
    """Pairs of neighbours of one kind, one of each arm; calls in order. Of each pair the place of its later call, and
    by how much the candidate's took longer, as a logarithm, beyond what its size explains.

    Who is paired depends on arms, sizes and order, never on times, and a pair stays one when more calls come.

    >>> mine, kind = np.array([True, False, True, True, False]), np.zeros(5, np.int64)
    >>> later, gap = pairs(mine, np.array([2, 2, 3, 8, 4]), np.array([90, 90, 90, 200, 100]), kind)
    >>> later.tolist(), gap.tolist()
    ([1, 4], [0.0, 0.0])
    """
    order = np.argsort(kind, kind="stable")
    one, other = order[:-1], order[1:]
    apart = (kind[one] == kind[other]) & (candidate[one] != candidate[other])
    place = np.arange(apart.size)
    run = place - np.maximum.accumulate(np.where(apart, -1, place)) - 1  # how many before it in its run of alternations
    chosen = apart & (run % 2 == 0)
    one, other = one[chosen], other[chosen]
    mine, theirs = np.where(candidate[one], one, other), np.where(candidate[one], other, one)
    gap = np.log(took[mine] / took[theirs]) - np.maximum(0.0, np.log(size[mine] / size[theirs]))
    later = np.maximum(one, other)
    first = np.argsort(later, kind="stable")
    return later[first], gap[first]
