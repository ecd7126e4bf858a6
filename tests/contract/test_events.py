"""What every `EventStore` does."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from backstay.core.errors import BackstayError, InputError, NotFoundError
from backstay.storage.ports import EventStore
from backstay.storage.upto import EventsUpto

INSTANT = pl.Datetime("us", "UTC")


def frame(*known: int, **columns: object) -> pl.DataFrame:
    times = pl.Series(known, dtype=pl.Int64).cast(INSTANT)
    return pl.DataFrame({"event_time": times, "known_time": times, "x": pl.Series(known, dtype=pl.Float64), **columns})


def sequences(events: EventStore, **bounds: int) -> list[int]:
    return events.read("s", columns=["sequence"], **bounds)["sequence"].to_list()  # type: ignore[arg-type]


def test_nothing_yet(events: EventStore) -> None:
    assert events.version("s") == -1
    assert events.last_sequence("s") == 0
    with pytest.raises(NotFoundError, match="'s'"):
        events.read("s")


def test_numbers_without_gaps_from_one(events: EventStore) -> None:
    first = events.append("s", frame(5, 3, 9))
    second = events.append("s", frame(1))
    assert (first.first, first.last, second.first, second.last) == (1, 3, 4, 4)
    assert first.version <= second.version <= events.version("s")
    assert events.last_sequence("s") == 4
    assert events.last_sequence("t") == 0


def test_a_version_names_what_was_appended(events: EventStore) -> None:
    seen = []
    for known in (1, 2, 3):
        events.append("s", frame(known))
        seen.append(events.version("s"))
        assert events.version("s") == seen[-1]
        assert events.append("s", frame()).version == seen[-1]
        assert sequences(events) == list(range(1, known + 1))  # asking moved nothing out of sight
    assert seen == sorted(set(seen))


def test_appends_of_every_size_keep_their_order(events: EventStore) -> None:
    sizes = [1, 7, 6_000, 3, 0, 5_000, 5_001, 2]
    done = [events.append("s", frame(*range(size))) for size in sizes]
    assert [one.last - one.first + 1 for one in done] == sizes
    read = events.read("s")
    assert read["sequence"].to_list() == list(range(1, sum(sizes) + 1))
    assert read["x"].to_list() == [float(known) for size in sizes for known in range(size)]


def test_reads_what_was_appended_in_its_order(events: EventStore) -> None:
    given = pl.concat([frame(5, 3, 9), frame(1)])
    events.append("s", given[:3])
    events.append("s", given[3:])
    expected = given.with_columns(pl.Series("sequence", [1, 2, 3, 4], dtype=pl.Int64))
    assert_frame_equal(events.read("s"), expected)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"known_until": 20}, [1, 2, 4]),
        ({"known_after": 20}, [3]),
        ({"known_after": 10}, [2, 3, 4]),
        ({"known_after": 10, "known_until": 20}, [2, 4]),
        ({"sequence_until": 2}, [1, 2]),
        ({"sequence_until": 3, "known_until": 20}, [1, 2]),
        ({"sequence_until": 0}, []),
        ({"known_until": -1}, []),
        ({"known_after": -(2**63), "known_until": 2**63 - 1}, [1, 2, 3, 4]),
    ],
)
def test_bounds(events: EventStore, bounds: dict[str, int], expected: list[int]) -> None:
    events.append("s", frame(10, 20, 30))
    events.append("s", frame(20))
    assert sequences(events, **bounds) == expected


def test_columns_in_the_order_asked(events: EventStore) -> None:
    events.append("s", frame(1, 2))
    assert events.read("s", columns=["x", "sequence", "event_time"]).columns == ["x", "sequence", "event_time"]
    assert events.read("s", columns=["x"], known_until=1).to_dict(as_series=False) == {"x": [1.0]}
    assert events.read("s", columns=["x"], known_until=0).schema == {"x": pl.Float64}
    for wrong in (["nothing"], ["x", "x"], "x"):
        with pytest.raises(InputError):
            events.read("s", columns=wrong)


def test_every_type_comes_back(events: EventStore) -> None:
    columns = {
        "b": pl.Series([True, None]),
        **{
            f"i{n}": pl.Series([-1, None], dtype=dtype)
            for n, dtype in enumerate((pl.Int8, pl.Int16, pl.Int32, pl.Int64))
        },
        "f": pl.Series([0.1, None], dtype=pl.Float32),
        "g": pl.Series([float("nan"), -0.0]),
        "s": pl.Series(["é", None]),
        "y": pl.Series([b"\x00\xff", None]),
        "d": pl.Series([date(2013, 4, 1), None]),
        "l": pl.Series([[1.5, None], None], dtype=pl.List(pl.Float64)),
        "ll": pl.Series([[["a"], []], None], dtype=pl.List(pl.List(pl.String))),
        "a b": pl.Series([1, 2]),
    }
    given = frame(1_364_774_400_123_456, -5, **columns)
    for times in (1, 2):
        events.append("s", given)
        read = events.read("s").drop("sequence")
        assert read.schema == given.schema
        assert_frame_equal(read, pl.concat([given] * times), check_exact=True)


def test_an_empty_append_fixes_the_schema(events: EventStore) -> None:
    done = events.append("s", frame())
    assert (done.first, done.last) == (1, 0)
    assert events.version("s") == done.version >= 0
    read = events.read("s")
    assert read.schema == {"event_time": INSTANT, "known_time": INSTANT, "x": pl.Float64, "sequence": pl.Int64}
    assert read.is_empty()
    with pytest.raises(InputError):
        events.append("s", frame(1).rename({"x": "y"}))
    again = events.append("s", frame())
    assert (again.first, again.last, again.version) == (1, 0, done.version)
    assert events.append("s", frame(1)).last == 1


def test_a_first_append_of_nulls_fixes_its_types(events: EventStore) -> None:
    nulls = frame(1).with_columns(x=pl.lit(None, dtype=pl.Float64), s=pl.lit(None, dtype=pl.String))
    events.append("s", nulls)
    events.append("s", frame(2).with_columns(s=pl.lit("a")))
    assert events.read("s", columns=["x", "s"]).rows() == [(None, None), (2.0, "a")]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda f: f.drop("x"), "x is missing"),
        (lambda f: f.with_columns(y=1), "y is new"),
        (lambda f: f.with_columns(pl.col("x").cast(pl.Float32)), "x is Float32, was Float64"),
        (lambda f: f.select("x", "event_time", "known_time"), "the order is"),
    ],
)
def test_another_schema_is_refused_by_name(events: EventStore, change: object, named: str) -> None:
    events.append("s", frame(1))
    with pytest.raises(InputError, match=named):
        events.append("s", change(frame(2)))  # type: ignore[operator]
    assert sequences(events) == [1]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (frame(1).drop("known_time"), "known_time"),
        (frame(1).with_columns(pl.col("event_time").dt.replace_time_zone(None)), "event_time"),
        (frame(1).with_columns(pl.col("event_time").dt.cast_time_unit("ms")), "event_time"),
        (frame(1).with_columns(known_time=pl.lit(None, dtype=INSTANT)), "known_time is null in 1 rows"),
        (frame(2**62), "outside the years"),
        (frame(1, sequence=[1]), "numbers events itself"),
        (frame(1, u=pl.Series([1], dtype=pl.UInt8)), "u has the type UInt8"),
        (frame(1, n=[None]), "n has the type Null"),
        (frame(1, c=pl.Series(["a"], dtype=pl.Categorical)), "c has the type Categorical"),
        (frame(1, X=[1]), "letter case"),
    ],
)
def test_what_is_not_an_event_frame_is_refused(events: EventStore, wrong: pl.DataFrame, named: str) -> None:
    with pytest.raises(InputError, match=named):
        events.append("s", wrong)
    assert events.version("s") == -1


@pytest.mark.parametrize("name", ["", "A", "a/b", "..", "1a", "a-b", "a b", "é"])
def test_names_of_sources(events: EventStore, name: str) -> None:
    for use in (events.read, events.version, events.last_sequence, lambda source: events.append(source, frame(1))):
        with pytest.raises(InputError, match="name of a source"):
            use(name)


def test_threads_append_without_gaps(events: EventStore) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: events.append("s", frame(1, 2)), range(24)))
    assert sorted(one.first for one in done) == list(range(1, 48, 2))
    assert sequences(events) == list(range(1, 49))


def test_batches_are_what_read_gives(events: EventStore) -> None:
    whole_frame = frame(*range(40))
    for begin in range(0, 40, 10):
        events.append("s", whole_frame[begin : begin + 10])
    whole = events.read("s")
    for rows in (1, 7, 10, 25, 1_000):
        got = list(events.batches("s", rows=rows))
        assert all(0 < one.height <= max(rows, 10) for one in got)
        assert pl.concat(got).equals(whole)
    some = list(events.batches("s", columns=["x"], sequence_after=13, sequence_until=31, known_until=None, rows=5))
    assert pl.concat(some)["x"].to_list() == list(range(13, 31))
    assert list(events.batches("s", sequence_after=40)) == []
    with pytest.raises(NotFoundError):
        list(events.batches("t"))


def test_a_seal_is_of_the_content_of_a_version(events: EventStore) -> None:
    versions = []
    for n in range(3):
        events.append("s", frame(n, n + 1, n + 2))
        versions.append(events.version("s"))
    seals = [events.seal("s", version) for version in versions]
    assert [one.last for one in seals] == [3, 6, 9]
    assert len({one.digest for one in seals}) == 3
    assert None not in {one.digest for one in seals}
    assert [events.seal("s", version, read=True) for version in versions] == seals
    with pytest.raises(BackstayError):
        events.seal("s", versions[-1] + 1)
    with pytest.raises(NotFoundError):
        events.seal("none", 0)


def test_as_it_stood_at_a_version(events: EventStore) -> None:
    events.append("s", frame(*range(5)))
    then = events.version("s")
    events.append("s", frame(*range(5, 9)))
    stood = EventsUpto(events, {"s": then, "never": -1})
    assert stood.read("s").equals(events.read("s", sequence_until=5))
    assert stood.read("s", sequence_until=3).height == 3
    assert pl.concat(stood.batches("s", rows=2)).equals(stood.read("s"))
    assert (stood.last_sequence("s"), stood.version("s"), stood.seal("s", then)) == (5, then, events.seal("s", then))
    assert (stood.last_sequence("never"), stood.version("never")) == (0, -1)
    for name in ("never", "other"):
        with pytest.raises(NotFoundError, match="had no events then"):
            stood.read(name)
    with pytest.raises(NotFoundError, match="had no version"):
        stood.seal("s", events.version("s"))
    with pytest.raises(InputError, match="nothing is appended"):
        stood.append("s", frame(0))


def test_a_turn_is_held_by_one_at_a_time_and_holds_no_append_up(events: EventStore) -> None:
    """Each looks how many there are, and appends as many: without turns, some would see the same number."""
    events.append("s", frame(1))

    def look_and_append(_: int) -> None:
        with events.turn("s"):
            seen = events.last_sequence("s")
            time.sleep(0.002)
            assert events.append("s", frame(seen)).first == seen + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look_and_append, range(20)))
    assert events.read("s")["x"].to_list() == [1.0, *range(1, 21)]
    with events.turn("s"), events.turn("t"):
        assert events.append("s", frame(9)).first == 22
