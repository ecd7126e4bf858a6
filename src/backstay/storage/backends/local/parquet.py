"""One Parquet file of a table, and its schema in Delta's words."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import polars as pl
from deltalake import Field
from deltalake import Schema as DeltaSchema
from deltalake.schema import ArrayType, PrimitiveType
from deltalake.transaction import AddAction

from backstay.core.errors import BackstayError
from backstay.core.times import instant_datetime
from backstay.storage.backends.local.files import sync
from backstay.storage.ports import SEQUENCE
from backstay.storage.schema import INSTANT, TYPES

ROW_GROUP = 65_536
_POLARS = {name: dtype for dtype, name in TYPES.items()}


def write_file(root: Path, frame: pl.DataFrame, bound: Sequence[str], *, data_change: bool = True) -> AddAction:
    """Write numbered rows, in sequence order and at least one, into a new file; the action that would add it.

    The file is named by its SHA-256, so that a table's log says what each of its files holds. The smallest and largest
    values of the columns in `bound` go with it. The file is synced. If it cannot be written nothing is left of it, and
    that is a `BackstayError`.
    """
    aside = root / f".{uuid4().hex}.parquet"
    try:
        frame.write_parquet(aside, compression="zstd", statistics=True, row_group_size=ROW_GROUP)
        sync(aside)
        path = aside.rename(root / f"{file_digest(aside)}.parquet")
        sync(root)
        size = path.stat().st_size
    except (OSError, pl.exceptions.PolarsError) as error:
        aside.unlink(missing_ok=True)
        raise BackstayError(
            f"a file of the table was not written: {error}", where=str(root), fix="free space, then retry"
        ) from error
    return AddAction(
        path=path.name,
        size=size,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=data_change,
        stats=json.dumps(_statistics(frame, bound)),
    )


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def delta_schema(schema: pl.Schema, required: Sequence[str]) -> DeltaSchema:
    """A frame's schema in Delta's words; the required columns and the sequence are never null."""
    never = {*required, SEQUENCE}
    return DeltaSchema([Field(name, _delta_type(kind), nullable=name not in never) for name, kind in schema.items()])


def polars_schema(schema: DeltaSchema) -> pl.Schema:
    """A table's schema in Polars' words; a type that Backstay never writes is a ValueError."""
    return pl.Schema({field.name: _polars_type(field.type) for field in schema.fields})


def _statistics(frame: pl.DataFrame, bound: Sequence[str]) -> dict[str, object]:
    low: dict[str, object] = {SEQUENCE: frame[SEQUENCE][0]}
    high: dict[str, object] = {SEQUENCE: frame[SEQUENCE][-1]}
    for name in bound:
        column = frame[name].to_physical()
        least, most = column.min(), column.max()
        times = frame.schema[name] == INSTANT
        low[name], high[name] = (_iso(least), _iso(most)) if times else (least, most)
    nulls = {name: frame[name].null_count() for name in frame.columns}
    return {"numRecords": frame.height, "minValues": low, "maxValues": high, "nullCount": nulls}


def _iso(micros: object) -> str:
    assert isinstance(micros, int)
    return instant_datetime(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


def _delta_type(dtype: pl.DataType) -> PrimitiveType | ArrayType:
    if isinstance(dtype, pl.List):
        inner = dtype.inner
        assert isinstance(inner, pl.DataType)
        return ArrayType(_delta_type(inner))
    return PrimitiveType(TYPES[dtype])


def _polars_type(kind: object) -> pl.DataType:
    if isinstance(kind, ArrayType):
        return pl.List(_polars_type(kind.element_type))
    if isinstance(kind, PrimitiveType) and kind.type in _POLARS:
        return _POLARS[kind.type]
    raise ValueError(f"the table has a column of type {kind}, which Backstay does not write")
