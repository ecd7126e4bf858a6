"""Maturity curves on delays whose distribution is known, and what is made of rows that are not of age yet."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation import Insufficient, Interval, NotEnough
from backstay.evaluation.early import METRICS, early_quality
from backstay.evaluation.maturity import maturity_curve


def test_the_curve_covers_the_truth_where_some_labels_never_come() -> None:
    inside = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        day = random.integers(0, 30, 1_500)
        age = 30.0 - day
        delay = np.where(random.random(1_500) < 0.1, np.inf, random.exponential(3.0, 1_500))
        curve = maturity_curve(np.where(delay <= age, delay, np.nan), age, clusters=day)
        for at, one in curve.points[5:-5:10]:
            inside.append(one.low <= 0.9 * (1 - np.exp(-at / 3.0)) <= one.high)
    assert np.mean(inside) >= 0.88
    assert curve.reached[2].age is None  # 99% are never known
    assert curve.reached[0].age is None or curve.reached[0].age > 8


def test_the_age_of_a_share_and_the_share_of_an_age() -> None:
    random = np.random.default_rng(1)
    delay, age = random.exponential(2.0, 6_000), random.uniform(0, 16, 6_000)
    curve = maturity_curve(np.where(delay <= age, delay, np.nan), age)
    for one in curve.reached[:2]:
        assert one.age == pytest.approx(-2.0 * np.log(1 - one.share), rel=0.08)
        assert one.low is not None
        assert one.high is not None
        assert one.low <= one.age <= one.high
    assert curve.at([0.0, 2.0, 1e9]) == pytest.approx([0.0, 1 - np.exp(-1), 1.0], abs=0.03)
    plain = curve.as_dict()
    assert plain["rows"] == 6_000
    assert len(plain["curve"]) > 10  # type: ignore[arg-type]


def test_labels_that_arrived_are_not_taken_for_all() -> None:
    """The plain share of the delays that came is biased: of young rows the quick ones alone are there."""
    random = np.random.default_rng(2)
    age, delay = random.uniform(0, 6, 8_000), random.exponential(3.0, 8_000)
    came = delay <= age
    true = (1 - np.exp(-1.0)) / (1 - np.exp(-2.0))  # of those within 6: within 3
    naive = float(np.mean(delay[came] <= 3.0))
    curve = maturity_curve(delay[came], age[came], truncated=True)
    assert abs(float(curve.at(3.0)) - true) < 0.05 < naive - true
    assert not curve.of_all


def test_void_rows_leave_the_denominator() -> None:
    delay = np.where(np.arange(400) % 4 == 0, np.nan, 1.0 + np.arange(400) % 3)
    void = np.arange(400) % 4 == 0
    with_void, without = maturity_curve(delay, np.full(400, 9.0)), maturity_curve(delay, np.full(400, 9.0), void)
    assert float(with_void.at(5.0)) == pytest.approx(0.75)
    assert float(without.at(5.0)) == pytest.approx(1.0)
    assert (without.rows, without.void) == (300, 100)


def test_too_few_labels_and_wrong_ones() -> None:
    with pytest.raises(NotEnough, match="have come: 0"):
        maturity_curve([np.nan] * 50, [1.0] * 50)
    with pytest.raises(NotEnough):
        maturity_curve([], [])
    with pytest.raises(InputError, match="below 0"):
        maturity_curve([-1.0] * 50, [1.0] * 50)
    with pytest.raises(InputError, match="delays, "):
        maturity_curve([1.0] * 50, [1.0] * 49)
    future = maturity_curve([2.0] * 40 + [9.0] * 40, [5.0] * 80)  # what comes at 9 is not known at 5
    assert future.known == 40


def _young(random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    p = random.beta(2, 4, count)
    late = random.random(count) < p
    return p, late, random.exponential(np.where(late, 4.0, 1.0)), random.uniform(0.0, 6.0, count)


@pytest.mark.parametrize("metric", METRICS)
def test_weights_undo_what_comes_early(metric: str) -> None:
    random = np.random.default_rng(3)
    p, late, delay, age = _young(random, 12_000)
    curves = (
        maturity_curve(delay[~late], np.full((~late).sum(), 99.0)),
        maturity_curve(delay[late], np.full(late.sum(), 99.0)),
    )
    p, late, delay, age = _young(random, 8_000)
    known, everybody = delay <= age, np.full(8_000, 99.0)
    true = early_quality(late, p, everybody, curves, metric).value
    naive = early_quality(late[known], p[known], everybody[known], curves, metric).value
    found = early_quality(late[known], p[known], age[known], curves, metric, clusters=np.arange(known.sum()) % 40)
    assert isinstance(true, Interval)
    assert isinstance(naive, Interval)
    assert isinstance(found.value, Interval)
    assert found.value.low <= true.estimate <= found.value.high
    if metric != "auc":  # which is the same of any share of cases
        assert not naive.low <= true.estimate <= naive.high
    assert found.too_young > 0
    assert found.effective < found.rows
    assert found.maturity is not None
    assert 0.3 < found.maturity < 0.9


def test_too_young_rows_say_nothing() -> None:
    random = np.random.default_rng(4)
    curve = maturity_curve(random.exponential(5.0, 500), np.full(500, 99.0))
    for ages, rows in ((np.zeros(50), 0), (np.full(8, 9.0), 8)):
        found = early_quality(np.arange(ages.size) % 2, np.full(ages.size, 0.5), ages, (curve, curve))
        assert isinstance(found.value, Insufficient)
        assert found.rows == rows
    with pytest.raises(InputError):
        early_quality([1], [0.5], [1.0], (curve, curve), "f1")
    with pytest.raises(InputError):
        early_quality([1], [0.5], [1.0, 2.0], (curve, curve))
