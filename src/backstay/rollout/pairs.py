"""What a version would have said, beside what was answered: the same requests, the same features, two scores.

Scores, decisions, errors and the time that scoring took are compared here; whether the version is better is a question
for labels, and for `rollout.shadow`.

    differences   the candidate's score less the answered one: mean with interval, quantiles, the largest
    order         Spearman's and Kendall's (tau-b) rank correlation: do they put the same rows first?
    flips         rows on which the decision would have been another one, in which direction, by slice
    errors        rows for which there was no score, with their exact interval

An entity counts as one: its rows lean on each other, and a customer who asks a hundred times is one customer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval, share_difference, share_interval
from backstay.evaluation.interval import Estimate, Insufficient, estimated
from backstay.evaluation.shares import exact

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNKNOWN = -1
"""The outcome of a pair whose label is not mature, void, or not there."""
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
BINS = 32
"""Of each axis of the grid of scores."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the two, a value a pair.

    took:   microseconds of the batch that the row was scored in; 0: not measured
    served: when, in microseconds: rows of the same moment and time taken are one batch
    """

    score: Floats
    decision: Bools
    took: Ints
    served: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs in the order they were asked (`at`, microseconds), both scores finite.

    entity:  a number a row for the entity it is about; None: each row stands for itself
    outcome: 0, 1, or `UNKNOWN`
    """

    at: Ints
    champion: Side
    candidate: Side
    entity: Ints | None
    outcome: npt.NDArray[np.int8]

    def __post_init__(self) -> None:
        n = self.at.size
        columns = {
            "scores of the champion": self.champion.score, "decisions of the champion": self.champion.decision,
            "scores of the candidate": self.candidate.score, "decisions of the candidate": self.candidate.decision,
            "outcomes": self.outcome, "entities": self.at if self.entity is None else self.entity,
        }  # fmt: skip
        for name, column in columns.items():
            if column.size != n:
                raise InputError(f"there are {column.size} {name} for {n} pairs", where="pairs", expected="one a pair")
        if not (np.isfinite(self.champion.score).all() and np.isfinite(self.candidate.score).all()):
            raise InputError("a score is NaN or infinite", where="pairs", expected="pairs of two scores")
        if n > 1 and (np.diff(self.at) < 0).any():
            raise InputError("the pairs are not in the order they were asked", where="pairs", expected="at, rising")

    @property
    def rows(self) -> int:
        return int(self.at.size)


@dataclass(frozen=True, slots=True)
class Scores(Shown):
    """How far apart the scores are; a difference is the candidate's less the answered one.

    quantiles: of the differences, by share; largest: of their sizes; equal: the share of rows that both score alike
    spearman, kendall: rank correlations, -1 to 1; None where all rows are scored alike
    """

    champion: float
    candidate: float
    difference: Estimate
    quantiles: dict[str, float]
    largest: float
    equal: float
    spearman: float | None
    kendall: float | None


@dataclass(frozen=True, slots=True)
class Flips(Shown):
    """Rows on which the decision would have been another one.

    rate:     their share; to_true, to_false: in which direction, as counts
    net:      by how much the share of decisions that are `true` would be larger
    """

    name: str
    rows: int
    flipped: int
    to_true: int
    to_false: int
    rate: Estimate
    net: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Tries:
    """All rows that it was shown, in the order they were served, a value a row.

    failed: whether there was no score; served: rows of the same moment were one batch
    entity: a number a row for the entity it is about; None: each row stands for itself
    """

    failed: Bools
    served: Ints
    entity: Ints | None = None

    @property
    def losses(self) -> Floats:
        """By batch, the share of its entities without a score; of each entity its first row counts, and no other.

        What fails together counts together: a batch that broke is one failure, whatever its size.
        """
        first = np.arange(self.failed.size)
        if self.entity is not None:
            first = np.sort(np.unique(self.entity, return_index=True)[1])
        batches, batch = np.unique(self.served[first], return_inverse=True)
        counts = np.bincount(batch, minlength=batches.size)
        return np.asarray(np.bincount(batch, self.failed[first], minlength=batches.size) / np.maximum(counts, 1))

    @classmethod
    def alone(cls, scored: int, failed: int) -> Tries:
        """Rows that each stand for themselves."""
        n = scored + failed
        return cls(np.arange(n) >= scored, np.arange(n))


@dataclass(frozen=True, slots=True)
class Failures(Shown):
    """Rows for which there was no score, of all that it was shown; `rate` is exact. reasons: the commonest, counted.

    The interval takes rows as independent and is for one look; what fails a version is `rollout.shadow`'s own test.
    """

    shown: int
    failed: int
    rate: Estimate
    reasons: dict[str, int]


