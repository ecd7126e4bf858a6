"""Policy mismatch, feedback and proxies against small worlds whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.interval import Insufficient, Interval
from backstay.evaluation.metrics import auc, brier, log_loss
from backstay.investigation.feedback import concentration, exploration_gap
from backstay.investigation.policy import policy_mismatch, policy_values
from backstay.investigation.proxy import agreement, business_by_version
from backstay.investigation.weighted import between, outcome_weights, weighted_quality


def world(seed: int, rows: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    return rng.random(rows) < 1 / (1 + np.exp(-1.5 * x)), 1 / (1 + np.exp(-1.5 * x))


def test_weights_of_one_are_the_metrics_themselves() -> None:
    y, s = world(0, 500)
    s = s.round(2)  # with ties
    for metric, plain in (("auc", auc), ("log_loss", log_loss), ("brier", brier)):
        found = weighted_quality(metric, s, *outcome_weights(y))
        assert found.estimate == pytest.approx(plain(y, s), abs=1e-12)
        assert abs(found.influence.sum()) < 1e-9


def test_a_weight_of_two_is_the_row_twice() -> None:
    y, s = world(1, 300)
    weight = np.random.default_rng(2).integers(1, 4, 300)
    for metric in ("log_loss", "brier", "auc"):
        found = weighted_quality(metric, s, *outcome_weights(y, weight))
        whole = weighted_quality(metric, np.repeat(s, weight), *outcome_weights(np.repeat(y, weight)))
        assert found.estimate == pytest.approx(whole.estimate, abs=1e-12)


def test_influences_cover_as_they_should() -> None:
    rng = np.random.default_rng(3)
    truth = auc(*world(99, 100_000))
    held = 0
    for seed in range(100):
        y, s = world(seed, 600)
        w = rng.exponential(size=600)
        one = weighted_quality("auc", s, *outcome_weights(y, w))
        two = weighted_quality("auc", *_shuffled(world(seed + 1000, 600)))
        gap = between(one, two)
        held += gap.low <= 0.0 <= gap.high
        assert abs(one.estimate - truth) < 0.1
    assert held >= 88


def _shuffled(rows: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rows[1], *outcome_weights(rows[0])


@pytest.mark.parametrize("metric", ["auc", "log_loss"])
def test_a_policy_that_labels_the_easy_rows_flatters(metric: str) -> None:
    y, s = world(4, 40_000)
    sure = np.abs(s - 0.5) > 0.25
    chance = np.where(sure, 1.0, 0.1)
    labelled = np.random.default_rng(5).random(y.size) < chance
    found = policy_mismatch(metric, y[labelled], s[labelled], chance[labelled])
    truth = weighted_quality(metric, s, *outcome_weights(y)).estimate
    assert isinstance(found.effect, Interval)
    assert isinstance(found.weighed, Interval)
    assert found.effect.low > 0
    assert found.weighed.low < truth < found.weighed.high


def test_without_support_there_is_no_value() -> None:
    y, s = world(6)
    kept = s > 0.5
    found = policy_mismatch("auc", y[kept], s[kept], np.ones(kept.sum()), unsupported=float((~kept).mean()))
    assert isinstance(found.naive, Interval)
    assert isinstance(found.weighed, Insufficient)
    assert "nothing was explored" in found.weighed.reason
    one_class = policy_mismatch("auc", np.ones(50), s[:50], np.ones(50))
    assert isinstance(one_class.naive, Insufficient)
    with pytest.raises(InputError, match="propensities"):
        policy_mismatch("auc", y, s, [1.0])


def test_doubly_robust_stands_beside_the_others() -> None:
    rng = np.random.default_rng(7)
    reward = rng.normal(1.0, 1.0, 2000)
    found = policy_values(
        reward, np.full(2000, 0.5), np.full(2000, 0.5), predicted=np.ones(2000), expected=np.ones(2000)
    )
    assert set(found) == {"ips", "snips", "dr"}
    assert all(isinstance(one.value, Interval) and abs(one.value.estimate - 1) < 0.1 for one in found.values())


@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier"])
def test_exploration_shows_what_the_model_does_not_know(metric: str) -> None:
    y, s = world(8, 8000)
    rng = np.random.default_rng(9)
    lot = rng.random(y.size) < 0.1
    wrong = np.where(lot, rng.permutation(s), s)
    found = exploration_gap(metric, y, wrong, lot, chance=np.where(lot, 0.1, 0.9))
    assert isinstance(found.gap, Interval)
    assert isinstance(found.flattered, Interval)
    assert found.gap.low > 0
    assert found.flattered.low > 0
    same = exploration_gap(metric, y, s, lot)
    assert isinstance(same.gap, Interval)
    assert same.gap.low < 0 < same.gap.high


def test_exploration_that_is_not_there() -> None:
    y, s = world(10, 500)
    assert isinstance(exploration_gap("auc", y, s, np.zeros(500, bool)).gap, Insufficient)
    with pytest.raises(InputError, match="chance"):
        exploration_gap("auc", y, s, np.arange(500) < 100, chance=np.zeros(500))


def test_concentration_by_chance_alone_has_no_trend() -> None:
    rng = np.random.default_rng(11)
    alarms = 0
    for _ in range(60):
        found = concentration(rng.integers(0, 40, 1500), np.repeat([1, 2, 3], 500))
        assert isinstance(found.trend, Interval)
        alarms += found.trend.low > 0
    assert alarms <= 6
    assert isinstance(concentration([1, 2], [1, 1]).trend, Insufficient)


def test_a_proxy_that_agrees_and_one_that_does_not() -> None:
    agreed = agreement([0.7, 0.75, 0.8], [1.0, 1.1, 1.2], [0.02, 0.02, 0.02])
    assert not isinstance(agreed, Insufficient)
    assert isinstance(agreed.slope, Interval)
    assert agreed.rank == 1.0
    assert agreed.slope.low > 0
    turned = agreement([0.5, 0.4, 0.3], [1.0, 0.9, 0.7], [0.02] * 3, larger=False)  # a loss that falls
    assert not isinstance(turned, Insufficient)
    assert isinstance(turned.slope, Interval)
    assert turned.slope.high < 0
    assert turned.lost.high < 0
    assert isinstance(agreement([0.7, 0.8], [1.0, 1.1], [0.1, 0.1]), Insufficient)
    assert isinstance(agreement([0.7] * 3, [1.0, 1.1, 1.2], [0.1] * 3), Insufficient)


def test_versions_off_the_line_are_told() -> None:
    straight = agreement([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], [0.1] * 4)
    bent = agreement([1, 2, 3, 4], [1.0, 4.0, 1.0, 4.0], [0.1] * 4)
    assert not isinstance(straight, Insufficient)
    assert not isinstance(bent, Insufficient)
    assert straight.straight > 0.9
    assert bent.straight < 1e-6


def test_business_by_version_leaves_out_what_is_not_known() -> None:
    names, mean, error, clusters = business_by_version([1, 1, 1, 2, 2, 3], [1.0, np.nan, 3.0, 2.0, 2.5, 9.0])
    assert names == (1, 2)
    assert mean.tolist() == [2.0, 2.25]
    assert (error > 0).all()
    assert clusters.tolist() == [2.0, 2.0]


def test_versions_off_the_line_widen_its_intervals_and_so_do_few_days() -> None:
    def lost(outcome: list[float], **more: Any) -> Interval:
        found = agreement([1, 2, 3, 4], outcome, [0.1] * 4, **more)
        assert not isinstance(found, Insufficient)
        assert isinstance(found.lost, Interval)
        return found.lost

    straight, apart = lost([4.0, 3.0, 2.0, 1.0]), lost([4.0, 2.0, 3.0, 1.0])
    assert apart.high - apart.low > 4 * (straight.high - straight.low)
    few = lost([4.0, 3.0, 2.0, 1.0], clusters=[2] * 4)
    many = lost([4.0, 3.0, 2.0, 1.0], clusters=[1_000] * 4)
    assert few.high - few.low > 2 * (straight.high - straight.low)
    assert many.high - many.low == pytest.approx(straight.high - straight.low, rel=0.01)


def test_a_metric_that_pays_alike_is_no_wrong_proxy_by_few_days() -> None:
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(200):
        day = np.repeat(np.arange(6), 10)
        value = rng.normal(10.0, 1.0, 6)[day] + rng.normal(0.0, 2.0, day.size)
        _, mean, error, days = business_by_version(day // 2, value, clusters=day)
        found = agreement(rng.normal(0.75, 0.01, 3), mean, error, level=0.98, clusters=days)
        assert not isinstance(found, Insufficient)
        assert isinstance(found.lost, Interval)
        wrong += found.lost.high < 0.0 and found.rank < 0.0
    assert wrong <= 6
