"""Lists by query: NDCG against scikit-learn, the reciprocal rank over all orders of equal scores."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from backstay.core.errors import InputError
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.listwise import mrr, ndcg

RNG = np.random.default_rng(15)
QUERY = RNG.integers(0, 40, 600)
RELEVANCE = RNG.integers(0, 4, 600)
SCORE = (RELEVANCE + RNG.normal(0, 2, 600)).round()


@pytest.mark.parametrize("k", [None, 1, 3, 10])
def test_ndcg_is_scikit_learns_with_equal_scores(k: int | None) -> None:
    found = ndcg(RELEVANCE, SCORE, QUERY, k)
    for name, value in zip(found.query, found.value, strict=True):
        rows = name == QUERY
        assert value == pytest.approx(ndcg_score(RELEVANCE[None, rows], SCORE[None, rows], k=k), rel=1e-9)
    assert found.mean() == pytest.approx(found.value.mean(), rel=1e-12)


@pytest.mark.parametrize("relevance", [[0, 1, 0, 1], [0, 0, 0, 1], [1, 1, 1, 1], [0, 1, 1, 0]])
@pytest.mark.parametrize("score", [[1, 1, 1, 1], [2, 1, 1, 1], [2, 2, 1, 1], [4, 3, 2, 1]])
def test_mrr_is_the_mean_over_orders(relevance: list[int], score: list[int]) -> None:
    seen = []
    for order in permutations(range(4)):
        ranked = sorted(order, key=lambda row: -score[row])
        seen.append(1 / (1 + next(place for place, row in enumerate(ranked) if relevance[row])))
    assert mrr(relevance, score, ["q"] * 4).mean() == pytest.approx(np.mean(seen), rel=1e-12)


def test_queries_without_a_relevant_row_are_counted() -> None:
    for found in (ndcg([0, 0, 1], [3, 2, 1], ["a", "a", "b"]), mrr([0, 0, 1], [3, 2, 1], ["a", "a", "b"])):
        assert (found.query.tolist(), found.value.tolist(), found.skipped) == (["b"], [1.0], 1)
        with pytest.raises(NotEnough):
            found.interval()
    with pytest.raises(NotEnough, match="none of the 2 queries"):
        mrr([0, 0], [1, 2], ["a", "b"]).mean()


def test_the_interval_is_over_queries_or_what_they_belong_to() -> None:
    found = ndcg(RELEVANCE, SCORE, QUERY)
    assert found.interval().clusters == found.value.size
    assert found.interval(found.query // 4).clusters == 10


def test_the_order_of_rows_does_not_matter() -> None:
    order = RNG.permutation(600)
    for ask in (ndcg, mrr):
        first, second = ask(RELEVANCE, SCORE, QUERY), ask(RELEVANCE[order], SCORE[order], QUERY[order])
        assert first.value.tolist() == pytest.approx(second.value.tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("relevance", "score", "query"),
    [([-1.0], [1.0], ["a"]), ([1.0], [np.nan], ["a"]), ([1.0], [1.0], ["a", "b"]), ([np.inf], [1.0], ["a"])],
)
def test_refuses_what_is_no_list(relevance: Any, score: Any, query: Any) -> None:
    for ask in (ndcg, mrr):
        with pytest.raises(InputError):
            ask(relevance, score, query)
    with pytest.raises(InputError, match="k is 0"):
        ndcg([1.0], [1.0], ["a"], k=0)
    with pytest.raises(NotEnough, match="no rows"):
        ndcg([], [], [])
