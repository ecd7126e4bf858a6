"""The smallest value of any range: held against looking at every value."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.features.extremes import Ranges, Spans


@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 33, 64, 1_000])
def test_every_kind_of_range(size: int) -> None:
    random = np.random.default_rng(size)
    values = random.normal(size=size)
    values[random.random(size) < 0.1] = np.inf  # nulls
    low, high = np.sort(random.integers(0, size + 1, (2, 500)), axis=0)
    low[:3], high[:3] = 0, size
    expected = [values[a:b].min(initial=np.inf) for a, b in zip(low, high, strict=True)]
    ranges = Ranges(values)
    assert ranges.smallest(Spans(low, high, size)).tolist() == expected
    assert ranges.smallest(Spans(low[:1], high[:1], size)).tolist() == expected[:1]
