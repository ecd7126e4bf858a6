"""What a served row missed: events of its entity that were known at its T, and that its server had not read.

Why it missed them is seen in the order of the record, as far as it is, for the record does not say when an event was
appended. Known times of events that are stamped as they come never go back by more than clocks disagree; so an event
numbered after one that became known later was back-dated, and was appended some time between the stamped events around
it. In a live record so may one be whose known time is by its source's declared delay.

    late      back-dated, and behind an event that was stamped after T: the server could not have read it
    in time   stamped, or before an event that was stamped by T: it was in the record, and had not reached the online
              state
    open      back-dated, with no stamp around it that tells: an ingest between two predictions, say
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from backstay.core.times import SECOND
from backstay.definitions import EventSource, FeatureSet, View
from backstay.features.cells import micros
from backstay.features.exact import Ints
from backstay.features.offline import EventReader

_NEVER, _LONG_AGO = np.iinfo(np.int64).max, np.iinfo(np.int64).min
_CLOCKS = SECOND
"""How far the clocks of two writers may be apart."""
_CHUNK = 1_000
SCHEMA = {
    "row": pl.Int64(), "view": pl.Int64(), "events": pl.Int64(), "late": pl.Int64(), "open": pl.Int64(),
    "sequence": pl.Int64(), "known_time": pl.Int64(),
}  # fmt: skip


def missed_events(
    features: FeatureSet,
    asked: pl.DataFrame,
    marks: Mapping[str, Ints],
    read: EventReader,
    record: EventReader,
    *,
    live: bool,
) -> pl.DataFrame:
    """One line for each (row, view) that missed events; columns as in `SCHEMA`.

    marks:  by source, the watermark of each row
    read:   the events known by the last T
    record: all events, for what their order tells
    events, late, open:    how many events were missed, how many of these came late, and of how many nothing tells
    sequence, known_time:  of the first one missed; microseconds
    """
    found = [pl.DataFrame(schema=SCHEMA)]
    order: dict[str, pl.DataFrame] = {}
    for place, view in enumerate(features.views):
        source = view.source
        rows = _candidates(view, asked, marks[source.name], read)
        if not rows.height:
            continue
        events = _touching(view, read, int(rows.get_column("mark").min()))  # type: ignore[arg-type]
        rows = _lagging(view, rows, events)
        if not rows.height:
            continue
        if source.name not in order:
            order[source.name] = _order(source, record, live=live)
        events = events.join(order[source.name], on="sequence", how="left")
        found += [_told(view, rows[start : start + _CHUNK], events, place) for start in range(0, rows.height, _CHUNK)]
    return pl.concat(found)


def _candidates(view: View, asked: pl.DataFrame, marks: Ints, read: EventReader) -> pl.DataFrame:
    """The rows whose server had not read some event, of any entity, that was known at T."""
    times = read.read(view.source.name, columns=["known_time", "sequence"])
    earliest = np.append(np.minimum.accumulate(micros(times, "known_time")[::-1])[::-1], _NEVER)
    after = np.searchsorted(times.get_column("sequence").to_numpy(), marks, "right")
    rows = asked.select("at", *view.entity.keys).with_columns(mark=pl.Series(marks)).with_row_index("row")
    return rows.filter(earliest[after] <= asked.get_column("at").to_numpy()).with_columns(pl.col("row").cast(pl.Int64))


def _touching(view: View, read: EventReader, after: int) -> pl.DataFrame:
    """Events above a sequence, by the entities that they concern: a correction concerns those of all its versions."""
    keys, identity = list(view.entity.keys), view.source.event_id
    columns = dict.fromkeys(["known_time", "sequence", *keys, *([identity] if identity else [])])
    table = read.read(view.source.name, columns=list(columns))
    events = table.filter(pl.col("sequence") > after)
    if identity and keys:
        entities = table.filter(pl.col(identity).is_not_null()).select(list(dict.fromkeys([identity, *keys])))
        moved = events.select("known_time", "sequence", identity).join(
            entities.rename({key: f"__{key}" for key in keys}).with_columns(entities.get_column(identity)).unique(),
            on=identity,
        )
        moved = moved.select("known_time", "sequence", **{key: pl.col(f"__{key}") for key in keys})
        events = pl.concat([events.select(moved.columns), moved]).unique()
    events = events.drop_nulls(keys) if keys else events
    return events.select(pl.col("known_time").to_physical(), "sequence", *keys).sort("sequence")


def _lagging(view: View, rows: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """The rows that missed an event of their own entity."""
    keys = list(view.entity.keys)
    earliest = pl.col("known_time").reverse().cum_min().reverse()
    events = events.with_columns(earliest=earliest.over(keys) if keys else earliest)
    wanted = rows.with_columns(after=pl.col("mark") + 1).sort("after", maintain_order=True)
    found = wanted.join_asof(
        events.select("sequence", "earliest", *keys), left_on="after", right_on="sequence", by=keys or None,
        strategy="forward", check_sortedness=False,
    )  # fmt: skip
    return found.filter(pl.col("earliest") <= pl.col("at")).select(rows.columns)


def _told(view: View, rows: pl.DataFrame, events: pl.DataFrame, place: int) -> pl.DataFrame:
    keys = list(view.entity.keys)
    pairs = rows.join(events, on=keys) if keys else rows.join(events, how="cross")
    pairs = pairs.filter(pl.col("sequence") > pl.col("mark"), pl.col("known_time") <= pl.col("at"))
    dated = pl.col("behind") & (pl.col("stamped_after") > pl.col("at"))
    late = pl.col("stamped_before") > pl.col("at") + _CLOCKS
    return (
        pairs.sort("row", "sequence")
        .group_by("row", maintain_order=True)
        .agg(
            view=pl.lit(place, pl.Int64),
            events=pl.len().cast(pl.Int64),
            late=(dated & late).sum().cast(pl.Int64),
            open=(dated & ~late).sum().cast(pl.Int64),
            sequence=pl.col("sequence").first(),
            known_time=pl.col("known_time").first(),
        )
        .select(list(SCHEMA))
    )


def _order(source: EventSource, record: EventReader, *, live: bool) -> pl.DataFrame:
    """For each sequence, whether its known time is no stamp (`behind`), and the stamps of events before and after it:
    the latest and the earliest."""
    times = record.read(source.name, columns=["event_time", "known_time", "sequence"])
    known = micros(times, "known_time")
    before = np.append(_LONG_AGO, np.maximum.accumulate(known)[:-1])[: len(known)]
    behind = known < np.maximum(before, _LONG_AGO + _CLOCKS) - _CLOCKS
    if live and source.known_time is None:
        behind |= known - micros(times, "event_time") == source.delay
    stamped = np.append(_LONG_AGO, np.maximum.accumulate(np.where(behind, _LONG_AGO, known))[:-1])[: len(known)]
    stamps = np.where(behind, _NEVER, known)
    after = np.append(np.minimum.accumulate(stamps[::-1])[::-1][1:], _NEVER)[: len(known)]
    numbers = times.get_column("sequence")
    return pl.DataFrame({"sequence": numbers, "behind": behind, "stamped_before": stamped, "stamped_after": after})
