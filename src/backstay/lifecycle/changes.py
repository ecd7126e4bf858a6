"""What changed around a model in a stretch of time: what was deployed, decided and defined; sources that lagged.

It is read from the records after the fact, so it is complete as far as they are: what somebody changed elsewhere (an
upstream pipeline, a client) is in none of them, and shows only as events that are late, in quarantine or missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from backstay.core.errors import BackstayError
from backstay.core.show import Shown
from backstay.core.times import DAY, duration_text, instant_text
from backstay.definitions import EventSource, Model
from backstay.features.contracts import late
from backstay.lifecycle.records import Records
from backstay.storage.ports import Entry

BEFORE = DAY
"""How long before an onset is looked at."""
_LAST = 28 * DAY
_SAID: Mapping[str, Callable[[Entry], str]] = {
    "alias": lambda one: f"alias {one.subject.rpartition('/')[2]} moved to version {one.body['to']}",
    "version": lambda one: f"version {one.body.get('number')} was registered",
    "route": lambda one: f"the route was set: {one.body.get('why')}",
    "rule": lambda one: f"another calibration or threshold is in force for {one.subject}: {one.body.get('why')}",
    "rollout": lambda one: f"rollout of version {one.body.get('number')}: {one.body.get('stage')}",
    "experiment": lambda one: f"experiment {one.body.get('name', '')}: {one.body.get('state')}",
    "retrain": lambda one: f"a training began, due by {one.body.get('trigger', {}).get('reason', 'cadence')}",
    "override": lambda one: f"check {one.body.get('check')} of {one.subject} was overridden",
    "approval": lambda one: f"{one.subject} was judged by a person: {one.body.get('decision')}",
    "serving": lambda one: f"{one.subject} was taken out of service, or back",
    "server": lambda one: f"a server started, of backstay {one.body.get('packages', {}).get('backstay')}",
}
"""Kinds of entries that change what customers get, or may, and what each says."""
_PROJECT = ("server",)
"""Those among them that are of the whole project, and not of one model."""


@dataclass(frozen=True, slots=True)
class Change(Shown):
    """Something that changed: when (microseconds UTC), what kind, what it says, by whom, and its ledger entry.

    entry: 0 where the change is no decision: what a source did
    """

    at: int
    kind: str
    said: str
    who: str = ""
    entry: int = 0


def changes(records: Records, model: Model, since: int, until: int) -> list[Change]:
    """What changed around a model from `since` to `until`, both included, in order of time.

    A part that cannot be read is told in its place, and keeps no other from being told.
    """
    out: list[Change] = []
    parts: list[tuple[str, Callable[[], list[Change]]]] = [
        ("ledger", lambda: _decided(records, model, since, until)),
        ("definition", lambda: _defined(records, model, since, until)),
        *((f"source {one.name}", _of(records, one, since, until)) for one in model.sources),
    ]
    for kind, read in parts:
        try:
            out += read()
        except BackstayError as error:
            out.append(Change(until, kind.partition(" ")[0], f"{kind} cannot be read: {error.what}"))
    return sorted(out, key=lambda one: (one.at, one.entry))


def _of(records: Records, source: EventSource, since: int, until: int) -> Callable[[], list[Change]]:
    return lambda: [*_lagged(records, source, since, until), *_quarantined(records, source, since, until)]


def _decided(records: Records, model: Model, since: int, until: int) -> list[Change]:
    """What the ledger says of the model, and of the servers; a person or a controller did it."""
    return [
        Change(one.at, one.kind, _SAID[one.kind](one), one.actor, one.id)
        for one in records.ledger.entries(since=since, until=until)
        if one.kind in _SAID and (one.kind in _PROJECT or _about(one, model.name))
    ]


def _about(entry: Entry, model: str) -> bool:
    return entry.subject == model or entry.subject.startswith(f"{model}/")


def _defined(records: Records, model: Model, since: int, until: int) -> list[Change]:
    """Champions whose features, label or estimator are declared otherwise than those of the champion before."""
    out = []
    for move in records.registry.history(model.name, "champion"):
        if not since <= move.at <= until or move.previous is None:
            continue
        before, now = (records.registry.get(model.name, number).manifest for number in (move.previous, move.to))
        named = [
            name
            for name, differ in (
                ("features", before.feature_set.hash != now.feature_set.hash),
                ("label", before.label != now.label),
                ("estimator", before.estimator != now.estimator),
                ("parameters", before.parameters != now.parameters),
            )
            if differ
        ]
        if named:
            said = f"version {move.to} has other {', '.join(named)} than version {move.previous}"
            out.append(Change(move.at, "definition", said, move.actor, move.entry_id))
    return out


def _lagged(records: Records, source: EventSource, since: int, until: int) -> list[Change]:
    """That a source was late at the end, by its declared freshness, or brought nothing all the time."""
    if not records.events.last_sequence(source.name):
        return []
    read = records.events.read(source.name, columns=["known_time"], known_after=until - _LAST, known_until=until)
    known = None if read.is_empty() else int(read.get_column("known_time").dt.epoch("us").max())  # type: ignore[arg-type]
    if said := late(source, known, until):
        return [Change(until, "source", f"{source.name} was late: {said}")]
    if known is not None and known < since:
        span = duration_text((until - since) // 1_000_000 * 1_000_000)
        return [Change(known, "source", f"{source.name} brought nothing for {span}, the last at {instant_text(known)}")]
    return []


def _quarantined(records: Records, source: EventSource, since: int, until: int) -> list[Change]:
    """Events of a source that broke its contract, counted by expectation; nothing of what was in them."""
    if not records.events.last_sequence(source.quarantine):
        return []
    table = records.events.read(
        source.quarantine, columns=["known_time", "expectation"], known_after=since - 1, known_until=until
    )
    counted = table.group_by("expectation").agg(pl.len(), at=pl.col("known_time").dt.epoch("us").min())
    return [
        Change(at, "quarantine", f"{source.name}: {number:,} events broke {name}")
        for name, number, at in sorted(counted.iter_rows())
    ]
