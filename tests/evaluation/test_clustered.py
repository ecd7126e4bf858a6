"""Intervals over clusters: known answers, coverage, order, and what is not enough."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation import NotEnough, auc, auc_interval, log_losses, mean_interval, paired_difference
from backstay.evaluation.influence import cluster_sums

METRICS: list[Any] = ["log_loss", "brier", "auc"]


def days_of_rows(seed: int, days: int = 12, rows: int = 40) -> tuple[Any, Any, Any, Any]:
    """Outcomes that a storm makes alike within a day, and two models' probabilities."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    skill = rng.normal(size=day.size)
    true = 1 / (1 + np.exp(-(skill + rng.normal(size=days)[day] - 0.5)))
    outcome = rng.random(day.size) < true
    champion = 1 / (1 + np.exp(-(0.5 * skill + rng.normal(0, 0.5, day.size) - 0.5)))
    candidate = 1 / (1 + np.exp(-(skill + rng.normal(0, 0.2, day.size) - 0.5)))
    return outcome, champion.round(3), candidate.round(3), day


def delong_variance(outcome: Any, scores: list[Any]) -> Any:
    """DeLong, DeLong and Clarke-Pearson (1988), written down pair by pair."""
    v10, v01 = [], []
    for score in scores:
        above = np.sign(score[outcome][:, None] - score[~outcome][None, :]) / 2 + 0.5
        v10.append(above.mean(axis=1))
        v01.append(above.mean(axis=0))
    return np.cov(v10) / outcome.sum() + np.cov(v01) / (~outcome).sum()


def half_width(interval: Any) -> float:
    return float(interval.high - interval.estimate)


def log_odds_half_width(interval: Any) -> float:
    """Of an interval made on the log-odds scale, in the unit of the metric."""
    low, high = np.log([interval.low / (1 - interval.low), interval.high / (1 - interval.high)])
    return float((high - low) / 2 * interval.estimate * (1 - interval.estimate))


def test_mean_of_independent_rows_is_the_t_interval() -> None:
    values = np.random.default_rng(1).normal(3, 2, size=50)
    ours = mean_interval(values, np.arange(50), level=0.9)
    low, high = stats.t.interval(0.9, 49, loc=values.mean(), scale=stats.sem(values))
    assert (ours.estimate, ours.low, ours.high) == pytest.approx((values.mean(), low, high), rel=1e-9)
    assert (ours.n, ours.clusters, ours.level) == (50, 50, 0.9)


def test_equal_clusters_are_an_interval_of_their_means() -> None:
    values = np.random.default_rng(2).normal(size=(9, 30)) + np.arange(9)[:, None]
    means = values.mean(axis=1)
    ours = mean_interval(values.ravel(), np.repeat(np.arange(9), 30))
    low, high = stats.t.interval(0.95, 8, loc=means.mean(), scale=stats.sem(means))
    assert (ours.low, ours.high) == pytest.approx((low, high), rel=1e-9)


def test_unequal_clusters_are_a_ratio() -> None:
    sizes, rng = np.array([3, 11, 50, 2]), np.random.default_rng(3)
    clusters = np.repeat(["a", "b", "c", "d"], sizes)
    values = rng.normal(size=66)
    totals = np.array([values[clusters == name].sum() for name in "abcd"])
    ratio = totals.sum() / 66
    error = math.sqrt(4 / 3 * np.sum((totals - ratio * sizes) ** 2)) / 66
    ours = mean_interval(values, clusters)
    assert ours.estimate == pytest.approx(ratio, rel=1e-12)
    assert half_width(ours) == pytest.approx(stats.t.ppf(0.975, 3) * error, rel=1e-9)


