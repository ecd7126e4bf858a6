"""Corrections undo exactly what weighting and undersampling do to the odds, and to a model that learned them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from backstay.core.errors import InputError
from backstay.evaluation.imbalance import to_base_rate, without_undersampling, without_weight


def test_the_odds_are_divided_by_the_weight() -> None:
    p = np.linspace(0.001, 0.999, 200)
    weighed = 25 * p / (25 * p + 1 - p)
    np.testing.assert_allclose(without_weight(weighed, 25), p, rtol=1e-12)
    np.testing.assert_allclose(without_undersampling(weighed, 1 / 25), p, rtol=1e-12)


def test_it_is_the_published_form_of_dal_pozzolo_and_of_saerens() -> None:
    p, kept = np.linspace(0, 1, 101), 0.03
    np.testing.assert_allclose(without_undersampling(p, kept), kept * p / (kept * p - p + 1), rtol=1e-12)
    learned, actual = 0.4, 0.013
    ones, zeros = actual / learned * p, (1 - actual) / (1 - learned) * (1 - p)
    np.testing.assert_allclose(to_base_rate(p, learned, actual), ones / (ones + zeros), rtol=1e-12)


def test_a_weighted_logistic_regression_says_what_an_unweighted_one_says() -> None:
    rng = np.random.default_rng(3)
    x = np.repeat(np.eye(4), 5_000, axis=0)  # one rate a cell: both models can say it exactly
    y = rng.random(20_000) < np.repeat([0.01, 0.02, 0.05, 0.2], 5_000)
    weight = (~y).sum() / y.sum()
    learned = LogisticRegression(C=1e9, tol=1e-10, max_iter=1_000, fit_intercept=False)
    said = learned.fit(x, y, sample_weight=np.where(y, weight, 1.0)).predict_proba(np.eye(4))[:, 1]
    np.testing.assert_allclose(without_weight(said, weight), y.reshape(4, 5_000).mean(axis=1), rtol=1e-4)


def test_the_ranking_stays_and_the_ends_stay() -> None:
    p = np.linspace(0, 1, 50)
    assert (np.diff(without_weight(p, 400)) > 0).all()
    assert without_weight([0.0, 1.0], 400).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: without_weight([0.5, 1.2], 3), "outside"),
        (lambda: without_weight([0.5, np.nan], 3), "outside"),
        (lambda: without_weight([0.5], 0), "weight is 0"),
        (lambda: without_weight([0.5], float("inf")), "weight is inf"),
        (lambda: without_undersampling([0.5], 0), "were kept"),
        (lambda: without_undersampling([0.5], 1.5), "were kept"),
        (lambda: to_base_rate([0.5], 0.5, 1.0), "base rate is 1"),
        (lambda: to_base_rate([0.5], 0.0, 0.5), "base rate is 0"),
    ],
)
def test_what_is_no_probability_and_no_weight(ask, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ask()
