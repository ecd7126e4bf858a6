"""Parity: the features of served predictions, computed again from the events record as of their T and read watermark.

A server may have answered before an event that was already known had reached its online state. The watermark each
prediction carries says what it had read, so such a row is computed from exactly that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import FeatureSet
from backstay.features.offline import EventReader, FeatureRows, feature_rows
from backstay.features.rows import RowEngine

_NEVER = np.iinfo(np.int64).max


def recompute(
    features: FeatureSet, asked: pl.DataFrame, watermarks: Sequence[Mapping[str, int]], events: EventReader
) -> FeatureRows:
    """The features of each asked row from the events record, seeing no sequence above the row's watermark."""
    until = int(asked.get_column("at").to_numpy().max()) if asked.height else 0
    reader = _Once(events, until)
    lagging = _lagging(features, asked.get_column("at").to_numpy(), watermarks, reader)
    groups: dict[tuple[tuple[str, int], ...] | None, list[int]] = {}
    for place, late in enumerate(lagging):
        mark = tuple(sorted(watermarks[place].items())) if late else None
        groups.setdefault(mark, []).append(place)
    if len(groups) == 1:
        (mark,) = groups
        return feature_rows(features, asked, reader, watermark=dict(mark) if mark else None)
    engine = RowEngine(features)
    computed = [plan.compute(plan.nothing(asked.height), asked.get_column("at").to_numpy()) for plan in engine.plans]
    for mark, places in groups.items():
        part = feature_rows(features, asked[places], reader, watermark=dict(mark) if mark else None)
        for whole, one in zip(computed, part.computed, strict=True):
            whole.values[places], whole.statuses[places] = one.values, one.statuses
            whole.event_time[places] = one.event_time
    requests = asked.select("at", *(feature.name for feature in features.requests))
    return FeatureRows(engine.rows(computed, requests), computed)


def _lagging(
    features: FeatureSet, at: npt.NDArray[np.int64], watermarks: Sequence[Mapping[str, int]], events: EventReader
) -> npt.NDArray[np.bool_]:
    """Which rows had not read an event that was known at their T: only for these does the watermark matter."""
    out = np.zeros(len(at), bool)
    for source in features.sources:
        known = events.read(source.name, columns=["known_time", "sequence"])
        sequence = known.get_column("sequence").to_numpy()
        earliest = np.append(
            np.minimum.accumulate(known.get_column("known_time").dt.epoch("us").to_numpy()[::-1])[::-1], _NEVER
        )
        marks = np.array([mark.get(source.name, 0) for mark in watermarks], np.int64)
        out |= earliest[np.searchsorted(sequence, marks, "right")] <= at
    return out


class _Once:
    """Reads each source once, up to a moment, and answers the reads of all groups from it."""

    def __init__(self, events: EventReader, until: int) -> None:
        self._events, self._until = events, until
        self._tables: dict[str, pl.DataFrame] = {}

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        if source not in self._tables:
            self._tables[source] = self._events.read(source, known_until=self._until)
        table = self._tables[source]
        bounds: list[Any] = []
        if sequence_until is not None:
            bounds.append(pl.col("sequence") <= sequence_until)
        if known_until is not None:
            bounds.append(pl.col("known_time").dt.epoch("us") <= known_until)
        if known_after is not None:
            bounds.append(pl.col("known_time").dt.epoch("us") > known_after)
        table = table.filter(bounds) if bounds else table
        return table if columns is None else table.select(columns)
