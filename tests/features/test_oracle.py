"""Time-correct features against a brute-force oracle that imports nothing from `backstay.features`."""

from __future__ import annotations

import struct

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.features import oracle

from backstay.definitions import Count, Entity, EventSource, FeatureSet, Latest, Mean, Share, Sum, Windowed
from backstay.features.offline import feature_rows
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents

HOUR = 3_600_000_000
START = 1_362_272_400_000_000  # three hours before New York's clocks went forward, 2013-03-10

SOURCE = EventSource(
    "things", schema={"a": "string", "b": "string", "x": "float", "y": "float"}, known_time="known_time"
)
SINGLE, PAIR = Entity("a"), Entity("pair", keys=["a", "b"])
WINDOWS = ("1h", "3h", "1d")
AGGREGATES = {"count": Count(), "sum": Sum("x"), "mean": Mean("y"), "share": Share(pl.col("x") >= 30)}
FEATURES = FeatureSet(
    "things",
    [
        Windowed(SOURCE, by=SINGLE, over=WINDOWS, **AGGREGATES),
        Latest(SOURCE, by=SINGLE, max_age="2h", x="x"),
        Windowed(SOURCE, by=PAIR, over=WINDOWS, **AGGREGATES),
        Latest(SOURCE, by=PAIR, y="y"),
    ],
)
LENGTH = {"1h": HOUR, "3h": 3 * HOUR, "1d": 24 * HOUR}

# Few distinct times and keys, so that ties, window edges and shared entities are the rule and not the exception.
# ("1", "12") and ("11", "2") must not be taken for one another.
KEYS = st.sampled_from(["1", "11", "2", None])
MOMENTS = st.integers(0, 60).map(lambda step: START + step * HOUR // 2) | st.integers(START, START + 30 * HOUR)
LATENESS = st.sampled_from([0, 0, 0, 1, HOUR // 2, HOUR, 5 * HOUR, 30 * HOUR, -HOUR])
NUMBERS = (
    st.none() | st.integers(-5, 90).map(float) | st.floats(-1e6, 1e6) | st.sampled_from([0.1, 1e-300, 1e17, -1e17])
)


@st.composite
def events(draw: st.DrawFn) -> list[oracle.Event]:
    rows = draw(
        st.lists(st.tuples(MOMENTS, LATENESS, KEYS, st.sampled_from(["12", "2", None]), NUMBERS, NUMBERS), max_size=40)
    )
    return [
        oracle.Event(at, at + late, place + 1, {"a": a, "b": b}, {"x": x, "y": y})
        for place, (at, late, a, b, x, y) in enumerate(rows)
    ]


ASKED = st.lists(st.tuples(MOMENTS, KEYS, st.sampled_from(["12", "2", "3"])), min_size=1, max_size=25)


def store(rows: list[oracle.Event]) -> MemoryEvents:
    out = MemoryEvents()
    time = pl.Datetime("us", "UTC")
    out.append(
        "things",
        pl.DataFrame(
            [(e.event_time, e.known_time, e.keys["a"], e.keys["b"], e.values["x"], e.values["y"]) for e in rows],
            schema={
                "event_time": pl.Int64,
                "known_time": pl.Int64,
                "a": pl.String,
                "b": pl.String,
                "x": pl.Float64,
                "y": pl.Float64,
            },  # fmt: skip
            orient="row",
        ).with_columns(pl.col("event_time", "known_time").cast(time)),
    )
    return out


def expected(rows: list[oracle.Event], at: int, a: str | None, b: str | None) -> dict[str, tuple[float | None, str]]:
    out = {}
    for entity, keys in (("a", {"a": a}), ("pair", {"a": a, "b": b})):
        for window, length in LENGTH.items():
            for kind in AGGREGATES:
                column = "y" if kind == "mean" else "x"
                spec = ("windowed", length, kind, column)
                out[f"{entity}_{kind}_{window}"] = oracle.answer(rows, keys, at, spec)
    out["a_x"] = oracle.answer(rows, {"a": a}, at, ("latest", 2 * HOUR, "x"))
    out["pair_y"] = oracle.answer(rows, {"a": a, "b": b}, at, ("latest", None, "y"))
    return out


def bits(value: float | None) -> bytes | None:
    return None if value is None else struct.pack("<d", value)


@settings(max_examples=150, deadline=None)
@given(events(), ASKED)
def test_every_value_and_status_is_the_oracles(
    rows: list[oracle.Event], asked: list[tuple[int, str | None, str]]
) -> None:
    frame = pl.DataFrame(asked, schema={"at": pl.Int64, "a": pl.String, "b": pl.String}, orient="row")
    got = feature_rows(FEATURES, frame, store(rows)).rows
    values = got.frame()
    for place, (at, a, b) in enumerate(asked):
        want = expected(rows, at, a, b)
        for column, feature in enumerate(FEATURES):
            value, status = want[feature.name]
            context = (feature.name, at, a, b)
            assert (bits(values[feature.name][place]), *context) == (bits(value), *context)
            assert (Status(got.statuses[place, column]).name, *context) == (status, *context)


@settings(max_examples=40, deadline=None)
@given(events(), ASKED)
def test_a_row_does_not_depend_on_the_others(
    rows: list[oracle.Event], asked: list[tuple[int, str | None, str]]
) -> None:
    frame = pl.DataFrame(asked, schema={"at": pl.Int64, "a": pl.String, "b": pl.String}, orient="row")
    whole = feature_rows(FEATURES, frame, store(rows)).rows.frame()
    single = pl.concat(
        [feature_rows(FEATURES, frame[place], store(rows)).rows.frame() for place in range(frame.height)]
    )
    assert whole.equals(single, null_equal=True)
