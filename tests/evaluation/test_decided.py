"""Decisions: counts, F measures and costs against scikit-learn, and what has no share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.decided import (
    Confusion,
    Costs,
    confusion,
    cost_curve,
    cost_interval,
    expected_cost,
    f_beta,
    f_beta_interval,
    linear_f_beta,
    mcnemar,
)
from backstay.evaluation.interval import NotEnough

RNG = np.random.default_rng(12)
OUTCOME = RNG.random(2000) < 0.2
SCORE = np.clip(RNG.normal(0.2, 0.1, 2000) + 0.1 * OUTCOME, 0, 1).round(2)
FLAGGED = SCORE >= 0.3


def test_agrees_with_scikit_learn() -> None:
    found = confusion(OUTCOME, FLAGGED)
    tn, fp, fn, tp = theirs.confusion_matrix(OUTCOME, FLAGGED).ravel()
    assert found == Confusion(tp, fp, fn, tn)
    assert found.recall == pytest.approx(theirs.recall_score(OUTCOME, FLAGGED), rel=1e-12)
    assert found.precision == pytest.approx(theirs.precision_score(OUTCOME, FLAGGED), rel=1e-12)
    assert found.accuracy == pytest.approx(theirs.accuracy_score(OUTCOME, FLAGGED), rel=1e-12)
    assert found.constant == max(OUTCOME.mean(), 1 - OUTCOME.mean())
    for beta in (0.5, 1.0, 2.0):
        assert f_beta(OUTCOME, FLAGGED, beta) == pytest.approx(
            theirs.fbeta_score(OUTCOME, FLAGGED, beta=beta), rel=1e-12
        )


def test_cost_is_a_weighted_mean() -> None:
    costs = Costs(2.0, 9.0, true_positive=-1.0, true_negative=0.5)
    weights = np.where(OUTCOME, np.where(FLAGGED, -1.0, 9.0), np.where(FLAGGED, 2.0, 0.5))
    assert expected_cost(OUTCOME, FLAGGED, costs) == pytest.approx(weights.mean(), rel=1e-12)
    by_threshold = cost_curve(OUTCOME, SCORE, costs)
    for threshold, cost in zip(by_threshold.threshold, by_threshold.y, strict=True):
        assert cost == pytest.approx(expected_cost(OUTCOME, threshold <= SCORE, costs), rel=1e-12)


def test_the_threshold_of_costs_is_where_both_decisions_cost_the_same() -> None:
    costs = Costs(2.0, 9.0, true_positive=-1.0, true_negative=0.5)
    p = costs.threshold
    flag, leave = p * -1.0 + (1 - p) * 2.0, p * 9.0 + (1 - p) * 0.5
    assert flag == pytest.approx(leave, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("recall", (0, 1, 0, 1)),
        ("precision", (0, 0, 1, 1)),
        ("false_positive_rate", (1, 0, 1, 0)),
        ("accuracy", (0, 0, 0, 0)),
        ("prevalence", (0, 0, 0, 0)),
        ("flagged", (0, 0, 0, 0)),
    ],
)
def test_a_share_of_nothing_is_not_enough(name: str, counts: tuple[int, int, int, int]) -> None:
    with pytest.raises(NotEnough):
        getattr(Confusion(*counts), name)


def test_nothing_flagged_and_nothing_to_flag_has_no_f() -> None:
    with pytest.raises(NotEnough):
        f_beta([0, 0], [0, 0])
    assert f_beta([0, 1], [0, 0]) == 0.0
    with pytest.raises(InputError, match="beta"):
        f_beta([0, 1], [0, 1], 0.0)


@pytest.mark.parametrize("decision", [[0.5, 1.0], [1.0], [float("nan"), 1.0]])
def test_refuses_what_is_no_decision(decision: Any) -> None:
    with pytest.raises(InputError, match="decision"):
        confusion([0, 1], decision)


@pytest.mark.parametrize("costs", [(0, 1), (1, 0), (float("inf"), 1), (1, 1, 2), (1, 1, 0, 1)])
def test_refuses_costs_that_no_model_helps_with(costs: Any) -> None:
    with pytest.raises(InputError, match="Costs"):
        Costs(*costs)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    other = np.clip(SCORE + RNG.normal(0, 0.1, 2000), 0, 1) >= 0.3
    found = mcnemar(OUTCOME, FLAGGED, other)
    gained = int(((other == OUTCOME) & (FLAGGED != OUTCOME)).sum())
    lost = int(((other != OUTCOME) & (FLAGGED == OUTCOME)).sum())
    assert (found.gained, found.lost) == (gained, lost)
    assert found.p_value == pytest.approx(stats.binomtest(gained, gained + lost).pvalue, rel=1e-9)
    assert found.difference.estimate == pytest.approx((gained - lost) / 2000, rel=1e-12)
    assert found.as_dict()["difference"]["clusters"] == 2000
    with pytest.raises(NotEnough, match="very same rows"):
        mcnemar(OUTCOME, FLAGGED, FLAGGED)


def test_cost_interval_is_that_of_the_mean() -> None:
    costs, day = Costs(1.0, 7.0), np.arange(2000) // 50
    one = cost_interval(OUTCOME, FLAGGED, costs, day)
    assert one.estimate == pytest.approx(expected_cost(OUTCOME, FLAGGED, costs), rel=1e-12)
    assert one.clusters == 40


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_influence_of_f_is_the_derivative_of_scikit_learns(beta: float) -> None:
    ours = linear_f_beta(OUTCOME, FLAGGED, beta)
    assert ours.influence.sum() == pytest.approx(0.0, abs=1e-12)
    for row in (0, 5, *np.flatnonzero(OUTCOME & FLAGGED)[:2]):
        weight = np.ones(2000)
        weight[row] += 1e-6
        step = theirs.fbeta_score(OUTCOME, FLAGGED, beta=beta, sample_weight=weight) - ours.estimate
        assert ours.influence[row] == pytest.approx(step / 1e-6, abs=1e-7)


def test_f_covers() -> None:
    rng, held = np.random.default_rng(5), []
    recall, flagged_wrongly, share = 0.6, 0.1, 0.1
    truth = 2 * share * recall / (share + share * recall + (1 - share) * flagged_wrongly)
    for _ in range(300):
        y = rng.random(500) < share
        one = f_beta_interval(y, rng.random(500) < np.where(y, recall, flagged_wrongly))
        held.append(one.low <= truth <= one.high)
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_an_f_without_spread_has_an_exact_bound(beta: float) -> None:
    y = np.arange(100) < 12
    best, worst = f_beta_interval(y, y, beta), f_beta_interval(y, ~y & (np.arange(100) < 20), beta)
    assert (best.estimate, best.high, worst.estimate, worst.low) == (1.0, 1.0, 0.0, 0.0)
    if beta == 1.0:  # F = 2 J / (1 + J), where J is right of flagged or missed
        low = stats.binomtest(12, 12).proportion_ci(0.95, "exact").low
        high = stats.binomtest(0, 20).proportion_ci(0.95, "exact").high
        assert best.low == pytest.approx(2 * low / (1 + low), rel=1e-9)
        assert worst.high == pytest.approx(2 * high / (1 + high), rel=1e-9)
    assert 0.5 < best.low < 1
    assert 0 < worst.high < 0.7
