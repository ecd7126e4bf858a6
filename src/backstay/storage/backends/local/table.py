"""A table of numbered rows: Delta, numbered in its own log, merged when its files become many and small.

The **sequence** of the last row is kept in the table's log, as a Delta transaction identifier that is committed in
the same atomic step as the rows; what else must hold with the rows is committed in the same way. So no side file can
disagree with the table, and a kill at any moment leaves either all of a commit or none of it (at worst a Parquet file
that no commit names, which nobody reads).

A **merge** rewrites runs of small files into larger ones: the same rows in the same order, committed as a change of
files but not of data, which an append-only table allows. The small files stay on the disk, for older versions.

Reads skip the files, and then the row groups, whose statistics show that they hold nothing asked for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from backstay.core.errors import ConflictError, IntegrityError
from backstay.core.identity import digest_of
from backstay.storage.backends.local.files import sync
from backstay.storage.backends.local.parquet import delta_schema, file_digest, polars_schema, write_file
from backstay.storage.ports import SEQUENCE, Seal
from backstay.storage.schema import INSTANT

SMALL_BYTES = 8 << 20  # a file below this is worth merging,
SMALL_FILES = 50  # once there are more than this of them,
SLACK = 1_000  # other tools may cut statistics to milliseconds: never skip a file by less than that
MERGED_BYTES = 32 << 20  # into files of about this size (what one merge holds in memory, unpacked)

LAST = 2**63 - 1
"""No row has a higher sequence."""

_TXN = "backstay.sequence"
_SEALED = re.compile(r"[0-9a-f]{64}\.parquet")
_CONFIGURATION = {
    "delta.appendOnly": "true",
    "delta.checkpointInterval": "25",  # a fresh process replays fewer commits than this
    "delta.enableExpiredLogCleanup": "false",  # every version stays readable
}


@dataclass(frozen=True, slots=True)
class View:
    """One version of a table: its schema (with `sequence`), its last sequence and its files in sequence order.

    recorded: the schema without `sequence`: what an append must have
    files:    path, size_bytes, num_records, min_sequence, and min_NAME and max_NAME of each bound (times as integers)
    mixed:    whether another tool laid rows of one file between those of another, so that where a file begins says
              nothing of where it ends
    """

    version: int
    last: int
    schema: pl.Schema
    recorded: pl.Schema
    files: pl.DataFrame
    mixed: bool

    def part(self, begin: int, end: int) -> View:
        """The view of some of its files."""
        return self.only(self.files[begin:end])

    def within(self, bounds: Bounds) -> View:
        """The view of the files that may hold what is asked for."""
        files = self.files.with_columns(min_sequence=pl.lit(None, pl.Int64)) if self.mixed else self.files
        return self.only(files.filter(bounds.files()))

    def numbered(self) -> bool:
        """Whether Backstay wrote its files, and none between them is left out: then the rows stand in them in sequence
        order, numbered without gaps."""
        return not self.mixed and all(map(_SEALED.fullmatch, self.files["path"])) and _side_by_side(self.files)

    def only(self, files: pl.DataFrame) -> View:
        """The view of these of its files."""
        return View(self.version, self.last, self.schema, self.recorded, files, self.mixed)


class Bounds(Protocol):
    """The rows that a read asks for."""

    def rows(self) -> pl.Expr:
        """The rows asked for."""
        ...

    def files(self) -> pl.Expr:
        """The files that may hold such rows, by the columns of `View.files`. One without statistics may hold any."""
        ...

    def between(self, files: pl.DataFrame) -> tuple[int, int] | None:  # noqa: ARG002 - what follows if nothing is said
        """The sequences that are asked for, (after, until], if that is all that `rows` says of these files."""
        return None


class All(Bounds):
    """Every row."""

    def rows(self) -> pl.Expr:
        return pl.lit(True)

    def files(self) -> pl.Expr:
        return pl.lit(True)


class Table:
    """The Delta table at `root`, with a column `sequence`. Reading needs no lock; `commit` and `merge` are for the
    holder of the lock on the folder.

    That lock only spares the retries: two commits that both claimed the same sequence would conflict in Delta itself,
    and the later one would be refused with a `ConflictError`. What cannot be read is an `IntegrityError`.

    name:  what the rows are, for messages
    bound: the columns, times or texts, whose smallest and largest value in each file is kept beside it
    """

    def __init__(self, name: str, root: Path, bound: Sequence[str]) -> None:
        self._name, self._root, self._bound = name, root, bound
        self._lock = threading.Lock()
        self._table: DeltaTable | None = None
        self._view: View | None = None
        self._checked: dict[str, tuple[int, ...]] = {}

    def view(self) -> View | None:
        """The table as it stands now (None: there is none).

        Asking again while nothing was committed costs one look at the file system and answers the same object.
        """
        with self._lock:
            return self._look()

    def taken_away(self) -> bool:
        """Whether the last commit that was seen is not where it was: the table was removed or moved, or is another."""
        view = self._view
        return view is not None and not self._log(view.version).exists()

    def marked(self, marks: Iterable[str]) -> tuple[View | None, dict[str, int]]:
        """The table as it stands now, and the number that was committed last under each mark (0: none yet)."""
        with self._lock:
            view = self._look()
            if view is None or self._table is None:
                return None, dict.fromkeys(marks, 0)
            return view, {mark: self._table.transaction_version(mark) or 0 for mark in marks}

    def read(self, view: View, columns: Sequence[str], bounds: Bounds) -> pl.DataFrame:
        """The rows of a view that are within the bounds, in sequence order."""
        view = view.within(bounds)
        if view.files.is_empty():
            return pl.DataFrame(schema={name: view.schema[name] for name in columns})
        numbered = view.numbered()
        kept = list(columns) if numbered or SEQUENCE in columns else [*columns, SEQUENCE]
        try:
            scan = pl.scan_parquet(
                [self._root / path for path in view.files["path"]], glob=False, hive_partitioning=False
            )
            frame = _asked(scan, view, bounds, numbered).select(kept).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._unreadable("rows", error) from error
        if not numbered and not frame[SEQUENCE].is_sorted():  # another tool compacted the table
            frame = frame.sort(SEQUENCE)
        return frame.select(columns)

    def seal(self, version: int, *, read: bool) -> Seal:
        """A version's last sequence, and the digest of what its log says of its files, in sequence order: names, sizes
        and statistics, by which rows are skipped.

        read: read every file, and raise an `IntegrityError` that names those which do not hold what their names say.
        """
        view = self.view()
        if view is None or view.version != version:
            try:
                view = _view_of(self._name, DeltaTable(str(self._root), version=version), self._bound)
            except (DeltaError, OSError, ValueError) as error:
                raise self._unreadable(f"version {version}", error) from error
        paths = view.files["path"].to_list()
        if not all(_SEALED.fullmatch(path) for path in paths):
            return Seal(view.last, None)
        changed = [found for path in paths if (found := self._changed(path))] if read else []
        if changed:
            raise IntegrityError(
                f"{len(changed)} of {len(paths)} files of {self._name} are not what was written: {'; '.join(changed)}",
                where=str(self._root),
                expected="files that hold what their names say",
                fix="restore them from a backup",
            )
        schema = [[name, str(kind)] for name, kind in view.schema.items()]
        return Seal(view.last, digest_of([schema, view.files.columns, view.files.rows()]))

    def _changed(self, path: str) -> str:
        """What is wrong with a file that is named by its content; "" if nothing is."""
        where = self._root / path
        try:
            before = where.stat()
            state = (before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns)
            if self._checked.get(path) == state:
                return ""  # versions share most of their files
            found = file_digest(where)
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        if f"{found}.parquet" != path:
            return f"{path} has the digest {found[:12]}"
        self._checked[path] = state
        return ""

    def commit(self, frame: pl.DataFrame, view: View | None, marks: Mapping[str, int] | None = None) -> View:
        """Write the rows, numbered on from `view` (None: make the table), then the commit that names them.

        Only the second makes them exist, and with them the numbers under these marks.
        """
        last = (view.last if view is not None else 0) + frame.height
        actions: list[AddAction | RemoveAction] = [] if frame.is_empty() else [self._write(frame)]
        return self._commit(frame.schema, view, actions, last, marks)

    def merge(self, view: View) -> View:
        """Rewrite small files into larger ones if there are many; the rows and their order stay as they are."""
        small = view.files.filter(pl.col("size_bytes") < SMALL_BYTES).height
        if small <= SMALL_FILES:
            return view
        actions: list[AddAction | RemoveAction] = []
        now = time.time_ns() // 1_000_000
        for run in _runs(view.files):
            rows = self.read(view.only(run), list(view.schema), All())
            actions += [RemoveAction(path, False, now, size) for path, size in run.select("path", "size_bytes").rows()]
            actions.append(self._write(rows, data_change=False))
        return self._commit(view.schema, view, actions, view.last) if actions else view

    def _look(self) -> View | None:
        if self._view is not None and not self._log(self._view.version + 1).exists():
            return self._view
        try:
            if self._table is not None:
                self._table.update_incremental()
            elif self._log(0).parent.is_dir() and DeltaTable.is_deltatable(str(self._root)):  # the look costs far less
                self._table = DeltaTable(str(self._root))
            else:
                return None
            self._view = _view_of(self._name, self._table, self._bound)
        except (DeltaError, OSError, ValueError) as error:
            raise self._unreadable("the table", error) from error
        return self._view

    def _write(self, rows: pl.DataFrame, *, data_change: bool = True) -> AddAction:
        return write_file(self._root, rows, self._bound, data_change=data_change)

    def _commit(
        self,
        schema: pl.Schema,
        view: View | None,
        actions: list[AddAction | RemoveAction],
        last: int,
        marks: Mapping[str, int] | None = None,
    ) -> View:
        failure: Exception | None = None
        with self._lock:
            try:
                _write_commit(
                    self._root,
                    self._table,
                    view,
                    delta_schema(schema, self._bound),
                    actions,
                    {_TXN: last, **(marks or {})},
                )
            except (DeltaError, OSError, ValueError) as error:
                failure = error  # it may have landed nevertheless, a later step (a checkpoint) failed: ask the table
        seen = self.view()
        if seen is None or seen.last != last or (failure and view is not None and seen.version == view.version):
            what = f"what was written for {self._name} was not committed: {failure or 'another writer came between'}"
            raise ConflictError(what, where=str(self._root), fix="retry") from failure
        sync(self._log(seen.version))
        sync(self._root / "_delta_log")
        return seen

    def _log(self, version: int) -> Path:
        return self._root / "_delta_log" / f"{version:020d}.json"

    def _unreadable(self, what: str, error: Exception) -> IntegrityError:
        return IntegrityError(f"{what} of {self._name} cannot be read: {error}", where=str(self._root))


def _asked(scan: pl.LazyFrame, view: View, bounds: Bounds, numbered: bool) -> pl.LazyFrame:
    """The rows asked for, of a view of the files that may hold them: by their places, where these tell, as then no
    number is read."""
    numbers = bounds.between(view.files) if numbered else None
    if numbers is None:
        return scan.filter(bounds.rows())
    first, rows = int(view.files["min_sequence"][0]), int(view.files["num_records"].sum())
    low, high = max(numbers[0] + 1 - first, 0), min(numbers[1] + 1 - first, rows)
    return scan if (low, high) == (0, rows) else scan.slice(low, max(high - low, 0))


def _write_commit(
    root: Path,
    table: DeltaTable | None,
    view: View | None,
    schema: DeltaSchema,
    actions: list[AddAction | RemoveAction],
    marks: Mapping[str, int],
) -> None:
    # One attempt: the sequence was read under the lock, so a commit in between is a conflict, not a delay.
    transactions = [Transaction(mark, number) for mark, number in marks.items()]
    properties = CommitProperties(app_transactions=transactions, max_commit_retries=1)
    if view is None:
        added = [action for action in actions if isinstance(action, AddAction)]
        create_table_with_add_actions(
            str(root), schema, added, configuration=_CONFIGURATION, commit_properties=properties
        )
        return
    if table is None or table.version() != view.version:
        raise ValueError("another writer came between")
    table.create_write_transaction(actions, "append", schema, commit_properties=properties)


def _view_of(name: str, table: DeltaTable, bound: Sequence[str]) -> View:
    schema = polars_schema(table.schema())
    last = table.transaction_version(_TXN) or 0
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    kinds = {one: pl.Int64() if schema[one] == INSTANT else schema[one] for one in bound}
    files = pl.DataFrame(
        schema={"path": pl.String, **dict.fromkeys(("size_bytes", "num_records", "min_sequence"), pl.Int64)}
        | {f"{side}_{one}": kind for one, kind in kinds.items() for side in ("min", "max")}
    )
    if not actions.is_empty():
        sides = [
            pl.col(f"{side}.{one}").cast(kind).alias(f"{side}_{one}")
            for one, kind in kinds.items()
            for side in ("min", "max")
        ]
        sequence = pl.col(f"min.{SEQUENCE}").alias("min_sequence")
        files = actions.select("path", "size_bytes", "num_records", sequence, *sides).sort("min_sequence")
    rows = int(files["num_records"].sum())
    if rows != last:
        raise IntegrityError(
            f"the table of {name} holds {rows} rows but numbers {last}",
            where=str(table.table_uri),
            expected="a table that only Backstay appends to",
        )
    recorded = pl.Schema({name: kind for name, kind in schema.items() if name != SEQUENCE})
    mixed = not files.is_empty() and not (files["min_sequence"][0] == 1 and _side_by_side(files))
    return View(table.version(), last, schema, recorded, files, mixed)


def _side_by_side(files: pl.DataFrame) -> bool:
    """Whether each file, by where it begins and how many rows it has, ends where the next one begins."""
    begins = files["min_sequence"]
    return not begins.null_count() and (begins + files["num_records"])[:-1].equals(begins[1:])


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