@dataclass(frozen=True, slots=True)
class Latency(Shown):
    """What scoring a batch took, in microseconds. ratio: of the medians, the candidate's to the champion's.

    It is told and not judged: a shadow's batches are others, and larger while there is much to do (`rows_a_batch`).
    """

    champion: dict[str, float]
    candidate: dict[str, float]
    ratio: float


def scores(pairs: Pairs, level: float) -> Scores | None:
    """How far apart the scores of pairs are; None without pairs."""
    if not pairs.rows:
        return None
    first, second = pairs.champion.score, pairs.candidate.score
    apart = second - first
    spearman, kendall = _ranks(first, second)
    return Scores(
        champion=float(first.mean()),
        candidate=float(second.mean()),
        difference=estimated(lambda: mean_interval(apart, pairs.entity, level), pairs.rows),
        quantiles={f"{q:g}": float(v) for q, v in zip(QUANTILES, np.quantile(apart, QUANTILES), strict=True)},
        largest=float(np.abs(apart).max()),
        equal=float(np.mean(apart == 0)),
        spearman=spearman,
        kendall=kendall,
    )


def _ranks(first: Floats, second: Floats) -> tuple[float | None, float | None]:
    if first.min() == first.max() or second.min() == second.max():
        return None, None
    from scipy.stats import kendalltau, rankdata  # loaded late, as all of SciPy is

    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1]), float(kendalltau(first, second).statistic)


def flips(name: str, pairs: Pairs, inside: Bools | None, level: float) -> Flips:
    """The flips among the pairs that are `inside`, or among all of them."""
    before, after = pairs.champion.decision, pairs.candidate.decision
    entity = pairs.entity
    if inside is not None:
        before, after, entity = before[inside], after[inside], None if entity is None else entity[inside]
    flipped, n = before != after, int(before.size)
    return Flips(
        name, n, int(flipped.sum()), int((after & ~before).sum()), int((before & ~after).sum()),
        estimated(lambda: share_interval(flipped, entity, level), n),
        estimated(lambda: share_difference(before, after, entity, level), n),
    )  # fmt: skip


def flips_by_slice(pairs: Pairs, slices: Mapping[str, Bools | str], level: float) -> tuple[Flips, ...]:
    """The same by slice; of one that can't be told, the reason."""
    out = []
    for name, inside in slices.items():
        if isinstance(inside, str):
            out.append(Flips(name, 0, 0, 0, 0, Insufficient(inside), Insufficient(inside)))
        else:
            out.append(flips(name, pairs, inside, level))
    return tuple(out)


def failures(scored: int, reasons: Sequence[str], level: float) -> Failures:
    """How often there was no score. reasons: why, one a row without."""
    shown = scored + len(reasons)
    rate = estimated(lambda: exact(len(reasons), shown, level), shown)
    return Failures(shown, len(reasons), rate, dict(Counter(reasons).most_common(5)))


def latency(pairs: Pairs) -> Latency | None:
    """What scoring took, by batch; None where it was not measured, as in a replay."""
    first, second = _batches(pairs.champion), _batches(pairs.candidate)
    if first is None or second is None:
        return None
    return Latency(first, second, second["median"] / first["median"])


def _batches(side: Side) -> dict[str, float] | None:
    known = side.took > 0
    if not known.any():
        return None
    batches, counts = np.unique(np.column_stack([side.served[known], side.took[known]]), axis=0, return_counts=True)
    median, high = np.quantile(batches[:, 1], (0.5, 0.99))
    return {
        "median": float(median), "p99": float(high), "batches": float(len(batches)),
        "rows_a_batch": float(counts.mean()),
    }  # fmt: skip


def grid(pairs: Pairs) -> dict[str, Any] | None:
    """How many pairs lie where: the answered score across, the candidate's up, in cells of equal size.

    low, high: of both axes; cells: place across, place up, pairs; those without a pair are left out
    """
    if not pairs.rows:
        return None
    first, second = pairs.champion.score, pairs.candidate.score
    low, high = float(min(first.min(), second.min())), float(max(first.max(), second.max()))
    high = high if high > low else low + 1.0
    places = [np.minimum(((one - low) / (high - low) * BINS).astype(np.int64), BINS - 1) for one in (first, second)]
    cells, counts = np.unique(places[0] * BINS + places[1], return_counts=True)
    told = [[cell // BINS, cell % BINS, count] for cell, count in zip(cells.tolist(), counts.tolist(), strict=True)]
    return {"low": low, "high": high, "bins": BINS, "cells": told}
