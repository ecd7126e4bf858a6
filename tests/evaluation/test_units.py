"""Scale shifts are told from drift."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.evaluation import Obstacle, obstacle, unit_mismatch

Draw = Callable[[np.random.Generator], Any]
N = 4000
ROUTES = np.random.default_rng(5).uniform(100, 2500, 300).round()


def found(trained: Draw, served: Draw, seed: int = 1) -> Any:
    """The one shift between two draws, or None."""
    rng = np.random.default_rng(seed)
    shifts = unit_mismatch({"feature": trained(rng)}, {"feature": served(rng)})
    return shifts[0] if shifts else None


def delays(rng: np.random.Generator) -> Any:
    """Minutes, with some before time."""
    return rng.gamma(1, 30, N) - 15


@pytest.mark.parametrize(
    ("draw", "factor"),
    [
        (delays, 1 / 60),
        (delays, 60.0),
        (delays, 1 / 3600),
        (lambda rng: rng.gamma(2, 10, N), 1 / 60),
        (lambda rng: rng.lognormal(3, 0.7, N), 1.609344),
        (lambda rng: rng.choice(ROUTES, N), 1 / 1.609344),
        (lambda rng: rng.normal(0, 1, N), 1000.0),
        (lambda rng: rng.normal(1013, 8, N), 0.02953),
        (lambda rng: rng.poisson(25, N) * 1.0, 60.0),
        (lambda rng: rng.gamma(2, 10, N) * (rng.random(N) < 0.6), 1 / 60),
        (lambda rng: np.where(rng.random(N) < 0.7, np.nan, rng.gamma(2, 10, N)), 1 / 60),
    ],
)
def test_another_unit_is_found(draw: Draw, factor: float) -> None:
    shift = found(lambda rng: draw(rng) * factor, draw)
    assert shift is not None
    assert shift.ratio == pytest.approx(factor, rel=0.1)
    assert shift.offset == 0.0
    assert shift.trained_median == pytest.approx(shift.served_median * factor, rel=0.3, abs=0.3 * factor)


def test_another_unit_is_found_through_a_season() -> None:
    shift = found(lambda rng: rng.gamma(2, 10, N), lambda rng: rng.gamma(2.4, 11, N) / 60)
    assert 40 < shift.ratio < 60


@pytest.mark.parametrize(("slope", "offset"), [(9 / 5, 32.0), (5 / 9, -160 / 9)])
def test_celsius_and_fahrenheit_are_found(slope: float, offset: float) -> None:
    def season(rng: np.random.Generator) -> Any:
        served = rng.normal(15, 8, N)
        return served if slope > 1 else served * 1.8 + 32

    shift = found(lambda rng: season(rng) * slope + offset, season)
    assert (shift.ratio, shift.offset) == pytest.approx((slope, offset))
    assert ("plus 32" if slope > 1 else "minus 17.8") in str(shift)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("trained", "served"),
    [
        (delays, delays),
        (lambda rng: rng.standard_cauchy(N), lambda rng: rng.standard_cauchy(N)),
        (lambda rng: rng.lognormal(0, 2.5, 300), lambda rng: rng.lognormal(0, 2.5, 300)),
        (lambda rng: rng.normal(24, 4, N), lambda rng: rng.normal(3, 6, N)),  # July and January in Celsius
        (lambda rng: rng.normal(75, 7, N), lambda rng: rng.normal(38, 11, N)),  # and in Fahrenheit
        (lambda rng: 55 + 25 * np.sin(rng.uniform(0, 6.28, N)), lambda rng: rng.normal(35, 10, N)),  # a year, a winter
        (delays, lambda rng: rng.gamma(0.8, 55, N) - 12),  # a stormy month
        (lambda rng: rng.lognormal(3, 1, N), lambda rng: 1.3 * rng.lognormal(3, 1, N)),  # inflation
        (lambda rng: rng.poisson(25, N), lambda rng: rng.poisson(50, N)),  # twice the traffic
        (lambda rng: rng.normal(50, 10, N), lambda rng: rng.normal(80, 10, N)),
        (lambda rng: rng.uniform(0, 100, N), lambda rng: rng.uniform(100, 200, N)),  # time goes on
        (lambda rng: rng.gamma(1, 10, N), lambda rng: rng.gamma(3, 10, N)),
        (
            lambda rng: np.where(rng.random(N) < 0.3, rng.normal(10, 1, N), rng.normal(50, 5, N)),
            lambda rng: np.where(rng.random(N) < 0.7, rng.normal(10, 1, N), rng.normal(50, 5, N)),
        ),  # another mix of two kinds
    ],
)
def test_drift_is_not_a_unit(trained: Draw, served: Draw, seed: int) -> None:
    assert found(trained, served, seed) is None


@settings(max_examples=40)
@given(st.floats(0.67, 1.5), st.integers(0, 2**32 - 1))
def test_factors_near_one_are_drift(factor: float, seed: int) -> None:
    values = np.random.default_rng(seed).gamma(2, 10, 2000)
    assert unit_mismatch({"f": values * factor}, {"f": values}) == []


@settings(max_examples=40)
@given(st.one_of(st.floats(1e-6, 0.6), st.floats(1.65, 1e6)), st.integers(0, 2**32 - 1))
def test_exact_factors_are_found_in_any_order_of_rows(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(5, 20, 1000)
    (shift,) = unit_mismatch({"f": values * factor}, {"f": rng.permutation(values)})
    assert shift.ratio == pytest.approx(factor)


DEGENERATE: list[tuple[Any, Obstacle]] = [
    (np.full(N, 3.0), Obstacle.CONSTANT),
    (np.zeros(N), Obstacle.CONSTANT),
    (np.full(N, np.nan), Obstacle.TOO_FEW),
    (np.full(N, np.inf), Obstacle.TOO_FEW),
    ([], Obstacle.TOO_FEW),
    (np.arange(150.0), Obstacle.TOO_FEW),
    (np.arange(N) % 2, Obstacle.FEW_DISTINCT),
    (np.arange(N) % 2 == 0, Obstacle.FEW_DISTINCT),
    (np.arange(N) % 12 + 1, Obstacle.FEW_DISTINCT),
    (np.maximum(np.arange(N) - 0.9 * N, 0), Obstacle.MOSTLY_ZERO),
    (["a", "b"] * N, Obstacle.NOT_NUMERIC),
    (np.array(["1", 2.0] * N, dtype=object), Obstacle.NOT_NUMERIC),
    (np.array([{}] * N, dtype=object), Obstacle.NOT_NUMERIC),
    (np.arange(N).astype("datetime64[s]"), Obstacle.NOT_NUMERIC),
]


@pytest.mark.parametrize(("values", "why"), DEGENERATE)
def test_what_has_no_scale_is_not_judged(values: Any, why: Obstacle) -> None:
    sound = np.random.default_rng(1).gamma(2, 10, N)
    assert obstacle(values) is why
    assert unit_mismatch({"f": values, "g": sound}, {"f": sound, "g": values}) == []


@pytest.mark.parametrize("values", [np.r_[np.full(3000, 7.0), np.arange(1, 1001)], np.repeat([5.0, -5.0], N)])
def test_ties_that_leave_no_width_are_not_judged(values: Any) -> None:
    assert unit_mismatch({"f": values}, {"f": values * 60}) == []


def test_nulls_of_objects_are_left_out() -> None:
    values = np.random.default_rng(1).gamma(2, 10, N)
    served = np.array([None, *values], dtype=object)
    assert len(unit_mismatch({"f": values * 60}, {"f": served})) == 1


def test_only_common_features_are_compared_in_the_order_of_training() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.gamma(2, 10, N), rng.normal(0, 1, N)
    shifts = unit_mismatch({"b": b * 60, "only": a, "a": a * 60}, {"a": a, "b": b, "other": a})
    assert [shift.feature for shift in shifts] == ["b", "a"]


def test_says_it_in_a_sentence_and_in_json() -> None:
    shift = found(lambda rng: rng.gamma(2, 10, N) / 60, lambda rng: rng.gamma(2, 10, N))
    assert str(shift).startswith("feature feature was trained on values 0.016")
    assert json.loads(json.dumps(shift.as_dict()))["ratio"] == shift.ratio
