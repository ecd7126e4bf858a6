"""The edges of time, one by one: what is visible at T, what a window holds, when a value expires."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pytest

from backstay.definitions import Count, Entity, EventSource, FeatureSet, Latest, Sum, Windowed
from backstay.features import lookup
from backstay.features.lookup import Asked, OnlineLookup
from backstay.features.offline import feature_rows
from backstay.features.online import OnlineWriter
from backstay.features.views import Status
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline
from tests.features import world

HOUR = 3_600_000_000
T = 1_364_774_400_000_000
SOURCE = EventSource("things", schema={"a": "string", "x": "float"}, known_time="known_time")
ENTITY = Entity("a")
FEATURES = FeatureSet(
    "edges",
    [Windowed(SOURCE, by=ENTITY, over="1h", n=Count(), sum=Sum("x")), Latest(SOURCE, by=ENTITY, max_age="2h", x="x")],
)

Answer = tuple[tuple[float | None, str], ...]


def answer(*events: tuple[int, int, float | None], at: int = T, key: str | None = "k") -> Answer:
    """(value, status) of count, sum and latest; the same offline and online, or the test fails here."""
    record = MemoryEvents()
    time = pl.Datetime("us", "UTC")
    frame = pl.DataFrame(
        [(event, known, "k", x) for event, known, x in events],
        schema={"event_time": pl.Int64, "known_time": pl.Int64, "a": pl.String, "x": pl.Float64},
        orient="row",
    ).with_columns(pl.col("event_time", "known_time").cast(time))
    record.append("things", frame)
    asked = pl.DataFrame({"at": [at], "a": pl.Series([key], dtype=pl.String)})
    offline = feature_rows(FEATURES, asked, record).rows
    state = MemoryOnline()
    OnlineWriter(state, [FEATURES]).apply(SOURCE, record.read("things"))
    online = OnlineLookup(FEATURES, state).lookup([Asked({"a": key}, {}, at)]).rows
    assert online.values() == offline.values()
    assert online.statuses.tobytes() == offline.statuses.tobytes()
    statuses = [Status(code).name for code in offline.statuses[0]]
    return tuple(zip(offline.values()[0], statuses, strict=True))


@pytest.mark.parametrize(
    ("event_time", "known_time", "seen"),
    [
        (T - 1, T - 1, True),
        (T - 1, T, True),  # known_time <= T
        (T - 1, T + 1, False),
        (T, T, False),  # event_time < T: what happens at T, such as the label's own event, is not visible
        (T, T - HOUR, False),  # known long before, a schedule: still not before it happens
        (T - HOUR, T - HOUR, True),
    ],
)
def test_visibility(event_time: int, known_time: int, seen: bool) -> None:
    assert answer((event_time, known_time, 5.0))[0] == ((1, "OK") if seen else (0, "MISSING"))


@pytest.mark.parametrize(("age", "inside"), [(HOUR - 1, 1), (HOUR, 1), (HOUR + 1, 0)])
def test_a_window_holds_its_older_edge(age: int, inside: int) -> None:
    assert answer((T - age, T - age, 5.0))[0] == (inside, "OK")


@pytest.mark.parametrize(("age", "status"), [(2 * HOUR - 1, "OK"), (2 * HOUR, "OK"), (2 * HOUR + 1, "EXPIRED")])
def test_a_value_expires_after_its_max_age(age: int, status: str) -> None:
    assert answer((T - age, T - age, 5.0))[2] == (5.0 if status == "OK" else None, status)


def test_ties_are_broken_by_known_time_and_then_by_sequence() -> None:
    assert answer((T - 9, T - 5, 1.0), (T - 9, T - 7, 2.0))[2] == (1.0, "OK")
    assert answer((T - 9, T - 7, 1.0), (T - 9, T - 7, 2.0))[2] == (2.0, "OK")


def test_late_data_never_overwrites_newer_data() -> None:
    assert answer((T - 5, T - 5, 1.0), (T - 9, T - 1, 2.0))[2] == (1.0, "OK")


def test_an_event_later_than_its_window_is_never_in_it() -> None:
    assert answer((T - 2 * HOUR, T - HOUR // 2, 5.0))[:2] == ((0, "OK"), (0.0, "OK"))


def test_a_null_is_known_to_be_null() -> None:
    assert answer((T - 9, T - 9, None)) == ((1, "OK"), (0.0, "OK"), (None, "NULL"))


def test_an_entity_never_seen_is_missing() -> None:
    nothing = ((0, "MISSING"), (0.0, "MISSING"), (None, "MISSING"))
    assert answer((T - 9, T - 9, 5.0), key="other") == nothing
    assert answer((T - 9, T - 9, 5.0), key=None) == nothing
    assert answer() == nothing


def test_sums_are_exact_whatever_the_order() -> None:
    big = [(T - 9, T - 9, 1e17), (T - 8, T - 8, 1.0), (T - 7, T - 7, -1e17), (T - 6, T - 6, 0.1)]
    assert answer(*big)[1] == answer(*reversed(big))[1] == (1.1, "OK")


def test_no_rows_are_asked() -> None:
    for features, source in ((FEATURES, SOURCE), (world.SETS["versions"], world.VERSIONED)):
        record = MemoryEvents()
        empty = {"event_time": pl.Datetime("us", "UTC"), "known_time": pl.Datetime("us", "UTC"), **source.schema}
        record.append(source.name, pl.DataFrame(schema=empty))
        asked = pl.DataFrame(schema={"at": pl.Int64, "a": pl.String, "b": pl.String})
        frame = feature_rows(features, asked, record).rows.frame()
        assert (frame.height, frame.columns) == (0, [feature.name for feature in features])


def test_prepared_histories_are_kept_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entities of one event each take memory too: it is bytes that are counted, and not events."""
    monkeypatch.setattr(lookup, "KEPT_BYTES", 40_000)
    rows = [
        world.event(place + 1, T - HOUR // 2, 0, f"k{place}", None, (1.0, *[None] * 5), None) for place in range(100)
    ]
    state = MemoryOnline()
    OnlineWriter(state, [FEATURES]).apply(
        SOURCE, world.store(SOURCE, rows).read("things").select("event_time", "known_time", "sequence", "a", "x")
    )
    looking = OnlineLookup(FEATURES, state)
    for _ in range(2):
        found = looking.lookup([Asked({"a": f"k{place}"}, {}, T) for place in range(100)]).rows
        assert [row[0] for row in found.values()] == [1] * 100
        assert len(looking._prepared) == len(looking._counted) < 40
        assert sum(looking._counted.values()) == looking._kept <= 40_000


def test_several_threads_may_ask_while_there_is_little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "KEPT_BYTES", 30_000)
    events = [(T - HOUR // 2, T - HOUR // 2, f"k{place % 100}", float(place)) for place in range(300)]
    kinds = {"event_time": pl.Int64, "known_time": pl.Int64, "a": pl.String, "x": pl.Float64}
    frame = pl.DataFrame(events, schema=kinds, orient="row")
    record, state = MemoryEvents(), MemoryOnline()
    record.append("things", frame.with_columns(pl.col("event_time", "known_time").cast(pl.Datetime("us", "UTC"))))
    OnlineWriter(state, [FEATURES]).apply(SOURCE, record.read("things"))
    looking = OnlineLookup(FEATURES, state)

    def ask(thread: int) -> bool:
        wanted = [
            [Asked({"a": f"k{(thread + 7 * step + place) % 100}"}, {}, T) for place in range(5)] for step in range(300)
        ]
        return all(row[0] == 3 for some in wanted for row in looking.lookup(some).rows.values())

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(ask, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert sum(looking._counted.values()) == looking._kept <= 30_000
    assert looking._counted.keys() == looking._prepared.keys()
