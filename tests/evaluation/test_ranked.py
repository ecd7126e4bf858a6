"""Cuts, curves and the top of a ranking, against scikit-learn and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.cuts import all_cuts, curve, precision_recall_curve, roc_curve
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.ranked import (
    average_precision,
    average_precision_interval,
    linear_average_precision,
    linear_precision_at,
    linear_recall_at,
    precision_at,
    precision_at_interval,
    recall_at,
    recall_at_interval,
)

RNG = np.random.default_rng(11)
OUTCOME = RNG.random(3000) < 0.1
SCORE = (RNG.normal(size=3000) + OUTCOME).round(1)


def test_average_precision_agrees_with_scikit_learn() -> None:
    for score in (SCORE, RNG.random(3000), np.ones(3000)):
        assert average_precision(OUTCOME, score) == pytest.approx(theirs.average_precision_score(OUTCOME, score), 1e-12)


def test_curves_are_scikit_learns() -> None:
    precision, recall, threshold = theirs.precision_recall_curve(OUTCOME, SCORE)
    ours = precision_recall_curve(OUTCOME, SCORE)
    assert ours.y == pytest.approx(precision[:-1][::-1], rel=1e-12)
    assert ours.x == pytest.approx(recall[:-1][::-1], rel=1e-12)
    assert ours.threshold == pytest.approx(threshold[::-1])
    fpr, tpr, _ = theirs.roc_curve(OUTCOME, SCORE, drop_intermediate=False)
    roc = roc_curve(OUTCOME, SCORE)
    assert roc.x == pytest.approx(fpr[1:], rel=1e-12)
    assert roc.y == pytest.approx(tpr[1:], rel=1e-12)


def test_a_curve_is_thinned_and_keeps_its_ends() -> None:
    score = RNG.random(3000)
    whole, thin = precision_recall_curve(OUTCOME, score, points=10_000), precision_recall_curve(OUTCOME, score)
    assert len(whole.x) == 3000
    assert len(thin.x) <= 200
    assert (thin.x[0], thin.x[-1], max(thin.y), min(thin.y)) == (whole.x[0], 1.0, max(whole.y), min(whole.y))
    assert set(zip(thin.x, thin.y, thin.threshold, strict=True)) <= set(
        zip(whole.x, whole.y, whole.threshold, strict=True)
    )
    with pytest.raises(InputError, match="7 points"):
        curve(("x", "y"), score, score, score, points=7)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=12), st.integers(1, 12))
def test_at_k_is_the_mean_over_orders_of_equal_scores(rows: list[tuple[bool, int]], k: int) -> None:
    outcome, score = (np.array(column) for column in zip(*rows, strict=True))
    k = min(k, outcome.size)
    seen = []
    for seed in range(15):
        order = np.random.default_rng(seed).permutation(outcome.size)
        seen.append(outcome[order][np.argsort(-score[order], kind="stable")[:k]].sum())
    told = precision_at(outcome, score, k) * k
    assert min(seen) - 1e-9 <= told <= max(seen) + 1e-9
    if np.unique(score).size == outcome.size:
        assert told == pytest.approx(seen[0])
    if outcome.any():
        assert recall_at(outcome, score, k) == pytest.approx(told / outcome.sum())


def test_equal_scores_share_what_is_found() -> None:
    assert precision_at([1, 0, 0, 0], [1, 1, 1, 1], k=1) == 0.25
    assert recall_at([1, 0, 0, 0], [1, 1, 1, 1], k=2) == 0.5


def test_the_order_of_rows_does_not_move_a_bit() -> None:
    order = RNG.permutation(3000)
    for metric in (average_precision, lambda y, s: recall_at(y, s, 100)):
        assert metric(OUTCOME[order], SCORE[order]) == metric(OUTCOME, SCORE)
    assert precision_recall_curve(OUTCOME[order], SCORE[order]) == precision_recall_curve(OUTCOME, SCORE)


@pytest.mark.parametrize("metric", [average_precision, lambda y, s: recall_at(y, s, 1), precision_recall_curve])
def test_nothing_to_find_is_not_enough(metric: Any) -> None:
    with pytest.raises(NotEnough, match="no row has outcome 1"):
        metric([0, 0], [0.1, 0.2])
    with pytest.raises(NotEnough, match="no rows"):
        metric([], [])
    with pytest.raises(InputError, match="NaN"):
        metric([0, 1], [0.1, float("nan")])


def test_one_class_has_no_roc() -> None:
    with pytest.raises(NotEnough, match="outcome 0"):
        roc_curve([1, 1], [0.1, 0.2])


@pytest.mark.parametrize("k", [0, -1, 3])
def test_refuses_a_k_beyond_the_rows(k: int) -> None:
    with pytest.raises(InputError, match="k is"):
        precision_at([0, 1], [0.1, 0.2], k)


def test_cuts_count_each_row_once() -> None:
    cuts = all_cuts(OUTCOME, SCORE)
    assert np.bincount(cuts.run).tolist() == np.diff(cuts.flagged, prepend=0).tolist()
    assert (cuts.threshold[cuts.run] == SCORE).all()


def moved(metric: Any, outcome: Any, score: Any, row: int, step: float = 1e-6) -> float:
    """How a metric of weighted rows moves as one of them counts for more, by the difference quotient."""
    weight = np.ones(outcome.size)
    weight[row] += step
    return (metric(outcome, score, weight) - metric(outcome, score, np.ones(outcome.size))) / step


@pytest.mark.parametrize("row", [0, 7, 100, 299])
def test_influence_is_the_derivative_of_the_weighted_metric(row: int) -> None:
    """scikit-learn's average precision takes weights, so its derivative is what ours must be."""
    outcome, score = OUTCOME[:300], SCORE[:300]
    ours = linear_average_precision(outcome, score)

    def weighted(y: Any, s: Any, w: Any) -> float:
        return float(theirs.average_precision_score(y, s, sample_weight=w))

    assert ours.influence[row] == pytest.approx(moved(weighted, outcome, score, row), abs=1e-7)
    assert ours.influence.sum() == pytest.approx(0.0, abs=1e-12)


