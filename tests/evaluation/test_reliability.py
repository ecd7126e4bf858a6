"""Reliability against scikit-learn, SciPy and by hand, and how often its intervals cover."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.linear_model import LogisticRegression

from backstay.core.errors import InputError
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.quantiles import binomial_quantiles
from backstay.evaluation.reliability import brier_parts, calibration_error, recalibration, reliability_bins

RNG = np.random.default_rng(13)
LOG_ODDS = RNG.normal(-1.5, 1.2, 3000)
OUTCOME = RNG.random(3000) < 1 / (1 + np.exp(-(0.3 + 0.8 * LOG_ODDS)))
SAID = 1 / (1 + np.exp(-LOG_ODDS))
TIMES = 200
CHANCE = 3 * math.sqrt(0.95 * 0.05 / TIMES)


def test_bins_are_equal_and_hold_every_row() -> None:
    bins = reliability_bins(OUTCOME, SAID)
    order = np.argsort(SAID)
    for one, rows in zip(bins, np.split(order, 10), strict=True):
        assert (one.n, one.cases) == (300, OUTCOME[rows].sum())
        assert one.predicted == pytest.approx(SAID[rows].mean(), rel=1e-12)
        assert (one.low, one.high) == (SAID[rows].min(), SAID[rows].max())
        theirs = stats.binomtest(one.cases, 300).proportion_ci(0.95, "exact")
        assert one.observed is not None
        assert (one.observed.low, one.observed.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
        assert one.band == pytest.approx(stats.binom.ppf([0.025, 0.975], 300, one.predicted) / 300, rel=1e-9)


def test_binomial_quantiles_are_scipys() -> None:
    n, p = np.array([1, 7, 300, 100_000, 50, 50]), np.array([0.3, 0.01, 0.5, 1e-4, 0.0, 1.0])
    for probability in (0.025, 0.5, 0.975):
        assert binomial_quantiles(probability, n, p).tolist() == stats.binom.ppf(probability, n, p).tolist()


def test_ties_stay_together() -> None:
    said = np.repeat([0.1, 0.2, 0.7], [900, 90, 10])
    assert [one.n for one in reliability_bins(np.arange(1000) % 7 == 0, said)] == [900, 90, 10]
    assert len(reliability_bins([0, 1], [0.5, 0.5])) == 1


def test_brier_parts_add_up_and_are_murphys_where_bins_are_probabilities() -> None:
    parts = brier_parts(OUTCOME, SAID)
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert whole == pytest.approx(np.mean((SAID - OUTCOME) ** 2), rel=1e-12)
    said = SAID.round(1)
    exact = brier_parts(OUTCOME, said, bins=20)
    levels = [(said == level, level) for level in np.unique(said)]
    assert exact.reliability == pytest.approx(sum(m.mean() * (v - OUTCOME[m].mean()) ** 2 for m, v in levels), 1e-9)
    base = OUTCOME.mean()
    assert exact.resolution == pytest.approx(sum(m.mean() * (OUTCOME[m].mean() - base) ** 2 for m, _ in levels), 1e-9)
    assert exact.within == pytest.approx(0.0, abs=1e-12)
    assert brier_parts(OUTCOME, np.full(3000, base)).skill == pytest.approx(0.0, abs=1e-12)


def test_the_line_is_a_logistic_regression() -> None:
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=200)
    model.fit(LOG_ODDS[:, None], OUTCOME)
    found = recalibration(OUTCOME, SAID)
    assert found.slope.estimate == pytest.approx(model.coef_[0, 0], rel=1e-9)
    assert found.intercept.estimate == pytest.approx(model.intercept_[0], rel=1e-9)
    assert found.slope.high < 1 < 1.3 < 1 / found.slope.low  # said too extremely

    def off(level: float) -> float:
        return float(np.sum(OUTCOME - 1 / (1 + np.exp(-(LOG_ODDS + level)))))

    assert found.level.estimate == pytest.approx(optimize.brentq(off, -5, 5, xtol=1e-14), rel=1e-9)


def test_its_errors_are_the_sandwich() -> None:
    x, found = np.column_stack((np.ones(3000), LOG_ODDS)), recalibration(OUTCOME, SAID)
    said = 1 / (1 + np.exp(-(found.intercept.estimate + found.slope.estimate * LOG_ODDS)))
    bread = np.linalg.inv((x * (said * (1 - said))[:, None]).T @ x)
    scores = x * (OUTCOME - said)[:, None]
    variance = bread @ (scores.T @ scores) @ bread * 3000 / 2999
    t = stats.t.ppf(0.975, 2999)
    assert found.slope.high - found.slope.estimate == pytest.approx(t * math.sqrt(variance[1, 1]), rel=1e-6)


def sample(rng: Any, days: int = 25) -> tuple[Any, Any, Any]:
    """Days whose odds are shifted: right on average over days, not on any of them."""
    day = np.repeat(np.arange(days), 40)
    p = rng.uniform(0.1, 0.5, day.size)
    shift = rng.uniform(-0.1, 0.1, days)[day]
    return rng.random(day.size) < p + shift, p, day


def test_what_is_right_is_not_called_wrong_over_days() -> None:
    """ECE reaches 0 and the level's interval holds 0 in 95% of samples, though each day is off."""
    rng, right = np.random.default_rng(3), []
    for _ in range(TIMES):
        y, p, day = sample(rng)
        level = recalibration(y, p, day).level
        right.append((calibration_error(y, p, day).low == 0.0, level.low <= 0.0 <= level.high))
    assert (np.mean(right, axis=0) >= 0.95 - CHANCE).all()


