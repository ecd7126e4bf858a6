"""Reading the sources' histories into the events record. It can be run again: only what is new is added.

A function gives its whole history each time. A reader is asked for what may be new: rows as young as the newest in the
record (less `look_back`), of which those that the record holds already are left out, one for one.

What is bad goes to quarantine first, and the good rows follow. A run killed in between has moved nothing that the next
run decides by: it reads the same rows, finds the bad ones in quarantine, one for one, and appends the good ones. The
other way round the bad rows would be behind the newest event, and never be read again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from backstay.core.clock import SystemClock
from backstay.core.errors import BackstayError, InputError
from backstay.core.show import Shown
from backstay.definitions import EventSource, FeatureSet, Reader
from backstay.definitions.sources import type_name
from backstay.features.contracts import Seen, late, volumes
from backstay.features.ingest import beyond, beyond_texts, judged, quarantined, row_texts
from backstay.features.raising import computed
from backstay.features.shaping import UTC, Shaped, shape
from backstay.storage.digest import frame_digest
from backstay.storage.ports import EventStore
from backstay.storage.tables import Since, read_table

_ORDER = ("known_time", "event_time")


@dataclass(frozen=True, slots=True)
class Ingested(Shown):
    """What became of one source: events `added` now, events it holds in all, and when the last became known.

    quarantined: rows that went to quarantine now, counted by `reasons`; alarms: what the contract or the freshness
    says about the source as a whole
    """

    source: str
    added: int
    events: int
    version: int
    known_until: int | None = None
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows as they came and in the form of the record, in the order in which they became known."""

    came: pl.DataFrame
    shaped: Shaped

    def at(self, places: pl.Series) -> _Rows:
        return _Rows(self.came[places], self.shaped.at(places))


def ingest_source(
    source: EventSource, events: EventStore, *, folder: Path = Path(), feature_sets: Iterable[FeatureSet] = ()
) -> Ingested:
    """Append what the record does not have yet of a source's history.

    A function's history must begin with what the record holds: then a second run adds nothing, and a longer history
    adds its end. Anything else is refused, and nothing is changed. folder: what a reader's paths are relative to.
    feature_sets: a row that one of them cannot be computed of is bad.
    """
    if source.read is None:
        raise InputError("the source does not say how its history is read", where=source.where, fix="give it read=...")
    # The machine's clock: a replay's history lies in its clock's future, and is no less known for that.
    now = SystemClock().now()
    have = events.last_sequence(source.name)
    if have:
        _same_columns(source, events)
    before = _newest(source, events, "known_time") if have else None
    rows = _whole(source, events, have) if callable(source.read) else _read(source, source.read, events, have, folder)
    seen, values = Seen(source).follow(events), computed(source, feature_sets)
    parted = judged(source, rows.shaped, rows.came, now=now, seen=seen, computed=values)
    if parted.bad.height:
        events.append(source.quarantine, quarantined(parted.bad, now=now, origin="ingest"))
    if parted.good.height or not have:
        events.append(source.name, parted.good)
    known = parted.good.get_column("known_time").dt.epoch("us")
    until = max([one for one in (before, known.max()) if isinstance(one, int)], default=None)
    alarms = [] if (told := late(source, until, now)) is None else [told]
    if parted.good.height and until is not None:
        begins = before is None
        since = before if before is not None else int(known[0])
        alarms += volumes(source, events, since=since, until=until, begins=begins)
    return Ingested(
        source.name, parted.good.height, have + parted.good.height, events.version(source.name), until,
        parted.bad.height, parted.counts, tuple(alarms),
    )  # fmt: skip


def _newest(source: EventSource, events: EventStore, column: str) -> int:
    """The latest time in a column of the record, which has rows."""
    return int(events.read(source.name, columns=[column]).get_column(column).dt.epoch("us").to_numpy().max())


def _ordered(source: EventSource, came: pl.DataFrame) -> _Rows:
    shaped = shape(source, came)
    places = shaped.rows.select(pl.arg_sort_by(*_ORDER, maintain_order=True, nulls_last=True)).to_series()
    return _Rows(came, shaped).at(places)


