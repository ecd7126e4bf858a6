"""Events as people have them, in the form of the record: what is read, and what is said of the rest."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from backstay import Contract, EventSource, Expect
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
    time = pl.Series("event_time", times, pl.Int32 if kind == pl.Date else pl.Int64).cast(kind)
    rows = pl.DataFrame([time]).with_row_index("x").with_columns(pl.col("x").cast(pl.Int64))
    return rows.with_columns(
        due=pl.lit(due, dtype=pl.Int64).cast(kind if kind != pl.Date else pl.Datetime("us", "UTC"))
    )


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
