"""Latest values by the quick way: what the oracle and the general way say, while events come in and T goes on."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstay.core.errors import InputError
from backstay.definitions import Count, Derived, Entity, EventSource, FeatureSet, Latest, Request, Windowed
from backstay.features.answers import Answers, OnlineRow
from backstay.features.lookup import Asked, Reached
from backstay.features.newest import Newest
from backstay.features.online import OnlineWriter
from backstay.storage.backends.memory import MemoryOnline
from backstay.storage.ports import OnlineState
from tests.features import oracle, world
from tests.features.world import HOUR, PAIR, SINGLE, SOURCES, START

DEFAULTS = {"a_x": 0.5, "a_word": "none", "pair_flag": True, "pair_big": 2**53 + 1}
MAX_AGES = {"x": 2, "word": 2, "moment": 2, "y": None, "flag": None, "big": 5}


def latest(source: EventSource, by: Entity) -> FeatureSet:
    """Everything that a latest value can be: with a max age or two, with a default or none, of every type."""
    blocks = [
        Latest(source, by=by, max_age="2h", x="x", word="word", moment="moment"),
        Latest(source, by=by, y="y", flag="flag"),
        Latest(source, by=by, max_age="5h", big="big"),
    ]
    names = {name: default for name, default in DEFAULTS.items() if name.startswith(by.name)}
    return FeatureSet(f"newest_{source.name}_{by.name}", blocks, defaults=names)


SETS = {(source.name, by.name): latest(source, by) for source in SOURCES.values() for by in (SINGLE, PAIR)}
NUMBERS = {
    name: FeatureSet(f"numbers_{source.name}", [Latest(source, by=SINGLE, y="y", x="x")])
    for name, source in SOURCES.items()
}
"""numbers that never expire, and have no default"""


def general(answers: Answers, asked: list[Asked]) -> list[OnlineRow]:
    return answers._general(asked)


def told(row: OnlineRow) -> dict[str, Any]:
    return {**row.as_dict(), "values": {name: world.bits(value) for name, value in row.values.items()}}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([*sorted(SETS), *((source, "numbers") for source in NUMBERS)]),
    rows=world.events(),
    parts=st.integers(1, 4),
    asked=world.ASKED,
    later=st.sampled_from([0, 1, HOUR, 3 * HOUR, 100 * HOUR]),
)
def test_it_says_what_the_general_way_and_the_oracle_say(
    online: OnlineState, name: tuple[str, str], rows: list[oracle.Event], parts: int, asked: Any, later: int
) -> None:
    source, features = SOURCES[name[0]], SETS.get(name) or NUMBERS[name[0]]
    online.clear()
    writer, answers = OnlineWriter(online, [features]), Answers(features, online)
    assert answers._newest is not None
    record = world.store(source, rows).read(source.name)
    size = max(1, -(-record.height // parts))
    for start in range(0, max(1, record.height), size):  # the same reader, before and after each push, and later
        if record.height:
            writer.apply(source, record.slice(start, size))
        for ahead in (0, later):
            questions = [Asked({"a": a, "b": b}, {}, at + ahead) for at, a, b in asked]
            for some in (questions, questions[:1], questions[::-1]):
                got = answers.rows(some)
                assert list(map(told, got)) == list(map(told, general(answers, some)))
    for row, (at, a, b) in zip(
        answers.rows([Asked({"a": a, "b": b}, {}, at) for at, a, b in asked]), asked, strict=True
    ):
        if name[1] == "numbers":
            compare(source, "a", row, rows, at, {"a": a}, {"x": None, "y": None}, {})
        else:
            compare(source, name[1], row, rows, at, {"a": a} if name[1] == "a" else {"a": a, "b": b})


def compare(
    source: EventSource,
    entity: str,
    row: OnlineRow,
    rows: list[oracle.Event],
    at: int,
    keys: dict[str, Any],
    max_ages: dict[str, int | None] = MAX_AGES,
    defaults: dict[str, Any] = DEFAULTS,
) -> None:
    if source.event_id is None:
        rows = [one._replace(id=None) for one in rows]
    for column, hours in max_ages.items():
        name = f"{entity}_{column}"
        max_age = None if hours is None else hours * HOUR
        value, status = oracle.answer(rows, keys, at, ("latest", max_age, column))
        value = defaults.get(name) if value is None else value
        assert (row.statuses[name], world.bits(row.values[name])) == (status, world.bits(value)), name


def test_it_is_for_latest_values_of_one_view() -> None:
    source = SOURCES["things"]
    other = EventSource("others", schema=world.SCHEMA)
    for blocks in (
        [Windowed(source, by=SINGLE, over="1h", n=Count())],
        [Latest(source, by=SINGLE, x="x"), Request(amount="float")],
        [Latest(source, by=SINGLE, x="x"), Derived(double=pl.col("a_x") * 2)],
        [Latest(source, by=SINGLE, x="x"), Latest(other, by=SINGLE, y="y")],
    ):
        assert Newest.of(FeatureSet("else", blocks), MemoryOnline(), Reached()) is None


class Counting(MemoryOnline):
    """Which keys were read, in how many trips."""

    def __init__(self) -> None:
        super().__init__()
        self.trips: list[int] = []

    def read(self, keys: Any, have: Any = None) -> Any:
        self.trips.append(len(keys))
        return super().read(keys, have)


def _events(*rows: tuple[int, str, float]) -> pl.DataFrame:
    events = [world.event(0, at, 0, key, None, (x, None, None, None, None, None), None) for at, key, x in rows]
    return world.store(SOURCES["things"], events).read("things")


def test_while_nothing_is_pushed_only_the_watermark_is_read_and_one_trip_is_enough_else() -> None:
    source, features, state = SOURCES["things"], SETS["things", "a"], Counting()
    writer, answers = OnlineWriter(state, [features]), Answers(features, state)
    everything = _events(*[(START + number, f"k{number % 10}", float(number)) for number in range(40)])
    writer.apply(source, everything.head(20))
    asked = [Asked({"a": f"k{number}"}, {}, START + HOUR) for number in range(10)]

    def trips() -> list[int]:
        state.trips.clear()
        answers.rows(asked)
        return state.trips.copy()

    assert trips() == [11]  # the watermark, and ten entities
    assert trips() == [11]  # it had moved when it was read last
    assert trips() == [1]
    writer.apply(source, everything[20:30])
    assert trips() == [1, 11]
    writer.apply(source, everything[30:])
    assert trips() == [11]
    assert [row.values["a_x"] for row in answers.rows(asked)] == [30.0 + number for number in range(10)]


def test_those_that_were_asked_about_before_are_answered_beside_new_and_unknown_ones() -> None:
    source, features, state = SOURCES["things"], NUMBERS["things"], Counting()
    nothing = [None] * 4
    rows = [
        world.event(number, START + number, 0, f"k{number}", None, (float(number), 1.0, *nothing), None)
        for number in range(6)
    ]
    OnlineWriter(state, [features]).apply(source, world.store(source, rows).read("things"))
    answers = Answers(features, state)

    def told(names: str, at: int = START + HOUR) -> list[float | None]:
        asked = [Asked({"a": None if name == "-" else f"k{name}"}, {}, at) for name in names]
        state.trips.clear()
        return [row.values["a_x"] for row in answers.rows(asked)]

    told("024"), told("024")  # the watermark stands from now on
    assert told("0214") == [0.0, 2.0, 1.0, 4.0]
    assert state.trips == [2]  # the watermark, and k1
    assert told("392-1x4") == [3.0, None, 2.0, None, 1.0, None, 4.0]
    assert state.trips == [4]  # of nobody there is nothing to read; of k9 and kx there never is anything
    assert told("3143") == [3.0, 1.0, 4.0, 3.0]
    assert state.trips == [1]
    assert told("05", START + 5) == [0.0, None]  # not yet, at the very T: the general way
    assert told("05", START + 6) == [0.0, 5.0]


def test_what_is_given_away_is_not_what_is_kept() -> None:
    source, features, state = SOURCES["things"], SETS["things", "a"], MemoryOnline()
    answers = Answers(features, state)
    OnlineWriter(state, [features]).apply(source, _events((START, "k", 1.0)))
    asked = [Asked({"a": "k"}, {}, START + 1)]
    row = answers.rows(asked)[0]
    row.values["a_x"], row.statuses["a_x"], row.ages["a_x"] = 99.0, "spoilt", -5
    again = answers.rows(asked)[0]
    assert (again.values["a_x"], again.statuses["a_x"], again.ages["a_x"]) == (1.0, "OK", 1)


def test_a_time_older_than_the_state_keeps_is_refused() -> None:
    source, features, state = SOURCES["things"], SETS["things", "a"], MemoryOnline()
    writer, answers = OnlineWriter(state, [features]), Answers(features, state)
    day = 24 * HOUR
    writer.apply(source, _events(*[(START + number * day, "k", float(number)) for number in range(70)]))
    assert answers.rows([Asked({"a": "k"}, {}, START + 70 * day)])[0].values["a_y"] is None
    with pytest.raises(InputError, match="older than the online state keeps"):
        answers.rows([Asked({"a": "k"}, {}, START + day)])


def test_few_answers_are_kept_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backstay.features.newest.KEPT", 3)
    source, features, state = SOURCES["things"], SETS["things", "a"], MemoryOnline()
    answers = Answers(features, state)
    OnlineWriter(state, [features]).apply(
        source, _events(*[(START + number, f"k{number}", float(number)) for number in range(10)])
    )
    for _ in range(3):
        rows = answers.rows([Asked({"a": f"k{number}"}, {}, START + HOUR) for number in range(10)])
        assert [row.values["a_x"] for row in rows] == [float(number) for number in range(10)]
        assert answers._newest is not None
        assert len(answers._newest._ready) <= 3


@pytest.mark.parametrize("order", [1, -1])
def test_a_value_expires_at_its_own_microsecond_whichever_t_was_asked_before(order: int) -> None:
    source, features, state = SOURCES["things"], SETS["things", "a"], MemoryOnline()
    answers = Answers(features, state)
    OnlineWriter(state, [features]).apply(source, _events((START, "k", 1.0)))
    moments = [START, START + 1, *(START + hours * HOUR + step for hours in (2, 5) for step in (-1, 0, 1, 2))]
    want = {
        at: (
            "MISSING" if at == START else "EXPIRED" if at > START + 2 * HOUR else "OK",
            "MISSING" if at == START else "EXPIRED" if at > START + 5 * HOUR else "NULL",
        )
        for at in moments
    }
    for at in moments[::order] * 2:
        (row,) = answers.rows([Asked({"a": "k"}, {}, at)])
        assert (row.statuses["a_x"], row.statuses["a_big"]) == want[at], at
        assert row.values["a_x"] == (1.0 if want[at][0] == "OK" else 0.5)


def test_of_two_events_at_one_moment_the_one_that_became_known_later_counts() -> None:
    source, features, state = SOURCES["things"], NUMBERS["things"], MemoryOnline()
    nothing = [None] * 4
    rows = [
        world.event(1, START, HOUR, "1", None, (1.0, 1.0, *nothing), None),
        world.event(2, START, 0, "1", None, (2.0, 2.0, *nothing), None),
    ]
    OnlineWriter(state, [features]).apply(source, world.store(source, rows).read("things"))
    (row,) = Answers(features, state).rows([Asked({"a": "1"}, {}, START + 2 * HOUR)])
    compare(source, "a", row, rows, START + 2 * HOUR, {"a": "1"}, {"x": None, "y": None}, {})
    assert row.values["a_x"] == 1.0
