"""Columns of what a driver of SQL gives: values of Python, of one kind or of several.

A column of one kind that Polars has is of that type. Decimals, which no type of Polars holds at every scale, UUIDs, and
values of several kinds (SQLite keeps what it is given) become texts, each of which says exactly what the value is.
Whoever knows the declared type reads them cell by cell, so that one stray value spoils its own row and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import polars as pl

_SAID = frozenset({bool, int, float, str, bytes, Decimal})
"""Kinds that have a text of their own."""
_TIMES = frozenset({str, date, datetime})
"""Times, and texts for those that no calendar has, such as "infinity"."""


def column(values: list[Any]) -> pl.Series:
    """The values as a series; null is null."""
    kinds = set(map(type, values)) - {type(None)}
    if Decimal in kinds or UUID in kinds or (len(kinds) > 1 and kinds <= _SAID and kinds != {str, bytes}):
        return _texts(values)
    if len(kinds) > 1 and str in kinds and kinds <= _TIMES:
        return _texts(values)
    return pl.Series(values, strict=False)


def joined(parts: Sequence[pl.Series]) -> pl.Series:
    """Parts of a column, one after another; as texts, where the parts differ and numbers are among them, or texts."""
    kinds = {part.dtype for part in parts} - {pl.Null}
    if len(kinds) > 1 and any(kind.is_numeric() or kind in (pl.Boolean, pl.String) for kind in kinds):
        parts = [_texts(part) for part in parts]
    return pl.concat([part.to_frame("c") for part in parts], how="vertical_relaxed").to_series()


def arrow_frame(table: Any) -> pl.DataFrame:
    """What an ADBC driver gives. Types that it made up (`numeric`, `jsonb` of PostgreSQL) are what they are kept as."""
    import pyarrow as pa

    out = []
    for name, given, field in zip(table.column_names, table.columns, table.schema, strict=True):
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType):
            given = pa.chunked_array([one.storage for one in given.chunks], kind.storage_type)
        column = pl.Series(name, given)
        if str(kind) == "extension<arrow.uuid>":
            texts = [None if one is None else str(UUID(bytes=one)) for one in column]
            column = pl.Series(name, texts, dtype=pl.String)
        out.append(column)
    return pl.DataFrame(out)


def _texts(values: Iterable[Any]) -> pl.Series:
    return pl.Series(list(map(_text, values)), dtype=pl.String)


def _text(value: Any) -> str | None:
    """What a value is, exactly; of bytes nothing that could be read as a number.

    >>> [_text(one) for one in (Decimal("1E+2"), Decimal("NaN"), 1e16, 0.1, True, b"12")]
    ['100', 'NaN', '10000000000000000.0', '0.1', 'true', '\\\\x3132']
    """
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    if isinstance(value, float):
        return f"{value:.1f}" if value.is_integer() and abs(value) < 2**63 else repr(value)
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, date):  # a time, too; as `row_text` writes one: what is in quarantine is known by its text
        return value.isoformat()
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)
