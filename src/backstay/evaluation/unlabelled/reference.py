"""A **scored reference**: rows with outcomes that the model did not learn from, which say what a score means.

What a score means is a curve from scores to probabilities, fitted with as many bends as the scarcer class can bear:

    fewer than 20 rows of it     none: `NotEnough`
    20 to 199                    a line on log-odds (Platt 1999)
    200 to 999                   a line that bends once
    1,000 or more                a line that bends five times

Targets are Platt's smoothed ones, so that a stretch of scores without a case sends no number to infinity. Unlike a step
function the curve has a covariance: the intervals of what rests on it know how little a small reference says. It is
fitted to the means of cells of scores, a thousandth of the rows each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.calibration.calibrator import log_odds
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.logistic import expits, greatest_likelihood
from backstay.evaluation.metrics import Bools, outcome_and_probability

Floats = NDArray[np.float64]

LEAST, BENDS = 20, {200: (0.5,), 1_000: (0.05, 0.25, 0.5, 0.75, 0.95)}
"""Rows of the scarcer class needed at all; from how many on the curve bends, and at which quantiles of the scores."""
CELLS = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """From scores to probabilities: the weights of `design`, and their covariance over clusters.

    knots: where it bends, on log-odds
    """

    weights: Floats
    covariance: Floats
    knots: tuple[float, ...]

    def said(self, score: Floats, moved: Floats | None = None) -> Floats:
        """The probabilities of these scores, shape (rows,); `moved`: with the weights so much higher."""
        weights = self.weights if moved is None else self.weights + moved
        return expits(design(log_odds(score), self.knots)[:, : len(weights)] @ weights)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredReference:
    """Rows with outcomes: those that a version was judged on, or any mature ones while it did well.

    outcome, score: 0 or 1 and a probability a row, shape (rows,)
    vector:         what the model saw, shape (rows, features), NaN where there was nothing; None: importance weights
                    know the score alone
    codes:          each row's cluster as a number; None: rows stand for themselves
    threshold:      a score at or above it is the decision true
    knots:          where the curve bends, on log-odds
    cells:          which of a thousand cells of scores each row is in
    plain:          the curve where each row counts once

    >>> random = np.random.default_rng(0)
    >>> score = random.uniform(0.05, 0.6, 5_000)
    >>> reference = ScoredReference.of(random.random(5_000) < score, score)
    >>> reference.outcome.size, len(reference.knots)
    (5000, 5)
    """

    outcome: Bools
    score: Floats
    vector: Floats | None
    codes: NDArray[np.intp] | None
    threshold: float
    knots: tuple[float, ...]
    cells: NDArray[np.intp]
    plain: Curve

    @classmethod
    def of(
        cls, outcome: ArrayLike, score: ArrayLike, vector: ArrayLike | None = None, clusters: ArrayLike | None = None,
        threshold: float = 0.5,
    ) -> ScoredReference:  # fmt: skip
        """The reference of these rows. `NotEnough` with fewer than 20 rows of a class, or fewer than two clusters;
        `InputError` for scores that are no probabilities, or lengths that differ."""
        y, s = outcome_and_probability(outcome, score)
        cases = int(np.count_nonzero(y))
        scarce = min(cases, y.size - cases)
        if scarce < LEAST:
            found = f"the reference has {cases} rows with outcome 1 and {y.size - cases} with outcome 0"
            raise NotEnough(found, where="outcome", expected=f"at least {LEAST} of each", fix="take a longer span")
        bends = [at for least, at in sorted(BENDS.items()) if scarce >= least]
        x = log_odds(s)
        knots = np.unique(np.quantile(x, bends[-1])) if bends else np.empty(0)
        inside = tuple(knots[(knots > x.min()) & (knots < x.max())].tolist())
        cells = np.searchsorted(np.unique(np.quantile(x, np.arange(1, CELLS) / CELLS)), x, side="right")
        matrix = None if vector is None else as_matrix(vector, y.size)
        codes, _ = cluster_codes(clusters, rows=y.size)
        plain = _curve(y, x, cells, codes, inside, None)
        return cls(y, s, matrix, codes, threshold, inside, cells, plain)

    @property
    def clusters(self) -> int:
        """How many clusters there are; of rows that stand for themselves, how many rows."""
        return self.outcome.size if self.codes is None else int(self.codes.max()) + 1

    def curve(self, counts: Floats | None = None) -> Curve:
        """What scores mean, if each row counts so often. `NotEnough` where a score parts the classes."""
        if counts is None:
            return self.plain
        return _curve(self.outcome, log_odds(self.score), self.cells, self.codes, self.knots, counts)


def design(x: Floats, knots: tuple[float, ...]) -> Floats:
    """The columns that a curve is a sum of, shape (rows, 2 + knots), of log-odds."""
    return np.column_stack([np.ones(x.size), x, *(np.maximum(x - knot, 0.0) for knot in knots)])


def _curve(
    y: Bools, x: Floats, cells: NDArray[np.intp], codes: NDArray[np.intp] | None, knots: tuple[float, ...],
    counts: Floats | None,
) -> Curve:  # fmt: skip
    cases = int(np.count_nonzero(y))
    target = np.where(y, (cases + 1.0) / (cases + 2.0), 1.0 / (y.size - cases + 2.0))
    each = np.ones(y.size) if counts is None else counts
    held = np.bincount(cells, weights=each).astype(np.float64)
    full = held > 0.0
    held = held[full]
    middles, shares = (np.bincount(cells, weights=each * one)[full] / held for one in (x, target))
    flat = x.min() == x.max()
    for bends in dict.fromkeys((knots, knots[len(knots) // 2 :][:1], ())):  # where weights leave no case, it bends less
        inside = design(middles, bends)[:, : 1 if flat else None]
        fitted = greatest_likelihood(inside, shares, counts=held)
        if fitted is not None:
            break
    else:
        found = "a score parts the outcomes of the reference without a mistake"
        raise NotEnough(found, where="score", expected="some mistake", fix="take a longer span")
    columns = design(x, bends)[:, : inside.shape[1]]
    weights, curvature = fitted
    pulls = columns * ((target - expits(columns @ weights)) * each)[:, None]
    if codes is not None:
        pulls = np.column_stack([np.bincount(codes, weights=one) for one in pulls.T])
    groups = pulls.shape[0]
    inverse = np.linalg.inv(curvature)
    covariance = inverse @ (pulls.T @ pulls) @ inverse * groups / (groups - 1)
    return Curve(weights, np.asarray(covariance, np.float64), bends)


def as_matrix(vector: ArrayLike, rows: int) -> Floats:
    """Feature values as float64 of shape (rows, features), or `InputError`."""
    try:
        matrix = np.asarray(vector, np.float64)
    except (TypeError, ValueError) as error:
        found = f"the vector is not all numbers: {error}"
        raise InputError(found, where="vector", expected="numbers, NaN where there is none") from error
    if matrix.ndim != 2 or matrix.shape[0] != rows:
        found = f"the vector has the shape {matrix.shape}"
        raise InputError(found, where="vector", expected=f"({rows}, features)")
    return matrix
