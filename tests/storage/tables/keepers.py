"""Tables of orders, each kept by a real file format or database, with a reader for it.

Times of `paid` are when it happened, of `seen` when it became known. Where the database has no type for a time or a
truth (CSV, SQLite), texts and numbers stand for it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import sqlalchemy

from backstay import Contract, CsvFiles, DeltaTable, EventSource, Expect, ParquetFiles, SqlQuery

Row = dict[str, Any]
SCHEMA: dict[str, Any] = {
    "order": "int", "shop": "string", "amount": "float", "items": "int", "gift": "bool", "due": "datetime",
}  # fmt: skip
COLUMNS = {"paid": "datetime", "seen": "datetime", **SCHEMA}
CONTRACT = Contract(Expect.not_null("shop"), Expect.between("items", low=0), Expect.unique("order"))
START = datetime(2024, 3, 1, tzinfo=UTC)
_TYPES = {"datetime": pl.Datetime("us", "UTC"), "int": pl.Int64, "string": pl.String, "float": pl.Float64,
          "bool": pl.Boolean}  # fmt: skip
_SQL = {"datetime": "TIMESTAMPTZ", "int": "BIGINT", "string": "TEXT", "float": "DOUBLE PRECISION", "bool": "BOOLEAN"}


def order(number: int, *, hours: float | None = None, lag: float = 1, **changes: Any) -> Row:
    """An order by its number: paid so many hours after START (default: its number), seen `lag` hours later."""
    paid = START + timedelta(hours=number if hours is None else hours)
    row = {
        "paid": paid, "seen": paid + timedelta(hours=lag), "order": number, "shop": f"shop {number % 3}, “{number}”",
        "amount": None if number % 5 == 4 else number / 8, "items": None if number % 4 == 3 else 2**53 + number,
        "gift": [True, False, None][number % 3],
        "due": None if number % 2 else paid + timedelta(days=1, microseconds=7),
    }  # fmt: skip
    return row | changes


def frame(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={name: _TYPES[kind] for name, kind in COLUMNS.items()}, orient="row")


class Parquet:
    """A folder with one more file a write."""

    def __init__(self, folder: Path, _server: str) -> None:
        self.reader: Any = ParquetFiles("orders")
        self._folder = folder / "orders"
        self._folder.mkdir()

    def add(self, rows: Sequence[Row]) -> None:
        frame(rows).write_parquet(self._folder / f"{len(list(self._folder.iterdir())):03}.parquet")


class Csv:
    """One file that grows."""

    def __init__(self, folder: Path, _server: str) -> None:
        self.reader: Any = CsvFiles("orders.csv", separator=";")
        self._path = folder / "orders.csv"

    def add(self, rows: Sequence[Row]) -> None:
        with self._path.open("ab") as file:
            frame(rows).write_csv(file, separator=";", include_header=file.tell() == 0)


class Delta:
    """A Delta table."""

    def __init__(self, folder: Path, _server: str) -> None:
        self.reader: Any = DeltaTable("orders")
        self._path = str(folder / "orders")

    def add(self, rows: Sequence[Row]) -> None:
        from deltalake import write_deltalake

        write_deltalake(self._path, frame(rows).to_arrow(), mode="append")


class Sqlite:
    """An SQLite file: times are texts, some with a T and some with a blank, truths are 0 and 1."""

    url: ClassVar[str] = "sqlite:///orders.db"

    def __init__(self, folder: Path, _server: str) -> None:
        self.reader: Any = SqlQuery(self.url, "SELECT * FROM orders WHERE shop LIKE 'shop%' -- of ours")
        self._path = folder / "orders.db"
        with sqlite3.connect(self._path) as connection:
            connection.execute(_create(typed=False))
        connection.close()

    def add(self, rows: Sequence[Row]) -> None:
        def text(value: Any) -> Any:
            return value.isoformat(sep="T "[value.hour % 2]) if isinstance(value, datetime) else value

        values = [tuple(text(row[name]) for name in COLUMNS) for row in rows]
        with sqlite3.connect(self._path) as connection:
            connection.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * len(COLUMNS))})", values)
        connection.close()


class Adbc(Sqlite):
    """The same, through an ADBC driver."""

    url = "adbc+sqlite:orders.db"


class Duck:
    """A DuckDB file."""

    def __init__(self, folder: Path, _server: str) -> None:
        self.reader: Any = SqlQuery("duckdb:///orders.duckdb", "orders")
        self._path = str(folder / "orders.duckdb")
        self._run((_create(), None))

    def add(self, rows: Sequence[Row]) -> None:
        text = f"INSERT INTO orders VALUES ({', '.join('?' * len(COLUMNS))})"
        self._run(*((text, [row[name] for name in COLUMNS]) for row in rows))

    def _run(self, *steps: tuple[str, Any]) -> None:
        import duckdb

        with duckdb.connect(self._path) as connection:
            for text, values in steps:
                connection.execute(text, values)


class Pg:
    """A PostgreSQL server, asked with a password that stands in the environment."""

    def __init__(self, _folder: Path, server: str) -> None:
        # A per cent and a colon are part of SQL, and of nobody's parameters.
        query = "SELECT *, 'a:b' AS tag FROM orders WHERE shop LIKE 'shop%'"
        self.reader: Any = SqlQuery(server.replace("postgres@", "reader:${ORDERS_PASSWORD}@"), query)
        self._engine = sqlalchemy.create_engine(server, poolclass=sqlalchemy.pool.NullPool)
        with self._engine.begin() as connection:
            for text in ("DROP TABLE IF EXISTS orders", _create(), "GRANT SELECT ON orders TO reader"):
                connection.exec_driver_sql(text)

    def add(self, rows: Sequence[Row]) -> None:
        names = ", ".join(f"%({name})s" for name in COLUMNS)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(f"INSERT INTO orders VALUES ({names})", list(rows))


def _create(*, typed: bool = True) -> str:
    columns = [f'"{name}" {_SQL[kind] if typed else ""}' for name, kind in COLUMNS.items()]
    return f"CREATE TABLE orders ({', '.join(columns)})"


KEEPERS = {
    "parquet": Parquet,
    "csv": Csv,
    "delta": Delta,
    "sqlite": Sqlite,
    "adbc": Adbc,
    "duckdb": Duck,
    "postgres": Pg,
}


def source(reader: Any, **more: Any) -> EventSource:
    """The orders as an event source; by default each says itself when it became known."""
    if "delay" not in more:
        more.setdefault("known_time", "seen")
    return EventSource("orders", schema=SCHEMA, event_time="paid", read=reader, **more)


def canonical(rows: Sequence[Row]) -> list[str]:
    """Rows as texts, sorted: equal if they are the same rows, each as many times."""
    return sorted(json.dumps([row[name] for name in COLUMNS], default=lambda time: time.isoformat()) for row in rows)
