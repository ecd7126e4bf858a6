"""Pseudo-values: their mean is the metric, their spread what leaving clusters out says it is."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from backstay.core.errors import InputError
from backstay.evaluation import NotEnough, mean_interval, paired_difference
from backstay.evaluation.imbalance import ap_values, auc_values, recall_values, standard_error

RNG = np.random.default_rng(11)
N = 2_000
Y = RNG.random(N) < 0.06
S = np.round(RNG.normal(size=N) + 1.2 * Y, 1)  # with many ties
DAY = RNG.integers(0, 50, N)
BOTH = [(ap_values, average_precision_score), (auc_values, roc_auc_score)]


def _recall(y, s, day, k: int) -> float:
    """By the definition, without ties."""
    hits = sum(y[day == one][np.argsort(-s[day == one])[:k]].sum() for one in np.unique(day))
    return hits / y.sum()


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
def test_the_mean_is_scikit_learns_metric(ours, theirs) -> None:
    assert ours(Y, S).mean() == pytest.approx(theirs(Y, S), rel=1e-9)
    fold = np.random.default_rng(1).integers(0, 3, N)
    parts = [(Y[fold == one].sum() / Y.sum(), theirs(Y[fold == one], S[fold == one])) for one in range(3)]
    assert ours(Y, S, fold).mean() == pytest.approx(sum(share * value for share, value in parts), rel=1e-9)


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
@pytest.mark.parametrize("row", [0, 17, int(np.flatnonzero(Y)[3]), int(np.argmax(S)), int(np.argmin(S))])
def test_a_value_is_the_derivative_by_the_weight_of_its_row(ours, theirs, row: int) -> None:
    values, step = ours(Y, S), 1e-4
    more, less = np.ones(N), np.ones(N)
    more[row], less[row] = 1 + step, 1 - step
    slope = (theirs(Y, S, sample_weight=more) - theirs(Y, S, sample_weight=less)) / (2 * step)
    assert (values[row] - values.mean()) / N == pytest.approx(slope, rel=1e-4, abs=1e-9)


def test_the_standard_error_is_that_of_the_jackknife_over_clusters() -> None:
    for ours, theirs in BOTH:
        left = np.array([theirs(Y[one != DAY], S[one != DAY]) for one in range(50)])
        jackknife = np.sqrt(49 / 50 * np.square(left - left.mean()).sum())
        assert standard_error(mean_interval(ours(Y, S), DAY)) == pytest.approx(jackknife, rel=0.03)
    delong = paired_difference(Y, np.zeros(N), S, DAY, metric="auc")  # over a score that ranks nothing: 0.5
    linear = mean_interval(auc_values(Y, S) - 0.5, DAY)
    assert (linear.low, linear.high) == pytest.approx((delong.low, delong.high), abs=2e-3)


def test_recall_at_k_is_that_of_the_highest_of_each_day() -> None:
    s = S + np.random.default_rng(2).normal(scale=1e-6, size=N)
    for k in (1, 3, 10_000):
        assert recall_values(Y, s, DAY, k).mean() == pytest.approx(_recall(Y, s, DAY, k), rel=1e-12)
    flat = recall_values(Y, np.zeros(N), np.zeros(N), 500)  # every order is as good: what chance expects
    assert flat.mean() == pytest.approx(0.25)


@pytest.mark.parametrize("ask", [ap_values, auc_values, lambda y, s, day=DAY: recall_values(y, s, day, 2)])
def test_the_order_of_the_rows_moves_no_bit(ask) -> None:
    order = np.random.default_rng(3).permutation(N)
    again = ask(Y[order], S[order]) if ask in (ap_values, auc_values) else ask(Y[order], S[order], DAY[order])
    assert (again == ask(Y, S)[order]).all()


def test_what_cannot_be_told() -> None:
    for ask in (ap_values, auc_values, partial(recall_values, clusters=[1, 2], k=1)):
        with pytest.raises(NotEnough):
            ask([0, 0], [0.1, 0.2])
        with pytest.raises(InputError, match="NaN"):
            ask([0, 1], [0.1, np.nan])
    with pytest.raises(NotEnough, match="fold 2 has no row"):
        ap_values([1, 0, 0], [0.3, 0.2, 0.1], [1, 1, 2])
    with pytest.raises(InputError, match="2 folds for 3 rows"):
        ap_values([1, 0, 0], [0.3, 0.2, 0.1], [1, 1])
    with pytest.raises(InputError, match="k is 0"):
        recall_values([1, 0], [0.1, 0.2], [1, 1], 0)
    assert ap_values([1, 0, 1], [0.5, 0.5, 0.5]).mean() == pytest.approx(2 / 3)  # a constant score: the base rate


def test_a_paired_interval_of_average_precision_covers() -> None:
    """Days that share their luck, models that share their rows: 95% intervals of 400 samples."""
    rng, samples = np.random.default_rng(5), []
    day = np.repeat(np.arange(60), 20)
    for _ in range(400):
        mood = np.repeat(rng.normal(scale=0.5, size=60), 20)
        signal = rng.normal(size=1_200)
        y = rng.random(1_200) < 1 / (1 + np.exp(2.5 - 1.5 * signal - mood))
        good, worse = signal + rng.normal(scale=0.3, size=1_200), signal + rng.normal(scale=1.0, size=1_200)
        samples.append(mean_interval(ap_values(y, good) - ap_values(y, worse), day))
    truth = np.mean([one.estimate for one in samples])
    assert np.mean([one.low <= truth <= one.high for one in samples]) >= 0.93
