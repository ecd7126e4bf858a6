"""The state of a project at a moment: champions and why, freshness of sources, realised quality with its maturity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from backstay.core.show import Shown
from backstay.core.times import age_text, duration_text, instant_text
from backstay.definitions import EventSource, Model
from backstay.evaluation.budgets import Kept
from backstay.features.contracts import late
from backstay.lifecycle.incidents import incidents
from backstay.lifecycle.records import Records
from backstay.lifecycle.tick import open_candidates
from backstay.monitoring.incidents import ranked
from backstay.monitoring.quality import WEEK, Cohort, weekly_quality
from backstay.registry.routing import Routing


@dataclass(frozen=True, slots=True)
class Status(Shown):
    """What `backstay status` shows, as plain data."""

    as_of: str
    models: list[dict[str, Any]]
    sources: list[dict[str, Any]]
    lost_predictions: int


def served_frame(records: Records, model: Model, *, until: int | None = None) -> pl.DataFrame:
    """The model's answers with the label's key, asked before `until`: `at`, `score`, `version` and that key.

    What shadows said, and what had no score, answered nobody: it is not among them.
    """
    key = model.label.key
    logged = records.predictions.scan(model=model.name, until=until)
    rows = [(p.at, p.score, p.version, p.keys[key]) for p in logged if key in p.keys and p.answered]
    kind = model.label.source.schema[key]
    schema = {"at": pl.Int64(), "score": pl.Float64(), "version": pl.String(), key: kind}
    return pl.DataFrame(rows, schema=schema, orient="row")


def quality(records: Records, model: Model, *, as_of: int, start: int | None = None) -> list[Cohort]:
    """Realised quality by week of everything served and asked before `as_of`."""
    served = served_frame(records, model, until=as_of)
    return weekly_quality(served, model.label, records.events, as_of=as_of, start=start)


def project_status(
    records: Records, models: list[Model], sources: list[EventSource], *, as_of: int, objectives: Sequence[Kept] = ()
) -> Status:
    lines = {one.model: one.line for one in objectives}
    return Status(
        as_of=instant_text(as_of),
        models=[{**_model(records, model, as_of), "objective": lines.get(model.name)} for model in models],
        sources=[_source(records, source, as_of) for source in sources],
        lost_predictions=records.predictions.lost(),
    )


def _model(records: Records, model: Model, as_of: int) -> dict[str, Any]:
    move = records.registry.alias(model.name, "champion", as_of=as_of)
    cohorts = quality(records, model, as_of=as_of)
    judged = [cohort for cohort in cohorts if cohort.auc is not None]
    return {
        "model": model.name,
        "champion": None if move is None else move.to,
        "digest": None if move is None else move.digest,
        "since": None if move is None else instant_text(move.at),
        "by": None if move is None else move.actor,
        "evidence": None if move is None else dict(move.evidence),
        "route": _route(records, model, as_of),
        "incidents": _incidents(records, model, as_of),
        "open_candidates": [version.number for version in open_candidates(records, model)],
        "predictions": sum(cohort.served for cohort in cohorts),
        "quality": judged[-1].as_dict() if judged else None,
        "maturing": [cohort.as_dict() for cohort in cohorts if cohort.maturity < 1][-2:],
    }


def _incidents(records: Records, model: Model, as_of: int) -> list[dict[str, Any]]:
    """What is wrong with the model, the dearest first, as the ledger had it."""
    open_ones = ranked([one.incident for one in incidents(records, model.name, as_of=as_of) if one.incident.active])
    return [
        {"number": one.number, "state": one.state, "severity": one.severity, "text": one.text, "cost": one.cost}
        for one in open_ones
    ]


def _route(records: Records, model: Model, as_of: int) -> dict[str, Any] | None:
    """What shares the model's requests with its champion; None if nothing does, or the route was set later."""
    route = Routing(records.ledger, records.registry).get(model.name)
    if route is None or not route.parts or route.at > as_of:
        return None
    return {
        "champion": route.champion, "parts": [part.as_dict() for part in route.parts], "why": route.why,
        "since": instant_text(route.at), "by": route.actor,
    }  # fmt: skip


def _source(records: Records, source: EventSource, as_of: int) -> dict[str, Any]:
    events = records.events
    count = events.last_sequence(source.name)
    if count and as_of < records.clock.now():
        count = events.read(source.name, columns=["known_time"], known_until=as_of).height
    row: dict[str, Any] = {"source": source.name, "events": count, "last_event": None, "last_known": None, "age": None}
    row["objective"] = None if source.freshness is None else duration_text(source.freshness)
    row["state"] = None if source.freshness is None else "LATE"
    if not count:
        return row
    recent = events.read(
        source.name, columns=["event_time", "known_time"], known_until=as_of, known_after=as_of - 4 * WEEK
    )
    if not recent.height:
        recent = events.read(source.name, columns=["event_time", "known_time"], known_until=as_of)
    if recent.height:
        known = int(recent.get_column("known_time").dt.epoch("us").to_numpy().max())
        row["last_event"] = instant_text(int(recent.get_column("event_time").dt.epoch("us").to_numpy().max()))
        row["last_known"] = instant_text(known)
        if source.freshness is not None and late(source, known, as_of) is None:
            row["state"] = "OK"
        age = as_of - known
        row["age"] = age_text(age)
    return row
