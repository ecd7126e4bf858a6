"""The harm test: its bets against SciPy's likelihoods, their fairness over every outcome, and its state."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.sequential import Counts, HarmTest
from backstay.evaluation.sequential.rates import ODDS, WEIGHTS, log_bets, log_mixture

ARMS = [(7, 7), (1, 9), (8, 2)]
RATES = [0.0, 0.01, 0.3, 0.9, 1.0]
ALLOWED = [(1.0, 0.0), (1.2, 0.0), (0.8, 0.0), (1.0, 0.05), (1.1, 0.02)]


def fairness(n: int, m: int, rate: float, mine: float, ratio: float, margin: float) -> float:
    """The most that any bet is expected to win on one block, over all its outcomes."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(n + 1), np.arange(m + 1)))
    chance = stats.binom.pmf(x, n, mine) * stats.binom.pmf(y, m, rate)
    won = np.exp(log_bets(np.full(x.size, n), x, np.full(x.size, m), y, ratio, margin))
    return float((chance @ won).max())


@pytest.mark.parametrize(("n", "m"), ARMS)
@pytest.mark.parametrize(("ratio", "margin"), ALLOWED)
def test_no_bet_is_expected_to_win_where_there_is_no_harm(n: int, m: int, ratio: float, margin: float) -> None:
    for rate in RATES:
        most = min(ratio * rate + margin, 1.0)
        for mine in (most, most / 2, 0.0):
            assert fairness(n, m, rate, mine, ratio, margin) <= 1.0 + 1e-12
    assert fairness(n, m, 0.2, 0.5, ratio, margin) > 1.0


def test_a_bet_is_the_likelihood_ratio_of_a_share_of_all_harms() -> None:
    for (n, m), ratio in itertools.product([(50, 50), (10, 990), (300, 100)], (1.0, 1.3)):
        for x, y in itertools.product((0, 1, 7), repeat=2):
            allowed = stats.binom.logpmf(x, x + y, ratio * n / (ratio * n + m))
            bet = [stats.binom.logpmf(x, x + y, odds * ratio * n / (odds * ratio * n + m)) for odds in ODDS]
            assert log_bets(n, x, m, y, ratio) == pytest.approx(np.array(bet) - allowed, abs=1e-9)


def test_losses_between_0_and_1_win_no_more_than_errors_would() -> None:
    """Each loss replaced by an error with its probability: the same mean, and at least the same winnings."""
    loss = np.array([0.1, 0.5, 0.9])
    kept = np.exp(log_bets(3, loss.sum(), 3, 0.0))
    errors = np.array(list(itertools.product((0, 1), repeat=3)))
    chance = np.prod(np.where(errors == 1, loss, 1 - loss), axis=1)
    drawn = chance @ np.exp(log_bets(np.full(8, 3), errors.sum(axis=1), np.full(8, 3), np.zeros(8)))
    assert (kept <= drawn + 1e-12).all()


def test_the_state_is_what_all_blocks_say_together_whatever_their_order() -> None:
    rng = np.random.default_rng(5)
    n, m = rng.integers(1, 300, 40), rng.integers(1, 3_000, 40)
    x, y = rng.binomial(n, 0.05), rng.binomial(m, 0.03)
    running = np.cumsum(log_bets(n, x, m, y), axis=0)
    test = after(HarmTest(), n, x, m, y)
    assert test.e_value == pytest.approx(float(np.exp(log_mixture(running[-1]))), rel=1e-9)
    assert test.p_value == pytest.approx(float(np.exp(-max(0.0, log_mixture(running).max()))), rel=1e-9)
    assert (test.blocks, test.candidate.requests, test.champion.harms) == (40, n.sum(), y.sum())
    back = after(HarmTest(), n[::-1], x[::-1], m[::-1], y[::-1])
    assert back.e_value == pytest.approx(test.e_value, rel=1e-9)


def test_it_goes_on_from_a_record_as_if_it_had_never_stopped() -> None:
    blocks = ([30] * 20, [2] * 20, [900] * 20, [18] * 20)
    first = after(HarmTest(ratio=1.1, margin=0.001, alpha=0.05), *(one[:9] for one in blocks))
    kept = json.loads(json.dumps(first.as_dict(), allow_nan=False))
    assert HarmTest.from_dict(kept) == first
    whole = after(HarmTest(ratio=1.1, margin=0.001, alpha=0.05), *blocks)
    assert after(HarmTest.from_dict(kept), *(one[9:] for one in blocks)) == whole


def test_an_arm_alone_says_nothing_and_is_counted() -> None:
    test = HarmTest().update(Counts(100, 90), Counts(0, 0)).update(Counts(0, 0), Counts(100, 1))
    assert (test.e_value, test.p_value, test.shown) == (pytest.approx(1.0), 1.0, False)
    assert (test.alone, test.blocks, test.candidate.requests) == (2, 0, 0)


def test_harm_once_shown_stays_shown() -> None:
    test = HarmTest().update(Counts(200, 20), Counts(200, 2))
    assert test.shown
    later = test.update(Counts(5_000, 20), Counts(5_000, 100))
    assert later.e_value < 1.0
    assert later.shown
    assert later.p_value == test.p_value


def test_a_candidate_that_always_fails_is_found_within_a_few_requests() -> None:
    test, served = HarmTest(), 0
    while not test.shown:
        test, served = test.update(Counts(1, 1), Counts(99, 2)), served + 1
    assert served <= 5
    assert math.isfinite(after(test, [10**6] * 3, [10**6] * 3, [10**6] * 3, [0] * 3).e_value)


def test_what_makes_no_sense_is_refused() -> None:
    assert sum(WEIGHTS) == pytest.approx(1.0)
    for counts in ((-1, 0.0), (3, 4.0), (3, -0.1), (3, math.nan)):
        with pytest.raises(InputError, match="harms"):
            Counts(*counts)
    for wrong in ({"ratio": 0.0}, {"ratio": math.nan}, {"margin": -0.1}, {"margin": 1.0}):
        with pytest.raises(InputError, match="allow nothing"):
            HarmTest(**wrong)
    with pytest.raises(InputError, match="alpha"):
        HarmTest(alpha=0.0)
    with pytest.raises(InputError, match="stakes"):
        HarmTest(log_stakes=(0.0,))


def after(test: HarmTest, n: object, x: object, m: object, y: object) -> HarmTest:
    """The test after blocks of so many requests and harms of the candidate, and of the champion."""
    for mine, harm, theirs, other in zip(*(np.asarray(one).tolist() for one in (n, x, m, y)), strict=True):
        test = test.update(Counts(mine, harm), Counts(theirs, other))
    return test
