"""Reads what a reader names: the columns asked for, and where it can, only the rows since a moment.

**Since** is a hint that saves work, never the rule: what is left out was older for certain, but older rows may come
too, and the caller leaves those out. A table's times may have no zone, or be texts, so the hint goes to the table as
a time without a zone and a day earlier, which is earlier in any zone. Rows without a time always come: somebody has
to be told about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from backstay.core.errors import BackstayError, InputError
from backstay.core.times import instant_datetime
from backstay.definitions import CsvFiles, DeltaTable, ParquetFiles, Reader, SqlQuery
from backstay.storage.tables.secrets import Secrets
from backstay.storage.tables.sql import read_sql

URL = "://"


@dataclass(frozen=True, slots=True)
class Since:
    """Rows whose time in `column` is at `moment` (microseconds, UTC) or later."""

    column: str
    moment: int

    @property
    def bound(self) -> datetime:
        """A time without a zone that is before the moment in any zone."""
        return instant_datetime(self.moment).replace(tzinfo=None) - timedelta(days=1)


def read_table(
    reader: Reader, columns: list[str], *, folder: Path, where: str, since: Since | None = None
) -> pl.DataFrame:
    """The named columns of the rows there are now, with the types that the table gives them (texts in CSV).

    folder: what relative paths are relative to. where: the source as errors name it. Raises `InputError` for what
    cannot be found or read, without any secret in its words.
    """
    secrets = Secrets(where)
    try:
        if isinstance(reader, SqlQuery):
            bound = None if since is None else (since.column, since.bound)
            return read_sql(reader, columns, folder=folder, where=where, since=bound, secrets=secrets)
        files: dict[str, pl.LazyFrame] = {}
        table = _scanned(reader, columns, folder, where, since, secrets, files)
        with naming(files, where):
            return table.collect()
    except BackstayError:
        raise
    # A driver may raise anything, and a panic of Polars is no `Exception`. Without its words chained: they hold URLs.
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001
        raise InputError(
            f"its history cannot be read: {type(error).__name__}: {secrets.hidden(first_line(error))}",
            where=where,
            expected=f"a {type(reader).__name__} with the columns {', '.join(columns)}",
            fix="check the reader's path, URL or query against what is there",
        ) from None


def first_line(error: BaseException) -> str:
    """What an error says, in a line. SQLAlchemy wraps the driver's own."""
    lines = [line.strip() for line in str(getattr(error, "orig", None) or error).splitlines() if line.strip()]
    return lines[0] if lines else ""


def _scanned(
    reader: ParquetFiles | CsvFiles | DeltaTable,
    columns: list[str],
    folder: Path,
    where: str,
    since: Since | None,
    secrets: Secrets,
    files: dict[str, pl.LazyFrame],
) -> pl.LazyFrame:
    """What is read; `files` is filled with what is read of each, where there are files."""
    if isinstance(reader, DeltaTable):
        place = secrets.fill(reader.path)
        table = pl.scan_delta(
            place if URL in place else str(folder / place), storage_options=secrets.fill_all(reader.options) or None
        )
    elif isinstance(reader, CsvFiles):
        files |= {file: scanned_csv(reader, file) for file in found_files(reader.path, "csv", folder, where)}
        check_headers(files, columns, where)
        # By name: their order may differ. A line without any value is no row: files end with some.
        table = pl.concat(files.values(), how="diagonal").filter(~pl.all_horizontal(pl.all().is_null()))
    else:
        place = secrets.fill(reader.path)
        if URL not in place:
            files |= {file: scanned_parquet(file) for file in found_files(place, "parquet", folder, where)}
        options = secrets.fill_all(reader.options) or None
        table = pl.scan_parquet(
            list(files) or [place], storage_options=options, extra_columns="ignore", hive_partitioning=False
        )
    first = next(iter(files), "")
    with naming(files, where):
        schema = files.get(first, table).collect_schema()
    missing = [name for name in columns if name not in schema]
    if missing:
        raise InputError(
            f"there is no column {missing[0]!r}", where=where, expected=f"{missing[0]!r} among {list(schema)}",
            fix="write it into the files: what only the names of folders say is not read"
            if f"/{missing[0]}=" in first else "declare the source as its table now is, or mend the table",
        )  # fmt: skip
    check_alike(files, columns, where)
    table = table.select(columns)
    if since is None or not isinstance(kind := schema[since.column], pl.Datetime):
        return table
    bound = pl.lit(since.bound).cast(pl.Datetime("us"))
    if kind.time_zone is not None:
        bound = bound.dt.replace_time_zone("UTC").dt.convert_time_zone(kind.time_zone)
    time = pl.col(since.column)
    return table.filter((time >= bound.cast(kind)) | time.is_null())


