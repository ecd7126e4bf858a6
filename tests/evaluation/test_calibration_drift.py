"""Calibration drift: false alarms, what is found, and the states of too little."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.core.errors import InputError
from backstay.evaluation.calibration_drift import calibration_drift
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled import ScoredReference


def _rows(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    p = random.beta(2, 5, count)
    return random.random(count) < p, p


def test_scores_that_are_right_do_not_drift_and_wrong_ones_do() -> None:
    random = np.random.default_rng(0)
    states = [calibration_drift(*_rows(random, 3_000)).state for _ in range(20)]
    assert State.DRIFT not in states
    assert states.count(State.OK) > 12
    y, p = _rows(random, 4_000)
    more = calibration_drift(random.random(4_000) < p + 0.1, p)
    assert more.state is State.DRIFT
    assert "more often than said" in more.why
    odds = np.log(p / (1 - p))
    even = calibration_drift(y, 1 / (1 + np.exp(-(0.4 * odds - 0.55))))
    assert even.state is State.DRIFT
    assert "too even" in even.why


def test_against_a_reference_what_never_was_calibrated_does_not_drift() -> None:
    random = np.random.default_rng(1)
    (y, p), (after, now) = _rows(random, 6_000), _rows(random, 4_000)
    assert calibration_drift(after, now**2).state is State.DRIFT
    reference = ScoredReference.of(y, p**2)
    assert calibration_drift(after, now**2, reference).state is State.OK
    turned = np.where(random.random(4_000) < 0.2, ~after, after)
    assert calibration_drift(turned, now**2, reference).state is State.DRIFT


def test_clusters_are_what_counts() -> None:
    random = np.random.default_rng(2)
    day = np.repeat(np.arange(12), 400)
    p = random.beta(2, 5, day.size)
    y = random.random(day.size) < np.clip(p + random.normal(0, 0.15, 12)[day], 0, 1)
    assert calibration_drift(y, p, clusters=day).state is not State.DRIFT


def test_states_of_too_little() -> None:
    assert calibration_drift([], []).state is State.NO_DATA
    eight = calibration_drift([0, 1, 0, 0, 1, 0, 0, 0], [0.3] * 8)
    assert (eight.state, eight.slope) == (State.UNDERPOWERED, None)
    one_day = calibration_drift([0, 1], [0.5, 0.5], clusters=[1, 1])
    assert (one_day.state, one_day.gap) == (State.UNDERPOWERED, None)
    with pytest.raises(InputError):
        calibration_drift([0, 1], [0.5, 0.5], gap=0.0)
