"""Time-correct features against a brute-force oracle that imports nothing from `backstay.features`."""

from __future__ import annotations

import struct
from random import Random

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.definitions import Count, Derived, Entity, EventSource, FeatureSet, Latest, Mean, Share, Sum, Windowed
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.offline import feature_rows
from backstay.features.online import OnlineWriter
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline
from tests.features import oracle

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
        Derived(
            hours=pl.col("a_sum_1h") / 60, both=pl.col("a_x") + pl.col("pair_y") / 7, decayed=(pl.col("a_x") / 3).exp()
        ),
    ],
)
COLUMNS = ("event_time", "known_time", "a", "b", "x", "y")
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
            schema=dict(zip(COLUMNS, (pl.Int64, pl.Int64, pl.String, pl.String, pl.Float64, pl.Float64), strict=True)),
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
        for column, feature in enumerate(feature for feature in FEATURES if feature.kind != "derived"):
            value, status = want[feature.name]
            context = (feature.name, at, a, b)
            assert (bits(values[feature.name][place]), *context) == (bits(value), *context)
            assert (Status(got.statuses[place, column]).name, *context) == (status, *context)


@settings(max_examples=60, deadline=None)
@given(events(), ASKED)
def test_a_row_does_not_depend_on_the_others(
    rows: list[oracle.Event], asked: list[tuple[int, str | None, str]]
) -> None:
    """Whole, one by one, and in a frame of one-row chunks: the same bits, derived features too."""
    frame = pl.DataFrame(asked, schema={"at": pl.Int64, "a": pl.String, "b": pl.String}, orient="row")
    record = store(rows)
    whole = feature_rows(FEATURES, frame, record).rows.frame()
    single = pl.concat([feature_rows(FEATURES, frame[place], record).rows.frame() for place in range(frame.height)])
    chunked = pl.concat([frame[place] for place in range(frame.height)], rechunk=False)
    for other in (single, feature_rows(FEATURES, chunked, record).rows.frame()):
        for name in whole.columns:
            column, again = whole[name], other[name]
            same = column.reinterpret(signed=True).equals(again.reinterpret(signed=True), null_equal=True)
            assert same if column.dtype == pl.Float64 else column.equals(again, null_equal=True), name


def test_online_replay_gives_the_bits_of_the_training_set() -> None:
    """Pushed in batches, looked up alone and together: the same values and statuses as from the whole record."""
    random = Random(7)
    entity = ["1", "11", "2", None]
    rows = []
    for sequence in range(1, 801):
        at = START + sequence * HOUR // 20 + random.randrange(-3, 4) * HOUR // 2
        late = random.choice([0, 0, 0, HOUR // 3, 2 * HOUR, 30 * HOUR])
        keys = {"a": random.choice(entity), "b": random.choice(["12", "2"])}
        values = {"x": random.choice([None, 46.0, random.uniform(-9, 99)]), "y": float(random.randrange(-30, 300))}
        rows.append(oracle.Event(at, at + late, sequence, keys, values))
    rows.sort(key=lambda event: event.known_time)
    rows = [event._replace(sequence=place + 1) for place, event in enumerate(rows)]
    record = store(rows)
    table = record.read("things")
    state = MemoryOnline()
    writer, lookup = OnlineWriter(state, [FEATURES]), OnlineLookup(FEATURES, state)
    done = 0
    for slice_end in range(START, START + 50 * HOUR, 2 * HOUR):
        known = table.get_column("known_time").dt.epoch("us").to_numpy()
        upto = int(known.searchsorted(slice_end + 2 * HOUR, "right"))
        writer.apply(SOURCE, table[done:upto])
        done = upto
        asked = [
            Asked(
                {"a": random.choice([*entity, "9"]), "b": random.choice(["12", "2", "3"])},
                {},
                slice_end + step * HOUR // 9,
            )
            for step in range(1, 18)
        ]
        frame = pl.DataFrame({"at": [a.at for a in asked], **{k: [a.keys[k] for a in asked] for k in ("a", "b")}})
        want = feature_rows(FEATURES, frame, record).rows
        together = lookup.lookup(asked).rows
        alone = [lookup.lookup([one]).rows for one in asked]
        assert by_bits(together.values()) == by_bits(want.values())
        assert [by_bits(one.values())[0] for one in alone] == by_bits(want.values())
        assert (
            together.statuses.tobytes() == want.statuses.tobytes() == b"".join(one.statuses.tobytes() for one in alone)
        )
        assert together.vector().tobytes() == want.vector().tobytes()


def by_bits(values: list[list[float | None]]) -> list[list[bytes | None]]:
    """Values by their bits."""
    return [[bits(value) for value in row] for row in values]
