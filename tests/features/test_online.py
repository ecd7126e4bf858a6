"""The online state beside the record: the same entities, the same moments, the same bits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from backstay.core.errors import DefinitionError, InputError
from backstay.core.times import HOUR, instant
from backstay.definitions import Count, Distinct, Entity, EventSource, FeatureSet, Latest, Sum, Windowed
from backstay.features.answers import Answers
from backstay.features.lookup import Asked
from backstay.features.offline import feature_rows
from backstay.features.online import OnlineWriter
from backstay.storage.backends.memory import MemoryEvents, MemoryOnline

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAR = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
T = instant(NOW)


def both(features: FeatureSet, events: pl.DataFrame, keys: dict[str, Any], at: int = T) -> dict[str, Any]:
    """The values of an entity at T, the same offline and online, or the test fails here."""
    (source,) = features.sources
    record, state = MemoryEvents(), MemoryOnline()
    record.append(source.name, events)
    asked = pl.DataFrame({"at": [at], **{name: [value] for name, value in keys.items()}})
    offline = feature_rows(features, asked, record).rows
    OnlineWriter(state, [features]).apply(source, record.read(source.name))
    plain = {name: instant(value) if isinstance(value, datetime) else value for name, value in keys.items()}
    (online,) = Answers(features, state).rows([Asked(plain, {}, at)])
    assert list(online.values.values()) == list(offline.values()[0])
    return online.values


def events(known: timedelta = timedelta(0), **columns: Any) -> pl.DataFrame:
    """One event an hour, the last an hour before T; each known so long after it happened."""
    many = len(next(iter(columns.values())))
    happened = [NOW - timedelta(hours=many - place) for place in range(many)]
    times = {"event_time": happened, "known_time": [time + known for time in happened]}
    return pl.DataFrame({**times, **columns}).with_columns(pl.col(pl.Datetime).dt.cast_time_unit("us"))


def test_an_entity_whose_key_is_a_time() -> None:
    source = EventSource("slots", schema={"slot": "datetime", "gate": "int", "open": "bool", "x": "float"})
    slot = datetime(2024, 5, 1, 12, 0, 0, 7, tzinfo=UTC)
    rows = events(slot=[slot, slot], gate=[1, 1], open=[True, True], x=[1.0, 2.0])
    for entity, keys in (
        (Entity("slot"), {"slot": slot}),
        (Entity("all", keys=["slot", "gate", "open"]), {"slot": slot, "gate": 1, "open": True}),
    ):
        name = entity.name
        windows = FeatureSet("windows", [Windowed(source, by=entity, over="1d", n=Count(), total=Sum("x"))])
        assert both(windows, rows, keys) == {f"{name}_n_1d": 2, f"{name}_total_1d": 3.0}
        assert both(FeatureSet("latest", [Latest(source, by=entity, x="x")]), rows, keys) == {f"{name}_x": 2.0}


@pytest.mark.parametrize("delay", ["0s", "3h", "3d", "40d"])
def test_by_a_delay_events_become_known_long_after_now(delay: str) -> None:
    """What has come and is not known yet takes nothing from what is."""
    source = EventSource("slow", schema={"who": "string", "x": "float"}, delay=delay)
    who = Entity("who")
    features = FeatureSet(
        "slow", [Windowed(source, by=who, over="5d", n=Count(), total=Sum("x")), Latest(source, by=who, last="x")]
    )
    hours = 24 * 60
    rows = events(
        timedelta(microseconds=source.delay or 0), who=["w"] * hours, x=[float(place) for place in range(hours)]
    )
    found = both(features, rows, {"who": "w"})
    away = max((source.delay or 0) // HOUR, 1)
    assert found["who_n_5d"] == max(min(5 * 24 - away + 1, 5 * 24), 0)
    assert found["who_last"] == hours - away


def test_an_expression_that_ends_in_an_error_names_its_definition() -> None:
    source = EventSource("texts", schema={"who": "string", "w": "string"})
    strict = Windowed(source, by=Entity("who"), over="1d", n=Count(), total=Sum(pl.col("w").cast(pl.Float64)))
    with pytest.raises(InputError, match=r"(?s)'texts'.*\"abc\".*feature 'who_total_1d'.*test_online.py.*strict=False"):
        both(FeatureSet("strict", [strict]), events(who=["a", "a"], w=["1", "abc"]), {"who": "a"})
    lenient = Sum(pl.col("w").cast(pl.Float64, strict=False))
    features = FeatureSet("lenient", [Windowed(source, by=Entity("who"), over="1d", total=lenient)])
    assert both(features, events(who=["a", "a"], w=["1", "abc"]), {"who": "a"}) == {"who_total_1d": 1.0}


def test_times_that_a_float_cannot_hold() -> None:
    source = EventSource("ends", schema={"who": "string", "ends": "datetime"})
    who = Entity("who")
    features = FeatureSet(
        "ends", [Latest(source, by=who, ends="ends"), Windowed(source, by=who, over="1d", n=Distinct("ends"))]
    )
    for ends in (FAR, FAR.replace(year=2260), datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC), NOW):
        found = both(features, events(who=["w", "w"], ends=[ends, ends]), {"who": "w"})
        kept, exact = found["who_ends"], instant(ends)
        assert found["who_n_1d"] == 1
        assert abs(kept) <= abs(exact)
        assert abs(kept - exact) < 64
    assert found["who_ends"] == T


def test_numbers_wider_than_64_bits_with_a_sign_are_refused_when_declared() -> None:
    source = EventSource("wide", schema={"who": "string", "w": "string"})
    for value in (pl.col("w").hash(), pl.col("w").str.len_chars().cast(pl.Int128)):
        with pytest.raises(DefinitionError, match=r"test_online.py.*cast\(pl.Int64\)"):
            FeatureSet("wide", [Latest(source, by=Entity("who"), w=value)])
