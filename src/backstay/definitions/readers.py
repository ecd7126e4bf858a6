"""Where a source's history is read from: files, tables and queries, declared as plain data.

A reader only says where; `backstay.storage.tables` reads. The columns it yields are those the source declares: its
schema, its event time and, if it has one, its known time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ParquetFiles:
    """Parquet files: a path, a folder or a glob, relative to the project's folder; object storage URLs as Polars reads
    them."""

    path: str
    options: Mapping[str, str] = field(default_factory=dict)
    """storage options for object storage"""


@dataclass(frozen=True, slots=True)
class CsvFiles:
    """CSV files: a path, a folder or a glob, relative to the project's folder. Columns are read as the source declares
    them."""

    path: str
    separator: str = ","
    null_values: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class DeltaTable:
    """A Delta table that somebody else writes: a path or URL."""

    path: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SqlQuery:
    """A table or query of a SQL database or warehouse.

    url:   a SQLAlchemy URL ("postgresql+psycopg://...", "sqlite:///shop.db"), "duckdb:///file.duckdb", or
           "adbc+DRIVER:..." for an ADBC driver. A password stands in the environment: "${PGPASSWORD}" is replaced.
    query: a SELECT statement, or the name of a table.
    """

    url: str
    query: str


Reader = ParquetFiles | CsvFiles | DeltaTable | SqlQuery
