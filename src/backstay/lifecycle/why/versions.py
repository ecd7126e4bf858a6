"""What all versions of a model answered so far: what each chose, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.times import DAY
from backstay.definitions import EventSource, Model
from backstay.evaluation.interval import NotEnough
from backstay.investigation.case import Past, Rows
from backstay.investigation.pricing import quality, worse
from backstay.investigation.proxy import business_by_version
from backstay.lifecycle.experiments.rows import numbered
from backstay.lifecycle.records import Records
from backstay.lifecycle.verify import asked_frame
from backstay.lifecycle.why.rows import business
from backstay.registry.routing import ROUTE
from backstay.storage.predictions import SHADOW, Prediction

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VERSIONS, ROWS = 12, 4_000
"""The newest versions that are looked at, and how many answers of each."""


def past(
    records: Records, model: Model, offline: Rows, online: Rows, until: int, as_of: int,
    sources: Mapping[str, EventSource],
) -> Past | None:  # fmt: skip
    """What versions answered until a moment; None where nothing is to be said by it: nothing was explored online, and
    no outcome that pays is declared."""
    if model.business is None and not (online.chance < 1.0).any():
        return None
    groups = _answers(records, model, until)
    if len(groups) < 2:
        return None
    chosen = dict(sorted(groups.items())[-VERSIONS:])
    thinned = {number: found[:: -(-len(found) // ROWS)] for number, found in chosen.items()}
    version, items = _chosen(model, thinned)
    known, metric, mean, error, days, together = _paid(records, model, thinned, offline, as_of, sources)
    return Past(version, items, known, metric, mean, error, days, together)


def _answers(records: Records, model: Model, until: int) -> dict[int, list[Prediction]]:
    """The answers of each version; of many every second, or fourth, or so, and none from before the newest versions.

    A version is trained before it answers: nothing older than the first cutoff of the newest that served is read.
    """
    known = {one.number: one for one in records.registry.versions(model.name)}
    served = {move.to for move in records.registry.history(model.name, "champion") if move.at < until}
    for entry in records.ledger.entries(kind=ROUTE, subject=model.name):
        served |= {part["version"] for part in entry.body["parts"] if not part["shadow"] and entry.at < until}
    newest = sorted(one for one in served if known[one].manifest.feature_set.hash == model.features.hash)[-VERSIONS:]
    since = min(known[one].manifest.cutoff for one in newest) if len(newest) == VERSIONS else None
    numbers = {one.digest: one.number for one in reversed(known.values())}
    step, seen = dict[int, int](), dict[int, int]()
    groups: dict[int, list[Prediction]] = {}
    for one in records.predictions.scan(model=model.name, since=since, until=until):
        if one.route == SHADOW or one.error or one.feature_set != model.features.hash:
            continue
        number = numbers[one.version]
        found, place = groups.setdefault(number, []), seen.get(number, 0)
        seen[number] = place + 1
        if place % step.setdefault(number, 1) == 0:
            found.append(one)
        if len(found) > 2 * ROWS:  # what is kept in memory has a bound
            del found[1::2]
            step[number] *= 2
    return groups


def _chosen(model: Model, groups: dict[int, list[Prediction]]) -> tuple[Ints, Ints]:
    """What each version chose by itself: a number each, and the version's."""
    versions: list[int] = []
    items: list[tuple[Any, ...]] = []
    for number, found in groups.items():
        chosen = [one for one in found if one.decision and one.chance >= 0.5]
        keys = [name for name in model.features.keys if name != model.label.key]
        items += [tuple(one.keys.get(name) for name in keys) for one in chosen]
        versions += [number] * len(chosen)
    return np.array(versions, np.int64), np.array(numbered(items), np.int64)


def _paid(
    records: Records, model: Model, groups: dict[int, list[Prediction]], offline: Rows, as_of: int,
    sources: Mapping[str, EventSource],
) -> tuple[tuple[int, ...], Floats, Floats, Floats, Floats, bool]:  # fmt: skip
    """By version its metric on the same offline rows, and the mean outcome that pays of what it decided on."""
    none = ((), np.empty(0), np.empty(0), np.empty(0), np.empty(0), False)
    if model.business is None:
        return none
    version, value, day = [], [], []
    for number, every in groups.items():
        found = [one for one in every if one.decision]
        if not found:
            continue
        frame = asked_frame(model, found)
        key = model.label.key
        if key not in frame.columns:
            kind = model.ask.source.schema[key]
            frame = frame.with_columns(pl.Series(key, [one.keys.get(key) for one in found], kind))
        paid = business(records, model, frame, as_of, sources)
        value.append(paid if model.business.better == "higher" else -paid)
        version.append(np.full(len(found), number))
        day.append(frame.get_column("at").to_numpy() // DAY)
    if not version:
        return none
    names, mean, error, days = business_by_version(
        np.concatenate(version), np.concatenate(value), clusters=np.concatenate(day)
    )
    metric = model.gate.metric
    scores: dict[int, float] = {}
    for number in names:
        known = records.registry.get(model.name, number)
        score = records.rule(known, as_of=as_of).scores(records.scorer(model, known).score(offline.vector))
        try:
            scores[number] = -worse(metric) * quality(metric, score, offline.label).estimate
        except NotEnough:
            continue
    kept = [place for place, number in enumerate(names) if number in scores]
    return (
        tuple(int(names[place]) for place in kept), np.array([scores[names[place]] for place in kept]), mean[kept],
        error[kept], days[kept], _together([every for number, every in groups.items() if number in scores]),
    )  # fmt: skip


def _together(groups: list[list[Prediction]]) -> bool:
    """Whether there is a time at which all of these answered: the first and last T of each, on common days."""
    spans = [(min(one.at for one in found), max(one.at for one in found)) for found in groups]
    return bool(spans) and max(first for first, _ in spans) + DAY < min(last for _, last in spans)
