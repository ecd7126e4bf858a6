"""Power: the rule's false alarms, and whether the rows that were said to be needed show the gain as often as said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from backstay.core.errors import InputError
from backstay.evaluation.interval import Interval
from backstay.evaluation.power import Needed, detectable, shown, still_needed

GAIN = Interval(0.004, -0.002, 0.010, level=0.95, n=12_000, clusters=30)


def intervals(gain: float, clusters: int, times: int = 2_000, seed: int = 1) -> list[Interval]:
    """Means of normal clusters, with their t interval: NumPy and SciPy only."""
    values = np.random.default_rng(seed).normal(gain, 1.0, (times, clusters))
    middle, reach = values.mean(axis=1), stats.t.ppf(0.975, clusters - 1) * stats.sem(values, axis=1)
    rows = clusters * 10
    return [
        Interval(m, m - r, m + r, 0.95, rows, clusters) for m, r in zip(middle.tolist(), reach.tolist(), strict=True)
    ]


def test_no_difference_is_called_better_at_most_as_often_as_the_level_says() -> None:
    """Superiority at 0, and non-inferiority where the truth is the margin itself; two Monte Carlo errors."""
    most = 0.025 + 2 * math.sqrt(0.025 * 0.975 / 2_000)
    assert np.mean([shown(one) is True for one in intervals(0.0, 20)]) <= most
    assert np.mean([shown(one, margin=-0.3) is True for one in intervals(-0.3, 20)]) <= most
    assert np.mean([shown(one, margin=-0.3) is True for one in intervals(0.0, 200)]) > 0.95


def test_the_detectable_gain_is_shown_as_often_as_said() -> None:
    least = np.mean([detectable(one, power=0.8) for one in intervals(0.0, 40)])
    found = np.mean([shown(one) is True for one in intervals(float(least), 40, seed=2)])
    assert found == pytest.approx(0.8, abs=0.04)


def test_it_is_2_8_standard_errors() -> None:
    many = Interval(0.0, -1.96, 1.96, 0.95, 10**6, 10**6)
    assert detectable(many) == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8), rel=1e-4)


def test_the_rows_said_to_be_needed_show_it() -> None:
    one = Interval(0.25, 0.25 - 0.468, 0.25 + 0.468, 0.95, 200, 20)  # as 20 clusters with deviation 1 give it
    needed = still_needed(one)
    assert needed is not None
    assert needed.rows == needed.clusters * 10
    found = np.mean([shown(it) is True for it in intervals(0.25, 20 + needed.clusters)])
    assert found == pytest.approx(0.8, abs=0.05)


def test_what_seems_no_gain_needs_no_number_of_rows() -> None:
    assert still_needed(GAIN, margin=0.004) is None
    assert still_needed(GAIN, margin=0.01) is None
    assert still_needed(Interval(1e-30, -1.0, 1.0, 0.95, 100, 10)) is None
    enough = still_needed(Interval(1.0, 0.9, 1.1, 0.95, 100, 10))
    assert enough == Needed(0, 0, 1.0, 0.8)


def test_the_rule() -> None:
    assert [shown(GAIN, margin) for margin in (0.0, -0.005, 0.02)] == [None, True, False]
    with pytest.raises(InputError, match="margin"):
        shown(GAIN, math.nan)
    for ask in (detectable, lambda gain, power: still_needed(gain, power=power)):
        with pytest.raises(InputError, match="power"):
            ask(GAIN, power=1.0)
