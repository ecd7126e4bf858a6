"""A table that is gone through in order, a part at a time: files or a Delta table, of any size.

A row's number is its place: files in the order of their names, rows in the order of each file. What a table was is
told by its `identity` (names, sizes and times of its files; the version of a Delta table), so that going on with it
later, or noticing that it has changed, needs no second look at its content.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from backstay.core.errors import BackstayError, InputError
from backstay.definitions import CsvFiles, DeltaTable, ParquetFiles
from backstay.storage.tables.read import (
    URL,
    check_alike,
    check_headers,
    first_line,
    found_files,
    naming,
    scanned_csv,
    scanned_parquet,
)
from backstay.storage.tables.secrets import Secrets


@dataclass(frozen=True, slots=True)
class Piece:
    """A file of the table, or all of a Delta table: what is read, and how many rows it has."""

    name: str
    frame: pl.LazyFrame
    rows: int


class Table:
    """The rows of a reader as they are now. Raises `InputError` for what cannot be found or read.

    texts:  whether all columns are texts, as in CSV
    schema: the columns of its first file; later files may have more, which are left out, but not fewer or other types
    """

    def __init__(
        self, reader: ParquetFiles | CsvFiles | DeltaTable, *, folder: Path, where: str, version: int | None = None
    ) -> None:
        self.where, self.texts, self._secrets = where, isinstance(reader, CsvFiles), Secrets(where)
        with _words(where, self._secrets):
            self.identity, self.pieces = self._opened(reader, folder, version)
            self.version: int | None = self.identity.get("version")
            self.schema = dict(self.pieces[0].frame.collect_schema())
            check_alike({piece.name: piece.frame for piece in self.pieces}, self.schema, where)
        self.rows = sum(piece.rows for piece in self.pieces)

    def _opened(
        self, reader: ParquetFiles | CsvFiles | DeltaTable, folder: Path, version: int | None
    ) -> tuple[dict[str, Any], list[Piece]]:
        place = self._secrets.fill(reader.path)
        options = {} if isinstance(reader, CsvFiles) else self._secrets.fill_all(reader.options)
        if isinstance(reader, DeltaTable):
            from deltalake import DeltaTable as Delta

            path = place if URL in place else str((folder / place).resolve())
            version = Delta(path, storage_options=options or None).version() if version is None else version
            frame = pl.scan_delta(path, version=version, storage_options=options or None)
            return {"delta": reader.path, "version": version}, [Piece(reader.path, frame, _rows(frame))]
        if URL in place:
            frame = pl.scan_parquet(place, storage_options=options or None, hive_partitioning=False)
            return {"url": reader.path}, [Piece(reader.path, frame, _rows(frame))]
        files = [Path(one) for one in found_files(place, "csv" if self.texts else "parquet", folder, self.where)]
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        names = list(map(str, files))
        frames = [scanned_csv(reader, n) if isinstance(reader, CsvFiles) else scanned_parquet(n) for n in names]
        named = dict(zip(names, frames, strict=True))
        with naming(named, self.where):
            pieces = [Piece(name, frame, _rows(frame)) for name, frame in named.items()]
        if self.texts:
            check_headers(named, frames[0].collect_schema().names(), self.where)
        return {"files": [list(one) for one in stats]}, pieces

    def place(self, row: int) -> str:
        """Where a row stands, for errors: its file, and its number there, counted from 0."""
        for piece in self.pieces:
            if row < piece.rows:
                return f"{piece.name}, row {row}"
            row -= piece.rows
        return f"row {row} after the end"

    def parts(self, size: int, wanted: list[int]) -> Generator[tuple[int, pl.DataFrame]]:
        """The wanted parts, by number in ascending order, each of `size` rows but the last."""
        with _words(self.where, self._secrets), naming({one.name: one.frame for one in self.pieces}, self.where):
            if self.texts:
                yield from self._streamed(size, wanted)
            else:
                for number in wanted:
                    yield number, self._slice(number * size, size)

    def _slice(self, begin: int, size: int) -> pl.DataFrame:
        found = []
        for piece in self.pieces:
            if begin < piece.rows and size > 0:
                some = piece.frame.select(list(self.schema)).slice(begin, size).collect()
                found.append(some)
                size -= some.height
            begin = max(begin - piece.rows, 0)
        return pl.concat(found) if found else pl.DataFrame(schema=self.schema)

    def _streamed(self, size: int, wanted: list[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Read through once: a CSV file has no other way to its middle."""
        if not wanted:
            return
        number, held = wanted[0], pl.DataFrame(schema=self.schema)
        for frame in self._frames(number * size, size):
            held = pl.concat([held, frame])
            while held.height >= size:
                if number in wanted:
                    yield number, held.head(size)
                number, held = number + 1, held.slice(size)
        if number in wanted:
            yield number, held

    def _frames(self, begin: int, size: int) -> Iterator[pl.DataFrame]:
        for piece in self.pieces:
            if begin < piece.rows:
                yield from piece.frame.select(list(self.schema)).slice(begin).collect_batches(chunk_size=size)
            begin = max(begin - piece.rows, 0)


def _rows(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect(engine="streaming").item())


class _words:  # noqa: N801 - used as a function
    """Failures of the libraries in our words, without secrets."""

    def __init__(self, where: str, secrets: Secrets) -> None:
        self._where, self._secrets = where, secrets

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, BackstayError):
            raise InputError(
                f"it cannot be read: {type(error).__name__}: {self._secrets.hidden(first_line(error))}",
                where=self._where,
                expected="Parquet or CSV files, or a Delta table",
                fix="check the path against what is there",
            ) from None
