"""Decisions: counts, F measures and costs against scikit-learn, and what has no share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

from backstay.core.errors import InputError
from backstay.evaluation.decided import Confusion, Costs, confusion, cost_curve, expected_cost, f_beta
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