def test_a_wrong_level_is_called_wrong() -> None:
    found = calibration_error(OUTCOME, np.clip(SAID + 0.15, 0, 1))
    assert found.low > 0.02
    assert calibration_error(OUTCOME, np.clip(SAID + 0.15, 0, 1)) == found  # the seed is a parameter


def test_the_calibration_error_covers_a_known_one() -> None:
    """Said is 0.1 too high everywhere, so the error over any bins is 0.1."""
    rng, held = np.random.default_rng(4), []
    for _ in range(TIMES):
        p = rng.uniform(0.2, 0.8, 1000)
        one = calibration_error(rng.random(1000) < p - 0.1, p)
        held.append(one.low <= 0.1 <= one.high)
    assert np.mean(held) >= 0.95 - CHANCE


def test_the_order_of_rows_does_not_matter() -> None:
    order, day = RNG.permutation(3000), np.arange(3000) // 100
    for ask in (reliability_bins, calibration_error):
        assert ask(OUTCOME[order], SAID[order], day[order]) == ask(OUTCOME, SAID, day)
    assert brier_parts(OUTCOME[order], SAID[order]) == brier_parts(OUTCOME, SAID)
    first, second = recalibration(OUTCOME, SAID, day), recalibration(OUTCOME[order], SAID[order], day[order])
    assert second.slope.high == pytest.approx(first.slope.high, rel=1e-9)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ([0] * 40, np.linspace(0.1, 0.9, 40)),
        ([0, 1] * 20, [0.5] * 40),
        ([0, 1] * 5, np.linspace(0.1, 0.9, 10)),
        ([0] * 20 + [1] * 20, np.linspace(0.1, 0.9, 40)),
    ],
)
def test_no_line_where_none_can_be_fitted(outcome: Any, said: Any) -> None:
    with pytest.raises(NotEnough):
        recalibration(outcome, said)


@pytest.mark.parametrize("ask", [reliability_bins, calibration_error, brier_parts, recalibration])
def test_refuses_what_is_no_probability(ask: Any) -> None:
    for wrong in (1.2, float("nan")):
        with pytest.raises(InputError):
            ask([0, 1], [0.5, wrong])
    with pytest.raises(NotEnough):
        ask([], [])


def test_a_bin_of_one_day_has_no_interval() -> None:
    bins = reliability_bins([0, 1, 0, 1], [0.1, 0.1, 0.8, 0.9], ["mon", "mon", "mon", "tue"], bins=3)
    assert (bins[0].observed, bins[0].band) == (None, None)
    assert bins[0].as_dict()["share"] == 0.5
