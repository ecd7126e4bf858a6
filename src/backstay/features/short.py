"""Frames of a few rows: made, and expressions evaluated over them, without what Polars' Python layer adds.

Of a frame of two rows that layer takes more time than Polars itself: it looks at the types of a schema again and again,
and copies its options. Here the engine is called as that layer calls it in the end. That is not Polars' public
interface, so it is tried at first; where it is not as it was, the public way is taken. It is not tried on import: that
would start the engine's threads, and a process that has them cannot fork.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

Schema = Mapping[str, Any]
Build = Callable[[Sequence[tuple[Any, ...]], Schema], pl.DataFrame]
Select = Callable[[pl.DataFrame], pl.DataFrame]
Selecting = Callable[[Sequence[pl.Expr]], Select]


def _build(rows: Sequence[tuple[Any, ...]], schema: Schema) -> pl.DataFrame:
    """A frame of rows, in one chunk; times are integer microseconds."""
    return pl.DataFrame(rows, schema=dict(schema), orient="row")


def _selecting(expressions: Sequence[pl.Expr]) -> Select:
    """What evaluates these expressions over a frame, one after the other."""
    return lambda frame: frame.select_seq(expressions)


def _shorter() -> tuple[Build, Selecting]:
    from polars._plr import PyDataFrame
    from polars.lazyframe.opt_flags import QueryOptFlags

    flags, wrapped = QueryOptFlags._eager()._pyoptflags, pl.DataFrame._from_pydf
    rows_to_frame: Any = PyDataFrame.from_rows

    def build(rows: Sequence[tuple[Any, ...]], schema: Schema) -> pl.DataFrame:
        return wrapped(rows_to_frame(rows, schema, None))

    def selecting(expressions: Sequence[pl.Expr]) -> Select:
        parts = [one._pyexpr for one in expressions]

        def select(frame: pl.DataFrame) -> pl.DataFrame:
            plan = frame._df.lazy().select_seq(parts).with_optimizations(flags)
            return wrapped(plan.collect("in-memory", None))

        return select

    rows, schema = [(1.5, 2, None), (None, 3, 4)], {"x": pl.Float64(), "n": pl.Int64(), "t": pl.Datetime("us", "UTC")}
    some = [pl.col("x") / 3, (pl.col("n") > 2).alias("more")]
    if not build(rows, schema).equals(_build(rows, schema)):
        raise TypeError("frames differ")
    if not selecting(some)(build(rows, schema)).equals(_selecting(some)(_build(rows, schema))):
        raise TypeError("expressions differ")
    return build, selecting


@cache
def ways() -> tuple[Build, Selecting]:
    """How frames are made, and how what evaluates expressions over them is. Found out once, at the first call."""
    try:
        return _shorter()
    except (ImportError, AttributeError, TypeError):
        return PUBLIC


PUBLIC: tuple[Build, Selecting] = _build, _selecting
