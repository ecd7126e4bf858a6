"""The impact of events that were wrong: which features, versions and predictions rest on them.

"The weather of last Tuesday was wrong": which decisions were made with it? A prediction *used* an event of a source
if, at its T and with what its server had read, the event lay in the window of one of its windowed features, or was the
last one that a latest value is of. That is decided by the same kernel that made the features: once over the whole
record, and once over the events in question alone, whose last visible event tells both.

A version was *trained with* such events if they were in the tables it was trained on, and known by then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import EventSource, FeatureSet, Model
from backstay.definitions.lineage import lineage
from backstay.features.offline import FeatureRows
from backstay.features.parity import recompute
from backstay.lifecycle.records import Records
from backstay.lifecycle.verify import asked_frame
from backstay.registry.versions import ModelVersion
from backstay.storage.ports import EventStore
from backstay.storage.predictions import Prediction

_GROUP = 50_000
"""Predictions that are looked at together."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """The events in question: of one source, in [since, until) by event time, or by the time they became known.

    column: only what is made of this column; None: of any
    """

    source: EventSource
    since: int
    until: int
    column: str | None = None
    by_known_time: bool = False

    def rows(self) -> pl.Expr:
        """Which events these are."""
        time = pl.col("known_time" if self.by_known_time else "event_time").to_physical()
        return (time >= self.since) & (time < self.until)


@dataclass(slots=True)
class Used:
    """The predictions of one model that used them.

    checked: those that could have, and were looked at; what shadows said answered nobody, and is not among them
    numbers: by version, how many used them
    ids:     of those that did, in the order they were logged
    unknown: those that could not be looked at: they brought their inputs, or were served from another definition
    """

    model: str
    features: list[str]
    checked: int = 0
    used: int = 0
    numbers: dict[int, int] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None
    ids: list[str] = field(default_factory=list)
    unknown: int = 0

    def as_dict(self) -> dict[str, Any]:
        ends = {"first": self.first, "last": self.last}
        times = {name: None if at is None else instant_text(at) for name, at in ends.items()}
        return {
            "model": self.model, "features": self.features, "checked": self.checked, "used": self.used,
            "by_version": {str(number): count for number, count in sorted(self.numbers.items())}, **times,
            "unknown": self.unknown,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Impact(Shown):
    """What rests on the events in question.

    events:   how many there are
    versions: those that were trained with them
    deployed: of each of those, when it was champion: [from, until), in microseconds; None: still
    used:     by model, the predictions that used them
    """

    source: str
    column: str | None
    since: int
    until: int
    events: int
    versions: tuple[ModelVersion, ...]
    deployed: tuple[tuple[tuple[int, int | None], ...], ...]
    used: tuple[Used, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "source": self.source, "column": self.column, "since": instant_text(self.since),
            "until": instant_text(self.until), "events": self.events,
            "trained_with": [
                {"version": f"{one.model}/{one.number}", "champion": [[_text(at) for at in span] for span in spans]}
                for one, spans in zip(self.versions, self.deployed, strict=True)
            ],
            "models": [one.as_dict() for one in self.used],
        }  # fmt: skip


def impact(records: Records, models: Sequence[Model], wrong: Wrong) -> Impact:
    """What rests on some events; models whose features do not read the source (or the column) are left out."""
    if wrong.column is not None and wrong.column not in wrong.source.schema:
        raise InputError(
            f"source {wrong.source.name!r} has no column {wrong.column!r}",
            where="column",
            expected=f"one of {', '.join(wrong.source.schema)}",
        )
    table = records.events.read(wrong.source.name, columns=["event_time", "known_time", "sequence"])
    events = table.filter(wrong.rows())
    used = []
    for model in models:
        reached = reached_features(model.features, wrong.source, wrong.column)
        if reached and events.height:
            used.append(_used(records, model, wrong, reached, events))
        elif reached:
            used.append(Used(model.name, reached))
    trained = tuple(_trained(records, models, wrong, events))
    deployed = tuple(tuple(_periods(records, one)) for one in trained)
    return Impact(
        wrong.source.name, wrong.column, wrong.since, wrong.until, events.height, trained, deployed, tuple(used)
    )


def _text(at: int | None) -> str | None:
    return None if at is None else instant_text(at)


def _periods(records: Records, version: ModelVersion) -> Iterator[tuple[int, int | None]]:
    """When a version was champion."""
    moves = records.registry.history(version.model, "champion")
    for place, move in enumerate(moves):
        if move.to == version.number:
            yield move.at, moves[place + 1].at if place + 1 < len(moves) else None


def reached_features(features: FeatureSet, source: EventSource, column: str | None) -> list[str]:
    """The features that are made of a source (of one of its columns), directly or through others, in their order."""
    out: list[str] = []
    for feature in features:
        for name, origin in lineage(features.views, feature):
            if (origin is source and column in (None, name)) or (origin is None and name in out):
                out.append(feature.name)
                break
    return out


def _used(records: Records, model: Model, wrong: Wrong, reached: list[str], events: pl.DataFrame) -> Used:
    out = Used(model.name, reached)
    numbers = {one.digest: one.number for one in records.registry.versions(model.name)}
    begin = int(events.get_column("event_time").to_physical().min())  # type: ignore[arg-type]
    first = int(events.get_column("sequence").min())  # type: ignore[arg-type]
    answered = (one for one in records.predictions.scan(model=model.name, since=begin + 1) if one.answered)
    for group in _groups(answered):
        known = [one for one in group if one.feature_set == model.features.hash and not (one.given or one.degraded)]
        out.unknown += len(group) - len(known)
        reading = [one for one in known if one.watermark.get(wrong.source.name, 0) >= first]
        out.checked += len(reading)
        if not reading:
            continue
        for prediction, did in zip(reading, _which(records, model, wrong, reading), strict=True):
            if did:
                number = numbers.get(prediction.version, 0)
                out.used += 1
                out.numbers[number] = out.numbers.get(number, 0) + 1
                out.first = prediction.at if out.first is None else min(out.first, prediction.at)
                out.last = prediction.at if out.last is None else max(out.last, prediction.at)
                out.ids.append(prediction.id)
    return out


def _which(records: Records, model: Model, wrong: Wrong, group: list[Prediction]) -> npt.NDArray[np.bool_]:
    """Whether each prediction used one of the events."""
    asked, marks = asked_frame(model, group), [one.watermark for one in group]
    whole = recompute(model.features, asked, marks, records.events)
    alone = recompute(model.features, asked, marks, _Only(records.events, wrong))
    at = asked.get_column("at").to_numpy()
    out = np.zeros(len(group), bool)
    for place, view in enumerate(model.features.views):
        if view.source is wrong.source:
            out |= _in_view(model.features, place, wrong, at, whole, alone)
    return out


def _in_view(
    features: FeatureSet, view: int, wrong: Wrong, at: npt.NDArray[np.int64], whole: FeatureRows, alone: FeatureRows
) -> npt.NDArray[np.bool_]:
    """The rows that have one of the events in the longest window of a view, or for its last event."""
    read = [
        feature
        for feature in features
        if feature.view == view
        and (wrong.column is None or wrong.column in [name for name, _ in lineage(features.views, feature)])
    ]
    last = alone.computed[view].event_time  # of the events in question, the last that is visible; -1: none is
    out = np.zeros(len(at), bool)
    begins = [at - one.window if one.hop is None else (at - one.window) // one.hop * one.hop
              for one in read if one.window is not None]  # fmt: skip
    if begins:
        out |= (last >= 0) & (last >= np.minimum.reduce(begins))
    if any(one.window is None for one in read):
        out |= (last >= 0) & (last == whole.computed[view].event_time)
    return out


def _trained(records: Records, models: Sequence[Model], wrong: Wrong, events: pl.DataFrame) -> Iterator[ModelVersion]:
    """The versions that had some of the events in their tables, known by their moment."""
    known = events.get_column("known_time").to_physical().to_numpy()
    sequence = events.get_column("sequence").to_numpy()
    for model in models:
        for version in records.registry.versions(model.name):
            data, source = version.manifest.dataset, wrong.source.name
            if version.origin is not None or data.sources.get(source, -1) < 0:
                continue
            last = records.events.seal(source, data.sources[source]).last
            if ((sequence <= last) & (known <= data.as_of)).any():
                yield version


def _groups(predictions: Iterator[Prediction]) -> Iterator[list[Prediction]]:
    group: list[Prediction] = []
    for one in predictions:
        group.append(one)
        if len(group) == _GROUP:
            yield group
            group = []
    if group:
        yield group


class _Only:
    """The record with nothing of one source but some of its events."""

    def __init__(self, events: EventStore, wrong: Wrong) -> None:
        self._events, self._wrong = events, wrong

    def read(
        self,
        source: str,
        *,
        columns: Sequence[str] | None = None,
        known_until: int | None = None,
        known_after: int | None = None,
        sequence_until: int | None = None,
    ) -> pl.DataFrame:
        found = self._events.read(
            source, columns=columns, known_until=known_until, known_after=known_after, sequence_until=sequence_until
        )
        return found.filter(self._wrong.rows()) if source == self._wrong.source.name else found
