"""What of the rows that were read of a source's history its record does not hold yet, one for one.

An ingested row and an event of the record are the same where all their columns are. A pushed event became known when it
was pushed, which no table says: it is told by its other columns. So are all of them where the source has no known time
of its own: a delay that was declared otherwise meanwhile makes no new events of the old ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from backstay.core.errors import InputError
from backstay.definitions import EventSource
from backstay.features.contracts import LIVE_AHEAD
from backstay.features.ingest import beyond, beyond_texts, row_texts
from backstay.features.origins import Origins
from backstay.features.shaping import Shaped
from backstay.storage.digest import frame_digest
from backstay.storage.ports import SEQUENCE, EventStore


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows as they came and in the form of the record, in the order in which they became known."""

    came: pl.DataFrame
    shaped: Shaped

    def at(self, places: pl.Series) -> Rows:
        return Rows(self.came[places], self.shaped.at(places))


def additions(source: EventSource, events: EventStore, rows: Rows, origins: Origins, since: int | None) -> pl.Series:
    """Which rows are not in the record, as a mask. since: rows of an earlier time, of the column that readers are asked
    by, were not read; None: the history was read whole."""
    table, name = rows.shaped.rows, source.name
    if not (have := events.last_sequence(name)) or not table.height:
        return pl.repeat(True, table.height, dtype=pl.Boolean, eager=True)
    content = [column for column in table.columns if column != "known_time"]
    if source.known_time is None:
        held = events.read(name, known_after=_lowest(table))
        new = beyond(table.select(content), held.select(content))
        if source.event_id is not None and not callable(source.read):
            new |= _returned(source, table, ~new, held)
        return new
    held = events.read(name, known_after=None if since is None else since - 1)
    new = beyond(table, held.drop(SEQUENCE))
    if have > origins.ingested and new.any():
        places = new.arg_true()
        left = table[places]
        held = events.read(name, known_after=_lowest(left))
        brought = origins.brought(held)
        pushed = held.filter(~brought)
        landed = ~beyond(left.select(content), pushed.select(content))
        if source.event_id is not None:
            landed &= ~_taken_back(source.event_id, left, pushed, held.filter(brought))
        new &= ~pl.int_range(table.height, dtype=pl.UInt32, eager=True).is_in(places.filter(landed).implode())
    return new


def _taken_back(identity: str, rows: pl.DataFrame, pushed: pl.DataFrame, brought: pl.DataFrame) -> pl.Series:
    """Which rows say of a pushed event what it was before the table corrected it: they take that correction back."""
    content = [column for column in rows.columns if column != "known_time"]
    pushes = pushed.group_by(content).agg(__pushed=pl.col("known_time").max())
    corrected = brought.group_by(identity).agg(__corrected=pl.col("known_time").max())
    beside = rows.join(pushes, on=content, how="left", nulls_equal=True, maintain_order="left")
    beside = beside.join(corrected, on=identity, how="left", maintain_order="left")
    between = pl.col("__corrected").is_between("__pushed", "known_time", closed="none")
    return beside.select(between.fill_null(value=False)).to_series()


def _lowest(table: pl.DataFrame) -> int | None:
    """A known time before that of every event that these rows may be: none is known long before it happens."""
    lowest = table.get_column("event_time").dt.epoch("us").min()
    return None if lowest is None else int(lowest) - LIVE_AHEAD - 1  # type: ignore[arg-type]


def _returned(source: EventSource, table: pl.DataFrame, known: pl.Series, held: pl.DataFrame) -> pl.Series:
    """Which known rows are an event as it was once, and is again: its last correction took back the one before.

    A table that keeps what was corrected beside the correction is a log, and says the same each time. One that says
    what became known before the last version does has not come as far as that yet.
    """
    identity = source.event_id
    assert identity is not None
    content = [column for column in table.columns if column != "known_time"]
    versions = held.sort("known_time", SEQUENCE).filter(pl.col(identity).is_not_null())
    now = versions.group_by(identity).agg(
        pl.struct(content).last().alias("__now"), __latest=pl.col("known_time").last()
    )
    same = versions.group_by(content).agg(__known=pl.col("known_time").last())
    rows = table.select(content).with_columns(__row=pl.struct(content), __alone=pl.len().over(identity) == 1)
    beside = rows.join(now, on=identity, how="left", maintain_order="left")
    beside = beside.join(same, on=content, how="left", nulls_equal=True, maintain_order="left")
    differs = pl.col("__row").ne_missing(pl.col("__now"))
    again = pl.col("__alone") & differs & (pl.col("__known") >= pl.col("__latest"))
    return beside.select(again.fill_null(value=False)).to_series() & known


def continued(source: EventSource, events: EventStore, rows: Rows, origins: Origins) -> pl.Series | None:
    """Which rows of a whole history are new, where it begins with the record just as it is, as it mostly does."""
    table, have = rows.shaped.rows, events.last_sequence(source.name)
    if have != origins.ingested or table.height < have:
        return None
    if have and frame_digest(table.head(have)) != frame_digest(events.read(source.name).drop(SEQUENCE)):
        return None
    return pl.int_range(table.height, eager=True) >= have


def check_history(
    source: EventSource, events: EventStore, rows: Rows, origins: Origins, new: pl.Series, held: Sequence[str]
) -> None:
    """Refuse a whole history that does not begin with what was ingested of it.

    held: rows in quarantine; for each that is there no longer one may be new in between: it was mended
    """
    if not origins.ingested:
        return
    table = rows.shaped.rows
    columns = [name for name in table.columns if name != "known_time" or source.known_time is not None]
    record = events.read(source.name)
    brought = record.filter(origins.brought(record)).select(columns)
    old = (~beyond(table.select(columns), brought)).arg_true()
    if old.len() == brought.height:
        between = new.head(int(old[-1])).arg_true()
        if not between.len():
            return
        texts = row_texts(rows.came[new.arg_true()])
        mended = sum(beyond_texts(held, texts))
        if sum(beyond_texts(texts[: between.len()], held)) <= mended:
            return
    raise InputError(
        f"the history read now does not begin with the {brought.height} events in the record", where=source.where,
        expected="the same events, and possibly later ones",
        fix="events are never changed; ingest into a new home if the history itself was wrong",
    )  # fmt: skip
