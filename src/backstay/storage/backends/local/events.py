"""Events in Delta tables: one table a source, one Parquet file an append.

The **sequence** of the last row is kept in the table's own log, as a Delta transaction identifier that is committed in
the same atomic step as the rows. So no side file can disagree with the table, and a kill at any moment leaves either
all of an append or none of it (at worst a Parquet file that no commit names, which nobody reads).

Appends take turns under a lock on the table's directory. The lock only spares them the retries: two appends that both
claimed the same sequence would conflict in Delta itself, and the later one would be refused.

Reads skip the files, and then the row groups, whose statistics show that they hold nothing asked for.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import polars as pl
from deltalake import CommitProperties, DeltaTable, Field, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError
from deltalake.schema import ArrayType, PrimitiveType
from deltalake.transaction import AddAction, create_table_with_add_actions

from backstay.core.errors import BackstayError, ConflictError, IntegrityError, NotFoundError
from backstay.core.times import instant_datetime
from backstay.storage.backends.local.files import failures, locked, sync
from backstay.storage.ports import EVENT_TIME, KNOWN_TIME, SEQUENCE, Appended
from backstay.storage.schema import INSTANT, TYPES, check_columns, check_events, check_same, check_source

_TXN = "backstay.sequence"
_ROW_GROUP = 65_536
_CONFIGURATION = {
    "delta.appendOnly": "true",
    "delta.checkpointInterval": "25",  # a fresh process replays fewer commits than this
    "delta.enableExpiredLogCleanup": "false",  # every version stays readable
}
_SLACK = 1_000  # other tools may cut statistics to milliseconds: never skip a file by less than that
_REQUIRED = (EVENT_TIME, KNOWN_TIME, SEQUENCE)
_POLARS = {name: dtype for dtype, name in TYPES.items()}


@dataclass(frozen=True, slots=True)
class _View:
    """One version of a table: its schema (with `sequence`), its last sequence and its files in sequence order."""

    version: int
    last: int
    schema: pl.Schema
    files: pl.DataFrame


class LocalEvents:
    """`EventStore` on Delta tables under `directory/<source>`."""

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory).absolute()
        self._lock = threading.Lock()
        self._tables: dict[str, DeltaTable] = {}
        self._views: dict[str, _View] = {}

    def append(self, source: str, events: pl.DataFrame) -> Appended:
        check_source(source)
        check_events(source, events)
        root = self._directory / source
        with failures(root):
            root.mkdir(parents=True, exist_ok=True)
            with locked(root):
                view = self._view(source)
                if view is not None:
                    recorded = pl.Schema({name: kind for name, kind in view.schema.items() if name != SEQUENCE})
                    check_same(source, recorded, events.schema)
                    if events.is_empty():
                        return Appended(view.last + 1, view.last, view.version)
                last = view.last if view is not None else 0
                numbered = events.with_columns(
                    pl.int_range(last + 1, last + 1 + events.height, dtype=pl.Int64).alias(SEQUENCE)
                )
                seen = self._commit(source, numbered, view)
                return Appended(last + 1, seen.last, seen.version)

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        check_source(source)
        view = self._view(source)
        if view is None:
            raise NotFoundError(f"the source {source!r} has no events", where=source, fix="append to it first")
        names = check_columns(source, view.schema, columns)
        bounds = _Bounds(known_until, known_after, sequence_until)
        paths = view.files.filter(bounds.files())["path"].to_list()
        if not paths:
            return pl.DataFrame(schema={name: view.schema[name] for name in names})
        kept = names if SEQUENCE in names else [*names, SEQUENCE]
        root = self._directory / source
        try:
            scan = pl.scan_parquet([root / path for path in paths], glob=False, hive_partitioning=False)
            frame = scan.filter(bounds.rows()).select(kept).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise IntegrityError(f"events of {source!r} cannot be read: {error}", where=str(root)) from error
        if not frame[SEQUENCE].is_sorted():  # another tool compacted the table
            frame = frame.sort(SEQUENCE)
        return frame.select(names)

    def version(self, source: str) -> int:
        check_source(source)
        view = self._view(source)
        return -1 if view is None else view.version

    def last_sequence(self, source: str) -> int:
        check_source(source)
        view = self._view(source)
        return 0 if view is None else view.last

    def _view(self, source: str) -> _View | None:
        """The table as it stands now. Asking again while nothing was committed costs one look at the file system."""
        root = self._directory / source
        with self._lock:
            table, view = self._tables.get(source), self._views.get(source)
            if view is not None and not _commit_file(root, view.version + 1).exists():
                return view
            try:
                if table is None:
                    if not DeltaTable.is_deltatable(str(root)):
                        return None
                    table = DeltaTable(str(root))
                else:
                    table.update_incremental()
                view = _view_of(source, table)
            except (DeltaError, OSError, ValueError) as error:
                raise IntegrityError(f"the table of {source!r} cannot be read: {error}", where=str(root)) from error
            self._tables[source], self._views[source] = table, view
            return view

    def _commit(self, source: str, frame: pl.DataFrame, view: _View | None) -> _View:
        """Write the rows, then the commit that names them: only the second makes them exist."""
        root = self._directory / source
        last = (view.last if view is not None else 0) + frame.height
        actions: list[AddAction] = [] if frame.is_empty() else [_write_file(root, frame)]
        failure: Exception | None = None
        with self._lock:
            table = self._tables.get(source)
            try:
                _write_commit(root, table, view, _delta_schema(frame.schema), actions, last)
            except (DeltaError, OSError, ValueError) as error:
                failure = error  # it may have landed nevertheless, a later step (a checkpoint) failed: ask the table
        seen = self._view(source)
        if seen is None or seen.last != last or (failure and view is not None and seen.version == view.version):
            what = f"the append to {source!r} was not committed: {failure or 'another writer came between'}"
            raise ConflictError(what, where=str(root), fix="retry") from failure
        sync(_commit_file(root, seen.version))
        sync(root / "_delta_log")
        return seen


@dataclass(frozen=True, slots=True)
class _Bounds:
    known_until: int | None
    known_after: int | None
    sequence_until: int | None

    def rows(self) -> pl.Expr:
        """The rows asked for."""
        keep = pl.lit(True)
        if self.known_until is not None:
            keep &= pl.col(KNOWN_TIME) <= pl.lit(self.known_until, dtype=INSTANT)
        if self.known_after is not None:
            keep &= pl.col(KNOWN_TIME) > pl.lit(self.known_after, dtype=INSTANT)
        if self.sequence_until is not None:
            keep &= pl.col(SEQUENCE) <= self.sequence_until
        return keep

    def files(self) -> pl.Expr:
        """The files that may hold such rows; a file without statistics may hold any."""
        keep = pl.lit(True)
        if self.known_until is not None:
            keep &= (pl.col("min_known") <= self.known_until).fill_null(True)
        if self.known_after is not None:
            keep &= (pl.col("max_known") > self.known_after - _SLACK).fill_null(True)
        if self.sequence_until is not None:
            keep &= (pl.col("min_sequence") <= self.sequence_until).fill_null(True)
        return keep


def _commit_file(root: Path, version: int) -> Path:
    return root / "_delta_log" / f"{version:020d}.json"


def _write_commit(
    root: Path,
    table: DeltaTable | None,
    view: _View | None,
    schema: DeltaSchema,
    actions: list[AddAction],
    last: int,
) -> None:
    # One attempt: the sequence was read under the lock, so a commit in between is a conflict, not a delay.
    properties = CommitProperties(app_transactions=[Transaction(_TXN, last)], max_commit_retries=1)
    if view is None:
        create_table_with_add_actions(
            str(root), schema, actions, configuration=_CONFIGURATION, commit_properties=properties
        )
        return
    if table is None or table.version() != view.version:
        raise ValueError("another writer came between")
    table.create_write_transaction([*actions], "append", schema, commit_properties=properties)


def _view_of(source: str, table: DeltaTable) -> _View:
    schema = pl.Schema({field.name: _polars_type(field.type) for field in table.schema().fields})
    last = table.transaction_version(_TXN) or 0
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.is_empty():
        files = pl.DataFrame(
            schema={"path": pl.String, "min_sequence": pl.Int64, "min_known": pl.Int64, "max_known": pl.Int64}
        )
    else:
        files = actions.select(
            "path",
            "num_records",
            pl.col(f"min.{SEQUENCE}").alias("min_sequence"),
            pl.col(f"min.{KNOWN_TIME}").cast(pl.Int64).alias("min_known"),
            pl.col(f"max.{KNOWN_TIME}").cast(pl.Int64).alias("max_known"),
        ).sort("min_sequence")
    rows = int(files["num_records"].sum()) if files.height else 0
    if rows != last:
        raise IntegrityError(
            f"the table of {source!r} holds {rows} rows but numbers {last}",
            where=source,
            expected="a table that only Backstay appends to",
        )
    return _View(table.version(), last, schema, files)


def _write_file(root: Path, frame: pl.DataFrame) -> AddAction:
    path = root / f"{uuid4().hex}.parquet"
    try:
        frame.write_parquet(path, compression="zstd", statistics=True, row_group_size=_ROW_GROUP)
        sync(path)
        sync(root)
        size = path.stat().st_size
    except (OSError, pl.exceptions.PolarsError) as error:
        path.unlink(missing_ok=True)
        raise BackstayError(
            f"the events were not written: {error}", where=str(root), fix="free space, then retry"
        ) from error
    return AddAction(
        path=path.name,
        size=size,
        partition_values={},
        modification_time=time.time_ns() // 1_000_000,
        data_change=True,
        stats=json.dumps(_statistics(frame)),
    )


def _statistics(frame: pl.DataFrame) -> dict[str, object]:
    low: dict[str, object] = {SEQUENCE: frame[SEQUENCE][0]}
    high: dict[str, object] = {SEQUENCE: frame[SEQUENCE][-1]}
    for name in (EVENT_TIME, KNOWN_TIME):
        micros = frame[name].to_physical()
        low[name], high[name] = _iso(micros.min()), _iso(micros.max())
    nulls = {name: frame[name].null_count() for name in frame.columns}
    return {"numRecords": frame.height, "minValues": low, "maxValues": high, "nullCount": nulls}


def _iso(micros: object) -> str:
    assert isinstance(micros, int)
    return instant_datetime(micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


def _delta_schema(schema: pl.Schema) -> DeltaSchema:
    return DeltaSchema(
        [Field(name, _delta_type(kind), nullable=name not in _REQUIRED) for name, kind in schema.items()]
    )


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
