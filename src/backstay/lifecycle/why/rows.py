"""The rows of both sides of an investigation: what was judged, and what was answered, each with its labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError, NotFoundError
from backstay.core.times import DAY, duration, instant_text
from backstay.definitions import EventSource, Model
from backstay.features.cells import highest
from backstay.features.labels import join_labels, standing
from backstay.features.offline import feature_rows, no_events
from backstay.features.trainingset import asked_rows
from backstay.investigation.case import Rows
from backstay.lifecycle.judgement import GATE
from backstay.lifecycle.records import Records
from backstay.lifecycle.verify import asked_frame
from backstay.registry.versions import ModelVersion
from backstay.storage.predictions import Prediction

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Inputs = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

MOST = 40_000
"""Rows of one side that are looked at: of more, every so-manieth."""
DAYS = 10
"""Days from which days are the clusters; of fewer, entities are."""


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """What one version answered: `found` in the order of T, and `frame` what was asked (`at`, keys, fields)."""

    version: ModelVersion
    found: list[Prediction]
    frame: pl.DataFrame
    comparable: bool
    left_out: int


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What a version was judged on: rows asked in [since, until), with the frame they were asked by."""

    frame: pl.DataFrame
    vector: Inputs
    statuses: Bytes
    score: Floats
    since: int
    until: int
    as_of: int
    said: str


