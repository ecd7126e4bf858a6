"""The AUC's interval where it is hard: few cases, good models, perfect and empty rankings, clusters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from backstay.evaluation.areas import auc_interval, perfect
from backstay.evaluation.clustered import share_interval
from backstay.evaluation.interval import Interval, NotEnough

TIMES = 200
"""Repetitions here; `bench/evaluation` has 2,000 of each."""
CHANCE = 3 * math.sqrt(0.95 * 0.05 / TIMES)
"""Three standard errors of a share of 95% in that many."""


def draw(rng: Any, area: float, cases: int, controls: int) -> tuple[Any, Any]:
    """Two normal scores as far apart as the AUC says."""
    outcome = np.r_[np.ones(cases), np.zeros(controls)]
    return outcome, rng.normal(size=outcome.size) + math.sqrt(2) * stats.norm.ppf(area) * outcome


@pytest.mark.parametrize(("area", "cases"), [(0.7, 50), (0.9, 50), (0.95, 20), (0.95, 200), (0.99, 10), (0.99, 50)])
def test_covers(area: float, cases: int) -> None:
    rng = np.random.default_rng(cases)
    made = [auc_interval(*draw(rng, area, cases, 400)) for _ in range(TIMES)]
    covered = np.mean([one.low <= area <= one.high for one in made])
    assert covered >= 0.95 - CHANCE


def test_covers_where_rows_of_a_day_are_alike() -> None:
    """A day's shift is in the outcome's odds and in the score; the truth is that of many days."""
    rng = np.random.default_rng(3)

    def days(count: int) -> tuple[Any, Any, Any]:
        day = np.repeat(np.arange(count), 60)
        shift, skill = rng.normal(size=count)[day], rng.normal(size=day.size)
        return rng.random(day.size) < 1 / (1 + np.exp(1.5 - skill - shift)), skill + 0.8 * shift, day

    truth = auc_interval(*days(10_000)[:2]).estimate
    made = [auc_interval(*days(25)) for _ in range(TIMES)]
    assert np.mean([one.low <= truth <= one.high for one in made]) >= 0.95 - CHANCE


def test_a_perfect_ranking_is_bounded_by_its_pairs() -> None:
    """Clopper and Pearson's limit of 20 hits in 20, from SciPy."""
    one = auc_interval(*draw(np.random.default_rng(1), 1 - 1e-12, 20, 500))
    theirs = stats.binomtest(20, 20).proportion_ci(0.95, "exact")
    assert (one.estimate, one.high) == (1.0, 1.0)
    assert one.low == pytest.approx(theirs.low, rel=1e-9)
    outcome, score = draw(np.random.default_rng(1), 1 - 1e-12, 20, 500)
    worst = auc_interval(outcome, -score)
    assert (worst.low, worst.high) == (0.0, pytest.approx(1 - one.low))


def test_a_perfect_ranking_of_few_days_says_little() -> None:
    outcome, score = draw(np.random.default_rng(1), 1 - 1e-12, 300, 300)
    one = auc_interval(outcome, score, np.arange(600) % 6)
    assert one.low == pytest.approx(perfect(3, 0.025))


def test_a_constant_score_ranks_nothing() -> None:
    with pytest.raises(NotEnough, match="same score"):
        auc_interval([0, 1, 0, 1], [0.5] * 4)
    assert auc_interval([1, 0, 1, 0], [0.5, 0.3, 0.5, 0.7]).estimate == 0.5  # ranks, and no better than chance


@pytest.mark.parametrize("outcome", [[1, 1, 1], [0, 0, 0], [1, 0, 0]])
def test_one_of_a_class_is_not_enough(outcome: list[int]) -> None:
    with pytest.raises(NotEnough):
        auc_interval(outcome, [0.1, 0.2, 0.3])


def test_rows_of_their_own_are_the_default() -> None:
    outcome, score = draw(np.random.default_rng(2), 0.8, 40, 60)
    ours, named = auc_interval(outcome, score), auc_interval(outcome, score, np.arange(100))
    assert (ours.low, ours.high) == pytest.approx((named.low, named.high), rel=1e-12)


def test_shares_of_clusters_are_korn_and_graubards() -> None:
    """Their formula, written down: the design effect, its degrees of freedom, Clopper and Pearson."""
    rng = np.random.default_rng(4)
    day = np.repeat(np.arange(12), 30)
    hit = rng.random(360) < np.clip(0.2 + 0.1 * rng.normal(size=12)[day], 0, 1)
    p, sums = hit.mean(), np.array([(hit[day == d] - hit.mean()).sum() for d in range(12)])
    variance = 12 / 11 * (sums @ sums) / 360**2
    n = p * (1 - p) / variance * (stats.t.ppf(0.975, 359) / stats.t.ppf(0.975, 11)) ** 2
    ours = share_interval(hit, day)
    assert ours.low == pytest.approx(stats.beta.ppf(0.025, n * p, n * (1 - p) + 1), rel=1e-9)
    assert ours.high == pytest.approx(stats.beta.ppf(0.975, n * p + 1, n * (1 - p)), rel=1e-9)


def test_a_share_without_hits_counts_clusters() -> None:
    clustered = share_interval(np.zeros(300), np.arange(300) // 30)
    theirs = stats.binomtest(0, 10).proportion_ci(0.95, "exact")
    assert (clustered.low, clustered.high) == (0.0, pytest.approx(theirs.high, rel=1e-9))
    assert share_interval(np.zeros(300)) == Interval(0.0, 0.0, share_interval(np.zeros(300)).high, 0.95, 300, 300)
    with pytest.raises(NotEnough, match="1 cluster"):
        share_interval([1, 0], ["monday", "monday"])
