"""Events as people have them, in the form of the record: what is read, and what is said of the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from backstay import Contract, EventSource, Expect, SqlQuery
from backstay.core.errors import InputError
from backstay.core.times import EARLIEST, LATEST, instant
from backstay.features.ingest import prepare, screen
from backstay.features.shaping import shape

FOREVER = 2**63 - 1
"""what a database's "infinity" is read as"""
UTC_TIME = pl.Datetime("us", "UTC")
T = instant("2024-05-01T12:00Z")
CONTRACT = Contract(Expect.not_null("x"))


def source(**changes: Any) -> EventSource:
    return EventSource("pays", schema={"x": "int", "due": "datetime"}, **changes)


def frame(times: list[int | None], kind: Any = UTC_TIME, due: int | None = T) -> pl.DataFrame:
    time = pl.Series("event_time", times, pl.Int64).cast(kind)
    due_time = pl.lit(due, dtype=pl.Int64).cast(kind)
    return pl.DataFrame({"event_time": time, "x": range(len(times))}).with_columns(due=due_time)


@pytest.mark.parametrize(
    ("kind", "zone"),
    [
        *((pl.Datetime("us", zone), None) for zone in ("UTC", "Asia/Tokyo")),
        *((pl.Datetime("us"), zone) for zone in ("UTC", "America/New_York")),
    ],
)
def test_times_that_no_calendar_has_are_set_apart(kind: Any, zone: str | None) -> None:
    """Polars panics over such, and Python cannot show them."""
    times = [T, FOREVER, -FOREVER, LATEST + 10**13, EARLIEST - 10**13, 10**18, None]
    parted = screen(source(contract=CONTRACT, timezone=zone), frame(times, kind), now=2 * T)
    assert parted.good.get_column("x").to_list() == [0]
    assert parted.counts == {"event_time is outside the years 1 to 9999 in UTC": 5, "there is no event_time": 1}
    assert parted.bad.get_column("row").str.json_path_match("$.event_time").to_list()[0] == f"{FOREVER}us from 1970"


def test_the_ends_of_the_calendar_are_in_it() -> None:
    rows = prepare(source(), frame([EARLIEST, LATEST], due=LATEST)).select("event_time", "due").rows()
    first, last = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))
    assert rows == [(first, last), (last, last)]
    screened = screen(
        source(contract=Contract(Expect.not_null("due"))), frame([EARLIEST, LATEST], due=None), now=LATEST
    )
    assert screened.bad.height == 2


def test_coarser_units_and_other_times_of_a_row() -> None:
    late = frame([T // 1_000, FOREVER], pl.Datetime("ms", "UTC"), due=T // 1_000)
    assert screen(source(contract=CONTRACT), late, now=T).good.get_column("x").to_list() == [0]
    with pytest.raises(
        InputError, match=rf"1 of 1 events: due is outside the years 1 to 9999 in UTC, such as '{FOREVER}us"
    ):
        screen(source(), frame([T], due=FOREVER), now=T)
    known = source(known_time="seen", contract=CONTRACT)
    seen = frame([T, T]).with_columns(seen=pl.Series([T, FOREVER]).cast(pl.Datetime("us", "UTC")))
    assert screen(known, seen, now=T).counts == {"known_time is outside the years 1 to 9999 in UTC": 1}


def test_without_a_contract_the_error_names_the_time() -> None:
    with pytest.raises(InputError, match="1 of 2 events: event_time is outside the years 1 to 9999") as caught:
        screen(source(), frame([T, 10**18]), now=T)
    assert "check the unit" in caught.value.fix
    assert shape(source(), frame([T, 10**18])).rows.height == 2


@pytest.mark.parametrize("kind", [pl.Categorical(), pl.Enum(["a", "b", "7"])])
def test_texts_that_are_kept_as_categories_are_texts(kind: pl.DataType) -> None:
    texts = pl.DataFrame(
        {"event_time": [datetime(2024, 5, 1, tzinfo=UTC)] * 3, "shop": ["b", None, "a"], "x": [1, 2, 3]}
    )
    plain = EventSource("pays", schema={"shop": "string", "x": "int"}, contract=Contract(Expect.one_of("shop", ["a"])))
    came = texts.with_columns(pl.col("shop").cast(kind))
    assert prepare(plain, came).equals(prepare(plain, texts))
    assert screen(plain, came, now=T).bad.equals(screen(plain, texts, now=T).bad)
    read = EventSource("pays", schema={"x": "int"}, read=SqlQuery("duckdb:///d.duckdb", "pays"))
    numbers = came.select("event_time", x=pl.Series(["7", "a", None]).cast(kind))
    assert shape(read, numbers).rows.get_column("x").to_list() == [7, None, None]
    with pytest.raises(InputError, match="column 'x' is of type String"):
        shape(source(), numbers)


def test_a_day_is_its_first_moment_by_the_sources_clocks() -> None:
    days = pl.DataFrame({"event_time": [date(2024, 5, 1), None], "x": [1, 2], "due": [date(2024, 5, 2)] * 2})
    rows = shape(source(timezone="America/New_York"), days).rows
    assert rows.select("event_time", "due").row(0) == (
        datetime(2024, 5, 1, 4, tzinfo=UTC), datetime(2024, 5, 2, 4, tzinfo=UTC),
    )  # fmt: skip
    with pytest.raises(InputError, match="carry no time zone"):
        shape(source(), days)
    forever = days.with_columns(event_time=pl.Series([2**31 - 1, 0], dtype=pl.Int32).cast(pl.Date))
    held = source(timezone="UTC", contract=CONTRACT)
    assert screen(held, forever, now=T).bad.get_column("row").str.json_path_match("$.event_time").to_list() == [
        "2147483647d from 1970"
    ]
