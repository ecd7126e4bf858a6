"""Metrics: known answers, ties, order, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation import NotEnough, auc, brier, log_loss, log_losses
from backstay.evaluation.metrics import CLIP, placements

RNG = np.random.default_rng(20240229)
OUTCOME = RNG.random(500) < 0.3
SCORE = np.clip(RNG.random(500).round(2) * 0.7 + 0.2 * OUTCOME, 0.01, 0.99)

rows = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40).filter(
    lambda pairs: len({outcome for outcome, _ in pairs}) == 2
)


def test_log_loss_is_the_mean_negative_log_likelihood() -> None:
    expected = -np.mean(stats.bernoulli.logpmf(OUTCOME, SCORE))
    assert log_loss(OUTCOME, SCORE) == pytest.approx(expected, rel=1e-12)


def test_brier_is_the_mean_square() -> None:
    assert brier(OUTCOME, SCORE) == pytest.approx(np.mean((SCORE - OUTCOME) ** 2), rel=1e-12)


def test_agree_with_scikit_learn() -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    assert auc(OUTCOME, SCORE) == pytest.approx(theirs.roc_auc_score(OUTCOME, SCORE), rel=1e-12)
    assert log_loss(OUTCOME, SCORE) == pytest.approx(theirs.log_loss(OUTCOME, SCORE), rel=1e-12)
    assert brier(OUTCOME, SCORE) == pytest.approx(theirs.brier_score_loss(OUTCOME, SCORE), rel=1e-12)


def test_auc_is_mann_whitney_with_ties() -> None:
    u = stats.mannwhitneyu(SCORE[OUTCOME], SCORE[~OUTCOME]).statistic
    assert auc(OUTCOME, SCORE) == pytest.approx(u / (OUTCOME.sum() * (~OUTCOME).sum()), rel=1e-12)


@given(rows)
def test_auc_counts_pairs_a_tie_counting_half(pairs: list[tuple[bool, int]]) -> None:
    cases = [score for outcome, score in pairs if outcome]
    controls = [score for outcome, score in pairs if not outcome]
    wins = sum((a > b) + (a == b) / 2 for a in cases for b in controls)
    outcome, score = zip(*pairs, strict=True)
    assert auc(outcome, score) == wins / (len(cases) * len(controls))


@given(rows)
def test_auc_turns_with_the_score_and_keeps_under_growing_functions(pairs: list[tuple[bool, int]]) -> None:
    outcome, score = (np.array(column) for column in zip(*pairs, strict=True))
    assert auc(outcome, -score) == pytest.approx(1 - auc(outcome, score))
    assert auc(outcome, np.exp(score)) == auc(outcome, score)
    assert auc(~outcome, score) == pytest.approx(1 - auc(outcome, score))


@given(rows)
def test_both_classes_win_the_same_pairs(pairs: list[tuple[bool, int]]) -> None:
    placed = placements(*zip(*pairs, strict=True))
    assert placed.wins[placed.outcome].sum() == placed.wins[~placed.outcome].sum()


@given(st.permutations(range(40)))
def test_the_order_of_rows_does_not_move_a_bit(order: list[int]) -> None:
    outcome, score = OUTCOME[:40], SCORE[:40]
    for metric in (auc, log_loss, brier):
        assert metric(outcome[order], score[order]) == metric(outcome, score)


def test_log_losses_are_clipped_where_it_is_said() -> None:
    assert log_losses([1, 0, 1], [0.0, 1.0, 1.0]) == pytest.approx([-math.log(CLIP), -math.log(CLIP), CLIP], rel=1e-6)


def test_takes_what_has_an_array() -> None:
    assert auc(pl.Series([0, 1, 1]), pl.Series([0.1, 0.2, 0.3], dtype=pl.Float32)) == 1.0


def test_auc_ranks_infinite_scores() -> None:
    assert auc([0, 1, 0, 1], [-math.inf, 0.0, 0.0, math.inf]) == 0.875


@pytest.mark.parametrize("outcome", [[0, 0], [1, 1], []])
def test_auc_of_one_class_is_not_a_half(outcome: list[int]) -> None:
    with pytest.raises(NotEnough, match="outcome"):
        auc(outcome, [0.1] * len(outcome))


@pytest.mark.parametrize("metric", [log_loss, brier])
def test_no_rows_have_no_mean(metric: object) -> None:
    with pytest.raises(NotEnough, match="no rows"):
        metric([], [])  # type: ignore[operator]


@pytest.mark.parametrize(
    ("outcome", "score", "message"),
    [
        ([0, 1], [0.1], "1 values for 2 outcomes"),
        ([0, 1], [0.1, math.nan], "1 values are NaN, the first in row 1"),
        ([0, 1], [0.1, None], "NaN"),
        ([0, math.nan], [0.1, 0.2], "neither 0 nor 1"),
        ([0, 0.3], [0.1, 0.2], "neither 0 nor 1, the first is 0.3 in row 1"),
        ([0, None], [0.1, 0.2], "neither 0 nor 1"),
        ([0, "late"], [0.1, 0.2], "not all numbers"),
        ([[0, 1]], [0.1, 0.2], "2 dimensions"),
    ],
)
def test_what_can_not_be_scored_is_refused(outcome: list[object], score: list[object], message: str) -> None:
    for metric in (auc, log_loss, brier):
        with pytest.raises(InputError, match=message):
            metric(outcome, score)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [1.2, -0.1, math.inf])
def test_losses_want_probabilities(wrong: float) -> None:
    for metric in (log_loss, brier):
        with pytest.raises(InputError, match="outside"):
            metric([0, 1], [0.5, wrong])
