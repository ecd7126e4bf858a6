"""Events handed over as mappings: what fits is read, what does not is named, or set apart by the contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from backstay import Contract, EventSource, Expect
from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.features.mappings import read_mappings
from backstay.features.shaping import pushed_frame

SCHEMA = {"who": "string", "x": "float", "n": "int", "ok": "bool", "due": "datetime"}
PLAIN = EventSource("plain", schema=SCHEMA)
HELD = EventSource("held", schema=SCHEMA, event_time="paid", contract=Contract(Expect.not_null("who")))
LOCAL = EventSource("local", schema=SCHEMA, timezone="America/New_York")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
T = instant("2024-05-01T12:00Z")


def event(**changes: Any) -> dict[str, Any]:
    return {"event_time": NOW, "who": "a", "x": 1.5, "n": 2**60 + 1, "ok": True, "due": NOW, **changes}


def rows(source: EventSource, *events: Any) -> list[tuple[Any, ...]]:
    return read_mappings(source, events, stamp=T + 1).rows.rows.rows()


def test_values_come_as_they_are() -> None:
    read = read_mappings(PLAIN, [event(), event(who=None, x=None, n=None, ok=None, due=None)], stamp=T + 1)
    time = pl.Datetime("us", "UTC")
    assert dict(read.rows.rows.schema) == {"event_time": time, "known_time": time, **PLAIN.schema}
    known = NOW + timedelta(microseconds=1)
    assert read.rows.rows.rows() == [
        (NOW, known, "a", 1.5, 2**60 + 1, True, NOW), (NOW, known, None, None, None, None, None),
    ]  # fmt: skip
    assert rows(PLAIN) == []


@pytest.mark.parametrize(
    "time",
    ["2024-05-01T12:00Z", "2024-05-01T08:00:00-04:00", T, NOW.astimezone(), datetime.fromtimestamp(T / 1e6, UTC)],
)
def test_times_and_numbers_in_the_forms_that_people_have(time: Any) -> None:
    more = event(event_time=time, due=time, x=np.float32(1.5), n=np.int64(2**60 + 1), ok=np.bool_(True))
    assert rows(PLAIN, more, event(x=2)) == rows(PLAIN, event(), event(x=2.0))


def test_the_time_may_have_the_sources_name_for_it() -> None:
    named = {("paid" if name == "event_time" else name): value for name, value in event().items()}
    assert rows(HELD, named) == rows(HELD, event())
    frame = pl.DataFrame([named])
    for one in (frame, frame.rename({"paid": "event_time"})):
        assert pushed_frame(HELD, one, stamp=T + 1).rows.rows() == rows(HELD, event())


def test_a_naive_time_is_the_zones_where_there_is_one() -> None:
    assert rows(LOCAL, event(event_time=datetime(2024, 5, 1, 8), due="2024-05-01T08:00")) == rows(LOCAL, event())
    day = event(event_time="2024-05-01")
    assert rows(LOCAL, day)[0][0] == datetime(2024, 5, 1, 4, tzinfo=UTC)
    assert rows(PLAIN, day)[0][0] == datetime(2024, 5, 1, tzinfo=UTC)
    for never_or_twice in (datetime(2024, 3, 10, 2, 30), "2024-11-03T01:30:00"):
        with pytest.raises(InputError, match="occurs once"):
            rows(LOCAL, event(event_time=never_or_twice))
    assert rows(LOCAL, event(event_time="2024-11-03T01:30:00-05:00"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        *(({"x": value}, "expected float") for value in ("1.5", True, [1.5], 10**400)),
        *(({"n": value}, "expected int") for value in (1.5, "1", True, 2**63)),
        *(({"ok": value}, "expected bool") for value in (1, "true", None.__class__)),
        *(({"who": value}, "expected string") for value in (1, b"a", ["a"], "\ud800")),
        *(({"due": value}, "a time with a zone") for value in ("soon", 1.5, datetime(2024, 5, 1))),
        *(({"event_time": value}, "a time with a zone") for value in (None, "", "2024-05-01T12:00")),
        *(({name: -(2**70)}, "expected microseconds since 1970") for name in ("event_time", "due")),
        *(({"event_time": T // unit}, "expected microseconds since 1970") for unit in (1_000_000, 1_000)),
    ],
)
def test_a_cell_of_another_type(wrong: dict[str, Any], said: str) -> None:
    (name,) = wrong
    with pytest.raises(InputError, match=said) as caught:
        rows(PLAIN, event(), event(**wrong))
    assert caught.value.where.startswith(f"events[1].{name}, source 'plain' (")
    assert "test_mappings.py:" in caught.value.where
    assert caught.value.fix
    read = read_mappings(HELD, [event(), event(**wrong), event(who="b")], stamp=T + 1)
    assert [row[2] for row in read.rows.rows.rows()] == ["a", "b"]
    assert read.texts(pl.Series([False, True]))[0].count('"who": "b"') == 1
    assert read.unread.get_column("expectation").to_list() == ["time" if name == "event_time" else "type"]
    assert name in read.unread.get_column("reason")[0]


@pytest.mark.parametrize("source", [PLAIN, HELD])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({name: value for name, value in event().items() if name != "x"}, "'x' is missing in event 1"),
        ({name: value for name, value in event().items() if name != "event_time"}, "is missing in event 1"),
        (event(xx=1.5), "'xx' is unknown in event 1"),
        (7, "event 1 is a int"),
    ],
)
def test_columns_that_are_not_those_declared(source: EventSource, wrong: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        rows(source, event(), wrong)
    assert "test_mappings.py:" in caught.value.where
    assert caught.value.fix


def test_a_frame_with_columns_that_are_not_declared() -> None:
    frame = pl.DataFrame([event()])
    with pytest.raises(InputError, match="no column 'xx'"):
        pushed_frame(PLAIN, frame.with_columns(xx=1), stamp=T)
    with pytest.raises(InputError, match="stamped with their known time"):
        pushed_frame(PLAIN, frame.with_columns(known_time="event_time"), stamp=T)
    with pytest.raises(InputError, match="there is no column 'x'"):
        pushed_frame(PLAIN, frame.drop("x"), stamp=T)