def scanned_csv(reader: CsvFiles, file: str) -> pl.LazyFrame:
    """One file, all of whose columns are texts."""
    return pl.scan_csv(
        file, separator=reader.separator, null_values=list(reader.null_values), infer_schema=False, glob=False
    )


def scanned_parquet(file: str) -> pl.LazyFrame:
    """One file."""
    return pl.scan_parquet(file, glob=False, hive_partitioning=False)


@contextmanager
def naming(files: Mapping[str, pl.LazyFrame], where: str) -> Iterator[None]:
    """Name the file that cannot be read: a failure of Polars does not, so the files are tried one by one."""
    try:
        yield
    except pl.exceptions.PolarsError:
        for name, frame in files.items():
            try:
                frame.select(pl.all().count()).collect(engine="streaming")
            except pl.exceptions.PolarsError as error:
                raise InputError(
                    f"{name} cannot be read: {first_line(error)}", where=where,
                    expected="CSV in UTF-8 with as many fields in every line as in its first, or Parquet",
                    fix="mend the file, or take it away",
                ) from None  # fmt: skip
        raise


def check_headers(files: Mapping[str, pl.LazyFrame], columns: Iterable[str], where: str) -> None:
    """Refuse, by its name, a CSV file with two columns of a name that is asked for: nobody can say which is meant."""
    with naming(files, where):
        schemas = {name: table.collect_schema() for name, table in files.items()}
    for name, schema in schemas.items():
        for column in columns:
            if f"{column}_duplicated_0" in schema:  # what Polars calls the second one
                raise InputError(
                    f"there are two columns {column!r} in {name}", where=where, expected="columns of different names",
                    fix="rename one of them",
                )  # fmt: skip


def check_alike(files: Mapping[str, pl.LazyFrame], columns: Iterable[str], where: str) -> None:
    """Refuse, by its name, a file without a column that the first one has, or with another type of it.

    A column that is new in later files changes nothing.
    """
    with naming(files, where):
        schemas = {name: table.collect_schema() for name, table in files.items()} if len(files) > 1 else {}
    for name, schema in schemas.items():
        first = next(iter(schemas))
        for column in columns:
            if schema.get(column) != schemas[first][column]:
                raise InputError(
                    f"column {column!r} of {name} is {schema.get(column, 'missing')}",
                    where=where,
                    expected=f"{schemas[first][column]}, as in {first}",
                    fix="convert the file, or give files of one kind at a time",
                )


def found_files(path: str, ending: str, folder: Path, where: str) -> list[str]:
    """The files of a path, a folder (all below it, of this ending) or a glob, in the order of their names."""
    place = folder / path
    if place.is_dir():
        found = [one for one in place.rglob(f"*.{ending}") if one.is_file()]
    elif place.is_file():
        found = [place]
    else:
        start = Path(place.anchor)
        found = [one for one in start.glob(str(place.relative_to(start))) if one.is_file()]
    if not found:
        raise InputError(
            f"there is no file {path}", where=where, expected=f"a file, a folder of *.{ending} or a glob",
            fix=f"paths are relative to {folder}",
        )  # fmt: skip
    return sorted(map(str, found))
