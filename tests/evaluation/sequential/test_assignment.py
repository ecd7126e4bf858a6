"""The assignment test: its e-value against SciPy's likelihoods, its level over all looks, and what it finds."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.sequential import AssignmentTest
from backstay.evaluation.sequential.assignment import CONCENTRATION, log_stage

TIMES = 2_000


@pytest.mark.parametrize("shares", [(0.05, 0.95), (0.5, 0.5), (0.01, 0.09, 0.9)])
def test_a_stage_is_dirichlet_multinomial_over_multinomial(shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(3)
    for n in (0, 1, 40, 100_000):
        counts = rng.multinomial(n, shares)
        wide = stats.dirichlet_multinomial.logpmf(counts, CONCENTRATION * np.array(shares), n)
        meant = stats.multinomial.logpmf(counts, n, shares)
        assert float(log_stage(counts, shares)) == pytest.approx(float(wide - meant), abs=1e-6 if n > 1_000 else 1e-9)


def test_a_fair_lot_is_called_unfair_at_most_as_often_as_said_over_all_looks() -> None:
    rng, alpha = np.random.default_rng(8), 0.01
    log_e = np.zeros((TIMES, 1))
    for share, looks in ((0.01, 34), (0.05, 33), (0.25, 33)):
        mine = np.cumsum(rng.binomial(500, share, (TIMES, looks)), axis=1)
        all_so_far = np.arange(1, looks + 1) * 500
        stage = log_stage(np.stack([mine, all_so_far - mine], axis=-1), (share, 1 - share))
        log_e = np.concatenate([log_e, log_e[:, -1:] + stage], axis=1)
    false = float((log_e.max(axis=1) >= -math.log(alpha)).mean())
    assert false <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / TIMES)


def test_a_canary_of_5_percent_that_gets_4_is_found() -> None:
    mine = np.cumsum(np.random.default_rng(9).binomial(200, 0.04, (TIMES, 100)), axis=1)
    counts = np.stack([mine, np.arange(1, 101) * 200 - mine], axis=-1)
    found = (log_stage(counts, (0.05, 0.95)) >= math.log(1_000)).any(axis=1)
    assert found.mean() >= 0.95


def test_stages_multiply_and_the_state_goes_on_from_a_record() -> None:
    one, two = AssignmentTest().update([13, 987], [0.01, 0.99]), AssignmentTest().update([70, 930], [0.05, 0.95])
    both = AssignmentTest.from_dict(json.loads(json.dumps(one.as_dict()))).update([70, 930], [0.05, 0.95])
    assert both.log_e == pytest.approx(one.log_e + two.log_e, abs=1e-9)
    parts = AssignmentTest().update([5, 400], [0.01, 0.99]).update([8, 587], [0.01, 0.99])
    assert parts.log_e == one.log_e
    assert AssignmentTest.from_dict(both.as_dict()) == both
    assert (AssignmentTest().e_value, AssignmentTest().p_value, AssignmentTest().shown) == (1.0, 1.0, False)


def test_a_mismatch_once_shown_stays_shown() -> None:
    test = AssignmentTest().update([700, 300], [0.5, 0.5])
    later = test.update([300, 700], [0.5, 0.5])
    assert test.shown
    assert later.shown
    assert later.e_value < 1.0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(InputError, match="alpha"):
        AssignmentTest(alpha=1.0)
    for counts, shares, word in (
        ([1], [1.0], "counts"),
        ([1, 2], [0.2, 0.3, 0.5], "counts"),
        ([-1, 2], [0.5, 0.5], "counts"),
        ([1.5, 2], [0.5, 0.5], "counts"),
        ([1, 2], [0.0, 1.0], "shares"),
        ([1, 2], [0.5, 0.6], "shares"),
    ):
        with pytest.raises(InputError, match=word):
            AssignmentTest().update(counts, shares)
