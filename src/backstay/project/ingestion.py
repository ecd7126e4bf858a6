"""Reading the sources' histories into the events record. It can be run again: only what is new is added.

A function gives its whole history each time. A reader is asked for what may be new: rows as young as the newest that it
gave before (less `look_back`). Of both, rows that the record holds already are left out, one for one (`additions.py`),
and bad rows that stand in quarantine already. A row that is good now, though it was bad once, is added.

What is bad goes to quarantine first, and the good rows follow. A run killed in between has moved nothing that the next
run decides by: it reads the same rows, finds the bad ones in quarantine, one for one, and appends the good ones. The
other way round the bad rows would be behind the newest event, and never be read again.

Two runs at once read side by side, and take turns from there on: the second finds what the first has appended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from backstay.core.clock import SystemClock
from backstay.core.errors import BackstayError, InputError
from backstay.core.show import Shown
from backstay.definitions import EventSource, FeatureSet, Reader
from backstay.definitions.sources import type_name
from backstay.features.contracts import Seen, late, volumes
from backstay.features.ingest import Screened, beyond_texts, judged, quarantined, row_texts
from backstay.features.origins import Note, Origins
from backstay.features.raising import computed
from backstay.features.shaping import UTC, shape
from backstay.project.additions import Rows, additions, check_history, continued
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
    since = None
    if callable(source.read):
        rows = _ordered(source, _history(source))
    else:
        until = _checked(source, events).until
        since = None if until is None else until - source.look_back
        rows = _young(source, source.read, since, folder)
    with events.turn(source.name):
        return _add(source, events, rows, since, now, computed(source, feature_sets))


def _add(
    source: EventSource, events: EventStore, rows: Rows, since: int | None, now: int, values: Mapping[str, pl.Expr]
) -> Ingested:
    """Append what is new of the rows that were read."""
    have, origins = events.last_sequence(source.name), _checked(source, events).settled(source, events, now=now)
    before = _newest(source, events) if have else None
    held = _quarantined(source, events)
    new = continued(source, events, rows, origins) if callable(source.read) else None
    if new is None:
        new = additions(source, events, rows, origins, since)
        if callable(source.read):
            check_history(source, events, rows, origins, new, held)
    fresh = rows.at(new.arg_true())
    if source.contract is None and held:  # it had one: what was set apart then must not refuse everything now
        fresh = fresh.at(pl.Series(beyond_texts(row_texts(fresh.came), held), dtype=pl.Boolean).arg_true())
    seen = Seen(source).follow(events)
    parted = judged(source, fresh.shaped, fresh.came, now=now, seen=seen, computed=values)
    bad = parted.bad.filter(pl.Series(beyond_texts(parted.bad.get_column("row"), held), dtype=pl.Boolean))
    if bad.height:
        events.append(source.quarantine, quarantined(bad, now=now, origin="ingest"))
    cursor = "known_time" if source.known_time else "event_time"
    read = pl.concat([rows.shaped.rows.filter(~new), parted.good]).get_column(cursor).dt.epoch("us").max()
    until = read if isinstance(read, int) else None
    _append(source, events, parted.good, Note(have + 1, have + parted.good.height, until, source.timezone), now)
    if not parted.good.height and until is not None and (origins.until is None or until > origins.until):
        Note(have + 1, have, until, source.timezone, done=True).write(source, events, now=now)
    return _told(source, events, parted.good, bad, before, now)


def _append(source: EventSource, events: EventStore, good: pl.DataFrame, note: Note, now: int) -> None:
    """Append good rows, and note that an ingest brought them: before, and when it is done."""
    if good.height:
        note = replace(note, digest=frame_digest(good))
        note.write(source, events, now=now)
        numbered = events.append(source.name, good)
        replace(note, first=numbered.first, last=numbered.last, done=True).write(source, events, now=now)
    elif not note.last:
        events.append(source.name, good)  # a source without events has its columns


def _told(
    source: EventSource, events: EventStore, good: pl.DataFrame, bad: pl.DataFrame, before: int | None, now: int
) -> Ingested:
    known = good.get_column("known_time").dt.epoch("us")
    until = max([one for one in (before, known.max()) if isinstance(one, int)], default=None)
    alarms = [] if (told := late(source, until, now)) is None else [told]
    if good.height and until is not None:
        begins = before is None
        alarms += volumes(source, events, since=int(known[0]) if begins else before, until=until, begins=begins)  # type: ignore[arg-type]
    return Ingested(
        source.name, good.height, events.last_sequence(source.name), events.version(source.name), until,
        bad.height, Screened(good, bad).counts, tuple(alarms),
    )  # fmt: skip


def _newest(source: EventSource, events: EventStore) -> int:
    """When the last event of the record became known."""
    return int(
        events.read(source.name, columns=["known_time"]).get_column("known_time").dt.epoch("us").to_numpy().max()
    )


def _ordered(source: EventSource, came: pl.DataFrame) -> Rows:
    shaped = shape(source, came)
    places = shaped.rows.select(pl.arg_sort_by(*_ORDER, maintain_order=True, nulls_last=True)).to_series()
    return Rows(came, shaped).at(places)


def _young(source: EventSource, reader: Reader, since: int | None, folder: Path) -> Rows:
    """What the reader's table has from a moment on. Rows of that very moment may have come since, too."""
    columns = [source.event_time, *([source.known_time] if source.known_time else []), *source.schema]
    columns = list(dict.fromkeys(columns))
    if since is None:
        return _ordered(source, read_table(reader, columns, folder=folder, where=source.where))
    asked = Since(source.known_time or source.event_time, since)
    rows = _ordered(source, read_table(reader, columns, folder=folder, where=source.where, since=asked))
    cursor = pl.col("known_time" if source.known_time else "event_time")
    # A row without a time is read again, too: whether it is in quarantine already shows below.
    return rows.at(
        rows.shaped.rows.select((cursor.dt.epoch("us") >= since).fill_null(value=True)).to_series().arg_true()
    )


def _quarantined(source: EventSource, events: EventStore) -> list[str]:
    """The rows that earlier ingests have put into quarantine, as texts."""
    if not events.last_sequence(source.quarantine):
        return []
    table = events.read(source.quarantine, columns=["row", "origin"])
    return table.filter(pl.col("origin") == "ingest").get_column("row").to_list()


def _checked(source: EventSource, events: EventStore) -> Origins:
    """What is noted of earlier ingests. A source that is declared with other columns than its record has, or with
    another zone of its times, is refused."""
    origins = Origins.of(source, events)
    if (zone := origins.timezone(source)) != source.timezone:
        raise InputError(
            f"the source is declared with the time zone {source.timezone}, and was read with {zone}",
            where=source.where, expected=f"timezone={zone!r}, or every event would be a new one",
            fix="declare it, or a source of another name for the new form",
        )  # fmt: skip
    if not events.last_sequence(source.name):
        return origins
    recorded = dict(events.read(source.name, sequence_until=0).drop("sequence").schema)
    declared = {"event_time": UTC, "known_time": UTC, **source.schema}
    if recorded != declared or list(recorded) != list(declared):
        raise InputError(
            "the source is declared with other columns than its record has",
            where=source.where,
            expected=", ".join(f"{name}: {type_name(kind)}" for name, kind in recorded.items()),
            fix="declare these, or a source of another name for the new form",
        )
    return origins


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
