"""Events in Delta tables, behind write-ahead segments.

A Delta commit takes tens of milliseconds, a write(2) microseconds. So a small append is written to the **segment** of
its source (`segments.py`) and acknowledged; a **compaction** moves the whole segment into the table (`table.py`) in one
commit, when the segment is full, when an append is too large for it, and when somebody asks for the table's version.
The first append makes the table, for that is where the schema is.

What a source holds is the table, then the segment that begins where the table ends. Both are read without a lock:
if the segment is gone, it was compacted between the two looks, and the table is asked again.

Appends and compactions take turns under a lock on the source's folder.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from backstay.core.errors import IntegrityError, NotFoundError
from backstay.storage.backends.local.files import failures, locked
from backstay.storage.backends.local.parquet import ROW_GROUP
from backstay.storage.backends.local.segments import Segment, Segments
from backstay.storage.backends.local.table import LAST, SLACK, Bounds, Table, View
from backstay.storage.ports import EVENT_TIME, KNOWN_TIME, SEQUENCE, Appended, Seal
from backstay.storage.schema import INSTANT, check_columns, check_events, check_same, check_source

_GROUPS = 4
"""Row groups of a large file that are read together at least: fewer would take longer to find than to read."""
_TURNS = "_turns"
"""The folder of a source whose lock is a turn: that of the source's own folder is each append's."""


@dataclass(frozen=True, slots=True)
class Span(Bounds):
    """The events that a read asks for: known_time in (known_after, known_until], sequence in (sequence_after,
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
            keep &= (pl.col("min_known_time") <= self.known_until).fill_null(True)
        if self.known_after is not None:
            keep &= (pl.col("max_known_time") > self.known_after - SLACK).fill_null(True)
        if self.sequence_until is not None:
            keep &= (pl.col("min_sequence") <= self.sequence_until).fill_null(True)
        if self.sequence_after:
            keep &= (pl.col("min_sequence") + pl.col("num_records") - 1 > self.sequence_after).fill_null(True)
        return keep

    def between(self, files: pl.DataFrame) -> tuple[int, int] | None:
        """What is asked for by sequence alone: every event of the files is known by then, and none was before."""
        if self.known_until is not None:
            known = files["max_known_time"] + SLACK <= self.known_until
            if known.null_count() or not known.all():
                return None
        if self.known_after is not None:
            return None
        return self.sequence_after, LAST if self.sequence_until is None else self.sequence_until


def _pieces(part: View, bounds: Span, rows: int) -> Iterator[Span]:
    """The same bounds, or those of each piece of one large file, of whole row groups."""
    size = int(part.files["num_records"].sum())
    if size <= 2 * rows or part.files.height > 1 or not part.numbered():
        yield bounds
        return
    first = int(part.files["min_sequence"][0]) - 1
    low, high = first, first + size
    low, high = (
        max(low, bounds.sequence_after),
        min(high, LAST if bounds.sequence_until is None else bounds.sequence_until),
    )
    step = max(rows // ROW_GROUP, _GROUPS) * ROW_GROUP
    while low < high:
        until = min(first + ((low - first) // step + 1) * step, high)
        yield replace(bounds, sequence_after=low, sequence_until=until)
        low = until


class LocalEvents:
    """`EventStore` under `directory/<source>`: a Delta table, and its segment in `_segments`.

    What is appended is safe from a killed process at once, and from a power cut once it is in the table.
    """

    def __init__(self, directory: str | Path) -> None:
        self._directory = Path(directory).absolute()
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}

    def append(self, source: str, events: pl.DataFrame) -> Appended:
        check_source(source)
        check_events(source, events)
        return self._source(source).append(events)

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
        return self._source(source).read(columns, Span(known_until, known_after, sequence_until))

    def batches(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        sequence_after: int = 0,
        sequence_until: int | None = None,
        rows: int = 100_000,
    ) -> Iterator[pl.DataFrame]:
        check_source(source)
        bounds = Span(known_until, None, sequence_until, sequence_after)
        return self._source(source).batches(columns, bounds, rows)

    def version(self, source: str) -> int:
        check_source(source)
        return self._source(source).version()

    def last_sequence(self, source: str) -> int:
        check_source(source)
        _, segment = self._source(source).look()
        return segment.last

    @contextmanager
    def turn(self, source: str) -> Iterator[None]:
        check_source(source)
        folder = self._source(source).folder(_TURNS)
        with locked(folder):
            yield

    def seal(self, source: str, version: int, *, read: bool = False) -> Seal:
        check_source(source)
        return self._source(source).seal(version, read=read)

    def compact(self, source: str) -> int:
        """Move the segment into the table, and merge the table's files if many are small; the version it then has.

        -1 if nothing was ever appended. Doing it twice changes nothing. Raises what an append raises; whatever
        happens, no event is lost or counted twice.
        """
        check_source(source)
        return self._source(source).compact()

    def _source(self, name: str) -> _Source:
        with self._lock:
            if name not in self._sources:
                self._sources[name] = _Source(name, self._directory / name)
            return self._sources[name]


class _Source:
    """One source: its table and its segment, seen as one."""

    def __init__(self, name: str, root: Path) -> None:
        self._name, self._root = name, root
        self._table = Table(repr(name), root, (EVENT_TIME, KNOWN_TIME))
        self._segments = Segments(root)

    def append(self, events: pl.DataFrame) -> Appended:
        with failures(self._root), locked(self.folder()):
            view, segment = self.look()
            if view is not None:
                check_same(self._name, view.recorded, events.schema)
                first = segment.last + 1
                if events.is_empty() or segment.append(events):
                    return Appended(first, segment.last, view.version)
            first = segment.last + 1
            view = self._commit(view, segment, events)
            return Appended(first, view.last, view.version)

    def folder(self, name: str = "") -> Path:
        """The source's folder, or one in it, made if need be; but not where the table that this process has seen was
        taken away: what is appended to another would be acknowledged, and read by nobody."""
        folder = self._root / name
        with failures(folder):
            if self._table.taken_away():
                raise IntegrityError(
                    f"the table of {self._name!r} was removed or moved while it was in use",
                    where=str(self._root),
                    expected="the folder as it was",
                    fix="put it back; where another one is meant, start this process again",
                )
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def read(self, columns: Sequence[str] | None, bounds: Span) -> pl.DataFrame:
        view, segment = self.look()
        if view is None:
            raise self._unknown()
        names = check_columns(self._name, view.schema, columns)
        settled = self._table.read(view, names, bounds)
        pending = segment.events()
        if pending is None:
            return settled
        return pl.concat([settled, pending.filter(bounds.rows()).select(names)])

    def batches(self, columns: Sequence[str] | None, bounds: Span, rows: int) -> Iterator[pl.DataFrame]:
        view, segment = self.look()
        if view is None:
            raise self._unknown()
        names = check_columns(self._name, view.schema, columns)
        return self._slices(view, segment.events(), names, bounds, rows)

    def _slices(
        self, view: View, pending: pl.DataFrame | None, names: list[str], bounds: Span, rows: int
    ) -> Iterator[pl.DataFrame]:
        """Frames of about `rows` rows: as many neighbouring files as hold them, or pieces of a larger one.

        Of a file that Backstay wrote only so much is in memory. Files that another tool mixed are read together: the
        order of the rows is that of them all.
        """
        begin, held = 0, 0
        view = view.within(bounds)
        sizes = view.files["num_records"].to_list()
        for end, size in enumerate(sizes, 1):
            held += size
            if (held >= rows and not view.mixed) or end == len(sizes):
                part = view.part(begin, end)
                for some in _pieces(part, bounds, rows):
                    yield from self._table.read(part, names, some).iter_slices(rows)
                begin, held = end, 0
        if pending is not None:
            yield from pending.filter(bounds.rows()).select(names).iter_slices(rows)

    def version(self) -> int:
        view, segment = self.look()
        if view is not None and segment.last == view.last:
            return view.version
        return self.compact()

    def seal(self, version: int, *, read: bool) -> Seal:
        if self._table.view() is None:
            raise self._unknown()
        return self._table.seal(version, read=read)

    def compact(self) -> int:
        if self._table.view() is None:
            return -1
        with failures(self._root), locked(self._root):
            view, segment = self.look()
            assert view is not None
            if segment.last > view.last:
                view = self._commit(view, segment)
            return self._table.merge(view).version

    def look(self) -> tuple[View | None, Segment]:
        """The table and the segment that follows it, as they stood at one moment."""
        while True:
            with failures(self._root):
                view = self._table.view()
                last = 0 if view is None else view.last
                segment = self._segments.after(last)
                if segment.look():
                    return view, segment
                # What was held is asked before the file: a writer of this process may begin the segment at any moment.
                ahead, held = self._segments.ahead(last), segment.last
                if segment.path.exists() or self._table.view() is not view:
                    continue  # begun, or compacted, between the two looks
            if ahead is not None or held > last:
                raise IntegrityError(
                    f"the table of {self._name!r} ends with {last}, and the segment that follows it is gone",
                    where=str(segment.path if ahead is None else ahead),
                    expected=f"a segment that begins with {last + 1}",
                    fix="restore the source's folder from a backup, all of it at once",
                )
            return view, segment

    def _unknown(self) -> NotFoundError:
        return NotFoundError(f"the source {self._name!r} has no events", where=self._name, fix="append to it first")

    def _commit(self, view: View | None, segment: Segment, events: pl.DataFrame | None = None) -> View:
        """Commit the segment's rows, and `events` behind them, at once; then the segment is not needed any more."""
        parts = [] if (pending := segment.events()) is None else [pending]
        if events is not None:
            first = segment.last + 1
            numbers = pl.int_range(first, first + events.height, dtype=pl.Int64)
            parts.append(events.with_columns(numbers.alias(SEQUENCE)))
        seen = self._table.commit(pl.concat(parts), view)
        self._segments.remove(seen.last)
        return seen
