"""Rows unlike those of training: what requests bring that no training row had. The files must score them alike, too.

    missing      one input at a time, and all of them
    in between   values between two neighbours among those that were seen, and just beyond both ends
    far beyond   further out than all that was seen by as much as that spans

Of rows that the estimator refuses it is asked about a few: each takes a call of its own. What the estimator scores, the
files score. What it refuses (it raises) they give no score, NaN, or raise as well: trees
of an estimator that takes no missing values would otherwise send one down some branch, and nobody would ever know.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError
from backstay.runtimes import Scorer

Rows = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]

_SEEN = 10_000
_FEW = 16
"""Of how many rows of one kind an estimator that refuses some is asked."""
_TAKE = (
    "let the estimator take such values, as an encoder by handle_unknown= or an imputer before it does; or serve it as "
    'the pickle that it is: Model(..., runtime="sklearn-pickle", trust_code=True)'
)
_FAR_TOLERANCE = 10
"""How many times the tolerance holds far beyond: where values are larger than any that were seen, so is rounding."""


def refused_inputs(trained: Callable[[Rows], Any], scorer: Scorer, vector: Rows) -> list[int]:
    """The inputs (by place) without which the estimator refuses a row, though the files score it."""
    rows = _missing(vector)[: vector.shape[1]]
    scores = asked(scorer.score, rows)
    if not np.isfinite(scores).any():
        return []
    taken = asked(trained, rows)
    return np.flatnonzero(np.isnan(taken) & np.isfinite(scores)).tolist()


def compare_unlike(
    trained: Callable[[Rows], Any], scorer: Scorer, vector: Rows, tolerance: float, *, where: str, fix: str
) -> tuple[float, int]:
    """The largest difference of a score, over rows unlike the vector's; refused if too large."""
    near, far = _elsewhere(vector)
    worst, compared = 0.0, 0
    for rows, most in ((_missing(vector), 1), (near, 1), (far, _FAR_TOLERANCE)):
        rows = _few(trained, rows)
        taken, scores = asked(trained, rows), asked(scorer.score, rows)
        same = (taken == scores) | (np.isnan(taken) & ~np.isfinite(scores))
        differences = np.where(same, 0.0, np.abs(taken - scores))
        if not len(rows):
            continue
        place = int(np.argmax(differences))  # a NaN counts as the largest
        if not differences[place] <= tolerance * most:
            row = np.round(rows[place].astype(np.float64), 6).tolist()
            if np.isnan(taken[place]):
                fix = _TAKE
            raise BackstayError(
                f"a row unlike those of training, {row}, gets {_said(scores[place])} from the files, and "
                f"{_said(taken[place])} from the estimator",
                where=where,
                expected="the same of values that are missing, or that no training row had",
                fix=fix,
            )
        worst, compared = max(worst, float(differences[place])), compared + len(rows)
    return worst, compared


def _few(trained: Callable[[Rows], Any], rows: Rows) -> Rows:
    """All of the rows, or a few of them if the estimator refuses one."""
    if len(rows) <= _FEW or not np.isnan(_at_once(trained, rows)).any():
        return rows
    return rows[_places(len(rows), _FEW)]


def _at_once(score: Callable[[Rows], Any], rows: Rows) -> Scores:
    """The scores of rows; all of them NaN if one is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that it does not know, for one
            return np.asarray(score(rows), np.float64)
    except Exception:  # noqa: BLE001 - of any type: each estimator has its own
        return np.full(len(rows), np.nan)


def asked(score: Callable[[Rows], Any], rows: Rows) -> Scores:
    """The scores of rows, NaN where a row is refused: it raises, by itself as well."""
    if not len(rows):
        return np.empty(0)
    found = _at_once(score, rows)
    if len(rows) == 1 or not np.isnan(found).all():
        return found
    half = len(rows) // 2
    return np.concatenate([asked(score, rows[:half]), asked(score, rows[half:])])


def _said(score: float) -> str:
    return f"{score:.9g}" if np.isfinite(score) else "no score"


def _missing(vector: Rows) -> Rows:
    """A row for each input, in which it is missing, and one without any."""
    width = vector.shape[1]
    rows = vector[_places(len(vector), width + 1)].copy()
    rows[np.arange(width), np.arange(width)] = np.nan
    rows[width] = np.nan
    return rows


def _elsewhere(vector: Rows) -> tuple[Rows, Rows]:
    """For each input, rows with a value in between or just beyond, and rows with one that is far beyond."""
    near, far = [], []
    some = vector[np.unique(_places(len(vector), _SEEN))]
    for place in range(vector.shape[1]):
        seen = np.unique(some[:, place][np.isfinite(some[:, place])]).astype(np.float64)
        if not len(seen):
            continue
        gaps = np.diff(seen) if len(seen) > 1 else np.ones(1)
        span = seen[-1] - seen[0] + 1.0
        # Not halfway: there trees have their thresholds, where a last bit that a scaler rounds otherwise decides.
        middle = [seen[at] + 0.375 * gaps[at] for at in (0, len(gaps) // 2, len(gaps) - 1)]
        edges = [seen[0] - 0.375 * gaps[0], seen[-1] + 0.375 * gaps[-1]]
        near += _with(some, place, [*middle, *edges])
        far += _with(some, place, [seen[0] - span, seen[-1] + span])
    return _stacked(near, vector), _stacked(far, vector)


def _with(some: Rows, place: int, values: Sequence[float]) -> list[Rows]:
    rows = some[_places(len(some), len(values))].copy()
    largest = float(np.finfo(np.float32).max)  # beyond it is infinity, which no request brings
    rows[:, place] = np.clip(values, -largest, largest)
    return list(rows)


def _stacked(rows: Sequence[Rows], vector: Rows) -> Rows:
    return np.array(rows, np.float32) if len(rows) else vector[:0]


def _places(rows: int, count: int) -> npt.NDArray[np.int64]:
    """So many places, spread evenly."""
    return np.linspace(0, rows - 1, count).astype(np.int64)
