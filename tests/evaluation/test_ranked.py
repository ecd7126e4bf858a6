"""Cuts, curves and the top of a ranking, against scikit-learn and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.cuts import all_cuts, curve, precision_recall_curve, roc_curve
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.ranked import average_precision, precision_at, recall_at

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


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=12), st.integers(1, 12))
def test_at_k_is_the_mean_over_orders_of_equal_scores(rows: list[tuple[bool, int]], k: int) -> None:
    outcome, score = (np.array(column) for column in zip(*rows, strict=True))
    k = min(k, outcome.size)
    seen = []
    for seed in range(30):
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