def test_auc_of_independent_rows_is_delong() -> None:
    outcome, champion, candidate, _ = days_of_rows(4)
    covariance = delong_variance(outcome, [champion, candidate])
    t = stats.t.ppf(0.975, min(outcome.sum(), (~outcome).sum()) - 1)
    rows = np.arange(outcome.size)
    one = auc_interval(outcome, candidate, rows)
    assert one.estimate == auc(outcome, candidate)
    assert log_odds_half_width(one) == pytest.approx(t * math.sqrt(covariance[1, 1]), rel=1e-9)
    both = paired_difference(outcome, champion, candidate, rows, "auc")
    assert both.estimate == pytest.approx(auc(outcome, candidate) - auc(outcome, champion), rel=1e-12)
    gain = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert half_width(both) == pytest.approx(t * math.sqrt(gain), rel=1e-9)


def test_clustered_auc_is_obuchowski() -> None:
    outcome, _, score, day = days_of_rows(5)
    above = np.sign(score[outcome][:, None] - score[~outcome][None, :]) / 2 + 0.5
    area, groups = above.mean(), 12
    x = np.array([(above.mean(axis=1) - area)[day[outcome] == g].sum() for g in range(groups)])
    y = np.array([(above.mean(axis=0) - area)[day[~outcome] == g].sum() for g in range(groups)])
    m, n = outcome.sum(), (~outcome).sum()
    s10, s01, s11 = (groups / (groups - 1) * np.array([x @ x / m, y @ y / n, x @ y])).tolist()
    error = math.sqrt(s10 / m + s01 / n + 2 * s11 / (m * n))
    ours = auc_interval(outcome, score, day)
    assert log_odds_half_width(ours) == pytest.approx(stats.t.ppf(0.975, 11) * error, rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_positive_means_the_candidate_is_better(metric: Any) -> None:
    outcome, champion, candidate, day = days_of_rows(6, days=30)
    gain = paired_difference(outcome, champion, candidate, day, metric)
    assert gain.low > 0
    loss = paired_difference(outcome, candidate, champion, day, metric)
    assert (loss.low, loss.high) == pytest.approx((-gain.high, -gain.low), rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_is_not_better_than_itself(metric: Any) -> None:
    outcome, champion, _, day = days_of_rows(7)
    same = paired_difference(outcome, champion, champion, day, metric)
    assert (same.estimate, same.low, same.high) == (0.0, 0.0, 0.0)


def test_log_loss_difference_is_the_mean_of_row_differences() -> None:
    outcome, champion, candidate, day = days_of_rows(8)
    rows = log_losses(outcome, champion) - log_losses(outcome, candidate)
    assert paired_difference(outcome, champion, candidate, day) == mean_interval(rows, day)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_move_a_bit(seed: int) -> None:
    outcome, champion, candidate, day = days_of_rows(9)
    order = np.random.default_rng(seed).permutation(outcome.size)
    for metric in METRICS:
        shuffled = paired_difference(outcome[order], champion[order], candidate[order], day[order], metric)
        assert shuffled == paired_difference(outcome, champion, candidate, day, metric)
    assert auc_interval(outcome[order], champion[order], day[order]) == auc_interval(outcome, champion, day)


def test_names_of_clusters_do_not_matter() -> None:
    outcome, champion, candidate, day = days_of_rows(10)
    start = dt.date(2013, 1, 1)
    named = [day.astype(str), day.astype(float), [start + dt.timedelta(int(d)) for d in day]]
    named += [day.astype("datetime64[D]"), day.astype("timedelta64[D]"), pl.Series(named[2])]
    expected = paired_difference(outcome, champion, candidate, day)
    for clusters in named:
        assert paired_difference(outcome, champion, candidate, clusters) == expected


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30))
def test_ties_give_an_interval_or_not_enough(rows: list[tuple[bool, int, int]]) -> None:
    outcome, score, clusters = zip(*rows, strict=True)
    try:
        interval = auc_interval(outcome, score, clusters)
    except NotEnough:
        held = {(y, c) for y, _, c in rows}
        few = min(len([1 for y, _ in held if y]), len([1 for y, _ in held if not y])) < 2
        assert few or len({s for _, s, _ in rows}) == 1
    else:
        assert 0 <= interval.low <= interval.estimate <= interval.high <= 1


