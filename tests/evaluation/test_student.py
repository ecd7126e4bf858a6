"""Our t quantile against SciPy's."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.student import SERIES_FROM, student_quantile

TAILS = [1e-12, 1e-6, 0.005, 0.025, 0.1, 0.19999, 0.20001, 0.4, 0.4999, 0.6, 0.9, 0.975, 0.995, 0.9999]
FREEDOMS = [0.3, 1, 1.5, 2, 3, 6, 29, 99, 364, SERIES_FROM, SERIES_FROM + 0.5, 1e4, 1e6, 1e9]


@pytest.mark.parametrize("df", FREEDOMS)
def test_agrees_with_scipy(df: float) -> None:
    for tail in TAILS:
        assert student_quantile(tail, df) == pytest.approx(stats.t.ppf(tail, df), rel=1e-9)


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0.5, 5000))
def test_is_the_inverse_of_the_distribution_function(probability: float, df: float) -> None:
    assert stats.t.cdf(student_quantile(probability, df), df) == pytest.approx(probability, rel=1e-9)


def test_is_zero_in_the_middle_and_normal_at_infinity() -> None:
    assert student_quantile(0.5, 3) == 0.0
    assert student_quantile(0.975, math.inf) == pytest.approx(stats.norm.ppf(0.975), rel=1e-14)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_refuses_what_is_no_probability(probability: float) -> None:
    with pytest.raises(InputError, match="probability"):
        student_quantile(probability, 3)


@pytest.mark.parametrize("df", [0, -1, math.nan])
def test_refuses_no_freedom(df: float) -> None:
    with pytest.raises(InputError, match="degrees of freedom"):
        student_quantile(0.9, df)
