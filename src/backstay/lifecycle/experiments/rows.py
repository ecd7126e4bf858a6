"""What an experiment has seen, from the predictions record, labels and events: each entity once, in blocks.

Everything is read anew at each look. Only blocks whose rows are all mature count, so that what was seen before stays as
it was, however late or often one looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log
from typing import Any

import numpy as np
import polars as pl

from backstay.core.times import duration
from backstay.definitions import Model
from backstay.definitions.experiments import LABELLED
from backstay.lifecycle.calls import FALLBACK, call_of
from backstay.lifecycle.experiments.metrics import Reader, feature_place
from backstay.lifecycle.experiments.state import Lot, Standing
from backstay.lifecycle.records import Records
from backstay.rollout.calls import size_class
from backstay.rollout.experiments import Block, Evidence
from backstay.storage.predictions import Prediction

_NAN = float("nan")
_EMPTY = np.empty(0)
Spans = list[tuple[int, int]]
Logged = tuple[Prediction, int, int, int]
"""A prediction, its stage, its arm, and how many rows were scored with it."""


@dataclass(frozen=True, slots=True)
class Read:
    """The evidence, of so many rows; `early` are none: the servers had not yet seen the shares of their stage."""

    evidence: Evidence
    rows: int
    early: int


def read(records: Records, model: Model, standing: Standing, *, as_of: int) -> Read:
    """What is known of an experiment at a moment."""
    experiment = standing.experiment
    until = as_of if standing.ended is None else min(as_of, standing.ended)
    logged, early = _logged(records, model, standing, until)
    spans = _spans(standing, until, experiment.block)
    key = tuple(experiment.key or model.keys)
    rows = _once(frame(model, key, experiment.covariate, logged), spans)
    reader = Reader(records, model, experiment.metric, key, standing.measure, as_of)
    known = _covariate(reader, rows, standing)
    metric = _blocks(reader, rows, spans, experiment.metric.name, standing, known)
    guards = {one.metric: _blocks(reader, rows, spans, one.metric, standing) for one in experiment.guards}
    return Read(Evidence(_lot(standing, rows), metric, guards), len(logged), early)


def frame(model: Model, keys: Sequence[str], covariate: str, logged: Sequence[Logged]) -> pl.DataFrame:
    """The rows: `at`, `stage`, `arm`, `entity`, what was answered, the covariate, and the keys as `key.NAME`; `call` is
    the class of its call's size."""
    feature = feature_place(model, covariate)
    whole, number = pl.Int64(), pl.Float64()
    columns: dict[str, tuple[Any, list[Any]]] = {
        "at": (whole, [one.at for one, *_ in logged]),
        "stage": (whole, [stage for _, stage, *_ in logged]),
        "arm": (whole, [arm for _, _, arm, _ in logged]),
        "entity": (whole, numbered([tuple(one.keys.get(name) for name in keys) for one, *_ in logged])),
        "score": (number, [one.score for one, *_ in logged]),
        "decisions": (number, [float(one.decision) for one, *_ in logged]),
        "errors": (
            number,
            [float(one.route == FALLBACK or bool(one.error) or not isfinite(one.score)) for one, *_ in logged],
        ),
        "call": (whole, size_class(np.array([size for *_, size in logged], np.int64)).tolist()),
        "latency": (number, [log(one.took) if one.took > 0 and not one.replayed else _NAN for one, *_ in logged]),
        "feature": (number, [_number(None if feature is None else one.values[feature]) for one, *_ in logged]),
    }
    for name in model.keys:
        columns[f"key.{name}"] = (model.ask.source.schema[name], [one.keys.get(name) for one, *_ in logged])
    return pl.DataFrame([pl.Series(name, values, kind) for name, (kind, values) in columns.items()])


def numbered(values: Sequence[tuple[Any, ...]]) -> list[int]:
    """A number each, the same for the same values; of values that are all None, one of its own each.

    >>> numbered([("a",), ("b",), ("a",), (None,), (None,)])
    [0, 1, 0, 2, 3]
    """
    known: dict[tuple[Any, ...], int] = {}
    out = []
    for place, one in enumerate(values):
        told = (*one, place) if all(part is None for part in one) else one
        out.append(known.setdefault(told, len(known)))
    return out


def _logged(records: Records, model: Model, standing: Standing, until: int) -> tuple[list[Logged], int]:
    """The predictions of the experiment in the order of T, and how many were answered by other shares."""
    places = {one.name: place for place, one in enumerate(standing.versions)}
    lot, early = Lot(records, standing), 0
    out: list[Logged] = []
    scanned = records.predictions.scan(model=model.name, since=standing.began, until=until)
    found = sorted((one for one in scanned if one.answered), key=lambda row: (row.at, row.id))
    sizes = Counter(map(call_of, found))
    for one in found:
        stage = next(place for place, stage in enumerate(standing.stages) if stage.holds(one.at))
        shares = standing.stages[stage].shares
        arm = lot.arm(stage, one.keys) if one.route == FALLBACK else places.get(one.route)
        if arm is None or abs(one.propensity - shares[arm]) > 1e-9:
            early += 1
        else:
            out.append((one, stage, arm, sizes[call_of(one)]))
    return out, early


