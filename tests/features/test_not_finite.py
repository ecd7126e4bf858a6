"""Values that are not finite (0/0, 1/0, what overflows) are null: offline and online, as the oracle has it."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from backstay import Distinct, FeatureSet, First, Last, Latest, Max, Mean, Min, Std, Sum, Windowed
from backstay.features.lookup import OnlineLookup
from backstay.features.offline import feature_rows
from backstay.features.online import OnlineWriter
from backstay.storage.backends.memory import MemoryOnline
from backstay.storage.ports import OnlineState
from backstay.testing import features_at
from tests.features import oracle, world
from tests.features.test_oracle import AskedRows, Rows, same_bits
from tests.features.world import HOUR, PLAIN, SINGLE, START

RATIO = pl.col("x") / pl.col("y")
KINDS = {"sum": Sum, "mean": Mean, "min": Min, "max": Max, "first": First, "last": Last, "distinct": Distinct}
FEATURES = FeatureSet(
    "ratios",
    [
        Windowed(PLAIN, by=SINGLE, over="3h", **{name: made(RATIO) for name, made in KINDS.items()}),
        Latest(PLAIN, by=SINGLE, max_age="2h", ratio=RATIO),
    ],
)


def ratio(x: float | None, y: float | None) -> float | None:
    """As IEEE 754 has it, and nothing where it is not finite."""
    if x is None or y is None or y == 0.0:
        return None
    return x / y if math.isfinite(x / y) else None


def within_float32(y: float | None) -> float | None:
    """No divisor so small that a finite ratio is beyond what a model's input, a float32, can hold."""
    return 0.0 if y is not None and abs(y) < 1e-9 else y


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=world.events(), asked=world.ASKED)
def test_what_is_not_finite_is_null(online: OnlineState, rows: Rows, asked: AskedRows) -> None:
    rows = [row._replace(values={**row.values, "y": within_float32(row.values["y"])}) for row in rows]
    record = world.store(PLAIN, rows)
    divided: list[oracle.Event] = [
        row._replace(values={"ratio": ratio(row.values["x"], row.values["y"])}, id=None) for row in rows
    ]
    got = feature_rows(FEATURES, world.asked_frame(asked), record).rows
    frame = got.frame()
    for place, (at, a, _) in enumerate(asked):
        want = {
            f"a_{kind}_3h": oracle.answer(divided, {"a": a}, at, ("windowed", 3 * HOUR, None, kind, "ratio"))
            for kind in KINDS
        }
        want["a_ratio"] = oracle.answer(divided, {"a": a}, at, ("latest", 2 * HOUR, "ratio"))
        world.check(FEATURES, frame, got.statuses, place, want)
    online.clear()
    OnlineWriter(online, [FEATURES]).apply(PLAIN, record.read(PLAIN.name))
    same_bits(OnlineLookup(FEATURES, online), record, asked)


@pytest.mark.parametrize(
    ("values", "want"), [((1e150, 3e150), None), ((1e200, 2e200), None), ((1e140, 3e140), 2e140 / math.sqrt(2))]
)
def test_a_deviation_beyond_the_floats_is_null_and_not_nothing(values: tuple[float, ...], want: float | None) -> None:
    spread = FeatureSet("spread", [Windowed(PLAIN, by=SINGLE, over="3h", x=Std("x"))])
    told = [{"event_time": world.START + place, "a": "u", "x": x} for place, x in enumerate(values)]
    got = features_at(spread, world.START + HOUR, {PLAIN: told}, a="u")["a_x_3h"]
    assert got == want if want is None else math.isclose(got, want, rel_tol=1e-15)


@pytest.mark.parametrize(
    "values", [(1.7e308, 1.7e308, -1.7e308), (1.7e308, 1.7e308), (-0.0,), (-0.0, 0.0), (5e-324, 1e308)]
)
def test_a_sum_at_the_edge_of_the_floats_is_rounded_once_online_as_offline(values: tuple[float, ...]) -> None:
    """What overflows on the way to a sum that does not, and zeros of either sign."""
    features = FeatureSet(
        "edge", [Windowed(PLAIN, by=SINGLE, over="3h", **{name: one("x") for name, one in KINDS.items()})]
    )
    rows = [
        world.event(place + 1, START + place, 0, "u", None, (x, *[None] * 5), None) for place, x in enumerate(values)
    ]
    record, online = world.store(PLAIN, rows), MemoryOnline()
    OnlineWriter(online, [features]).apply(PLAIN, record.read(PLAIN.name))
    with np.errstate(over="ignore"):  # of a model's input, which is a float32
        same_bits(OnlineLookup(features, online), record, [(START + HOUR, "u", "2"), (START + 1, "u", "2")])
