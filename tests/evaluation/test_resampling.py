"""The bootstrap over clusters: its error beside the formula's, coverage, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.resampling import resampled, resampled_sums, time_blocks

RNG = np.random.default_rng(16)
DAY = np.repeat(np.arange(40), 20)
VALUES = RNG.normal(size=40)[DAY] + RNG.normal(size=800)


def mean(values: Any) -> float:
    return float(np.mean(values))


def ratio(total: Any, rows: Any) -> Any:
    return total / rows


def width(interval: Any) -> float:
    return float(interval.high - interval.low)


def test_both_ways_agree_with_the_formula_of_a_mean() -> None:
    """Cochran's error of a mean over clusters, written down."""
    sums = np.array([(VALUES[d == DAY] - VALUES.mean()).sum() for d in range(40)])
    error = np.sqrt(40 / 39 * (sums @ sums)) / 800
    by_rows = resampled(mean, [VALUES], DAY, seed=1)
    by_sums = resampled_sums(ratio, [VALUES, np.ones(800)], DAY, seed=1)
    for one in (by_rows, by_sums):
        assert one.estimate == pytest.approx(VALUES.mean(), rel=1e-12)
        assert width(one) == pytest.approx(2 * 2.02 * error, rel=0.15)
    assert width(resampled(mean, [VALUES], None, seed=1)) < 0.7 * width(by_rows)


def test_covers_with_twenty_clusters() -> None:
    held = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(20), 10)
        values = rng.normal(size=20)[day] + rng.normal(size=200)
        one = resampled_sums(ratio, [values, np.ones(200)], day, seed=seed, draws=400)
        held.append(one.low <= 0 <= one.high)
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 300)


def test_the_order_of_rows_does_not_move_a_bit_and_the_seed_is_a_parameter() -> None:
    order = RNG.permutation(800)
    for ask in (lambda v, d: resampled(mean, [v], d, seed=3), lambda v, d: resampled_sums(ratio, [v, v**0], d, seed=3)):
        assert ask(VALUES[order], DAY[order]) == ask(VALUES, DAY)
    assert resampled(mean, [VALUES], DAY, seed=4) != resampled(mean, [VALUES], DAY, seed=3)


def test_a_difference_is_a_metric() -> None:
    def gain(outcome: Any, champion: Any, candidate: Any) -> float:
        return float(np.mean((outcome - champion) ** 2 - (outcome - candidate) ** 2))

    one = resampled(gain, [VALUES, np.zeros(800), VALUES * 0.5], DAY, seed=1)
    assert one.low > 0


def test_draws_without_a_metric_are_not_enough() -> None:
    def needs_both(outcome: Any) -> float:
        if outcome.min() == outcome.max():
            raise NotEnough("one class")
        return float(outcome.mean())

    with pytest.raises(NotEnough, match="draws have no metric"):
        resampled(needs_both, [[1, 0, 0, 0]], None, seed=1)
    with pytest.raises(NotEnough, match="one class"):
        resampled(needs_both, [[1, 1]], None, seed=1)
    with pytest.raises(NotEnough, match="all 1000 draws are the same"):
        resampled(mean, [[2.0, 2.0, 2.0]], None, seed=1)
    with pytest.raises(NotEnough, match="draws have no metric"):
        resampled_sums(ratio, [[1.0, 0.0], [1.0, 0.0]], None, seed=1)
    with pytest.raises(NotEnough, match="1 cluster"):
        resampled(mean, [[1.0, 2.0]], ["mon", "mon"], seed=1)


def test_refuses() -> None:
    with pytest.raises(InputError, match="2, 1 rows"):
        resampled(mean, [[1.0, 2.0], [1.0]], None, seed=1)
    with pytest.raises(InputError, match="no columns"):
        resampled(mean, [], None, seed=1)
    with pytest.raises(InputError, match="10 draws"):
        resampled(mean, [[1.0, 2.0]], None, seed=1, draws=10)
    with pytest.raises(InputError, match="width"):
        time_blocks([1, 2], 0)
