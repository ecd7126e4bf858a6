"""Splits in time: each fold is scored on rows that were asked after everything it was trained on was known.

A random split lets a model learn from the days it is graded on, and from labels that were not there yet. Here the rows
are ordered by when they were asked and cut into `folds` + 1 parts of about as many rows. Fold k is scored on part
k + 1; it is trained on the rows before whose labels had matured, and an embargo had passed, when that part began.

    ok      at + maturity + embargo <= the first T that is scored
    not ok  the row of an hour before, whose label came a day later
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """The rows that are trained on, and those that are scored, by their places."""

    train: Ints
    test: Ints


def time_folds(
    at: Ints, maturity: int, folds: int, *, embargo: int = 0, groups: npt.NDArray[np.generic] | None = None
) -> list[Fold]:
    """The folds of rows asked at `at` (microseconds), the earliest first.

    maturity: microseconds from T until a label is known
    groups:   by row; rows of a group that is scored are not trained on

    Raises `InputError` where a fold has nothing to train on or to score.
    """
    order = np.argsort(at, kind="stable")
    times = at[order]
    cuts = [int(times.searchsorted(times[len(times) * k // (folds + 1)])) for k in range(1, folds + 1)]
    out = list(_folds(order, times, [*cuts, len(times)], maturity + embargo, groups))
    if any(not len(one.train) or not len(one.test) for one in out):
        raise InputError(
            f"{len(at):,} rows cannot be split into {folds} folds, each trained on labels that were known before it",
            expected="a longer history, or fewer folds",
            fix="ingest a longer history, or say Tuning(folds=...) with fewer",
        )
    return out


def _folds(
    order: Ints, times: Ints, cuts: list[int], wait: int, groups: npt.NDArray[np.generic] | None
) -> Iterator[Fold]:
    for begin, end in pairwise(cuts):
        test = order[begin:end]
        if not len(test):
            yield Fold(test, test)
            continue
        train = order[: min(int(times.searchsorted(times[begin] - wait, "right")), begin)]
        if groups is not None:
            train = train[~np.isin(groups[train], np.unique(groups[test]))]
        yield Fold(np.sort(train), np.sort(test))
