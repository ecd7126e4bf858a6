"""The digest of a frame: SHA-256 over its full content, the identity of a data set.

Equal digests mean the same column names, types and order, the same rows in the same order, and in every cell the same
bits. Nothing else counts: not how the frame is chunked or sliced, not what lies under a null, not padding.

    changes it      any one cell, two rows swapped, a column renamed, a type changed (Int32 for Int64), an order
    changes it      null for 0 or for "", -0.0 for 0.0, one NaN's bits for another's: a digest does not round
    does not        rechunking, slicing and filtering to the same rows, writing to Parquet and reading back

The layout is ours (Polars' own hash and serialization change with its versions), and this is all of it: the digest is
SHA-256 over a header (`backstay-frame-1`, the number of rows, each column's name and type as canonical JSON) followed
by the SHA-256 of each column. A column is fed in blocks of 2^17 rows, little-endian, each block as

    the number of nulls (u64), and if there are any, one bit a row (1 = null, little-endian bit order, padded to a byte)
    numbers, times, booleans    the values as stored, one byte for a boolean, 0 under a null
    text, bytes                 the length of each in bytes (u32, 0 under a null), then all of them joined
    lists                       the length of each (u32, 0 under a null), the number of all elements (u64), then the
                                elements of the block as a block of their own
    structs                     each field as a block of its own, null where the struct is
    categories, decimals        as text
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.identity import canonical_json

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK = 1 << 17
_FEW = 64
"""Rows up to which Python's own values are faster than an expression over a column."""
_MANY = 4_096
"""Rows from which threads pay."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
_TIMES = (pl.Date, pl.Time, pl.Datetime, pl.Duration)
_AS_TEXT = (pl.Categorical, pl.Enum, pl.Decimal, pl.Int128)


def is_digest(text: object) -> bool:
    """Whether it is a SHA-256 in hexadecimal."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def check_digest(digest: str) -> None:
    """Refuse what is not a SHA-256 in hexadecimal."""
    if not is_digest(digest):
        raise InputError(f"{digest!r} is not a digest", where="digest", expected="64 lower-case hexadecimal digits")


def frame_digest(frame: pl.DataFrame) -> str:
    """The SHA-256 of a frame's schema and content, hexadecimal.

    >>> frame = pl.DataFrame({"a": [1, 2, None]})
    >>> frame_digest(frame) == frame_digest(pl.concat([frame[:1], frame[1:]], rechunk=False))
    True
    >>> frame_digest(frame) == frame_digest(frame.reverse())
    False
    """
    columns = [[name, _type(name, dtype)] for name, dtype in frame.schema.items()]
    total = hashlib.sha256(canonical_json(["backstay-frame-1", frame.height, columns]) + b"\n")
    if frame.height < _MANY:
        digests = [_column(column) for column in frame.get_columns()]
    else:  # hashing lets go of the interpreter lock: two columns at a time are nearly twice as fast
        with ThreadPoolExecutor(max_workers=2) as pool:
            digests = list(pool.map(_column, frame.get_columns()))
    total.update(b"".join(digests))
    return total.hexdigest()


def _column(series: pl.Series) -> bytes:
    state = hashlib.sha256()
    for start in range(0, len(series), _BLOCK):
        _feed(state, series.slice(start, _BLOCK))
    return state.digest()


def _feed(state: _Hash, block: pl.Series) -> None:
    nulls = block.null_count()
    state.update(nulls.to_bytes(8, "little"))
    if nulls:
        null = np.ones(nulls, bool) if nulls == len(block) else block.is_null().to_numpy()
        state.update(np.packbits(null, bitorder="little").data)
    dtype = block.dtype
    for kinds, feed in _FEEDS:
        if isinstance(dtype, kinds):
            feed(state, block)
            return


def _feed_numbers(state: _Hash, block: pl.Series) -> None:
    state.update(_values(block.to_physical() if isinstance(block.dtype, _TIMES) else block))


