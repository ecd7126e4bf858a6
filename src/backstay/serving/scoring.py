"""What a model says of some rows. It is the code of others: it may raise anything, or say anything.

Whoever asks a loaded version for scores asks here: the request core and its cache, shadows, batch scoring and parity.
So there is one place where it is seen to that a model has one score a row, and one that finds the rows it fails on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import nan

import numpy as np

from backstay.core.errors import BackstayError
from backstay.runtimes.scorer import Scorer, Scores, Vector

_PARTS = 4
_LONGEST = 200
"""Letters of why a version has no score, as it is written down with each row and told."""


def scored(scorer: Scorer, matrix: Vector) -> Scores:
    """The scores of some rows, one each, of which any may be NaN or infinite. Raises whatever the model raises."""
    found: Scores = np.asarray(scorer.score(matrix), np.float64)
    if found.shape != (len(matrix),):
        raise BackstayError(
            f"the model gave scores of shape {found.shape} for {len(matrix)} rows", where="model",
            expected="one a row", fix="mend the model, and train it again",
        )  # fmt: skip
    return found


def sound(found: Scores) -> bool:
    """Whether all scores are finite. Of finite ones beyond 1e300 it may say no: look at each then."""
    total: float = sum(found.tolist())  # of a few numbers, done before NumPy would have begun
    return total - total == 0.0


def apart(
    score: Callable[[Vector], Scores], matrix: Vector, bounds: Sequence[int], error: Exception
) -> tuple[Scores, dict[int, Exception]]:
    """The scores of groups of rows that fail together with `error`, as if each group were asked alone.

    Those of a group that fails alone are NaN, and its first row that fails is told, with its error.

    bounds: where each group begins, and where the last one ends

    What fails is asked in quarters: a group that fails costs four calls each time that they get smaller, and if all
    fail there are a third more calls than groups.
    """
    out, errors = np.full(len(matrix), nan), dict[int, Exception]()
    waiting = [(0, len(bounds) - 1, error)]
    while waiting:
        begin, end, why = waiting.pop()
        if end - begin == 1:
            if bounds[begin] < bounds[end]:
                place, errors[place] = _first(score, matrix, bounds[begin], bounds[end], why)
            continue
        step = -(-(end - begin) // _PARTS)
        for left in range(begin, end, step):
            right = min(left + step, end)
            rows = slice(bounds[left], bounds[right])
            try:
                out[rows] = score(matrix[rows])
            except Exception as new:  # noqa: BLE001 - a model raises what it likes
                waiting.append((left, right, new))
    return out, errors


def _first(
    score: Callable[[Vector], Scores], matrix: Vector, begin: int, end: int, why: Exception
) -> tuple[int, Exception]:  # fmt: skip
    """Of rows that fail together the first that does, by halves, with what it raises when it is asked alone."""
    several = end - begin > 1
    while end - begin > 1:
        middle = (begin + end) // 2
        try:
            score(matrix[begin:middle])
        except Exception as error:  # noqa: BLE001
            end, why = middle, error
        else:
            begin = middle
    if several:
        try:
            score(matrix[begin:end])
        except Exception as error:  # noqa: BLE001
            why = error
    return begin, why


def row_by_row(scorer: Scorer, matrix: Vector) -> tuple[Scores, dict[int, str]]:
    """The scores of all rows, whatever the model raises on some; and of each row that has no finite one, why."""
    if not len(matrix):
        return np.empty(0), {}
    score, errors = partial(scored, scorer), dict[int, Exception]()
    try:
        found = score(matrix)
    except Exception as error:  # noqa: BLE001
        found, errors = apart(score, matrix, range(len(matrix) + 1), error)
    whys = {place: said(error) for place, error in errors.items()}
    for place in np.flatnonzero(~np.isfinite(found)).tolist():
        whys.setdefault(place, no_number(found[place]))
    return found, whys


def said(error: Exception) -> str:
    """What a model raised, in one line."""
    text = error.what if isinstance(error, BackstayError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:_LONGEST]


def no_number(score: float) -> str:
    """What is wrong with a score that is not finite."""
    return f"the score is {'NaN' if score != score else 'infinite'}"
