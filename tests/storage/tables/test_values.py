"""What SQL holds comes as what is declared, to the last digit, or its row is bad: nothing becomes null unsaid."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from tests.storage.tables.conftest import PASSWORD

from backstay import Contract, EventSource, Expect, SqlQuery
from backstay.core.errors import InputError
from backstay.project.ingestion import Ingested, ingest_source
from backstay.storage.backends.memory import MemoryEvents
from backstay.storage.tables.cells import column, joined
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


def numerics(server: str, kind: str, *values: str) -> None:
    engine = sqlalchemy.create_engine(server, poolclass=sqlalchemy.pool.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS t")
        connection.exec_driver_sql(f"CREATE TABLE t (event_time TIMESTAMPTZ, v {kind})")
        for second, value in enumerate(values):
            connection.exec_driver_sql(f"INSERT INTO t VALUES ('2024-05-01 12:00:{second:02}Z', {value})")


def test_numerics_of_any_scale_are_the_nearest_floats(postgres: str, tmp_path: Path) -> None:
    numerics(postgres, "NUMERIC", *TEXTS, "NULL")
    values, told, _ = taken(postgres, "float", tmp_path, None)
    assert values == [*(float(Decimal(text)) for text in TEXTS), None]
    assert told.quarantined == 0


def test_numerics_that_are_no_numbers_are_judged(postgres: str, tmp_path: Path) -> None:
    numerics(postgres, "NUMERIC", "1.5", "'NaN'", "'Infinity'")
    values, told, _ = taken(postgres, "float", tmp_path)
    assert values == [1.5]
    assert told.reasons == {"v is NaN or infinite": 2}
    with pytest.raises(InputError, match="2 of 3 events: v is NaN or infinite"):
        taken(postgres, "float", tmp_path, None)


def test_numerics_are_whole_numbers_exactly_or_bad(postgres: str, tmp_path: Path) -> None:
    numerics(postgres, "NUMERIC", "100.00", "2.5", "9007199254740993", "1e20", "'NaN'")
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


@pytest.mark.parametrize("form", ["reader:${PW}@/postgres?host=${AT}", "reader@/postgres?host=${AT}&password=${PW}"])
def test_options_of_a_url_are_taken_from_the_environment(
    form: str, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numerics(postgres, "FLOAT8", "1.5")
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
