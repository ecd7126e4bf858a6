"""Frames as users have them: Polars, pandas or Arrow in, and the same kind out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from backstay.core.errors import InputError

_NULLABLE = (pl.Boolean, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
Back = Callable[[pl.DataFrame], Any]


def given(frame: Any, *, where: str) -> tuple[pl.DataFrame, Back]:
    """A user's frame as Polars, and what turns a result with as many rows into the user's kind.

    Polars DataFrame and LazyFrame (collected), pandas DataFrame (its index and columns come back as they are, with what
    is new beside them: integers and conditions among which some are null in pandas' nullable types, so that no bit is
    lost) and whatever speaks Arrow's C stream interface, such as `pyarrow.Table` (of pyarrow, a `pyarrow.Table` comes
    back, of a record batch too; else a Polars DataFrame).
    """
    if isinstance(frame, pl.DataFrame):
        return frame, lambda result: result
    if isinstance(frame, pl.LazyFrame):
        return frame.collect(), lambda result: result
    module = type(frame).__module__.partition(".")[0]
    if module == "pandas":
        _needed("pandas")
        came = _from_pandas(frame, where)
        return came, lambda result: _to_pandas(frame, came, result)
    if hasattr(frame, "__arrow_c_stream__"):
        arrow = module == "pyarrow"
        return _from_arrow(frame, where), lambda result: result.to_arrow() if arrow else result
    raise InputError(
        f"the frame is a {type(frame).__name__}",
        where=where,
        expected="a Polars or pandas DataFrame, or an Arrow table",
        fix="convert it with polars.DataFrame(...)",
    )


def _from_arrow(frame: Any, where: str) -> pl.DataFrame:
    try:
        return pl.DataFrame(frame)
    except pl.exceptions.DuplicateError as error:
        raise InputError(f"two columns have one name: {error}", where=where, fix="rename one") from None


def _from_pandas(frame: Any, where: str) -> pl.DataFrame:
    names = [str(name) for name in frame.columns]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two columns are named {twice[0]!r}", where=where, fix="rename one")
    columns = []
    for place, name in enumerate(names):
        try:
            columns.append(pl.Series(name, pl.from_pandas(frame.iloc[:, place])))
        except Exception as error:  # whatever Arrow finds in a column of objects
            raise InputError(
                f"column {name!r} holds what no column can: {str(error).splitlines()[0]}",
                where=where,
                expected="values of one type in each column",
                fix="leave it out, or convert it: frame[name].astype(str)",
            ) from error
    return pl.DataFrame(columns)


def _to_pandas(frame: Any, came: pl.DataFrame, result: pl.DataFrame) -> Any:
    """The frame as it came, with the columns that are new, or that are not what they were."""
    import pandas  # type: ignore[import-untyped]

    made = [
        column.name for column in result
        if column.name not in came.columns or not column.equals(came.get_column(column.name), check_dtypes=True)
    ]  # fmt: skip
    new = result.select(made).to_pandas().set_axis(frame.index, axis="index")
    for column in result.select(made):
        if column.null_count() and column.dtype in _NULLABLE:  # NumPy's integers have no null, and its floats few bits
            kind = pandas.arrays.BooleanArray if column.dtype == pl.Boolean else pandas.arrays.IntegerArray
            zero = column.fill_null(False if column.dtype == pl.Boolean else 0)
            new[column.name] = kind(zero.to_numpy(writable=True), column.is_null().to_numpy(writable=True))
    kept = [place for place, name in enumerate(came.columns) if name not in made]
    return pandas.concat([frame.iloc[:, kept], new], axis=1)[[*_in_order(frame, came, kept, result)]]


def _in_order(frame: Any, came: pl.DataFrame, kept: list[int], result: pl.DataFrame) -> list[Any]:
    """The names of the result, those that were kept as pandas has them."""
    names = {came.columns[place]: frame.columns[place] for place in kept}
    return [names.get(name, name) for name in result.columns]


def _needed(kind: str) -> None:
    try:
        import pyarrow  # noqa: F401 - Polars passes pandas frames through it
    except ImportError:
        raise InputError(
            f"a {kind} frame needs pyarrow", where="frame", fix='pip install "backstay[pandas]", or pass a Polars frame'
        ) from None
