"""What would have been answered, had one input been as it should: found in the records, and computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import NotFoundError
from backstay.core.times import instant_text
from backstay.definitions import EventSource, Feature, Model
from backstay.features.offline import EventReader, feature_rows
from backstay.features.parity import recompute_twice
from backstay.features.views import Status
from backstay.investigation.case import Inputs, Replay, Rows
from backstay.investigation.inputs import Lag, Rescaled, differing, lagging, rescaled_since
from backstay.investigation.mixtures import mixed_units, off_by_hours
from backstay.investigation.verdicts import Cause
from backstay.lifecycle.records import Records
from backstay.lifecycle.why.rows import Answered, Judged, of_asked

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Answer = Callable[[Inputs], Floats]
Change = Callable[[pl.DataFrame], pl.DataFrame]

_GONE = (Status.MISSING, Status.UNAVAILABLE)
"""Statuses of a value that was not there when it was served, though its entity may have had one."""


@dataclass(slots=True)
class Amended:
    """The events record as of a moment, with some sources changed as they are read."""

    events: EventReader
    changes: Mapping[str, Change]
    as_of: int

    def read(
        self, source: str, *, columns: Sequence[str] | None = None, known_until: int | None = None,
        known_after: int | None = None, sequence_until: int | None = None,
    ) -> pl.DataFrame:  # fmt: skip
        if source not in self.changes:
            return self.events.read(
                source, columns=columns, known_until=known_until, known_after=known_after,
                sequence_until=sequence_until,
            )  # fmt: skip
        table = self.changes[source](self.events.read(source, known_until=self.as_of, sequence_until=sequence_until))
        if known_until is not None:
            table = table.filter(pl.col("known_time").dt.epoch("us") <= known_until)
        return table if columns is None else table.select(columns)


@dataclass(slots=True)
class Replays:
    """Computes the answers to the rows of both sides again."""

    records: Records
    model: Model
    one: Answered
    judged: Judged
    online: Rows
    offline: Rows
    answer: Answer
    as_of: int
    known: Inputs = field(init=False)
    statuses: Bytes = field(init=False)
    base: Floats = field(init=False)
    read: Inputs = field(init=False)

    def __post_init__(self) -> None:
        again = recompute_twice(
            self.model.features, self.one.frame, [row.watermark for row in self.one.found], self.records.events,
            live=not self.one.found[0].replayed,
        )  # fmt: skip
        self.known = again.known.rows.vector()
        self.read = again.read.rows.vector()
        self.statuses = self._of_vector(again.known.rows.statuses)
        self.base = self._scored(self.known)

    def all(self) -> Iterator[Replay]:
        """Every mend that the records call for."""
        yield from self._store()
        yield from self._fields()
        yield from self._sources()

    def _store(self) -> Iterator[Replay]:
        """What was known at T, where it is not what was served: a value that was gone, or one that was old."""
        differs = ~_same(self.online.vector, self.known) | (
            (self.online.statuses != self.statuses) & _changes(self.online.vector, self.known)
        )
        rows = differs.any(axis=1)
        if not rows.any():
            return
        gone = differs & np.isin(self.online.statuses, _GONE) & (self.statuses == Status.OK)
        stored = np.array([f.kind not in ("request", "derived") for f in self._vector()])
        base = differs & stored
        many = np.maximum((base if base.any() else differs).sum(axis=1), 1)
        missing = rows & (gone[:, stored].sum(axis=1) * 2 >= many) & gone.any(axis=1)
        degraded = np.array([one.degraded for one in self.one.found])
        missing = (missing & ~self._behind() & (degraded != "last_known")) | (rows & (degraded == "defaults"))
        for cause, chosen, why in (
            (Cause.DEFAULT, missing, "values that were known were not there when they were served"),
            (Cause.STALE, rows & ~missing, "values were older than what was known at their moment"),
        ):
            if chosen.any():
                names = self._names(differs[chosen])
                evidence = {"differing": int(chosen.sum()), "features": list(names)}
                yield self._online(cause, self.known, chosen, names, f"{_listed(names)}: {why}", None, evidence)

    def _behind(self) -> Bools:
        """Which rows are what a server that had read something, and not all, could say: what is gone there is old."""
        names = [source.name for source in self.model.features.sources]
        begun = [all(one.watermark.get(name, 0) > 0 for name in names) for one in self.one.found]
        return np.array(begun) & _same(self.online.vector, self.read).all(axis=1)

    def _fields(self) -> Iterator[Replay]:
        """Request-time inputs that are not as the asked events have them, or came in another unit."""
        requests = self.model.features.requests
        if not requests:
            return
        columns = {one.name: self.model.ask.fields.get(one.name, one.name) for one in requests}
        recorded = of_asked(self.records, self.model, self.one.frame, [*columns.values(), "event_time"], self.as_of)
        there = recorded.get_column("_there").fill_null(value=False).to_numpy()
        for one in requests:
            served = _numbers(self.one.frame.get_column(one.name))
            if served is None:
                continue
            time = isinstance(one.dtype, pl.Datetime)
            right = _numbers(recorded.get_column(columns[one.name]))
            found = None
            if right is not None and there.any():
                held = np.where(there, right, served)
                null = there & ~np.isfinite(right)
                found = differing(one.name, np.where(null, np.nan, served), np.where(null, np.nan, held), time=time)
            if found is not None and found.cause is not None and right is not None:
                mended = np.where(found.rows, right, served)
                frame = self.one.frame.with_columns(_column(one, mended))
                yield self._again(found.cause, frame, None, (one.name,), found.why, found.evidence)
            elif found is None:
                yield from self._alone(one, served, time=time)

    def _alone(self, one: Feature, served: Floats, *, time: bool) -> Iterator[Replay]:
        """An input that nothing but its own past tells of."""
        at = self.online.at
        before = _numbers(self.judged.frame.get_column(one.name))
        if before is None:
            return
        if time:
            off = off_by_hours(before - self.offline.at, served - at)
            if off is not None:
                mended = np.where(off[1], served - off[0] * 3_600e6, served)
                why = f"`{one.name}` came {off[0]:+d} h from what it was in {np.mean(off[1]):.0%} of the rows"
                frame = self.one.frame.with_columns(_column(one, mended))
                yield self._again(Cause.TIME_ZONE, frame, None, (one.name,), why, {"hours": off[0]})
                return
            known = np.isfinite(served), np.isfinite(before)
            lag = lagging(
                (self.offline.at[known[1]], before[known[1]].astype(np.int64)),
                (at[known[0]], served[known[0]].astype(np.int64)),
            )
            if lag is not None and abs(lag.seconds / 3600 - round(lag.seconds / 3600)) < 0.02:
                hours = round(lag.seconds / 3600)
                mended = np.where(at >= lag.since, served - hours * 3_600e6, served)
                why = f"`{one.name}` came {hours:+d} h from what it was"
                frame = self.one.frame.with_columns(_column(one, mended))
                yield self._again(Cause.TIME_ZONE, frame, None, (one.name,), why, {"hours": hours}, lag.since)
            return
        found = rescaled_since(one.name, before, at, served)
        if found is not None:
            mended = np.where(at >= found.since, served * found.ratio + found.offset, served)
            frame = self.one.frame.with_columns(_column(one, mended))
            yield self._again(Cause.UNITS, frame, None, (one.name,), _dated(found), _told(found), found.since)
            return
        share = mixed_units(before, served)
        if share is not None:
            frame = self.one.frame.with_columns(_column(one, np.where(share.rows, served / share.factor, served)))
            why = (
                f"`{one.name}` came about {share.factor:.4g} times as large as before in {share.share:.0%} of the rows"
            )
            told = {"factor": share.factor, "share": share.share}
            yield self._again(Cause.UNITS, frame, None, (one.name,), why, told)

    def _sources(self) -> Iterator[Replay]:
        """Sources whose columns came in another unit, or whose events became known later, or at another hour."""
        for source in self.model.features.sources:
            try:
                table = self.records.events.read(source.name, known_until=self.as_of)
            except NotFoundError:
                continue
            event, known = (table.get_column(name).to_physical().to_numpy() for name in ("event_time", "known_time"))
            begin = self._served_since()
            past, now = event < min(begin, self.judged.until), (event >= begin) & (event < self.one.found[-1].at)
            if not past.any() or not now.any():
                continue
            yield from self._units(source, table, event, past, now)
            lag = lagging((event[past], known[past]), (event[now], known[now]))
            if lag is not None:
                yield from self._lagging(source, lag)

    def _served_since(self) -> int:
        """From when on events were live: since the version's rows were judged."""
        return self.judged.until

    def _units(
        self, source: EventSource, table: pl.DataFrame, event: npt.NDArray[np.int64], past: Bools, now: Bools
    ) -> Iterator[Replay]:
        views = [view for view in self.model.features.views if view.source is source]
        used = {name for view in views for value in view.values for name in value.expression.meta.root_names()}
        for name in sorted(used):
            values = _numbers(table.get_column(name)) if table.schema[name].is_numeric() else None
            found = None if values is None else rescaled_since(name, values[past], event[now], values[now])
            if found is None:
                continue
            after = pl.col("event_time").to_physical() >= found.since
            scaled = (pl.col(name) * found.ratio + found.offset).cast(table.schema[name])
            change = pl.when(after).then(scaled).otherwise(pl.col(name)).alias(name)
            amended = self._amended(source, partial(_with, change))
            why = _dated(found).replace(f"`{name}`", f"`{source.name}.{name}`")
            yield self._again(Cause.UNITS, self.one.frame, amended, (), why, _told(found), found.since)

    def _lagging(self, source: EventSource, lag: Lag) -> Iterator[Replay]:
        since = pl.col("event_time").to_physical() >= lag.since
        told = {
            "source": source.name, "lag_before_seconds": lag.before, "lag_more_seconds": lag.seconds,
            "since": instant_text(lag.since),
        }  # fmt: skip
        if lag.hours:
            moved = pl.col("event_time") + pl.duration(hours=pl.when(since).then(lag.hours).otherwise(0))
            amended = self._amended(source, lambda frame: frame.with_columns(event_time=moved))
            why = f"events of `{source.name}` are stamped {-lag.hours:+d} h from when they happened"
            told["hours"] = -lag.hours
            yield self._again(Cause.TIME_ZONE, self.one.frame, amended, (), why, told, lag.since)
        elif lag.seconds > 0.0:
            slow = pl.col("known_time") - pl.col("event_time") > pl.duration(
                microseconds=round((lag.before + lag.seconds / 2) * 1e6)
            )
            later = _span(lag.seconds)
            span = pl.duration(microseconds=round(lag.seconds * 1e6))
            if lag.always:
                changed = self._amended(source, lambda frame: frame.with_columns(
                    known_time=pl.when(slow).then("known_time").otherwise(pl.col("known_time") + span)
                ))  # fmt: skip
                why = f"events of `{source.name}` become known {later} later than the rows that judged it had them"
                yield from self._as_late(changed, why, told, lag)
            else:
                changed = self._amended(source, lambda frame: frame.with_columns(
                    known_time=pl.when(since & slow).then(pl.col("known_time") - span).otherwise("known_time")
                ))  # fmt: skip
                why = f"events of `{source.name}` come {later} later than before"
                yield self._again(Cause.STALE, self.one.frame, changed, (), why, told, lag.since)

    def _as_late(self, events: Amended, why: str, told: Mapping[str, object], lag: Lag) -> Iterator[Replay]:
        """The offline rows, knowing no more than those online."""
        rows = feature_rows(self.model.features, self.judged.frame, events).rows
        vector = rows.vector()
        differs = ~_same(vector, self.offline.vector)
        changed = np.asarray(differs.any(axis=1), np.bool_)
        score = np.where(changed, self._scored(vector), self.offline.score)
        names = self._names(differs[changed]) if changed.any() else ()
        yield Replay(Cause.LATE_JOIN, "offline", score, vector, changed, names, why, None, lag.since, told)

    def _amended(self, source: EventSource, change: Change) -> Amended:
        return Amended(self.records.events, {source.name: change}, self.as_of)

    def _again(
        self, cause: Cause, frame: pl.DataFrame, events: EventReader | None, features: tuple[str, ...], why: str,
        evidence: Mapping[str, object], since: int | None = None,
    ) -> Replay:  # fmt: skip
        """The online rows, computed again from another frame or other events; held against what the record has."""
        rows = feature_rows(self.model.features, frame, events or self.records.events).rows
        vector = rows.vector()
        differs = ~_same(vector, self.known)
        changed = np.asarray(differs.any(axis=1), np.bool_)
        names = features or (self._names(differs[changed]) if changed.any() else ())
        score = np.where(changed, self._scored(vector), self.base)
        return Replay(cause, "online", score, vector, changed, names, why, self.base, since, evidence)

    def _online(
        self, cause: Cause, vector: Inputs, changed: Bools, names: tuple[str, ...], why: str, since: int | None,
        evidence: Mapping[str, object],
    ) -> Replay:  # fmt: skip
        score = np.where(changed, self._scored(vector), self.online.score)
        return Replay(cause, "online", score, vector, changed, names, why, None, since, evidence)

    def _scored(self, vector: Inputs) -> Floats:
        return self.answer(vector)

    def _vector(self) -> list[Feature]:
        by_name = {feature.name: feature for feature in self.model.features}
        return [by_name[name] for name in self.model.features.vector]

    def _of_vector(self, statuses: Bytes) -> Bytes:
        places = {feature.name: place for place, feature in enumerate(self.model.features)}
        return np.ascontiguousarray(statuses[:, [places[name] for name in self.model.features.vector]])

    def _names(self, differs: Bools) -> tuple[str, ...]:
        """The inputs that differ, the one that does in most rows first."""
        counts = differs.sum(axis=0)
        order = np.argsort(-counts, kind="stable")
        return tuple(self.model.features.vector[place] for place in order.tolist() if counts[place])