@pytest.mark.parametrize("metric", METRICS)
def test_covers_the_truth_where_rows_are_alike_within_days(metric: Any) -> None:
    """The truth is the mean over many draws; 95% intervals of 15 days cover it 90% to 99% of 200 times."""
    made = []
    for seed in range(200):
        outcome, champion, candidate, day = days_of_rows(1000 + seed, days=15, rows=25)
        made.append(paired_difference(outcome, champion, candidate, day, metric))
    truth = float(np.mean([interval.estimate for interval in made]))
    covered = np.mean([interval.low <= truth <= interval.high for interval in made])
    assert 0.90 <= covered <= 0.99


def test_rows_taken_as_independent_do_not_cover() -> None:
    """Why this module exists: the same means, with each row its own cluster, miss far more often."""
    hits = {"day": 0, "row": 0}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(10), 30)
        values = rng.normal(size=10)[day] + rng.normal(size=300)
        for name, clusters in (("day", day), ("row", np.arange(300))):
            interval = mean_interval(values, clusters)
            hits[name] += interval.low <= 0 <= interval.high
    assert hits["day"] >= 180
    assert hits["row"] <= 120


@pytest.mark.parametrize("metric", METRICS)
def test_one_cluster_is_not_enough(metric: Any) -> None:
    with pytest.raises(NotEnough):
        paired_difference([0, 1], [0.2, 0.3], [0.3, 0.4], ["monday", "monday"], metric)


def test_nothing_is_not_enough() -> None:
    with pytest.raises(NotEnough, match="no rows"):
        mean_interval([], [])


def test_auc_needs_each_class_in_two_clusters() -> None:
    with pytest.raises(NotEnough, match="outcome 1 is in 1 clusters and outcome 0 in 3"):
        auc_interval([1, 0, 0, 0], [0.4, 0.3, 0.2, 0.1], [1, 1, 2, 3])


@pytest.mark.parametrize(
    "clusters",
    [
        [1],
        [[1, 2]],
        [1, None],
        [1.0, math.nan],
        ["a", None],
        np.array([1, "a"], dtype=object),
        np.array(["2013-01-01", "NaT"], "M8[D]"),
    ],
)
def test_refuses_rows_without_a_cluster(clusters: Any) -> None:
    with pytest.raises(InputError, match="clusters"):
        mean_interval([1.0, 2.0], clusters)


@pytest.mark.parametrize("values", [[1.0, math.nan], [1.0, math.inf], [1.0, None]])
def test_refuses_values_that_are_not_finite(values: Any) -> None:
    with pytest.raises(InputError, match="not finite"):
        mean_interval(values, [1, 2])


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_refuses_a_level_that_is_none(level: float) -> None:
    with pytest.raises(InputError, match="level"):
        mean_interval([1.0, 2.0], [1, 2], level)


def test_refuses_an_unknown_metric() -> None:
    with pytest.raises(InputError, match="'accuracy'"):
        paired_difference([0, 1], [0.1, 0.2], [0.1, 0.2], [1, 2], "accuracy")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1e12, 1e12), st.integers(0, 3)), min_size=1, max_size=60), st.integers(0, 2**32 - 1)
)
def test_sums_of_clusters_are_exact_in_any_order(rows: list[tuple[float, int]], seed: int) -> None:
    """To the largest value's last bit and 30 more: the standard library's exact sums say so."""
    values, codes = np.array([value for value, _ in rows]), np.array([code for _, code in rows])
    found = cluster_sums(values, codes, 4)
    for code in range(4):
        exact = math.fsum(values[codes == code].tolist())
        assert found[code] == pytest.approx(exact, rel=1e-15, abs=1e-25 * max(1e-250, np.abs(values).max()))
    order = np.random.default_rng(seed).permutation(values.size)
    assert cluster_sums(values[order], codes[order], 4).tolist() == found.tolist()
