"""Features of a user's own rows: a label frame in, the same rows with their features out.

No row is lost, doubled or reordered, and columns that are not features stay as they are.

A history larger than memory is gone through in parts: each view's events are divided by a hash of their entity, and one
part of one view at a time is in memory. What is done to a part (`offline.compute_view`) knows nothing of the others, so
an engine with many machines can do it on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from backstay.core.errors import InputError
from backstay.core.identity import digest_of
from backstay.core.show import Shown
from backstay.definitions import EventSource, FeatureSet
from backstay.features.cells import check_recorded, superseded, view_columns
from backstay.features.exact import Ints
from backstay.features.frames import given
from backstay.features.inorder import InOrder, answerable, latest_in_order
from backstay.features.offline import (
    TIMES,
    EventReader,
    asked_types,
    check_asked,
    check_given,
    compute_view,
    corrected,
    no_events,
    source_columns,
)
from backstay.features.parts import in_threads
from backstay.features.rows import Room, RowEngine
from backstay.features.rowwise import check_rowwise
from backstay.features.views import Computed, Status, ViewPlan
from backstay.features.written import free, result
from backstay.storage.digest import frame_digest
from backstay.storage.ports import EventStore

CHUNK = 100_000
"""Rows that are written together."""

_TIMES = 64  # bytes an event that looking at the times of all takes
_COPIES = 12  # of an event's cell, at the most, while its part is computed: sorted copies and prefix sums


class EventParts(EventReader, Protocol):
    """What of the events record is needed here; `backstay.storage.ports.EventStore` has it."""

    def batches(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        sequence_after: int = 0,
        sequence_until: int | None = None,
        rows: int = 100_000,
    ) -> Iterator[pl.DataFrame]: ...

    def last_sequence(self, source: str) -> int: ...


@dataclass(frozen=True)
class Historical(Shown):
    """Features of asked rows, and what they were made of.

    frame:    the rows as they came, with their features; a LazyFrame over `path` if they were written there
    versions: the table version of each source that was read
    tags:     such as "pii", inherited from the features
    """

    frame: Any
    rows: int
    feature_set: str
    versions: dict[str, int]
    content: InitVar[pl.DataFrame | str]
    path: Path | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self, content: pl.DataFrame | str) -> None:
        # A frame of its own: what is done to `frame` in place does not reach it.
        object.__setattr__(self, "_content", content if isinstance(content, str) else content.clone())

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the full content of the frame as it was made (of its files, in order, if it was written). A
        frame in memory is gone through when this is asked first."""
        content: pl.DataFrame | str = self.__dict__["_content"]
        return content if isinstance(content, str) else frame_digest(content)

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "digest": self.digest}


def historical(
    features: FeatureSet,
    frame: Any,
    events: EventStore,
    *,
    at: str = "at",
    as_of: int | None = None,
    statuses: bool = False,
    memory: int | None = None,
    out: Path | None = None,
) -> Historical:
    """The features of every row of a Polars, pandas or Arrow frame, at the row's own time.

    at:       the column of times, with a zone (or integer microseconds, UTC).
    as_of:    leave out events known later than this moment (microseconds); rows never see what came after them anyway.
    statuses: add a column `{feature}__status` for each feature.
    memory:   bytes that the events at hand may take, roughly; None: all at once.
    out:      a folder to write Parquet files into, in order, for results that do not fit into memory either.

    Raises `InputError` for a missing column, a type other than declared, a time without a zone, a required input that
    is null, one that is not finite, or a folder that holds parts of another result.
    """
    if out is not None:
        free(out)
    rows, back = given(frame, where=f"frame asked of {features.where}")
    asked = _asked(features, rows, at)
    check_asked(features, asked)
    check_given(features, asked)
    versions = {source.name: events.version(source.name) for source in features.sources}
    tags = tuple(sorted(features.tags))
    if out is None:
        engine = RowEngine(features, dated=False)
        room = views(engine, asked, events, as_of=as_of, memory=memory)
        (whole,) = _chunks(engine, room, rows, asked, statuses, rows.height)
        made = back(whole)
        content = whole if made is whole else frame_digest(whole)  # of a copy as pandas there is no second one kept
        return Historical(made, rows.height, features.hash, versions, content, tags=tags)
    digests = []
    with result(out) as (write, written), tempfile.TemporaryDirectory(prefix="backstay-") as scratch:
        engine = RowEngine(features, dated=False)
        room = views(engine, asked, events, as_of=as_of, memory=memory, scratch=Path(scratch))
        for chunk in _chunks(engine, room, rows, asked, statuses, CHUNK):
            write(chunk)
            digests.append(frame_digest(chunk))
    lazy = pl.scan_parquet(written, glob=False)
    return Historical(lazy, rows.height, features.hash, versions, digest_of(digests), out, tags)


