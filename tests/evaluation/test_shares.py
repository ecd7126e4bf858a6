"""Intervals of shares against SciPy's, and how often they cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.shares import exact, wilson

CASES = [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (7, 50), (3, 100_000), (500_000, 1_000_000)]


@pytest.mark.parametrize(("hits", "n"), CASES)
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_agree_with_scipy(hits: int, n: int, level: float) -> None:
    test = stats.binomtest(hits, n)
    for ours, method in ((exact, "exact"), (wilson, "wilson")):
        theirs = test.proportion_ci(level, method)
        found = ours(hits, n, level)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.5])
def test_exact_covers_at_least_its_level_by_the_whole_distribution(share: float) -> None:
    n = 60
    chance = stats.binom.pmf(np.arange(n + 1), n, share)
    covered = [_holds(exact(hits, n), share) for hits in range(n + 1)]
    assert chance[covered].sum() >= 0.95 - 1e-12


def test_nothing_has_no_share() -> None:
    for ask in (exact, wilson):
        with pytest.raises(NotEnough, match="no rows"):
            ask(0, 0)
        with pytest.raises(InputError, match="no share"):
            ask(3, 2)


def _holds(interval: Interval, share: float) -> bool:
    return interval.low <= share <= interval.high