def answered(records: Records, model: Model, since: int, until: int) -> Answered:
    """What the version that answered most of the requests with T in [since, until) answered."""
    scanned = records.predictions.scan(model=model.name, since=since, until=until)
    found = [one for one in scanned if one.answered and not one.error and np.isfinite(one.score)]
    if not found:
        raise InputError(
            f"nothing was answered from {instant_text(since)} to {instant_text(until)}",
            where=f"model {model.name!r}", fix="choose a span in which it served",
        )  # fmt: skip
    digest = Counter(one.version for one in found).most_common(1)[0][0]
    mine = sorted((one for one in found if one.version == digest), key=lambda one: (one.at, one.id))
    step = -(-len(mine) // MOST)
    chosen = mine[::step]
    comparable = all(not one.given and one.feature_set == model.features.hash for one in chosen)
    frame = asked_frame(model, chosen) if comparable else pl.DataFrame({"at": [one.at for one in chosen]})
    key = model.label.key
    if key not in frame.columns:
        frame = frame.with_columns(
            pl.Series(key, [one.keys.get(key) for one in chosen], model.ask.source.schema[key], strict=False)
        )
    return Answered(records.registry.by_digest(digest), chosen, frame, comparable, len(found) - len(mine))


def judged(records: Records, model: Model, version: ModelVersion, first: int, as_of: int) -> Judged:
    """The rows that a version was judged on; without a judgement, those that it had not learned from before `first`."""
    entry = records.ledger.last(GATE, f"{model.name}/{version.number}", as_of=as_of)
    learned = version.manifest.cutoff + duration(model.gate.embargo)
    if entry is not None and entry.body["rows"]:
        body = entry.body
        since, until, moment = body["start"], min(body["end"], body["as_of"]), body["as_of"]
        said = f"the rows that its gate judged it on (entry {entry.id})"
    else:
        since, until, moment = learned, first, first
        said = "rows asked after its training and before it served"
    asked = asked_rows(model, records.events, since=since, until=until, as_of=moment)
    step = -(-max(asked.height, 1) // MOST)
    asked = asked.gather_every(step)
    rows = feature_rows(model.features, asked, records.events, known_until=moment).rows
    vector = rows.vector()
    score = records.rule(version, as_of=moment).scores(records.scorer(model, version).score(vector))
    return Judged(asked, vector, _of_vector(model, rows.statuses), score, since, until, moment, said)


def _of_vector(model: Model, statuses: Bytes) -> Bytes:
    places = {feature.name: place for place, feature in enumerate(model.features)}
    return np.ascontiguousarray(statuses[:, [places[name] for name in model.features.vector]])


def online_rows(records: Records, model: Model, one: Answered, as_of: int, sources: Mapping[str, EventSource]) -> Rows:
    """The online side."""
    found, vector = one.found, served_vector(model, one.found)
    statuses = np.frombuffer(b"".join(row.statuses for row in found), np.uint8).reshape(len(found), -1)
    return _rows(
        records, model, one.frame, as_of, ids=[row.id for row in found], vector=vector,
        statuses=_of_vector(model, statuses), score=np.array([row.score for row in found]),
        decision=np.array([row.decision for row in found], np.bool_),
        chance=np.array([row.chance for row in found]), sources=sources,
    )  # fmt: skip


def offline_rows(
    records: Records, model: Model, one: Judged, threshold: float, sources: Mapping[str, EventSource]
) -> Rows:
    """The offline side."""
    return _rows(
        records, model, one.frame, one.as_of, ids=(), vector=one.vector, statuses=one.statuses, score=one.score,
        decision=one.score >= threshold, chance=np.ones(len(one.score)),
        sources=sources,
    )  # fmt: skip


@np.errstate(over="ignore")
def served_vector(model: Model, found: Sequence[Prediction]) -> Inputs:
    """The model's inputs as they were served: float32, null as NaN."""
    places = {feature.name: place for place, feature in enumerate(model.features)}
    columns = [places[name] for name in model.features.vector]
    out = np.empty((len(found), len(columns)), np.float32)
    for row, one in enumerate(found):
        out[row] = [np.nan if one.values[place] is None else one.values[place] for place in columns]
    return out


def _rows(
    records: Records, model: Model, frame: pl.DataFrame, as_of: int, *, ids: Sequence[str], vector: Inputs,
    statuses: Bytes, score: Floats, decision: npt.NDArray[np.bool_], chance: Floats, sources: Mapping[str, EventSource],
) -> Rows:  # fmt: skip
    at = frame.get_column("at").to_numpy()
    joined = join_labels(frame.select("at", model.label.key), model.label, records.events, as_of=as_of)
    known = joined.get_column("label").cast(pl.Float64).fill_null(float("nan")).to_numpy()
    void, mature = (joined.get_column(name).to_numpy() for name in ("void", "mature"))
    waits = label_waits(records, model, frame, as_of)
    seen = np.where(void, np.nan, known)
    if model.label.occurrence:
        seen = np.where(np.isnan(seen) & ~void, 0.0, seen)
    chances = np.full(frame.height, np.nan)
    if not ids and np.isnan(known[mature & ~void]).any():  # only then somebody may have chosen among the rows
        chances = logged(records, model, frame)
    return Rows(
        ids=ids, at=at, cluster=_clusters(model, frame), label=np.where(mature & ~void, known, np.nan), seen=seen,
        waits=waits, score=score, decision=decision, chance=chance, vector=vector, statuses=statuses,
        position=_position(records, model, frame, as_of), item=_items(model, frame),
        business=business(records, model, frame, as_of, sources), logged=chances,
        wanted=mature & ~void, void=void,
    )  # fmt: skip


def label_waits(records: Records, model: Model, frame: pl.DataFrame, as_of: int) -> Floats:
    """Microseconds after T at which the outcome of each row became known; NaN where it has not, as of a moment.

    Of an outcome that was corrected, when it first was known: a correction is no arrival.
    """
    label = model.label
    try:
        table = records.events.read(label.source.name, known_until=as_of)
    except NotFoundError:
        return np.full(frame.height, np.nan)
    wanted = pl.col("label") if label.occurrence else pl.col("label").is_not_null()
    known, name = pl.col("known_time").to_physical(), label.source.event_id
    stands = pl.lit(value=True) if name is None else highest(table, name)
    told = table.with_columns(_stands=stands, label=label.value).filter(wanted)
    if name is not None:
        known = pl.when(pl.col(name).is_null()).then(known).otherwise(known.min().over(name))
    told = (
        told.with_columns(_happened=pl.col("event_time").to_physical(), _known=known)
        .filter("_stands")
        .select(label.key, "_happened", "_known")
    )
    rows = frame.select("at", label.key).with_row_index("_row")
    first = (
        rows.join(told, on=label.key, how="inner")
        .filter(pl.col("_happened").is_between(pl.col("at"), pl.col("at") + label.horizon))
        .group_by("_row")
        .agg(wait=(pl.col("_known") - pl.col("at")).min())
    )
    out = np.full(frame.height, np.nan)
    out[first.get_column("_row").to_numpy()] = first.get_column("wait").to_numpy()
    return out


def _clusters(model: Model, frame: pl.DataFrame) -> Ints:
    """Days, where there are enough; else entities."""
    day = frame.get_column("at").to_numpy() // DAY
    numbers = np.unique(day, return_inverse=True)
    keys = [key for key in model.features.keys if key in frame.columns]
    if numbers[0].size >= DAYS or not keys:
        return numbers[1].astype(np.int64)
    return frame.select(pl.struct(keys).rank("dense").cast(pl.Int64) - 1).to_series().fill_null(-1).to_numpy() + 1


def _items(model: Model, frame: pl.DataFrame) -> Ints:
    """What each row is about, as a number: the same for the same entity keys."""
    keys = [key for key in model.features.keys if key in frame.columns]
    if not keys:
        return np.arange(frame.height, dtype=np.int64)
    return frame.select(pl.struct(keys).hash(seed=0).reinterpret(signed=True)).to_series().to_numpy()


def of_asked(records: Records, model: Model, frame: pl.DataFrame, columns: Sequence[str], as_of: int) -> pl.DataFrame:
    """Columns of the ask source's events for rows, by the label's key, as known at a moment; null where there is none.

    Of several it is the last at or before the row's T, as it then stands; where all are later, the first.
    """
    key, source = model.label.key, model.ask.source
    try:
        table = standing(records.events, source.name, source.event_id, as_of)
    except NotFoundError:
        table = no_events(source, ["event_time", "known_time", "sequence", *source.schema])
    wanted = list(dict.fromkeys(column for column in columns if column in table.columns and column != key))
    told = (
        table.sort("event_time", "known_time", "sequence")
        .select(key, *wanted, _at=pl.col("event_time").to_physical() - model.ask.before, _there=pl.lit(value=True))
        .drop_nulls(key)
    )
    rows = frame.select(key, _at=pl.col("at")).with_row_index("_row").sort("_at")
    before = rows.join_asof(told, on="_at", by=key, strategy="backward", check_sortedness=False)
    without = before.filter(pl.col("_there").is_null()).select(rows.columns)
    after = without.join_asof(told, on="_at", by=key, strategy="forward", check_sortedness=False)
    return pl.concat([before.drop_nulls("_there"), after]).sort("_row").drop("_row", "_at")


def _position(records: Records, model: Model, frame: pl.DataFrame, as_of: int) -> Floats:
    """At which place each row was shown: by the request, or by the asked event; NaN where nobody wrote it down."""
    name = model.position
    if name is None:
        return np.full(frame.height, np.nan)
    column = frame if name in frame.columns else of_asked(records, model, frame, [name], as_of)
    return column.get_column(name).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def payer(model: Model, sources: Mapping[str, EventSource]) -> EventSource | None:
    """The declared source of the outcome that pays; None where no outcome, or no such source, is declared."""
    if model.business is None:
        return None
    return ({one.name: one for one in model.sources} | dict(sources)).get(model.business.name.partition(".")[0])


def business(
    records: Records, model: Model, frame: pl.DataFrame, as_of: int, sources: Mapping[str, EventSource]
) -> Floats:
    """The outcome that pays of each row, once its span is over and its source's delay has passed; NaN where it is not,
    or neither outcome nor source is declared.

    It is the sum of the column over the events of the row's label key, or else of its entity, within the span; of an
    event that was corrected, the version that stands as of the moment.
    """
    source = payer(model, sources)
    if model.business is None or source is None or model.label.key not in frame.columns:
        return np.full(frame.height, np.nan)
    column = model.business.name.partition(".")[2]
    within = duration(model.business.within, where="within")
    out = np.zeros(frame.height)
    try:
        events = standing(records.events, source.name, source.event_id, as_of)
    except NotFoundError:
        return np.full(frame.height, np.nan)
    keys = [model.label.key] if model.label.key in events.columns else [k for k in model.keys if k in events.columns]
    if not keys or column not in events.columns:
        return np.full(frame.height, np.nan)
    happened = events.select(*keys, _value=pl.col(column).cast(pl.Float64), _at=pl.col("event_time").to_physical())
    sums = (
        frame.select("at", *keys)
        .with_row_index("_row")
        .join(happened, on=keys, how="inner")
        .filter((pl.col("_at") > pl.col("at")) & (pl.col("_at") <= pl.col("at") + within))
        .group_by("_row")
        .agg(pl.col("_value").sum())
    )
    out[sums.get_column("_row").to_numpy()] = sums.get_column("_value").to_numpy()
    return np.where(frame.get_column("at").to_numpy() + within + source.delay <= as_of, out, np.nan)


def logged(records: Records, model: Model, frame: pl.DataFrame) -> Floats:
    """With which probability each row came to be decided as it was, by the predictions of its key; NaN: by none."""
    key = model.label.key
    out = np.full(frame.height, np.nan)
    if not frame.height:
        return out
    at = frame.get_column("at").to_numpy()
    chance = {
        one.keys.get(key): one.chance
        for one in records.predictions.scan(model=model.name, since=int(at.min()), until=int(at.max()) + 1)
        if one.answered
    }
    if not chance:
        return out
    return np.array([chance.get(value, np.nan) for value in frame.get_column(key).to_list()], np.float64)
