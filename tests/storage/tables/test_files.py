"""Tables of several files: read by name, and what does not fit is told by its file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from backstay import CsvFiles, ParquetFiles
from backstay.core.errors import InputError
from backstay.storage.tables import Table, read_table

ROW = {"at": "2024-05-01", "shop": "a", "x": "1"}


def files(folder: Path, *rows: dict[str, str]) -> CsvFiles:
    for place, row in enumerate(rows):
        (folder / f"{place}.csv").write_text("\n".join([",".join(row), ",".join(row.values())]))
    return CsvFiles(".")


def read(folder: Path, reader: Any, columns: tuple[str, ...] = ("at", "x")) -> list[tuple[Any, ...]]:
    return read_table(reader, list(columns), folder=folder, where="pays").rows()


def test_columns_in_another_order_and_more_of_them(tmp_path: Path) -> None:
    other = {"new": "9", "x": "2", "at": "2024-05-02", "shop": "b"}
    assert read(tmp_path, files(tmp_path, ROW, other, ROW)) == [
        ("2024-05-01", "1"), ("2024-05-02", "2"), ("2024-05-01", "1"),
    ]  # fmt: skip


def test_a_file_without_a_column_is_named(tmp_path: Path) -> None:
    reader = files(tmp_path, ROW, ROW, {"at": "2024-05-02"})
    with pytest.raises(InputError, match=r"column 'x' of \S+/2.csv is missing") as caught:
        read(tmp_path, reader)
    assert str(caught.value.expected) == f"String, as in {tmp_path / '0.csv'}"
    with pytest.raises(InputError, match=r"column 'shop' of \S+/2.csv is missing"):
        Table(reader, folder=tmp_path, where="pays")
    assert len(read(tmp_path, reader, ("at",))) == 3
    with pytest.raises(InputError, match="there is no column 'new'"):  # and no nulls for what only a later file has
        read(tmp_path, files(tmp_path, ROW, ROW | {"new": "1"}), ("at", "new"))


def test_a_file_with_another_type_is_named(tmp_path: Path) -> None:
    frame = pl.DataFrame({"at": [datetime(2024, 5, 1)], "x": [1.0]})
    frame.write_parquet(tmp_path / "0.parquet")
    frame.with_columns(pl.col("at").cast(pl.Datetime("ms")), new=1).write_parquet(tmp_path / "1.parquet")
    reader = ParquetFiles(".")
    with pytest.raises(InputError, match=r"column 'at' of \S+/1.parquet is Datetime\(time_unit='ms'") as caught:
        read(tmp_path, reader)
    assert "time_unit='us'" in caught.value.expected
    assert caught.value.fix
    assert read(tmp_path, reader, ("x",)) == [(1.0,), (1.0,)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty CSV"),
        (b"at,shop,x\n2024-05-01,a,1,9\n", "more fields"),
        (b"at,shop,x\n2024-05-01,\xe9,1\n", "utf-8"),
    ],
)
def test_the_file_that_cannot_be_read_is_named_among_many(content: bytes, said: str, tmp_path: Path) -> None:
    reader = files(tmp_path, ROW, ROW, ROW)
    (tmp_path / "1.csv").write_bytes(content)
    with pytest.raises(InputError, match=rf"/1\.csv cannot be read: .*{said}"):
        read(tmp_path, reader, ("at", "shop", "x"))
    with pytest.raises(InputError, match=rf"/1\.csv cannot be read: .*{said}"):
        list(Table(reader, folder=tmp_path, where="pays").parts(10, [0]))


def test_a_parquet_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"at": [datetime(2024, 5, 1)]}).write_parquet(tmp_path / "0.parquet")
    (tmp_path / "1.parquet").write_bytes(b"PAR1xx")
    with pytest.raises(InputError, match=r"/1\.parquet cannot be read"):
        read(tmp_path, ParquetFiles("."), ("at",))


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "0.csv").write_text("at,x\n\n2024-05-01,1\n\n2024-05-02,\n,3\n\n")
    assert read(tmp_path, CsvFiles(".")) == [("2024-05-01", "1"), ("2024-05-02", None), (None, "3")]


def test_a_column_that_stands_twice_is_refused_where_it_is_asked_for(tmp_path: Path) -> None:
    reader = files(tmp_path, ROW)
    (tmp_path / "1.csv").write_text("at,x,shop,x\n2024-05-02,1,a,2\n")
    with pytest.raises(InputError, match=r"two columns 'x' in \S+/1\.csv"):
        read(tmp_path, reader)
    assert len(read(tmp_path, reader, ("at", "shop"))) == 2
    with pytest.raises(InputError, match=r"two columns 'x' in \S+/1\.csv"):
        Table(reader, folder=tmp_path, where="pays")


def test_a_column_that_only_folders_name_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "shop=a").mkdir()
    pl.DataFrame({"at": [datetime(2024, 5, 1)]}).write_parquet(tmp_path / "shop=a" / "0.parquet")
    with pytest.raises(InputError, match="there is no column 'shop'") as caught:
        read(tmp_path, ParquetFiles("."), ("at", "shop"))
    assert "names of folders" in caught.value.fix
