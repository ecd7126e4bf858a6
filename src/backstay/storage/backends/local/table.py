"""The table of one source: Delta, numbered in its own log, merged when its files become many and small.

The **sequence** of the last row is kept in the table's log, as a Delta transaction identifier that is committed in
the same atomic step as the rows. So no side file can disagree with the table, and a kill at any moment leaves either
all of a commit or none of it (at worst a Parquet file that no commit names, which nobody reads).

A **merge** rewrites runs of small files into larger ones: the same rows in the same order, committed as a change of
files but not of data, which an append-only table allows. The small files stay on the disk, for older versions.

Reads skip the files, and then the row groups, whose statistics show that they hold nothing asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from backstay.core.errors import ConflictError, IntegrityError
from backstay.storage.backends.local.files import sync
from backstay.storage.backends.local.parquet import delta_schema, polars_schema, write_file
from backstay.storage.ports import KNOWN_TIME, SEQUENCE
from backstay.storage.schema import INSTANT

SMALL_BYTES = 8 << 20  # a file below this is worth merging,
SMALL_FILES = 50  # once there are more than this of them,
MERGED_BYTES = 32 << 20  # into files of about this size (what one merge holds in memory, unpacked)

_TXN = "backstay.sequence"
_CONFIGURATION = {
    "delta.appendOnly": "true",
    "delta.checkpointInterval": "25",  # a fresh process replays fewer commits than this
    "delta.enableExpiredLogCleanup": "false",  # every version stays readable
}
_SLACK = 1_000  # other tools may cut statistics to milliseconds: never skip a file by less than that


@dataclass(frozen=True, slots=True)
class View:
    """One version of a table: its schema (with `sequence`), its last sequence and its files in sequence order.

    `recorded` is the schema without `sequence`: what an append must have.
    """

    version: int
    last: int
    schema: pl.Schema
    recorded: pl.Schema
    files: pl.DataFrame

    def part(self, begin: int, end: int) -> View:
        """The view of some of its files."""
        return View(self.version, self.last, self.schema, self.recorded, self.files[begin:end])


@dataclass(frozen=True, slots=True)
class Bounds:
    """The rows that a read asks for: known_time in (known_after, known_until], sequence in (sequence_after,
    sequence_until]."""

    known_until: int | None
    known_after: int | None
    sequence_until: int | None
    sequence_after: int = 0

    def rows(self) -> pl.Expr:
        """The rows asked for."""
        keep = pl.lit(True)
        if self.known_until is not None:
            keep &= pl.col(KNOWN_TIME) <= pl.lit(self.known_until, dtype=INSTANT)
        if self.known_after is not None:
            keep &= pl.col(KNOWN_TIME) > pl.lit(self.known_after, dtype=INSTANT)
        if self.sequence_until is not None:
            keep &= pl.col(SEQUENCE) <= self.sequence_until
        if self.sequence_after:
            keep &= pl.col(SEQUENCE) > self.sequence_after
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
        if self.sequence_after:
            keep &= (pl.col("min_sequence") + pl.col("num_records") > self.sequence_after).fill_null(True)
        return keep


class EventTable:
    """The Delta table at `root`. Reading needs no lock; `commit` and `merge` are for the holder of the source's lock.

    That lock only spares the retries: two commits that both claimed the same sequence would conflict in Delta itself,
    and the later one would be refused with a `ConflictError`. What cannot be read is an `IntegrityError`.
    """

    def __init__(self, source: str, root: Path) -> None:
        self._source, self._root = source, root
        self._lock = threading.Lock()
        self._table: DeltaTable | None = None
        self._view: View | None = None

    def view(self) -> View | None:
        """The table as it stands now (None: there is none).

        Asking again while nothing was committed costs one look at the file system and answers the same object.
        """
        with self._lock:
            if self._view is not None and not self._log(self._view.version + 1).exists():
                return self._view
            try:
                if self._table is not None:
                    self._table.update_incremental()
                elif DeltaTable.is_deltatable(str(self._root)):
                    self._table = DeltaTable(str(self._root))
                else:
                    return None
                self._view = _view_of(self._source, self._table)
            except (DeltaError, OSError, ValueError) as error:
                raise self._unreadable("the table", error) from error
            return self._view

    def read(self, view: View, columns: Sequence[str], bounds: Bounds) -> pl.DataFrame:
        """The rows of a view that are within the bounds, in sequence order."""
        paths = view.files.filter(bounds.files())["path"].to_list()
        if not paths:
            return pl.DataFrame(schema={name: view.schema[name] for name in columns})
        kept = list(columns) if SEQUENCE in columns else [*columns, SEQUENCE]
        try:
            scan = pl.scan_parquet([self._root / path for path in paths], glob=False, hive_partitioning=False)
            frame = scan.filter(bounds.rows()).select(kept).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._unreadable("events", error) from error
        if not frame[SEQUENCE].is_sorted():  # another tool compacted the table
            frame = frame.sort(SEQUENCE)
        return frame.select(columns)

    def commit(self, frame: pl.DataFrame, view: View | None) -> View:
        """Write the rows, numbered on from `view` (None: make the table), then the commit that names them.

        Only the second makes them exist.
        """
        last = (view.last if view is not None else 0) + frame.height
        actions: list[AddAction | RemoveAction] = [] if frame.is_empty() else [write_file(self._root, frame)]
        return self._commit(frame.schema, view, actions, last)

    def merge(self, view: View) -> View:
        """Rewrite small files into larger ones if there are many; the rows and their order stay as they are."""
        small = view.files.filter(pl.col("size_bytes") < SMALL_BYTES).height
        if small <= SMALL_FILES:
            return view
        actions: list[AddAction | RemoveAction] = []
        now = time.time_ns() // 1_000_000
        for run in _runs(view.files):
            rows = self.read(View(view.version, view.last, view.schema, view.recorded, run), list(view.schema), ALL)
            actions += [RemoveAction(path, False, now, size) for path, size in run.select("path", "size_bytes").rows()]
            actions.append(write_file(self._root, rows, data_change=False))
        return self._commit(view.schema, view, actions, view.last) if actions else view

    def _commit(self, schema: pl.Schema, view: View | None, actions: list[AddAction | RemoveAction], last: int) -> View:
        failure: Exception | None = None
        with self._lock:
            try:
                _write_commit(self._root, self._table, view, schema, actions, last)
            except (DeltaError, OSError, ValueError) as error:
                failure = error  # it may have landed nevertheless, a later step (a checkpoint) failed: ask the table
        seen = self.view()
        if seen is None or seen.last != last or (failure and view is not None and seen.version == view.version):
            what = f"the append to {self._source!r} was not committed: {failure or 'another writer came between'}"
            raise ConflictError(what, where=str(self._root), fix="retry") from failure
        sync(self._log(seen.version))
        sync(self._root / "_delta_log")
        return seen

    def _log(self, version: int) -> Path:
        return self._root / "_delta_log" / f"{version:020d}.json"

    def _unreadable(self, what: str, error: Exception) -> IntegrityError:
        return IntegrityError(f"{what} of {self._source!r} cannot be read: {error}", where=str(self._root))


ALL = Bounds(None, None, None)
"""Every row."""


def _write_commit(
    root: Path,
    table: DeltaTable | None,
    view: View | None,
    schema: pl.Schema,
    actions: list[AddAction | RemoveAction],
    last: int,
) -> None:
    # One attempt: the sequence was read under the lock, so a commit in between is a conflict, not a delay.
    properties = CommitProperties(app_transactions=[Transaction(_TXN, last)], max_commit_retries=1)
    if view is None:
        added = [action for action in actions if isinstance(action, AddAction)]
        create_table_with_add_actions(
            str(root), delta_schema(schema), added, configuration=_CONFIGURATION, commit_properties=properties
        )
        return
    if table is None or table.version() != view.version:
        raise ValueError("another writer came between")
    table.create_write_transaction(actions, "append", delta_schema(schema), commit_properties=properties)


def _view_of(source: str, table: DeltaTable) -> View:
    schema = polars_schema(table.schema())
    last = table.transaction_version(_TXN) or 0
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.is_empty():
        numbers = ("size_bytes", "num_records", "min_sequence", "min_known", "max_known")
        files = pl.DataFrame(schema={"path": pl.String, **dict.fromkeys(numbers, pl.Int64)})
    else:
        files = actions.select(
            "path",
            "size_bytes",
            "num_records",
            pl.col(f"min.{SEQUENCE}").alias("min_sequence"),
            pl.col(f"min.{KNOWN_TIME}").cast(pl.Int64).alias("min_known"),
            pl.col(f"max.{KNOWN_TIME}").cast(pl.Int64).alias("max_known"),
        ).sort("min_sequence")
    rows = int(files["num_records"].sum())
    if rows != last:
        raise IntegrityError(
            f"the table of {source!r} holds {rows} rows but numbers {last}",
            where=source,
            expected="a table that only Backstay appends to",
        )
    recorded = pl.Schema({name: kind for name, kind in schema.items() if name != SEQUENCE})
    return View(table.version(), last, schema, recorded, files)


def _runs(files: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Neighbours in sequence order that are small, as many as make one larger file."""
    begin, size = 0, 0
    sizes = files["size_bytes"].to_list()
    for at, bytes_ in enumerate([*sizes, SMALL_BYTES]):
        if bytes_ < SMALL_BYTES and size + bytes_ <= MERGED_BYTES:
            size += bytes_
            continue
        if at - begin > 1:
            yield files[begin:at]
        begin, size = (at, bytes_) if bytes_ < SMALL_BYTES else (at + 1, 0)