def test_influence_at_k_sums_to_nothing() -> None:
    for linear in (linear_recall_at(OUTCOME, SCORE, 100), linear_precision_at(OUTCOME, SCORE, 100)):
        assert linear.influence.sum() == pytest.approx(0.0, abs=1e-12)
    assert recall_at_interval(OUTCOME, SCORE, 100).estimate == recall_at(OUTCOME, SCORE, 100)
    assert precision_at_interval(OUTCOME, SCORE, 100).estimate == precision_at(OUTCOME, SCORE, 100)


def test_covers_at_five_percent_with_fifty_cases() -> None:
    """Two normal scores an AUC of 0.9 apart; the truths by numerical integration. 2,000 of each are in the bench."""
    apart, share, k, times = np.sqrt(2) * stats.norm.ppf(0.9), 0.05, 100, 300
    at = np.linspace(-8, 10, 100_001)
    tp, flagged = stats.norm.sf(at - apart), share * stats.norm.sf(at - apart) + (1 - share) * stats.norm.sf(at)
    here = int(np.argmin(np.abs(flagged - k / 1000)))
    truths = (
        np.trapezoid(share * tp / flagged * stats.norm.pdf(at - apart), at), tp[here], share * tp[here] / flagged[here]
    )  # fmt: skip
    rng, held = np.random.default_rng(8), []
    for _ in range(times):
        y = rng.random(1000) < share
        s = rng.normal(size=1000) + apart * y
        made = (average_precision_interval(y, s), recall_at_interval(y, s, k), precision_at_interval(y, s, k))
        held.append([one.low <= truth <= one.high for one, truth in zip(made, truths, strict=True)])
    assert (np.mean(held, axis=0) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / times)).all()


@pytest.mark.parametrize(
    "interval",
    [average_precision_interval, lambda y, s: recall_at_interval(y, s, 2), lambda y, s: precision_at_interval(y, s, 2)],
)
def test_what_ranks_nothing_has_no_interval(interval: Any) -> None:
    with pytest.raises(NotEnough, match="same score"):
        interval([0, 1, 1, 0], [0.5] * 4)
    with pytest.raises(InputError, match="NaN"):
        interval([0, 1, 1, 0], [0.5, 0.1, 0.2, float("nan")])


def test_a_ranking_without_a_mistake_has_no_interval_of_one_to_one() -> None:
    with pytest.raises(NotEnough, match="without a mistake"):
        average_precision_interval([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4])
    one = precision_at_interval([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 2)
    assert (one.estimate, one.high) == (1.0, 1.0)
    assert one.low < 0.2


def test_days_that_are_alike_widen_it() -> None:
    y, s = np.tile(OUTCOME[:300], 10), np.tile(SCORE[:300], 10)
    row, day = average_precision_interval(y, s), average_precision_interval(y, s, np.tile(np.arange(300), 10))
    assert day.high - day.low > 2.5 * (row.high - row.low)


def test_one_class_only() -> None:
    for interval in (average_precision_interval, lambda y, s: recall_at_interval(y, s, 2)):
        with pytest.raises(NotEnough):
            interval([0, 0, 0], [0.5, 0.1, 0.2])
    assert precision_at_interval([0, 0, 0], [0.5, 0.1, 0.2], 2).high == pytest.approx(0.842, abs=1e-3)  # 0 of 2, exact
