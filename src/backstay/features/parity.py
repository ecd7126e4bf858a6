"""Parity: the features of served predictions, computed again from the events record as of their T and read watermark.

A server may have answered before an event that was already known had reached its online state. The watermark each
prediction carries says what it had read, so such a row is computed twice: from exactly that (`read`), and as it was
known at T (`known`). For all other rows both are the same, and computed once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from backstay.definitions import FeatureSet
from backstay.features.exact import Ints
from backstay.features.missed import missed_events
from backstay.features.offline import EventReader, FeatureRows, feature_rows
from backstay.features.readers import Once
from backstay.features.rows import RowEngine
from backstay.features.views import Computed

_UNLIMITED = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Recomputed:
    """The features of served rows, in their order.

    read:   from what the server had read by its watermark
    known:  from all that was known at T, read or not
    missed: the rows where these may differ; see `missed_events`
    """

    read: FeatureRows
    known: FeatureRows
    missed: pl.DataFrame


def recompute(
    features: FeatureSet, asked: pl.DataFrame, watermarks: Sequence[Mapping[str, int]], events: EventReader
) -> FeatureRows:
    """The features of each asked row from the events record, seeing no sequence above the row's watermark."""
    return recompute_twice(features, asked, watermarks, events).read


def recompute_twice(
    features: FeatureSet,
    asked: pl.DataFrame,
    watermarks: Sequence[Mapping[str, int]],
    events: EventReader,
    *,
    live: bool = False,
) -> Recomputed:
    """The features of each asked row as the server had read them, and as they were known at T.

    asked:      as `feature_rows` wants it: `at` (microseconds), the entity keys and the request-time inputs.
    watermarks: per row and source, the highest sequence that had been read; a source that is not named: nothing.
    live:       the rows were served while events came in, not in a replay; decides only which events came late.
    """
    until = int(asked.get_column("at").to_numpy().max()) if asked.height else 0
    reader = Once(events, until)
    known = feature_rows(features, asked, reader)
    marks = {
        source.name: np.array([mark.get(source.name, 0) for mark in watermarks], np.int64)
        for source in features.sources
    }
    missed = missed_events(features, asked, marks, reader, events, live=live)
    if not missed.height:
        return Recomputed(known, known, missed)
    limits = _limits(features, marks, missed)
    lagging = np.flatnonzero(np.any([limit != _UNLIMITED for limit in limits.values()], axis=0))
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, told in zip(lagging.tolist(), zip(*(limits[name][lagging].tolist() for name in limits), strict=True),
                         strict=True):  # fmt: skip
        groups.setdefault(told, []).append(row)
    narrow = _Narrow(reader, features, asked[lagging])
    computed = [_copied(one) for one in known.computed]
    for told, rows in groups.items():
        watermark = {name: limit for name, limit in zip(limits, told, strict=True) if limit != _UNLIMITED}
        part = feature_rows(features, asked[rows], narrow, watermark=watermark)
        for whole, one in zip(computed, part.computed, strict=True):
            _put(whole, rows, one)
    requests = asked.select("at", *(feature.name for feature in features.requests))
    return Recomputed(FeatureRows(RowEngine(features).rows(computed, requests), computed), known, missed)


def _limits(features: FeatureSet, marks: Mapping[str, Ints], missed: pl.DataFrame) -> dict[str, Ints]:
    """By source, a sequence limit for each row that shows it what it had read, with few different limits.

    Any limit from the watermark up to the event before the first missed one does: between them lies nothing that the
    row can see. So a few limits that stab all these ranges serve all rows.
    """
    out = {}
    for name, mark in marks.items():
        views = [place for place, view in enumerate(features.views) if view.source.name == name]
        first = (
            missed.filter(pl.col("view").is_in(views)).group_by("row").agg(pl.col("sequence").min()).sort("sequence")
        )
        limit = np.full(len(mark), _UNLIMITED)
        chosen = -1
        for row, sequence in first.iter_rows():
            if mark[row] > chosen:
                chosen = sequence - 1
            limit[row] = chosen
        out[name] = limit
    return out


def _copied(one: Computed) -> Computed:
    return Computed(one.values.copy(), one.statuses.copy(), one.event_time.copy(), dict(one.coded))


def _put(whole: Computed, rows: list[int], part: Computed) -> None:
    """Replace some rows."""
    whole.values[rows], whole.statuses[rows] = part.values, part.statuses
    whole.event_time[rows] = part.event_time
    for place, words in part.coded.items():
        source = np.arange(len(whole.event_time))
        source[rows] = np.arange(len(rows)) + len(source)
        whole.coded[place] = pl.concat([whole.coded[place], words], rechunk=True).gather(source)


class _Narrow(Once):
    """The events of the entities that some rows ask for; of sources with corrections all, which may change entities."""

    def __init__(self, reader: Once, features: FeatureSet, asked: pl.DataFrame) -> None:
        super().__init__(reader, 0)
        for source in features.sources:
            table = reader.read(source.name)
            keys = [list(view.entity.keys) for view in features.views if view.source is source]
            if source.event_id is None and all(keys):
                numbered = table.with_row_index("__place")
                wanted = [numbered.join(asked.select(one).unique(), on=one, how="semi") for one in keys]
                places = pl.concat([one.get_column("__place") for one in wanted]).unique().sort()
                table = table[places]
            self.tables[source.name] = table
