"""Frames as users have them: Polars, pandas or Arrow in, and the same kind out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl

from backstay.core.errors import InputError

Back = Callable[[pl.DataFrame], Any]


def given(frame: Any, *, where: str) -> tuple[pl.DataFrame, Back]:
    """A user's frame as Polars, and what turns a result with as many rows into the user's kind.

    Polars DataFrame and LazyFrame (collected), pandas DataFrame (its index comes back with the result) and whatever
    speaks Arrow's C stream interface, such as `pyarrow.Table` (a `pyarrow.Table` comes back).
    """
    if isinstance(frame, pl.DataFrame):
        return frame, lambda result: result
    if isinstance(frame, pl.LazyFrame):
        return frame.collect(), lambda result: result
    module = type(frame).__module__.partition(".")[0]
    if module == "pandas":
        _needed("pandas")
        index = frame.index
        return pl.from_pandas(frame), lambda result: result.to_pandas().set_axis(index, axis="index")
    if hasattr(frame, "__arrow_c_stream__"):
        arrow = module == "pyarrow"
        return pl.DataFrame(frame), lambda result: result.to_arrow() if arrow else result
    raise InputError(
        f"the frame is a {type(frame).__name__}",
        where=where,
        expected="a Polars or pandas DataFrame, or an Arrow table",
        fix="convert it with polars.DataFrame(...)",
    )


def _needed(kind: str) -> None:
    try:
        import pyarrow  # noqa: F401 - Polars passes pandas frames through it
    except ImportError:
        raise InputError(
            f"a {kind} frame needs pyarrow", where="frame", fix='pip install "backstay[pandas]", or pass a Polars frame'
        ) from None