def _values(block: pl.Series) -> memoryview:
    if block.null_count() == len(block):
        return np.zeros(len(block), block[:0].to_numpy().dtype).data
    # A buffer of its own only where there are chunks to join or nulls to cover.
    return np.ascontiguousarray((block.fill_null(0) if block.null_count() else block).to_numpy()).data


def _feed_booleans(state: _Hash, block: pl.Series) -> None:
    state.update(_values(block.cast(pl.UInt8)))


def _feed_text(state: _Hash, block: pl.Series) -> None:
    if len(block) <= _FEW:
        texts = [(text or "").encode() for text in block.to_list()]
        state.update(np.array([len(text) for text in texts], "<u4").data)
        state.update(b"".join(texts))
        return
    state.update(_values(block.str.len_bytes().cast(pl.UInt32)))
    state.update(str(block.str.join("").item() or "").encode())


def _feed_bytes(state: _Hash, block: pl.Series) -> None:
    state.update(_values(block.bin.size("b").cast(pl.UInt32)))
    state.update(b"".join(block.drop_nulls().to_list()))


def _feed_lists(state: _Hash, block: pl.Series) -> None:
    lists = block.arr.to_list() if isinstance(block.dtype, pl.Array) else block
    lengths = lists.list.len().cast(pl.UInt32)
    state.update(_values(lengths))
    elements = lists.filter((lengths > 0).fill_null(False)).explode()
    state.update(len(elements).to_bytes(8, "little"))
    _feed(state, elements)


def _feed_structs(state: _Hash, block: pl.Series) -> None:
    hidden = block.is_null()
    for field in block.struct.fields:
        column = block.struct.field(field)
        _feed(state, column.set(hidden, None) if hidden.any() else column)


def _feed_as_text(state: _Hash, block: pl.Series) -> None:
    _feed_text(state, block.cast(pl.String))


def _feed_nothing(state: _Hash, block: pl.Series) -> None:
    """A column of the type Null: the nulls counted before are all there is."""


_FEEDS: tuple[tuple[tuple[type[pl.DataType], ...], Callable[[_Hash, pl.Series], None]], ...] = (
    ((*_NUMBERS, *_TIMES), _feed_numbers),
    ((pl.Boolean,), _feed_booleans),
    ((pl.String,), _feed_text),
    ((pl.Binary,), _feed_bytes),
    ((pl.List, pl.Array), _feed_lists),
    ((pl.Struct,), _feed_structs),
    (_AS_TEXT, _feed_as_text),
    ((pl.Null,), _feed_nothing),
)


def _type(name: str, dtype: pl.DataType) -> str:
    """Our own name of a type: what Polars prints is not promised to stay."""
    if isinstance(dtype, pl.Datetime):
        return f"Datetime[{dtype.time_unit},{dtype.time_zone or ''}]"
    if isinstance(dtype, pl.Duration):
        return f"Duration[{dtype.time_unit}]"
    if isinstance(dtype, pl.Decimal):
        return f"Decimal[{dtype.precision},{dtype.scale}]"
    if isinstance(dtype, pl.Enum):
        return f"Enum{json.dumps(dtype.categories.to_list())}"
    if isinstance(dtype, pl.List):
        return f"List[{_type(name, _inner(dtype.inner))}]"
    if isinstance(dtype, pl.Array):
        return f"Array[{_type(name, _inner(dtype.inner))},{dtype.shape[0]}]"
    if isinstance(dtype, pl.Struct):
        fields = [[field.name, _type(name, _inner(field.dtype))] for field in dtype.fields]
        return f"Struct{json.dumps(fields)}"
    for kinds, _ in _FEEDS:
        for kind in kinds:
            if isinstance(dtype, kind):
                return kind.__name__
    raise InputError(f"{name} has the type {dtype}", where=name, expected="a type with stored values", fix="cast it")


def _inner(dtype: object) -> pl.DataType:
    assert isinstance(dtype, pl.DataType)
    return dtype
