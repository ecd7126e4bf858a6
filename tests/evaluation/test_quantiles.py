"""Our quantiles against SciPy's distributions, which take another road to them."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.quantiles import (
    beta_quantile,
    beta_quantiles,
    binomial_tail,
    chi2_quantile,
    chi2_tail,
    level_tails,
    noncentral_quantile,
    noncentral_tail,
    noncentrality,
    normal_quantile,
    normal_tail,
    student_quantile,
)

TAILS = [1e-12, 1e-6, 0.005, 0.025, 0.1, 0.4999, 0.6, 0.9, 0.975, 0.995, 0.9999]


@pytest.mark.parametrize("df", [0.3, 1, 1.5, 2, 3, 6, 29, 99, 364, 1e4, 1e6, 1e9])
def test_student_agrees(df: float) -> None:
    for tail in TAILS:
        assert student_quantile(tail, df) == pytest.approx(stats.t.ppf(tail, df), rel=1e-9)


def test_student_is_zero_in_the_middle_and_normal_at_infinity() -> None:
    assert student_quantile(0.5, 3) == pytest.approx(0.0, abs=1e-12)
    assert student_quantile(0.975, math.inf) == pytest.approx(stats.norm.ppf(0.975), rel=1e-14)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1, 1), (3, 8), (1, 2000), (60_000, 900)])
def test_beta_agrees(a: float, b: float) -> None:
    for tail in TAILS:
        assert beta_quantile(tail, a, b) == pytest.approx(stats.beta.ppf(tail, a, b), rel=1e-9)
        assert beta_quantiles(tail, [a], [b])[0] == beta_quantile(tail, a, b)


def test_beta_without_mass_on_a_side_is_that_end() -> None:
    assert beta_quantiles(0.025, [0, 3, 2], [3, 0, 2]).tolist()[:2] == [0.0, 1.0]


def test_tails_agree() -> None:
    for z in (-3.0, 0.0, 1.96, 9.0):
        assert normal_tail(z) == pytest.approx(stats.norm.sf(z), rel=1e-12)
    for value, df in ((0.1, 1), (3.84, 1), (30.0, 9)):
        assert chi2_tail(value, df) == pytest.approx(stats.chi2.sf(value, df), rel=1e-12)
    for tail in (0.01, 0.5, 0.95):
        assert chi2_quantile(tail, 9) == pytest.approx(stats.chi2.ppf(tail, 9), rel=1e-9)
    for successes, trials, share in ((0, 5, 0.5), (3, 5, 0.5), (9, 10, 0.7)):
        assert binomial_tail(successes, trials, share) == pytest.approx(
            stats.binom.sf(successes - 1, trials, share), rel=1e-12
        )


def test_noncentral_chi_square_agrees_from_next_to_nothing_to_millions() -> None:
    for df, away in ((1, 0.0), (9, 20.0), (12, 200.0)):
        for tail in (0.9, 0.01, 1e-4):
            value = noncentral_quantile(1 - tail, df, away)
            exact = stats.ncx2.sf(value, df, away) if away else stats.chi2.sf(value, df)
            assert exact == pytest.approx(tail, rel=1e-6)
            assert noncentral_tail(value, df, away) == pytest.approx(tail, rel=1e-6)
            assert noncentrality(1 - tail, df, value) == pytest.approx(away, rel=1e-4, abs=1e-3)
    large = noncentral_quantile(0.99, 12, 1e6)
    assert large == pytest.approx(1e6 + 12 + 2.326 * (2 * (12 + 2e6)) ** 0.5, rel=1e-4)
    assert noncentral_tail(large, 12, 1e6) == pytest.approx(0.01, rel=1e-3)
    assert noncentrality(0.99, 9, 1.0) == pytest.approx(
        0.0, abs=1e-9
    )  # a value that even no noncentrality at all leaves too far below


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, 1.1, math.nan])
def test_refuses_what_is_no_probability(probability: float) -> None:
    for ask in (normal_quantile, lambda p: student_quantile(p, 3), lambda p: beta_quantile(p, 1, 1)):
        with pytest.raises(InputError, match="probability"):
            ask(probability)
    with pytest.raises(InputError, match="level"):
        level_tails(probability)


def test_refuses_what_is_no_distribution() -> None:
    for df in (0, -1, math.nan):
        with pytest.raises(InputError, match="degrees of freedom"):
            student_quantile(0.9, df)
    with pytest.raises(InputError, match="no distribution"):
        beta_quantile(0.5, 0, 1)
