"""Reads a table or query of SQL: through SQLAlchemy, DuckDB's own interface, or an ADBC driver.

Every door runs the same statement around the user's query, in the SQL that all of them share:

    SELECT q."paid", q."amount" FROM (SELECT * FROM payments) AS q
    WHERE q."paid" >= '2024-01-01' OR q."paid" IS NULL

The limit is a literal, which a database takes as a time where the column is one, and where times are texts (SQLite)
the same comparison holds for ISO 8601.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import polars as pl

from backstay.core.errors import InputError
from backstay.core.urls import NAME
from backstay.definitions import SqlQuery
from backstay.storage.tables.cells import arrow_frame, column, joined
from backstay.storage.tables.secrets import Secrets

_CHUNK = 50_000
_PART = r'(?:[\w$-]+|"[^"]+"|`[^`]+`|\[[^\]]+\])'
_NAME = re.compile(rf"{_PART}(?:\.{_PART})*")


def read_sql(
    reader: SqlQuery,
    columns: list[str],
    *,
    folder: Path,
    where: str,
    since: tuple[str, datetime] | None,
    secrets: Secrets,
) -> pl.DataFrame:
    """The named columns, of rows whose time in the column of `since` is not before it; `read_table` says more."""
    url = secrets.fill(reader.url) if NAME.fullmatch(reader.url) else reader.url
    if url.startswith("duckdb:"):
        return _duckdb(secrets.fill(url), statement(reader.query, columns, since), folder, where)
    if url.startswith("adbc+"):
        return _adbc(url, statement(reader.query, columns, since), folder, where, secrets)
    return _sqlalchemy(url, reader.query, columns, since, folder, where, secrets)


def statement(
    query: str,
    columns: Iterable[str],
    since: tuple[str, datetime] | None,
    quoted: Callable[[str], str] = '"{}"'.format,
) -> str:
    """The statement that reads a query's columns.

    >>> print(statement("payments", ["paid"], ("paid", datetime(2024, 1, 1))))
    SELECT q."paid" FROM payments AS q WHERE q."paid" >= '2024-01-01' OR q."paid" IS NULL
    """
    text = query.strip().rstrip(";").rstrip()
    table = text if _NAME.fullmatch(text) else f"({text}\n)"  # a query may end with a comment
    # Each name has its table before it: alone, SQLite takes a quoted name it does not know for a text.
    out = f"SELECT {', '.join(f'q.{quoted(name)}' for name in columns)} FROM {table} AS q"  # noqa: S608 - the query is its owner's own
    if since is not None:
        # The day alone: as a text it is below every time of the day, whether a T or a blank follows it.
        time = f"q.{quoted(since[0])}"
        out += f" WHERE {time} >= '{since[1]:%Y-%m-%d}' OR {time} IS NULL"
    return out


def _duckdb(url: str, text: str, folder: Path, where: str) -> pl.DataFrame:
    duckdb = _library("duckdb", "duckdb", where)
    _library("pyarrow", "duckdb", where)
    path = _existing(url.removeprefix("duckdb:").removeprefix("///"), folder, where)
    with duckdb.connect(path, read_only=True) as connection:
        found = connection.sql(text).pl()
    assert isinstance(found, pl.DataFrame)
    return found


def _adbc(url: str, text: str, folder: Path, where: str, secrets: Secrets) -> pl.DataFrame:
    driver, _, rest = url.removeprefix("adbc+").partition(":")
    _library("pyarrow", "adbc", where)
    _library("adbc_driver_manager", "adbc", where)
    dbapi = _library(f"adbc_driver_{driver}.dbapi", "adbc", where, package=f"adbc-driver-{driver}")
    url = secrets.fill_url(f"{driver}:{rest}")
    rest = url.removeprefix(f"{driver}:")
    secrets.hide(unquote(rest.rpartition("@")[0].rpartition(":")[2]))
    secrets.hide_options(parse_qsl(rest.partition("?")[2]))
    if driver == "sqlite":
        rest = _existing(rest.removeprefix("///"), folder, where)
    with dbapi.connect(url if rest.startswith("//") else rest) as connection, connection.cursor() as one:
        one.execute(text)
        return arrow_frame(one.fetch_arrow_table())


def _told_times(connection: Any) -> None:
    """Give times that no `datetime` holds ("infinity", the year 20000) as texts: psycopg raises for them, so that one
    would be the end of all rows that are read."""
    import psycopg

    class Told(psycopg.adapt.Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._given = given[oid](oid, context)

        def load(self, data: Any) -> Any:
            try:
                return self._given.load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    adapters, given = connection.adapters, {}
    for name in ("timestamptz", "timestamp", "date"):
        oid = adapters.types[name].oid
        given[oid] = adapters.get_loader(oid, psycopg.pq.Format.TEXT)
        adapters.register_loader(oid, Told)


def _sqlalchemy(
    url: str,
    query: str,
    columns: list[str],
    since: tuple[str, datetime] | None,
    folder: Path,
    where: str,
    secrets: Secrets,
) -> pl.DataFrame:
    import sqlalchemy

    parts = sqlalchemy.make_url(url)
    # Replaced in the parts, not in the text: a password may hold any character.
    password = None if parts.password is None else secrets.fill(str(parts.password))
    secrets.hide(password)
    user, host, database = (value and secrets.fill(value) for value in (parts.username, parts.host, parts.database))
    options = {
        name: secrets.fill(one) if isinstance(one, str) else tuple(map(secrets.fill, one))
        for name, one in parts.query.items()
    }
    secrets.hide_options((name, one) for name, one in options.items() if isinstance(one, str))
    parts = parts.set(username=user, password=password, host=host, database=database, query=options)
    if parts.get_backend_name() == "sqlite":
        parts = parts.set(database=_existing(parts.database or "", folder, where))
    try:
        engine = sqlalchemy.create_engine(parts, poolclass=sqlalchemy.pool.NullPool)
    except ModuleNotFoundError as error:
        raise _not_installed(str(error.name), "postgres" if error.name == "psycopg" else None, where) from None
    text = statement(query, columns, since, engine.dialect.identifier_preparer.quote_identifier)
    chunks: list[list[pl.Series]] = []
    # Not sqlalchemy.text(), and no parameters: a colon or a per cent in the user's query is what it is.
    with engine.connect().execution_options(stream_results=True, no_parameters=True) as connection:
        if engine.dialect.driver == "psycopg":
            _told_times(connection.connection.driver_connection)
        result = connection.exec_driver_sql(text)
        while rows := result.fetchmany(_CHUNK):
            chunks.append([column(list(given)) for given in zip(*rows, strict=True)])
    if not chunks:
        return pl.DataFrame({name: [] for name in columns})
    return pl.DataFrame(dict(zip(columns, map(joined, zip(*chunks, strict=True)), strict=True)))


def _library(name: str, extra: str, where: str, package: str | None = None) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise _not_installed(package or name, None if package else extra, where) from None


def _not_installed(package: str, extra: str | None, where: str) -> InputError:
    fix = f"pip install 'backstay[{extra}]'" if extra else f"pip install {package}"
    return InputError(f"{package} is not installed, which its reader needs", where=where, fix=fix)


def _existing(path: str, folder: Path, where: str) -> str:
    """The path of a database that is a file. One that is not there is refused: drivers would make an empty one."""
    place = folder / path
    if not place.is_file():
        raise InputError(
            f"there is no database {path!r}", where=where, expected="a file", fix=f"paths are relative to {folder}"
        )
    return str(place)