def views(
    engine: RowEngine,
    asked: pl.DataFrame,
    events: EventParts,
    *,
    as_of: int | None,
    memory: int | None,
    scratch: Path | None = None,
) -> Room:
    """What each view says of the asked rows; results stand in files below `scratch` if it is given."""
    room = engine.room(asked.height, scratch)
    views = [_Asked(engine.features, plan, asked, events, as_of, memory) for plan in engine.plans]
    work = [partial(_in_order, view, out) for view, out in zip(views, room.computed, strict=True)]
    done = in_threads(work) if memory is None else [one() for one in work]
    for view, out, ready in zip(views, room.computed, done, strict=True):
        if not ready:
            _in_parts(view, out)
    return room


def _asked(features: FeatureSet, rows: pl.DataFrame, at: str) -> pl.DataFrame:
    """The asked rows as the kernel wants them: `at` in microseconds, keys and inputs of their declared types."""
    where = f"frame asked of {features.where}"
    if at not in rows.columns:
        raise InputError(
            f"there is no column {at!r} of times",
            where=where,
            expected=f"one of {rows.columns}",
            fix='name it: at="..."',
        )
    times = rows.get_column(at)
    if isinstance(times.dtype, pl.Datetime):
        if times.dtype.time_zone is None:
            raise InputError(
                f"the times in column {at!r} carry no time zone",
                where=where,
                expected="times with a zone",
                fix=f'pl.col("{at}").dt.replace_time_zone("America/New_York"), or the zone they are in',
            )
        times = times.dt.convert_time_zone("UTC").dt.cast_time_unit("us").to_physical()
    wanted = asked_types(features)
    columns = [times.alias("at")]
    for name, kind in wanted.items():
        if name not in rows.columns:
            raise InputError(f"there is no column {name!r}", where=where, expected=f"{name}: {kind}", fix="add it")
        came = rows.get_column(name)
        columns.append(typed(came, kind).alias(name))
        if columns[-1].null_count() > came.null_count():
            row = (columns[-1].is_null() & came.is_not_null()).arg_true()[0]
            raise InputError(
                f"{name!r} is {came[row]} in row {row}", where=where, expected=f"{kind}", fix="leave such rows out"
            )
    return pl.DataFrame(columns)


