"""Predictions: written to segments, acknowledged, and later compacted into a Delta table that other tools read.

    <directory>/_segments/       what was appended (`series.py`), in one of three modes (`modes.py`)
    <directory>/                 the table (`rows.py`, `table.py`)

A compaction moves closed segments into the table. The commit that adds their rows also says, by series, up to which
segment the table goes; so a kill between the commit and the removal leaves remnants that nobody reads, and no
prediction is ever there twice. Compactions take turns under a lock on the directory; writers never wait for them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from backstay.core.errors import InputError, IntegrityError
from backstay.storage.backends.local.files import failures, locked
from backstay.storage.backends.local.framing import frame
from backstay.storage.backends.local.heads import Heads, is_number
from backstay.storage.backends.local.modes import MODES
from backstay.storage.backends.local.rows import BOUND, RECORD, SCHEMA, Numbered, Sought, predictions, rows
from backstay.storage.backends.local.series import Folder, Segment, Series
from backstay.storage.backends.local.table import Table, View
from backstay.storage.ports import SEQUENCE, Compacted
from backstay.storage.predictions import Prediction, Wanted, decode, decode_head, encode, newest, served

COMMIT_BYTES = 32 << 20  # of segments that one commit takes in
_CHUNK = 10_000  # predictions decoded at once on their way into the table

_LOST = "backstay.lost"
_RECORD = "a prediction record"
_LISTINGS = 5


class LocalPredictions:
    """`PredictionLog` in a directory, in one of the modes durable, sync and lossy. Nothing is made before the first
    append. Each one writes a series of its own, so any number of processes may."""

    def __init__(self, directory: str | Path, mode: str = "durable") -> None:
        if mode not in MODES:
            raise InputError(f"the mode is {mode!r}", where="predictions.mode", expected=f"one of {', '.join(MODES)}")
        self._root = Path(directory).absolute()
        self._folder = Folder(self._root / "_segments")
        self._table = Table("the predictions", self._root, BOUND)
        self._heads = Heads()
        self._mode = MODES[mode](Series(self._folder.path))

    @property
    def dropped(self) -> int:
        return self._mode.dropped

    def append(self, predictions: Sequence[Prediction]) -> None:
        pending = self.submit(predictions)
        if pending is not None:
            pending.result()

    def submit(self, predictions: Sequence[Prediction]) -> Future[None] | None:
        data = b"".join([frame(encode(one), _RECORD) for one in predictions])
        return self._mode.submit(data, len(predictions)) if data else None

    def scan(
        self,
        *,
        model: str | None = None,
        since: int | None = None,
        until: int | None = None,
        ids: Collection[str] | None = None,
        last: int | None = None,
    ) -> Iterator[Prediction]:
        wanted = Wanted(model, since, until, None if ids is None else frozenset(ids))
        if ids is not None and not wanted.ids:
            return
        with self._moment() as moment:
            if last is None:
                yield from self._settled(moment, wanted)
                for payload in moment.payloads(wanted):
                    yield decode(payload)
            else:
                yield from self._newest(moment, wanted, last)

    def compact(self, names: Mapping[str, Sequence[str]], progress: Callable[[int, int], None]) -> Compacted:
        if not self._folder.path.exists():
            return Compacted(0, 0)
        done = moved = 0
        with failures(self._root), locked(self._root):
            with self._moment() as moment:
                waiting = _closed(moment.pending)
            sizes = [one.path.stat().st_size for one in waiting]
            view, lost = moment.view, moment.lost
            for group, size in _groups(waiting, sizes):
                before = 0 if view is None else view.last
                table, dropped = _rows(group, names, before + 1)
                lost += dropped
                marks = {one.series: one.number for one in group}
                view = self._table.commit(table, view, {**marks, _LOST: lost} if dropped else marks)
                self._folder.remove(group)
                moved, done = moved + table.height, done + size
                progress(done, sum(sizes))
            self._folder.remove(moment.remnants)
            if view is not None:
                self._table.merge(view)
        return Compacted(moved, len(waiting))

    def lost(self) -> int:
        with self._moment() as moment:
            records = (payload for one in moment.pending for payload in one.records())
            return sum((int(decode(payload)) for payload in records if is_number(payload)), moment.lost)

    def close(self) -> None:
        self._mode.close()

    @contextmanager
    def _moment(self) -> Iterator[_Moment]:
        """What there is, table and segments, as it stood at one moment: nothing of it goes away in the context."""
        with failures(self._root), self._folder.reading():
            for attempt in range(_LISTINGS):
                # The table is looked at last: what was compacted since the listing is known to be in it.
                segments = self._folder.segments()
                view, marks = self._table.marked([*{one.series: None for one in segments}, _LOST])
                missing = _missing(segments, marks)
                if missing is None:
                    break
                if attempt == _LISTINGS - 1:  # a listing beside a busy writer may pass over a new file, but not always
                    raise IntegrityError(
                        f"segment {missing[1]} of a series of predictions is gone",
                        where=str(self._folder.path / f"{missing[0]}-{missing[1]:06d}.seg"),
                        expected=f"the table up to segment {marks[missing[0]]}, and every segment behind it",
                        fix="restore the directory from a backup, all of it at once",
                    )
            pending = [one for one in segments if one.number > marks[one.series]]
            remnants = [one for one in segments if one.number <= marks[one.series]]
            self._heads.keep(pending)
            yield _Moment(view, pending, remnants, marks[_LOST], self._heads)

    def _settled(self, moment: _Moment, wanted: Wanted) -> Iterator[Prediction]:
        """What the table holds of the wanted ones, a file at a time."""
        view, sought = moment.view, Sought(wanted)
        for place in range(0 if view is None else view.files.height):
            assert view is not None
            yield from predictions(self._table.read(view.part(place, place + 1), RECORD, sought))

    def _newest(self, moment: _Moment, wanted: Wanted, count: int) -> list[Prediction]:
        heads = ((served(decode_head(payload)), payload) for payload in moment.payloads(wanted))
        found = [decode(payload) for _, payload in heapq.nlargest(count, heads)]
        if moment.view is None or count < 1:
            return found
        order = moment.view.files["max_served_at"].arg_sort(descending=True)
        sought = Sought(wanted)
        for place in order.to_list():
            part = moment.view.part(place, place + 1)
            if len(found) == count and part.files["max_served_at"][0] < found[-1].served_at:
                break
            times = self._table.read(part, ("served_at", "id", SEQUENCE), sought)
            numbers = times.top_k(count, by=["served_at", "id"])[SEQUENCE]
            if numbers.is_empty():
                continue
            found = newest([*found, *predictions(self._table.read(part, RECORD, Numbered(numbers)))], count)
        return found


@dataclass(frozen=True, slots=True)
class _Moment:
    """A version of the table, the segments that are not in it, those that are, and how many losses it counts."""

    view: View | None
    pending: list[Segment]
    remnants: list[Segment]
    lost: int
    heads: Heads

    def payloads(self, wanted: Wanted) -> Iterator[bytes]:
        """Those of the wanted predictions in the segments."""
        for one in self.pending:
            if wanted.any:
                yield from (payload for payload in one.records() if not is_number(payload))
            else:
                yield from self.heads.payloads(one, wanted)


def _missing(segments: list[Segment], marks: Mapping[str, int]) -> tuple[str, int] | None:
    """The first segment that should be there and is not."""
    at = dict(marks)
    for one in segments:
        if one.number > at[one.series] + 1:
            return one.series, at[one.series] + 1
        at[one.series] = max(at[one.series], one.number)
    return None


def _closed(pending: list[Segment]) -> list[Segment]:
    """The segments that nobody writes to any more, of each series up to the first that somebody does."""
    out, busy = [], set()
    for one in pending:
        if one.series not in busy and one.closed():
            out.append(one)
        else:
            busy.add(one.series)
    return out


def _groups(segments: list[Segment], sizes: list[int]) -> Iterator[tuple[list[Segment], int]]:
    """As many segments as one commit takes, and the bytes of them."""
    group: list[Segment] = []
    held = 0
    for one, size in zip(segments, sizes, strict=True):
        if group and held + size > COMMIT_BYTES:
            yield group, held
            group, held = [], 0
        group.append(one)
        held += size
    if group:
        yield group, held


def _rows(segments: list[Segment], names: Mapping[str, Sequence[str]], first: int) -> tuple[pl.DataFrame, int]:
    """The rows of some segments, and the number of predictions that were lost between them."""
    frames: list[pl.DataFrame] = []
    lost = 0
    chunk: list[tuple[Prediction, bytes]] = []

    def flush() -> None:
        frames.append(rows(chunk, names, first + sum(one.height for one in frames)))
        chunk.clear()

    for payload in (payload for one in segments for payload in one.records()):
        if is_number(payload):
            lost += decode(payload)
            continue
        chunk.append((decode(payload), payload))
        if len(chunk) == _CHUNK:
            flush()
    flush()
    assert all(one.schema == SCHEMA for one in frames)
    return pl.concat(frames), lost
