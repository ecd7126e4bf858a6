"""How good **lists** are: rows ranked within each query, a search or a person's recommendations.

Each query has one value, and the metric is their mean: a query with a hundred rows counts as one. Queries are taken as
independent, unless they are clustered further (the person who asks).

    ndcg   Järvelin and Kekäläinen (2002): the gains from the top down, each over log2(1 + rank), over the best possible
    mrr    Voorhees (1999): one over the rank of the first row that is relevant

A query without any relevant row has no best list: it is no 0 and no 1, so it is left out and counted. Equal scores have
no order; both metrics are taken on average over their orders (McSherry and Najork 2008).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Bools, Floats, as_numbers, as_scores


@dataclass(frozen=True, slots=True)
class ByQuery:
    """One value a query.

    query:   the labels of the queries that have one, sorted, shape (queries,); value: theirs, between 0 and 1
    skipped: queries without any relevant row
    """

    query: NDArray[Any]
    value: Floats
    skipped: int

    def mean(self) -> float:
        """Over the queries; `NotEnough` where none has a relevant row."""
        if not self.value.size:
            found = f"none of the {self.skipped} queries has a relevant row" if self.skipped else "there are no rows"
            raise NotEnough(found, where="relevance", expected="at least one")
        return math.fsum(self.value.tolist()) / self.value.size

    def interval(self, clusters: ArrayLike | None = None, level: float = 0.95) -> Interval:
        """The mean with its interval over queries; clusters: one label for each of `query`, of what leans together."""
        self.mean()  # refuses no queries
        return mean_interval(self.value, clusters, level)


@dataclass(frozen=True, slots=True)
class _Lists:
    """Rows sorted by query, then from the highest score down."""

    order: NDArray[np.intp]
    names: NDArray[Any]
    of: NDArray[np.intp]
    starts: NDArray[np.intp]
    rank: NDArray[np.intp]
    runs: NDArray[np.intp]


def ndcg(relevance: ArrayLike, score: ArrayLike, query: ArrayLike, k: int | None = None) -> ByQuery:
    """The normalised discounted cumulative gain of each query, of its first k rows or (None) of all.

    relevance: the gain of each row, 0 or more; for the exponential form give 2^relevance - 1. `InputError` for gains
    that are below 0 or not finite, NaN scores, lengths that differ, or a k below 1.

    >>> round(ndcg([3, 2, 0, 1], [0.9, 0.4, 0.8, 0.1], ["a", "a", "a", "b"]).mean(), 4)
    0.9693
    """
    gain, lists = _gains(relevance, score, query), _lists(score, query)
    if k is not None and k < 1:
        raise InputError(f"k is {k}", where="k", expected="1 or more, or None for the whole list")
    discount = 1.0 / np.log2(lists.rank + 2.0)
    if k is not None:
        discount[lists.rank >= k] = 0.0
    sizes = np.diff(lists.runs, append=gain.size)
    shared = np.add.reduceat(gain[lists.order], lists.runs) / sizes * np.add.reduceat(discount, lists.runs)
    found = np.bincount(lists.of[lists.runs], weights=shared, minlength=lists.names.size)
    best = gain[np.lexsort((-gain, lists.of[np.argsort(lists.order)]))]
    possible = np.add.reduceat(best * discount, lists.starts)
    some = possible > 0.0
    return ByQuery(lists.names[some], np.minimum(found[some] / possible[some], 1.0), int(np.count_nonzero(~some)))


def mrr(relevance: ArrayLike, score: ArrayLike, query: ArrayLike) -> ByQuery:
    """The reciprocal rank of each query's first relevant row: one whose relevance is above 0.

    >>> mrr([0, 1, 0, 1], [0.9, 0.4, 0.8, 0.1], ["a", "a", "a", "b"]).value.round(4).tolist()
    [0.3333, 1.0]
    """
    relevant, lists = _gains(relevance, score, query) > 0.0, _lists(score, query)
    hits = np.add.reduceat(relevant[lists.order].astype(np.int64), lists.runs)
    sizes = np.diff(lists.runs, append=relevant.size)
    hit_runs = np.flatnonzero(hits)
    owners, firsts = np.unique(lists.of[lists.runs[hit_runs]], return_index=True)
    first = hit_runs[firsts]  # each query's first run of equal scores that holds a relevant row
    before = lists.rank[lists.runs[first]]
    values = [
        _reciprocal(*one) for one in zip(before.tolist(), sizes[first].tolist(), hits[first].tolist(), strict=True)
    ]
    return ByQuery(lists.names[owners], np.array(values, np.float64), int(lists.names.size - owners.size))


def _reciprocal(before: int, size: int, hits: int) -> float:
    """The mean of 1 / rank of the first of `hits` among `size` rows in any order, after `before` others."""
    chance, left, total = hits / size, 1.0, []
    for place in range(size - hits + 1):
        total.append(left * chance / (before + place + 1))
        left *= 1.0 - chance
        chance = hits / (size - place - 1) if place + 1 < size else 1.0
    return math.fsum(total)


def _gains(relevance: ArrayLike, score: ArrayLike, query: ArrayLike) -> Floats:
    gain = as_numbers(relevance, "relevance")
    if not gain.size:
        raise NotEnough("there are no rows", where="relevance", expected="at least one")
    wrong = np.flatnonzero(~((gain >= 0.0) & np.isfinite(gain)))
    if wrong.size:
        found = f"{wrong.size} gains are no number from 0 up, the first is {gain[wrong[0]]} in row {wrong[0]}"
        raise InputError(found, where="relevance", expected="0 or more")
    as_scores(score, "score", rows=gain.size)
    if np.ndim(query) != 1 or np.size(query) != gain.size:
        found = f"there are {np.size(query)} queries for {gain.size} rows"
        raise InputError(found, where="query", expected="one label a row")
    return gain


def _lists(score: ArrayLike, query: ArrayLike) -> _Lists:
    values = np.asarray(score, np.float64)
    try:
        names, of = np.unique(np.asarray(query), return_inverse=True)
    except TypeError as error:
        raise InputError(f"queries can't be sorted: {error}", where="query", expected="labels of one type") from error
    order = np.lexsort((-values, of))
    ranked, owner = values[order], of[order]
    starts = np.searchsorted(owner, np.arange(names.size))
    rank = np.arange(values.size) - starts[owner]
    new: Bools = np.concatenate(([True], (ranked[1:] != ranked[:-1]) | (owner[1:] != owner[:-1])))
    return _Lists(order, names, owner, starts, rank, np.flatnonzero(new))
