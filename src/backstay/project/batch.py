"""Batch scoring of a project: which table is meant, and the run over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backstay.core.errors import InputError
from backstay.core.times import instant
from backstay.definitions import CsvFiles, DeltaTable, Model, ParquetFiles
from backstay.lifecycle.batch import Predicted, Progress, predict
from backstay.lifecycle.records import Records
from backstay.lifecycle.runs import Wanted
from backstay.storage.tables import Table

Data = str | Path | ParquetFiles | CsvFiles | DeltaTable


def predict_table(
    records: Records,
    settings: Mapping[str, Any],
    folder: Path,
    model: Model,
    data: Data,
    out: str | Path,
    *,
    at: str | int | None,
    version: int | None,
    keep: Sequence[str] | None,
    features: bool,
    part: int,
    progress: Progress,
) -> Predicted:
    """See `Project.predict`."""
    reader = _reader(data)
    base = Path.cwd() if isinstance(data, (str, Path)) else folder
    where = f"table {reader.path}"

    def opened(table_version: int | None) -> Table:
        return Table(reader, folder=base, where=where, version=table_version)

    wanted = Wanted(
        at=_at(at, lambda: list(opened(None).schema)),
        version=version,
        keep=keep,
        features=features,
        part=part,
        memory=settings["features.memory"] or None,
    )
    return predict(records, model, opened, Path(out).absolute(), wanted, progress)


def _reader(data: Data) -> ParquetFiles | CsvFiles | DeltaTable:
    """What a path means: a Delta table, CSV files, or Parquet files."""
    if isinstance(data, (ParquetFiles, CsvFiles, DeltaTable)):
        return data
    if not isinstance(data, (str, Path)):
        raise InputError(
            f"the table is a {type(data).__name__}",
            where="data",
            expected="a path, or ParquetFiles, CsvFiles or DeltaTable",
            fix="write it to a Parquet file first: it is read part by part",
        )
    text, place = str(data), Path(data)
    if (place / "_delta_log").is_dir():
        return DeltaTable(text)
    if place.is_dir():
        kinds = sorted({file.suffix for file in place.rglob("*") if file.suffix in (".csv", ".parquet")})
        if len(kinds) == 2:
            raise InputError(
                "there are Parquet and CSV files", where=text, expected="one kind", fix="name one: DIR/*.csv"
            )
        return CsvFiles(text) if kinds == [".csv"] else ParquetFiles(text)
    return CsvFiles(text) if place.suffix == ".csv" else ParquetFiles(text)


def _at(at: str | int | None, columns: Callable[[], list[str]]) -> str | int | None:
    """The column of that name, if the table has it; otherwise the moment that the text says."""
    if not isinstance(at, str) or at in (names := columns()):
        return at
    try:
        return instant(at, where="at")
    except InputError as error:
        raise InputError(
            f"{at!r} is neither a column of the table nor a time",
            where="at",
            expected=f"one of {names}, or {error.expected or 'an ISO 8601 time with a zone'}",
            fix="leave it out: T is now",
        ) from None