def _spans(standing: Standing, until: int, length: int) -> Spans:
    """The blocks: each stage cut into spans of the same length; what is left of it when it ends is one too."""
    out = []
    for stage in standing.stages:
        end = stage.until
        for begin in range(stage.since, until if end is None else end, length):
            whole = begin + length
            if end is not None or whole <= until:
                out.append((begin, whole if end is None else min(whole, end)))
    return out


def _once(rows: pl.DataFrame, spans: Spans) -> pl.DataFrame:
    """The rows of each entity in the block in which it was first seen, with `block`; -1: a block that still runs."""
    begins, ends = (np.array([span[place] for span in spans], np.int64) for place in (0, 1))
    at = rows.get_column("at").to_numpy()
    place = np.searchsorted(begins, at, side="right") - 1
    inside = (place >= 0) & (at < ends[place]) if spans else np.zeros(at.size, np.bool_)
    rows = rows.with_columns(block=np.where(inside, place, -1))
    same = [pl.col(name) == pl.col(name).first().over("entity") for name in ("block", "arm", "stage")]
    return rows.filter(pl.all_horizontal(same)).with_columns(first=pl.int_range(pl.len()).over("entity") == 0)


def _lot(standing: Standing, rows: pl.DataFrame) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Of each stage, the entities that each arm got, and the shares that were meant."""
    seen = rows.filter("first")
    counts = np.zeros((len(standing.stages), len(standing.versions)), np.int64)
    np.add.at(counts, (seen.get_column("stage").to_numpy(), seen.get_column("arm").to_numpy()), 1)
    return [(tuple(counts[place].tolist()), stage.shares) for place, stage in enumerate(standing.stages)]


def _covariate(reader: Reader, rows: pl.DataFrame, standing: Standing) -> pl.Series | None:
    """What was known of each row's entity; None without a covariate."""
    experiment, began = standing.experiment, standing.began
    if experiment.covariate != "before":
        return rows.get_column("feature") if experiment.covariate else None
    since = began - duration(experiment.before, where="before")
    found = reader.records.predictions.scan(model=reader.model.name, since=since, until=began)
    past = frame(reader.model, reader.key, "", [(one, 0, 0, 1) for one in found if one.answered])
    return pl.Series(reader.before(rows, past, since, began))


def _blocks(
    reader: Reader, rows: pl.DataFrame, spans: Spans, name: str, standing: Standing, known: pl.Series | None = None
) -> list[Block]:
    """The blocks of a metric whose rows are all mature."""
    wait = standing.measure.wait if "." in name else reader.model.label.maturity if name in LABELLED else 0
    due = [place for place, (_, end) in enumerate(spans) if end + wait <= reader.as_of]
    values = rows.select("entity", "arm", "block", value=pl.Series(reader.values(rows, name)).fill_nan(None))
    if name == "latency":
        values = alike(values.with_columns(rows.get_column("call")), len(standing.versions))
    each = (
        values.with_columns(known=pl.lit(_NAN) if known is None else known)
        .filter(pl.col("block").is_in(due))
        .group_by("block", "arm", "entity", maintain_order=True)
        .agg(pl.col("value").mean(), pl.col("known").first())
        .drop_nulls("value")
    )
    found = each.partition_by("block", "arm", as_dict=True)
    out = []
    for place in due:
        parts = [found.get((place, arm)) for arm in range(len(standing.versions))]
        told = [
            tuple(_EMPTY if part is None else part.get_column(column).to_numpy() for part in parts)
            for column in ("value", "known")
        ]
        out.append(Block(told[0], () if known is None else told[1]))
    return out


def alike(values: pl.DataFrame, arms: int) -> pl.DataFrame:
    """Scoring times of calls of one size only: of each block and class, as many rows of each arm, the first ones.

    A call takes longer the more rows it has, and an arm with a larger share has larger calls.
    """
    known = pl.col("value").is_not_null()
    here = [(known & (pl.col("arm") == arm)).sum().over("block", "call") for arm in range(arms)]
    place = known.cast(pl.Int64()).cum_sum().over("block", "call", "arm")
    return values.with_columns(pl.when(place <= pl.min_horizontal(here)).then("value").alias("value"))


def _number(value: Any) -> float:
    number = float(value) if isinstance(value, (int, float)) else _NAN
    return number if abs(number) < float("inf") else _NAN