def _with(change: pl.Expr, table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(change)


def _same(one: Inputs, other: Inputs) -> Bools:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)), np.bool_)


def _changes(one: Inputs, other: Inputs) -> Bools:
    return ~_same(one, other)


def _numbers(column: pl.Series) -> Floats | None:
    """A column as numbers, null as NaN; None where it is of texts."""
    if isinstance(column.dtype, pl.Datetime):
        column = column.to_physical()
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return None
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _column(one: Feature, values: Floats) -> pl.Series:
    """Numbers as a request-time input of its type."""
    column = pl.Series(one.name, values).fill_nan(None)
    if isinstance(one.dtype, pl.Datetime):
        return column.cast(pl.Int64).cast(one.dtype)
    if one.dtype.is_integer():
        column = column.round()
    return column.cast(one.dtype)


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(f"`{name}`" for name in names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"


def _span(seconds: float) -> str:
    """A length of time for people.

    >>> _span(90.0), _span(9_000.0), _span(400_000.0)
    ('1.5 minutes', '2.5 hours', '4.6 days')
    """
    for name, unit in (("days", 86_400.0), ("hours", 3_600.0)):
        if seconds >= 2.0 * unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 60.0:.1f} minutes"


def _dated(found: Rescaled) -> str:
    return f"{found.why}, from {instant_text(found.since)[:16]} on"


def _told(found: Rescaled) -> dict[str, object]:
    return {"ratio": found.ratio, "offset": found.offset, "since": instant_text(found.since)}
