"""Sums of floats through integers: what `math.fsum` says, whatever the exponents and however many sums at once."""

from __future__ import annotations

from math import fsum

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstay.features.exact import fixed, rounded

_MANY = 100  # more sums than are made in Python's integers

floats = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)
near = st.floats(min_value=0.001, max_value=1000.0) | st.floats(min_value=-1000.0, max_value=-0.001)
cents = st.integers(-(10**6), 10**6).map(lambda number: number / 100)


@given(st.lists(floats, max_size=30) | st.lists(near, max_size=60) | st.lists(cents, max_size=60))
@example([0.25, 12.5, 1000.5])
@example([5e-324, -5e-324, 1.5])
@example([2.0**-1074, 2.0**-1022, 2.0**-1023])
@example([0.0, -0.0])
@example([1e16, 1.0, -1e16])
@example([0.1] * 9 + [1e9 + 0.1, -(1e9 + 0.1)])
@example([-0.1, 0.3, 1e-10, 2e10 / 3])
def test_every_run_sums_to_the_nearest_float(values: list[float]) -> None:
    made = fixed(np.array(values), len(values))
    prefix = np.zeros((len(values) + 1, made.limbs.shape[1]), np.int64)
    np.cumsum(made.limbs, axis=0, out=prefix[1:])
    low, high = np.array([(a, b) for a in range(len(values) + 1) for b in range(a, len(values) + 1)]).T
    expected = [fsum(values[a:b]) for a, b in zip(low, high, strict=True)]
    totals = prefix[high] - prefix[low]
    few = [float(rounded(total[None], made.scale, made.bits)[0]) for total in totals[:_MANY]]
    assert few == expected[:_MANY]
    times = -(-_MANY // len(low)) + 1  # so many that they are made in arrays
    assert rounded(np.tile(totals, (times, 1)), made.scale, made.bits).tolist() == expected * times


@pytest.mark.parametrize("spread", [0, 10, 20, 25, 40, 100])
def test_sums_of_many_numbers_of_all_sizes(spread: int) -> None:
    random = np.random.default_rng(spread)
    values = random.normal(size=2_000) * 2.0 ** random.integers(-spread, spread + 1, 2_000)
    made = fixed(values, len(values))
    prefix = np.zeros((len(values) + 1, made.limbs.shape[1]), np.int64)
    np.cumsum(made.limbs, axis=0, out=prefix[1:])
    low, high = np.sort(random.integers(0, len(values) + 1, (2, 500)), axis=0)
    expected = [fsum(values[a:b]) for a, b in zip(low, high, strict=True)]
    assert rounded(prefix[high] - prefix[low], made.scale, made.bits).tolist() == expected
