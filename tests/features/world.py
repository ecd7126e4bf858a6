"""Feature sets with everything in them, events that make it hard, and what the oracle says about them."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime
from typing import Any

import polars as pl
from hypothesis import strategies as st

from backstay.definitions import (
    Count,
    Derived,
    Distinct,
    Entity,
    EventSource,
    FeatureSet,
    First,
    Last,
    Latest,
    Max,
    Mean,
    Min,
    Share,
    Std,
    Sum,
    Windowed,
)
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents
from tests.features import oracle

HOUR = 3_600_000_000
START = 1_362_272_400_000_000  # three hours before New York's clocks went forward, 2013-03-10
TIME = pl.Datetime("us", "UTC")
SCHEMA = {
    "a": "string", "b": "string", "x": "float", "y": "float", "word": "string", "big": "int", "flag": "bool",
    "moment": "datetime", "id": "string",
}  # fmt: skip
VALUES = ("x", "y", "word", "big", "flag", "moment")
SINGLE, PAIR = Entity("a"), Entity("pair", keys=["a", "b"])
LENGTHS = {"1h": HOUR, "3h": 3 * HOUR, "1d": 24 * HOUR}
AGGREGATES = {
    "count": (Count(), None), "sum": (Sum("x"), "x"), "mean": (Mean("y"), "y"),
    "share": (Share(pl.col("x") >= 30), "x"),
    "min": (Min("x"), "x"), "max": (Max("y"), "y"), "std": (Std("x"), "x"), "first": (First("word"), "word"),
    "last": (Last("big"), "big"), "distinct": (Distinct("word"), "word"), "distinct_x": (Distinct("x"), "x"),
}  # fmt: skip
MADE = {name: aggregate for name, (aggregate, _) in AGGREGATES.items()}
ENTITIES = {"a": ("a",), "pair": ("a", "b"), "global": ()}


def feature_set(source: EventSource) -> FeatureSet:
    windowed = [Windowed(source, by=by, over=list(LENGTHS), hop=None, **MADE) for by in (SINGLE, PAIR)]
    return FeatureSet(
        source.name,
        [
            *windowed,
            Windowed(source, over="3h", hop="1h", **MADE),
            Latest(source, by=SINGLE, max_age="2h", x="x", word="word", moment="moment"),
            Latest(source, by=PAIR, y="y", big="big", flag="flag"),
            Derived(
                hours=pl.col("a_sum_1h") / 60,
                both=pl.col("a_x") + pl.col("pair_y") / 7,
                decayed=(pl.col("a_x") / 3).exp(),
                shout=pl.col("a_word") + "!",
                hour=pl.col("a_moment").dt.convert_time_zone("America/New_York").dt.hour(),
            ),
        ],
    )


PLAIN = EventSource("things", schema=SCHEMA, known_time="known_time")
VERSIONED = EventSource("versions", schema=SCHEMA, known_time="known_time", event_id="id")
SETS = {source.name: feature_set(source) for source in (PLAIN, VERSIONED)}
SOURCES = {source.name: source for source in (PLAIN, VERSIONED)}

# Few distinct times and keys, so that ties, window edges and shared entities are the rule and not the exception.
# ("1", "12") and ("11", "2") must not be taken for one another.
KEYS = st.sampled_from(["1", "11", "2", None])
MOMENTS = st.integers(0, 60).map(lambda step: START + step * HOUR // 2) | st.integers(START, START + 30 * HOUR)
LATENESS = st.sampled_from([0, 0, 0, 1, HOUR // 2, HOUR, 5 * HOUR, 30 * HOUR, -HOUR])
NUMBERS = (
    st.none()
    | st.integers(-5, 90).map(float)
    | st.floats(-1e6, 1e6)
    | st.sampled_from([0.1, 1e-300, 1e17, -1e17, 0.0, -0.0])
    | st.sampled_from([1e8 + 0.1, 1e8 + 0.2, 1714564800000000.0, 1714564800000001.0])
)
WORDS = st.none() | st.sampled_from(["", "x", "y", "ü"])
BIG = st.none() | st.sampled_from([2**53 + 1, 2**53, -(2**63), 7])
TIMES = st.none() | st.integers(START, START + 6 * HOUR)
ROW = st.tuples(
    MOMENTS, LATENESS, KEYS, st.sampled_from(["12", "2", None]),
    st.tuples(NUMBERS, NUMBERS, WORDS, BIG, st.none() | st.booleans(), TIMES),
    st.sampled_from([None, "p", "q", "r", "s"]),
)  # fmt: skip


@st.composite
def events(draw: st.DrawFn, most: int = 40) -> list[oracle.Event]:
    return [event(place + 1, *row) for place, row in enumerate(draw(st.lists(ROW, max_size=most)))]


def event(sequence: int, at: int, late: int, a: Any, b: Any, values: tuple[Any, ...], name: Any) -> oracle.Event:
    return oracle.Event(at, at + late, sequence, {"a": a, "b": b}, dict(zip(VALUES, values, strict=True)), name)


ASKED = st.lists(st.tuples(MOMENTS, KEYS, st.sampled_from(["12", "2", "3"])), min_size=1, max_size=25)


def table(rows: list[oracle.Event]) -> pl.DataFrame:
    """Events in the form of the record, without their sequence."""
    columns = {
        "event_time": [e.event_time for e in rows], "known_time": [e.known_time for e in rows],
        **{key: [e.keys[key] for e in rows] for key in ("a", "b")},
        **{name: [e.values[name] for e in rows] for name in VALUES}, "id": [e.id for e in rows],
    }  # fmt: skip
    kinds = {"event_time": TIME, "known_time": TIME, **PLAIN.schema}
    return pl.DataFrame(
        [
            pl.Series(name, columns[name], pl.Int64).cast(kind)
            if kind == TIME
            else pl.Series(name, columns[name], kind)
            for name, kind in kinds.items()
        ]
    )


def store(source: EventSource, rows: list[oracle.Event]) -> MemoryEvents:
    out = MemoryEvents()
    out.append(source.name, table(rows))
    return out


def asked_frame(asked: list[tuple[int, str | None, str]]) -> pl.DataFrame:
    return pl.DataFrame(asked, schema={"at": pl.Int64, "a": pl.String, "b": pl.String}, orient="row")


def expected(source: EventSource, rows: list[oracle.Event], at: int, a: Any, b: Any) -> dict[str, tuple[Any, str]]:
    if source.event_id is None:
        rows = [row._replace(id=None) for row in rows]
    out = {}
    keys = {"a": {"a": a}, "pair": {"a": a, "b": b}, "global": {}}
    seen = {entity: oracle.visible(rows, key, at) for entity, key in keys.items()}
    for entity in ENTITIES:
        hop, lengths = (HOUR, {"3h": 3 * HOUR}) if entity == "global" else (None, LENGTHS)
        for window, length in lengths.items():
            for name, (aggregate, column) in AGGREGATES.items():
                full = f"{entity}_{name}_{window}" + ("" if hop is None else "_hop_1h")
                out[full] = oracle.answer_of(seen[entity], at, ("windowed", length, hop, aggregate.kind, column))
    for name in ("x", "word", "moment"):
        out[f"a_{name}"] = oracle.answer_of(seen["a"], at, ("latest", 2 * HOUR, name))
    for name in ("y", "big", "flag"):
        out[f"pair_{name}"] = oracle.answer_of(seen["pair"], at, ("latest", None, name))
    return out


def check(
    features: FeatureSet, frame: pl.DataFrame, statuses: Any, place: int, want: dict[str, tuple[Any, str]]
) -> None:
    """Every value bit for bit and every status; the standard deviation to the last bits it can have."""
    for column, feature in enumerate(features):
        if feature.kind == "derived":
            continue
        value, status = want[feature.name]
        got = frame[feature.name][place]
        context = (feature.name, place)
        assert (Status(statuses[place, column]).name, *context) == (status, *context)
        if feature.kind == "std" and value is not None:  # squares of less than 1e-154 are nothing to a float
            assert math.isclose(got, value, rel_tol=4e-16, abs_tol=1e-140), (got, value, *context)
        elif isinstance(value, float) and feature.kind not in ("min", "max", "distinct"):
            assert (bits(got), *context) == (bits(value), *context)
        elif isinstance(got, datetime):
            assert (int((got - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6), *context) == (value, *context)
        else:
            assert (got, *context) == (value, *context)


def bits(value: Any) -> Any:
    """A value, floats by their bits."""
    return struct.pack("<d", value) if isinstance(value, float) else value
