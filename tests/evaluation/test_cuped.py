"""CUPED: how much narrower, and that looking at any time stays allowed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backstay.core.errors import InputError
from backstay.evaluation.cuped import LEAST, Cuped
from backstay.evaluation.interval import Interval
from backstay.evaluation.sequential import MeanDifference, Moments

Floats = NDArray[np.float64]
TIMES, BLOCKS, EACH, RHO = 300, 25, 60, 0.7
MOST = 0.05 + 2 * np.sqrt(0.05 * 0.95 / TIMES)


def _walked(seed: int, effect: float, missing: float = 0.0) -> dict[str, tuple[bool, float, float]]:
    """Of plain and adjusted values: whether 0 was ever left out, the last estimate, and the last width."""
    rng = np.random.default_rng(seed)
    known = rng.normal(5, 2, (BLOCKS, 2 * EACH))
    values = RHO * (known - 5) / 2 + np.sqrt(1 - RHO**2) * rng.normal(size=known.shape)
    values[:, :EACH] += effect
    known[rng.random(known.shape) < missing] = np.nan
    state, out = Cuped(), {}
    sequences = {"plain": MeanDifference(), "adjusted": MeanDifference()}
    left = dict.fromkeys(sequences, False)
    for v, x in zip(values, known, strict=True):
        arms = [(v[:EACH], x[:EACH]), (v[EACH:], x[EACH:])]
        for name in sequences:
            mine, theirs = (state.adjusted(*arm) if name == "adjusted" else arm[0] for arm in arms)
            sequences[name] = sequences[name].update(Moments.of(mine), Moments.of(theirs))
            reading = sequences[name].reading().gain
            if isinstance(reading, Interval):
                left[name] |= not reading.low <= 0 <= reading.high
                out[name] = (left[name], reading.estimate, reading.high - reading.low)
        state = state.update(arms)
    return out


def test_variance_goes_by_the_squared_correlation_and_the_level_holds_whenever_one_looks() -> None:
    runs = [_walked(seed, 0.0) for seed in range(TIMES)]
    estimates = {name: np.array([one[name][1] for one in runs]) for name in ("plain", "adjusted")}
    false = {name: np.mean([one[name][0] for one in runs]) for name in estimates}
    ratio = estimates["adjusted"].var() / estimates["plain"].var()
    error = ratio * 2 / np.sqrt(TIMES)
    print(f"variance {ratio:.3f} ± {error:.3f} of what it was, 1 - rho^2 is {1 - RHO**2:.3f}; ever wrong: {false}")  # noqa: T201
    assert abs(ratio - (1 - RHO**2)) < 2 * error + 0.03  # the first block is not adjusted
    assert all(share <= MOST for share in false.values())


def test_an_effect_is_estimated_as_it_is_and_shown_more_often() -> None:
    runs = [_walked(seed, 0.12, missing=0.2) for seed in range(100)]
    shown = {name: np.mean([one[name][0] for one in runs]) for name in ("plain", "adjusted")}
    mean = np.mean([one["adjusted"][1] for one in runs])
    print(f"an effect of 0.12, a fifth of the covariates missing: shown {shown}, estimated {mean:.4f}")  # noqa: T201
    assert abs(mean - 0.12) < 0.01
    assert shown["adjusted"] > shown["plain"] + 0.15


def test_state() -> None:
    rng = np.random.default_rng(0)
    known = rng.normal(size=LEAST)
    values = 2 * known + rng.normal(0, 0.1, LEAST)
    state = Cuped().update([(values[:50] + 10, known[:50]), (values[50:], known[50:])])
    assert state.theta == pytest.approx(2, abs=0.05)  # the arms' own level of 10 does not bend it
    assert state.explained > 0.99
    assert Cuped.from_dict(state.as_dict()) == state
    assert Cuped().update([(values[:50], known[:50])]).theta == 0.0  # too few
    unknown = np.full(3, np.nan)
    assert state.adjusted([1.0, 2.0, 3.0], unknown).tolist() == [1.0, 2.0, 3.0]
    assert Cuped().update([([1.0] * 200, [2.0] * 200)]).theta == 0.0  # a covariate that does not differ
    with pytest.raises(InputError, match="2 covariates of 1 values"):
        state.adjusted([1.0], [1.0, 2.0])
    with pytest.raises(InputError, match="not finite"):
        state.update([([1.0], [np.inf])])
