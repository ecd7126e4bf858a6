"""Events over HTTP: one or many; times that carry no zone are the source's where it declares one, and else refused."""

from __future__ import annotations

import json

import pytest

from backstay import Contract, EventSource, Expect
from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.serving.events import EventParser, Pushed

SCHEMA = {"x": "float", "due": "datetime"}


def parsed(source: EventSource, event_time: str, due: str = "2024-05-01T12:00:00Z") -> Pushed:
    event = {"event_time": event_time, "x": 1.0, "due": due}
    return EventParser(source, replay=False).parse(json.dumps({"events": [event]}).encode())


def test_a_naive_time_is_the_zones() -> None:
    source = EventSource("local", schema=SCHEMA, timezone="America/New_York")
    for text in ("2024-05-01T08:00:00", "2024-05-01T12:00:00Z", "2024-05-01T14:00+02:00"):
        (row,) = parsed(source, text).frame.select("event_time", "due").cast(int).rows()
        assert row == (instant("2024-05-01T12:00Z"), instant("2024-05-01T12:00Z"))


@pytest.mark.parametrize(("zone", "first"), [(None, "2024-05-01T00:00Z"), ("America/New_York", "2024-05-01T04:00Z")])
def test_a_date_alone_is_its_first_moment(zone: str | None, first: str) -> None:
    source = EventSource("local", schema=SCHEMA, timezone=zone)
    (row,) = parsed(source, "2024-05-01", "2024-05-01").frame.select("event_time", "due").cast(int).rows()
    assert row == (instant(first), instant(first))


@pytest.mark.parametrize("text", ["2024-03-10T02:30:00", "2024-11-03T01:30:00"])
def test_a_time_that_its_clocks_never_showed_or_showed_twice_is_none(text: str) -> None:
    with pytest.raises(InputError, match="occurs once") as caught:
        parsed(EventSource("local", schema=SCHEMA, timezone="America/New_York"), text)
    assert (caught.value.where, caught.value.fix) == ("events[0].event_time", "give its offset, such as -04:00")
    assert "test_events.py:" in caught.value.expected
    contract = Contract(Expect.not_null("x"))
    held = EventSource("held", schema=SCHEMA, timezone="America/New_York", contract=contract)
    ((expectation, reason, _),) = parsed(held, text).unread.rows()
    assert (expectation, reason) == ("time", "event_time is not a time of America/New_York, that occurs once")


def test_one_event_needs_no_list() -> None:
    parser = EventParser(EventSource("one", schema={"x": "float"}), replay=False)
    event = {"event_time": "2024-05-01T12:00:00Z", "x": 1.0}
    alone, listed = (parser.parse(json.dumps(one).encode()).frame for one in (event, {"events": [event]}))
    assert alone.equals(listed)
    with pytest.raises(InputError) as caught:
        parser.parse(json.dumps(event | {"x": "far"}).encode())
    assert caught.value.where == "events[0].x"


def test_without_a_zone_it_is_refused() -> None:
    with pytest.raises(InputError, match="has no time zone") as caught:
        parsed(EventSource("zoneless", schema=SCHEMA), "2024-05-01T08:00:00")
    assert "source 'zoneless' (" in caught.value.expected
    assert caught.value.fix