def _whole(source: EventSource, events: EventStore, have: int) -> _Rows:
    """What follows, in the history that the user's function returns, on the rows of the record."""
    rows = _ordered(source, _history(source))
    if not have:
        return rows.at(_unknown(source, rows, events))
    held = events.read(source.name).drop("sequence")
    if events.last_sequence(source.quarantine):  # which rows are neither in the record nor in quarantine?
        apart = beyond(rows.shaped.rows, held)
        places = apart.arg_true()
        new = places[_unknown(source, rows.at(places), events)]
        rows = rows.at((~apart).arg_true().append(new).sort())
    frame = rows.shaped.rows
    if frame.height < have or frame_digest(frame.head(have)) != frame_digest(held):
        raise InputError(
            f"the history read now does not begin with the {have} events in the record",
            where=source.where,
            expected="the same events, and possibly later ones",
            fix="events are never changed; ingest into a new home if the history itself was wrong",
        )
    return rows.at(pl.int_range(have, frame.height, eager=True))


def _read(source: EventSource, reader: Reader, events: EventStore, have: int, folder: Path) -> _Rows:
    """What the reader's table has that is neither in the record nor in quarantine."""
    columns = [source.event_time, *([source.known_time] if source.known_time else []), *source.schema]
    columns = list(dict.fromkeys(columns))
    if not have:
        rows = _ordered(source, read_table(reader, columns, folder=folder, where=source.where))
        return rows.at(_unknown(source, rows, events))
    cursor = "known_time" if source.known_time else "event_time"
    moment = _newest(source, events, cursor) - source.look_back
    since = Since(source.known_time or source.event_time, moment)
    rows = _ordered(source, read_table(reader, columns, folder=folder, where=source.where, since=since))
    # Rows of the newest moment are read again: others of the same moment may have come since. A row without a time,
    # too: whether it is in quarantine already shows below.
    young = rows.shaped.rows.select((pl.col(cursor).dt.epoch("us") >= moment).fill_null(value=True)).to_series()
    rows = rows.at(young.arg_true())
    after = moment - 1 if source.known_time else moment + source.delay - 1
    held = events.read(source.name, known_after=after).drop("sequence")
    rows = rows.at(beyond(rows.shaped.rows, held).arg_true())
    return rows.at(_unknown(source, rows, events))


def _unknown(source: EventSource, rows: _Rows, events: EventStore) -> pl.Series:
    """The places of rows that an earlier ingest has not put into quarantine, one for one."""
    held: list[str] = []
    if events.last_sequence(source.quarantine):
        table = events.read(source.quarantine, columns=["row", "origin"])
        held = table.filter(pl.col("origin") == "ingest").get_column("row").to_list()
    if not held:
        return pl.int_range(rows.came.height, eager=True)
    return pl.Series(beyond_texts(row_texts(rows.came), held), dtype=pl.Boolean).arg_true()


def _same_columns(source: EventSource, events: EventStore) -> None:
    """Refuse a source that is declared with other columns than its record has."""
    recorded = dict(events.read(source.name, sequence_until=0).drop("sequence").schema)
    declared = {"event_time": UTC, "known_time": UTC, **source.schema}
    if recorded != declared or list(recorded) != list(declared):
        raise InputError(
            "the source is declared with other columns than its record has",
            where=source.where,
            expected=", ".join(f"{name}: {type_name(kind)}" for name, kind in recorded.items()),
            fix="declare these, or a source of another name for the new form",
        )


def _history(source: EventSource) -> pl.DataFrame:
    """What the user's function returns."""
    assert callable(source.read)
    try:
        history = source.read()
    except BackstayError:
        raise
    except Exception as error:
        raise InputError(
            f"its history cannot be read: {type(error).__name__}: {error}", where=source.where,
            expected="a function that returns a polars.DataFrame", fix="mend what it raises",
        ) from error  # fmt: skip
    if not isinstance(history, pl.DataFrame):
        raise InputError(
            f"read() returns {type(history).__name__}", where=source.where, expected="a polars.DataFrame",
            fix="convert it",
        )  # fmt: skip
    return history