def typed(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """The column in its declared type, null where one of its integers has more than 64 bits; as it is where that type
    would lose something, to be refused by name."""
    came = column.dtype
    widens = (kind == pl.Float64 and came.is_numeric()) or (kind == pl.Int64 and came.is_integer())
    zoned = isinstance(kind, pl.Datetime) and isinstance(came, pl.Datetime) and came.time_zone is not None
    text = kind == pl.String and isinstance(came, (pl.Categorical, pl.Enum))
    if zoned:
        return column.dt.convert_time_zone("UTC").cast(kind)
    return column.cast(kind, strict=False) if widens or text or came == pl.Null else column


@dataclass(frozen=True, slots=True)
class _Asked:
    """One view, and the rows that ask it."""

    features: FeatureSet
    plan: ViewPlan
    rows: pl.DataFrame
    events: EventParts
    as_of: int | None
    memory: int | None

    @property
    def at(self) -> Ints:
        return self.rows.get_column("at").to_numpy()


def _in_parts(view: _Asked, out: Computed) -> None:
    """One view's features of all rows, part by part."""
    plan, events, memory = view.plan, view.events, view.memory
    source, keys = plan.view.source, list(plan.view.entity.keys)
    columns = source_columns(view.features, source)
    if not events.last_sequence(source.name):
        compute_view(plan, view.rows, view.at, corrected(source, no_events(source, columns)), out)
        return
    bound = len(columns) * 8 * _COPIES * events.last_sequence(source.name)
    parts = 1 if memory is None or not keys else max(-(-bound // memory), 1)
    until = _until(source, events, view.as_of) if source.event_id is not None else None
    if parts == 1:
        read = partial(events.read, source.name, columns=columns, known_until=view.as_of)
        compute_view(plan, view.rows, view.at, _with_until(read(), until), out)  # held nowhere else: let go of early
        return
    place = _part(view.rows, keys, parts)
    coded: dict[int, list[tuple[Ints, pl.Series]]] = {place: [] for place, _ in plan.coded}
    for part in range(parts):
        rows = np.flatnonzero(place == part)
        if not len(rows):
            continue
        found = [
            frame.filter(_part(frame, keys, parts) == part)
            for frame in events.batches(source.name, columns=columns, known_until=view.as_of)
        ]
        table = pl.concat(found) if found else events.read(source.name, columns=columns).clear()
        some = view.rows[rows]
        computed = compute_view(plan, some, some.get_column("at").to_numpy(), _with_until(table, until))
        out.put(rows, computed)
        for number, words in computed.coded.items():
            coded[number].append((rows, words))
    for number, pieces in coded.items():
        if pieces:
            order = np.argsort(np.concatenate([rows for rows, _ in pieces]))
            out.coded[number] = pl.concat([words for _, words in pieces]).gather(order)


def _in_order(view: _Asked, out: Computed) -> bool:
    """Whether the view could be answered as one whose events came in order, and has been."""
    source, plan = view.plan.view.source, view.plan
    number = view.events.last_sequence(source.name)
    bounded = view.memory is not None and number * _TIMES > view.memory
    if not number or bounded or not answerable(plan, view.rows):
        return False
    times = TIMES if view.as_of is None else (*TIMES, "sequence")
    # The frame is let go of at once: it would take as much again as what is made of it.
    in_order = InOrder.of(view.events.read(source.name, columns=times, known_until=view.as_of))
    if in_order is None:
        return False
    numbers, read = in_order.numbers, view_columns(plan.view)

    def part(low: int, high: int) -> pl.DataFrame:
        after, until = numbers(low, high)
        # As of the same moment: what was appended since is known later, or numbered higher.
        found = view.events.batches(
            source.name, columns=read, known_until=view.as_of, sequence_after=after, sequence_until=until,
            rows=high - low,
        )  # fmt: skip
        events = pl.concat(found)
        check_recorded(plan.view, events)
        return events

    latest_in_order(plan, view.rows, view.at, in_order, part, out)
    return True


def _with_until(table: pl.DataFrame, until: Ints | None) -> pl.DataFrame:
    """The events, with the moment a correction of each becomes visible, where there may be corrections."""
    if until is None:
        return table
    return table.with_columns(pl.Series("_until", until[table.get_column("sequence").to_numpy() - 1]))


def _until(source: EventSource, events: EventParts, as_of: int | None) -> Ints:
    """By sequence, when a correction of the event becomes visible: corrections may come from another part."""
    assert source.event_id is not None
    table = events.read(
        source.name, columns=["event_time", "known_time", "sequence", source.event_id], known_until=as_of
    )
    out = np.zeros(events.last_sequence(source.name), np.int64)
    out[table.get_column("sequence").to_numpy() - 1] = superseded(table, source.event_id)
    return out


def _part(frame: pl.DataFrame, keys: list[str], parts: int) -> Ints:
    """The part that each row's entity falls into."""
    if parts == 1:
        return np.zeros(frame.height, np.int64)
    mixed = pl.lit(0, pl.UInt64)
    for key in keys:
        mixed = (mixed * 31).xor(pl.col(key).hash(seed=0))
    return frame.select((mixed % parts).cast(pl.Int64)).to_series().to_numpy()


def _chunks(
    engine: RowEngine, room: Room, rows: pl.DataFrame, asked: pl.DataFrame, statuses: bool, size: int
) -> Iterator[pl.DataFrame]:
    """The frame as it came, with its features, `size` rows at a time."""
    names = pl.Series([status.name for status in Status])
    for begin in range(0, max(rows.height, 1), max(size, 1)):
        some = slice(begin, begin + size)
        found = engine.filled(room.part(some), asked[some])
        made = found.frame()
        if not begin:
            check_rowwise(engine.features, made.select(f.name for f in engine.features if f.kind != "derived"))
        frame = rows[some].with_columns(made.get_columns())
        if statuses:
            told = [
                names[found.statuses[:, place]].alias(f"{feature.name}__status")
                for place, feature in enumerate(engine.features)
            ]
            frame = frame.with_columns(told)
        yield frame
