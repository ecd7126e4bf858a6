"""Standard deviations of values that lie close together, as Python's exact fractions have them, online as offline."""

from __future__ import annotations

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backstay import FeatureSet, Std, Windowed
from backstay.features.lookup import OnlineLookup
from backstay.features.offline import feature_rows
from backstay.features.online import OnlineWriter
from backstay.storage.backends.memory import MemoryOnline
from tests.features import world
from tests.features.test_oracle import same_bits
from tests.features.world import HOUR, PLAIN, SINGLE, START

TINY = 2.0**-485  # in size, below which a value counts as nothing
MANY = 70  # rows that are answered by arrays, and not in plain numbers
FEATURES = FeatureSet("spread", [Windowed(PLAIN, by=SINGLE, over=["1h", "9h"], x=Std("x"))])

centre = st.sampled_from([1.7e9, 1714564800000000.0, 1e8 + 0.1, -0.1, 3e-9, 1e-140, 7e135]) | st.floats(-1e17, 1e17)
ulps = st.lists(st.integers(-3, 3) | st.integers(-(10**9), 10**9), min_size=1, max_size=9)


def near(middle: float, steps: list[int]) -> list[float]:
    """Values so many units in the last place from the middle."""
    return [middle + step * math.ulp(middle) for step in steps]


@settings(max_examples=150, deadline=None)
@given(st.builds(near, centre, ulps) | st.lists(centre, min_size=1, max_size=6))
@example([1714564800000000.0, 1714564800000001.0, 1714564800000002.0])
@example([1e8 + 0.1, 1e8 + 0.2, 1e8 + 0.3])
@example([0.1] * 9)
@example([1e15 + 1.0, 1e15 + 1.0])
@example([0.1, 0.1, 0.1 + 2**-56])
@example([1e-140, 1e-140 + math.ulp(1e-140)])
@example([0.0, 0.0, -0.0])
@example([2.0**-60] * 3 + [1e17])
def test_a_deviation_is_right_to_the_last_bits_online_as_offline(values: list[float]) -> None:
    rows = [
        world.event(place + 1, START + place * HOUR, 0, "1", None, (x, *[None] * 5), None)
        for place, x in enumerate(values)
    ]
    record, state = world.store(PLAIN, rows), MemoryOnline()
    asked = [(START + place * HOUR // 2 + 1, "1", "2") for place in range(2 * len(values))]
    told = feature_rows(FEATURES, world.asked_frame(asked), record).rows.frame()
    for (at, *_), got in zip(asked, told.get_column("a_x_9h"), strict=True):
        inside = [row.values["x"] for row in rows if at - 9 * HOUR <= row.event_time < at]
        seen = [Fraction(0.0 if abs(x) < TINY else x) for x in inside]
        want = float(statistics.stdev(seen)) if len(seen) > 1 else None
        assert got == want if not want else math.isclose(got, want, rel_tol=4e-16), seen
    OnlineWriter(state, [FEATURES]).apply(PLAIN, record.read(PLAIN.name))
    with np.errstate(over="ignore"):  # of a model's input, which is a float32
        same_bits(OnlineLookup(FEATURES, state), record, asked)
        same_bits(OnlineLookup(FEATURES, state), record, asked * (MANY // len(asked) + 1))


@pytest.mark.parametrize("tiny", [5e-324, 1e-200, 2.0**-487])
def test_what_has_no_square_counts_as_nothing(tiny: float) -> None:
    rows = [
        world.event(place + 1, START + place, 0, "1", None, (x, *[None] * 5), None)
        for place, x in enumerate([tiny, -tiny, 3 * tiny])
    ]
    asked = world.asked_frame([(START + HOUR, "1", "2")])
    assert feature_rows(FEATURES, asked, world.store(PLAIN, rows)).rows.values() == [[0.0, 0.0]]


def test_one_value_is_constant_whatever_it_is() -> None:
    """Constants of many sizes, among values that are none, so many that they are answered by arrays."""
    random = np.random.default_rng(4)
    constants = random.normal(size=MANY) * 10.0 ** random.integers(-120, 120, MANY)
    rows = [
        world.event(3 * place + again + 1, START + place * 2 * HOUR + again, 0, "1", None, (x, *[None] * 5), None)
        for place, x in enumerate(constants.tolist())
        for again in range(3)
    ]
    asked = [(START + place * 2 * HOUR + HOUR, "1", "2") for place in range(MANY)]
    told = feature_rows(FEATURES, world.asked_frame(asked), world.store(PLAIN, rows)).rows.frame()
    assert told.get_column("a_x_1h").to_list() == [0.0] * MANY
    assert told.get_column("a_x_9h")[1:].min() > 0  # type: ignore[operator]
