"""What SQL holds comes as what is declared, to the last digit, or its row is bad: nothing becomes null unsaid."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy
from tests.storage.tables.conftest import PASSWORD

from backstay import Contract, EventSource, Expect, SqlQuery
from backstay.core.errors import InputError
from backstay.features.ingest import row_texts
from backstay.project.ingestion import Ingested, ingest_source
from backstay.storage.backends.memory import MemoryEvents
from backstay.storage.tables.cells import arrow_frame, column, joined
from backstay.storage.tables.secrets import Secrets

CONTRACT = Contract(Expect.not_null("v"))
TEXTS = [
    "100.50",
    "2.1234567890123456789",
    "1e20",
    "-0.000000000000000000000000000000000000000000017",
    "9007199254740993",
]


def taken(
    url: str, kind: str, folder: Path, contract: Contract | None = CONTRACT
) -> tuple[list[Any], Ingested, MemoryEvents]:
    source = EventSource("t", schema={"v": kind}, read=SqlQuery(url, "t"), contract=contract)
    events = MemoryEvents()
    told = ingest_source(source, events, folder=folder)
    return events.read("t").get_column("v").to_list(), told, events


def kept(server: str, kind: str, *values: str) -> None:
    """A table with such a column of the values, a row a second."""
    engine = sqlalchemy.create_engine(server, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE IF EXISTS t, "A table"')
        connection.exec_driver_sql(f"CREATE TABLE t (event_time TIMESTAMPTZ, v {kind})")
        for second, value in enumerate(values):
            connection.exec_driver_sql(f"INSERT INTO t VALUES ('2024-05-01 12:00:{second:02}Z', {value})")


def test_numerics_of_any_scale_are_the_nearest_floats(postgres: str, tmp_path: Path) -> None:
    kept(postgres, "NUMERIC", *TEXTS, "NULL")
    values, told, _ = taken(postgres, "float", tmp_path, None)
    assert values == [*(float(Decimal(text)) for text in TEXTS), None]
    assert told.quarantined == 0


def test_numerics_that_are_no_numbers_are_judged(postgres: str, tmp_path: Path) -> None:
    kept(postgres, "NUMERIC", "1.5", "'NaN'", "'Infinity'")
    values, told, _ = taken(postgres, "float", tmp_path)
    assert values == [1.5]
    assert told.reasons == {"v is NaN or infinite": 2}
    with pytest.raises(InputError, match="2 of 3 events: v is NaN or infinite"):
        taken(postgres, "float", tmp_path, None)


def test_numerics_are_whole_numbers_exactly_or_bad(postgres: str, tmp_path: Path) -> None:
    kept(postgres, "NUMERIC", "100.00", "2.5", "9007199254740993", "1e20", "'NaN'")
    values, told, events = taken(postgres, "int", tmp_path)
    assert values == [100, 2**53 + 1]
    assert told.reasons == {"v is not read as int": 3}
    rows = events.read("quarantine_t").get_column("row").str.json_path_match("$.v").to_list()
    assert rows == ["2.5", "100000000000000000000", "NaN"]


@pytest.mark.parametrize(
    ("kind", "given", "values", "reasons"),
    [
        ("int", [1, 2.5, 2**60 + 1, 2.0], [1, 2**60 + 1, 2], {"v is not read as int": 1}),
        ("int", [1, b"12", 3], [1, 3], {"v is not read as int": 1}),
        ("int", [0.5, 2.0], [2], {"v is not read as int": 1}),  # alone, too: what is read next may be one of these
        ("int", [2**62 + 1] * 50_000 + [2.5], [2**62 + 1] * 50_000, {"v is not read as int": 1}),
        ("float", [0.1, 2**53 + 1, b"\0", "x"], [0.1, 2.0**53], {"v is not read as float": 2}),
        ("float", [1, 0.1 + 0.2, 1e300], [1.0, 0.1 + 0.2, 1e300], {}),
    ],
)
def test_one_stray_value_spoils_its_own_row(
    kind: str, given: list[Any], values: list[Any], reasons: dict[str, int], tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE t (event_time TEXT, v)")
        rows = [(f"2024-05-01T12:00:00.{place:06}Z", value) for place, value in enumerate(given)]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
    connection.close()
    found, told, _ = taken("sqlite:///t.db", kind, tmp_path)
    assert found == values
    assert told.reasons == reasons


def test_parts_of_a_column_that_differ_lose_nothing() -> None:
    whole = joined([column([2**62 + 1]), column([None]), column([0.1]), column([True])])
    assert whole.to_list() == [str(2**62 + 1), None, "0.1", "true"]
    assert joined([column([1]), column([None]), column([2])]).to_list() == [1, None, 2]


@pytest.mark.parametrize("column", ["TIMESTAMPTZ", "TIMESTAMP", "DATE"])
def test_a_time_that_no_calendar_has_is_a_bad_row_of_postgres(postgres: str, column: str, tmp_path: Path) -> None:
    never = ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'20000-01-01'"]
    kept(postgres, column, "'2024-05-01'", *never, "NULL", "'0001-01-02'")
    source = EventSource("t", schema={"v": "datetime"}, read=SqlQuery(postgres, "t"), timezone="UTC")
    with pytest.raises(InputError, match="4 of 7 events: v is not read as datetime, such as 'infinity'"):
        ingest_source(source, MemoryEvents(), folder=tmp_path)
    source = EventSource(
        "t", schema={"v": "datetime"}, read=SqlQuery(postgres, "t"), timezone="UTC",
        contract=Contract(Expect.unique("v")),
    )  # fmt: skip
    events = MemoryEvents()
    told = ingest_source(source, events, folder=tmp_path)
    assert told.reasons == {"v is not read as datetime": 4}
    assert events.read("t").get_column("v").to_list() == [
        datetime(2024, 5, 1, tzinfo=UTC), None, datetime(1, 1, 2, tzinfo=UTC),
    ]  # fmt: skip
    assert ingest_source(source, events, folder=tmp_path).quarantined == 0


def test_a_row_in_quarantine_is_the_same_when_its_column_has_become_texts(tmp_path: Path) -> None:
    """What is bad is known by its text: a time that no calendar has, in another row, must not change it."""
    berlin = datetime(2024, 5, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    alone, beside = (pl.DataFrame({"v": column(values)}) for values in ([berlin], [berlin, "infinity"]))
    assert row_texts(alone)[0] == row_texts(beside)[0]
    parts = pl.DataFrame({"v": joined([column([berlin]), column(["infinity"])])})
    assert row_texts(parts) == row_texts(beside)


def test_a_uuid_is_its_text(postgres: str, tmp_path: Path) -> None:
    name = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    kept(postgres, "UUID", f"'{name}'", "NULL")
    assert taken(postgres, "string", tmp_path, None)[0] == [name, None]


def test_a_table_is_named_as_sql_names_it(postgres: str, tmp_path: Path) -> None:
    kept(postgres, "INT", "7")
    engine = sqlalchemy.create_engine(postgres, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql('ALTER TABLE t RENAME TO "A table"')
    for name in ('"A table"', 'public."A table"', '"public"."A table";'):
        source = EventSource("t", schema={"v": "int"}, read=SqlQuery(postgres, name))
        assert ingest_source(source, MemoryEvents(), folder=tmp_path).added == 1


def test_types_that_a_driver_of_adbc_made_up_are_what_they_are_kept_as() -> None:
    name = UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
    table = pa.table(
        {
            "amount": pa.array(["12.50", None], pa.opaque(pa.string(), "numeric", "PostgreSQL")),
            "data": pa.array(['{"a": 1}', None], pa.json_()),
            "customer": pa.array([name.bytes, None], pa.uuid()),
            "n": pa.array([1, None]),
        }
    )
    assert arrow_frame(table).schema == {"amount": pl.String, "data": pl.String, "customer": pl.String, "n": pl.Int64}
    assert arrow_frame(table).rows() == [("12.50", '{"a": 1}', str(name), 1), (None,) * 4]


@pytest.mark.parametrize("form", ["reader:${PW}@/postgres?host=${AT}", "reader@/postgres?host=${AT}&password=${PW}"])
def test_options_of_a_url_are_taken_from_the_environment(
    form: str, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(postgres, "FLOAT8", "1.5")
    place = sqlalchemy.make_url(postgres).query["host"]
    monkeypatch.setenv("AT", str(place))
    monkeypatch.setenv("PW", PASSWORD)
    with pytest.raises(InputError, match="permission denied"):  # so far: the password was right
        taken(f"postgresql+psycopg://{form}", "float", tmp_path)
    monkeypatch.setenv("AT", "/no/such/s3cret")
    with pytest.raises(InputError, match="cannot be read") as caught:
        taken(f"postgresql+psycopg://{form}", "float", tmp_path)
    assert "s3cret" not in str(caught.value)


def test_a_password_among_the_options_is_in_no_message() -> None:
    secrets = Secrets("t")
    secrets.hide_options([("host", "db"), ("sslpassword", "p/w")])
    assert secrets.hidden("db said p/w and p%2Fw") == "db said *** and ***"
