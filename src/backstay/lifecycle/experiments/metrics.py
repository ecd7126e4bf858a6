"""The metric of an experiment, row by row: from what was answered, from mature labels, or from another source's events.

What a source's column needs is told once, when the experiment is started, and kept with it (`Measure`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.core.errors import InputError, NotFoundError
from backstay.core.times import duration
from backstay.definitions import EventSource, Model
from backstay.definitions.experiments import LABELLED, Metric
from backstay.evaluation.metrics import brier_losses, log_losses
from backstay.features.labels import join_labels, standing
from backstay.lifecycle.records import Records

_NAN = float("nan")
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measure:
    """How a metric is read.

    wait: how long after a row it is complete, in microseconds; keys: by which a source's events are an entity's;
    event_id: what names the versions of one of them, if they may be corrected
    """

    wait: int
    keys: tuple[str, ...] = ()
    event_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(model: Model, metric: Metric, keys: Sequence[str], sources: Mapping[str, EventSource]) -> Measure:
    """How a metric of entities with these keys is read. `InputError` where metric or keys are none of this model."""
    unknown = sorted({*keys} - {*model.keys})
    if unknown:
        expected = f"of {', '.join(model.keys)}"
        raise InputError(f"the model has no key {unknown[0]!r}", where=f"model {model.name!r}", expected=expected)
    if not metric.within:
        return Measure(model.label.maturity if metric.name in LABELLED else 0)
    source = _source(metric, sources)
    wait = duration(metric.within, where="within") + source.delay
    return Measure(wait, _shared(model, source, keys, f"metric {metric.name!r}"), source.event_id)


def feature_place(model: Model, name: str) -> int | None:
    """The place of the feature that is the covariate among a prediction's values; None where it is none."""
    if name in ("", "before"):
        return None
    names = [feature.name for feature in model.features]
    if name not in names or name not in model.features.vector:
        raise InputError(
            f"the model has no feature of numbers {name!r}", where="covariate",
            expected=f"'before', or one of {', '.join(model.features.vector)}",
        )  # fmt: skip
    return names.index(name)


def _source(metric: Metric, sources: Mapping[str, EventSource]) -> EventSource:
    name, _, column = metric.name.partition(".")
    where = f"metric {metric.name!r}"
    if name not in sources:
        raise InputError(f"there is no source {name!r}", where=where, expected=f"of {', '.join(sorted(sources))}")
    numbers = [one for one, kind in sources[name].schema.items() if kind.is_numeric() or kind == pl.Boolean]
    if column not in numbers:
        raise InputError(
            f"source {name!r} has no column of numbers {column!r}", where=where,
            expected=f"one of {', '.join(numbers)}",
        )  # fmt: skip
    return sources[name]


def _shared(model: Model, source: EventSource, keys: Sequence[str], where: str) -> tuple[str, ...]:
    """By which keys events are an entity's: all of them, or what identifies the prediction."""
    known = model.ask.source.schema
    for chosen in (tuple(keys), (model.label.key,)):
        if all(source.schema.get(one) == known[one] for one in chosen):
            return chosen
    raise InputError(
        f"the events of {source.name!r} are of no {' and '.join(keys)}", where=where,
        expected=f"the columns {', '.join(keys)}, or {model.label.key}", fix="tell entities apart by a key of theirs",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads metrics of rows (see `rows.frame`), as known at a moment."""

    records: Records
    model: Model
    metric: Metric
    key: tuple[str, ...]
    measure: Measure
    as_of: int

    def values(self, rows: pl.DataFrame, name: str) -> Floats:
        """One value a row, NaN where there is none."""
        if name in rows.columns:
            return rows.get_column(name).to_numpy()
        if "." not in name:
            return self._labelled(rows, name, self.as_of)
        at = rows.get_column("at").to_numpy()
        total = self._sums(rows, at, at + duration(self.metric.within, where="within"), self.as_of)
        return np.where(rows.get_column("first").to_numpy(), total, _NAN)

    def before(self, rows: pl.DataFrame, past: pl.DataFrame, since: int, began: int) -> Floats:
        """The metric of each row's entity in [since, began), of the rows `past`; NaN where there were none.

        Of a source's column it is the sum, and 0 where nothing happened.
        """
        if self.metric.within:
            first, last = (np.full(rows.height, one, np.int64) for one in (since, began))
            return self._sums(rows, first, last, began)
        name = self.metric.name
        value = past.get_column(name) if name in past.columns else pl.Series(self._labelled(past, name, began))
        keys = [f"key.{one}" for one in self.key]
        means = past.select(*keys, _value=value.fill_nan(None)).group_by(keys).agg(pl.col("_value").mean())
        joined = rows.select(keys).join(means, on=keys, how="left", maintain_order="left")
        return joined.get_column("_value").fill_null(_NAN).to_numpy()

    def _labelled(self, rows: pl.DataFrame, name: str, as_of: int) -> Floats:
        key = self.model.label.key
        asked = rows.select("at", pl.col(f"key.{key}").alias(key))
        joined = join_labels(asked, self.model.label, self.records.events, as_of=as_of)
        usable = joined.select(pl.col("mature") & pl.col("label").is_not_null()).to_series().to_numpy()
        outcome = joined.get_column("label").fill_null(value=False).to_numpy()
        score, out = rows.get_column("score").to_numpy(), np.full(rows.height, _NAN)
        usable = usable & np.isfinite(score)
        if name == "outcome":
            out[usable] = outcome[usable]
        else:
            losses = log_losses if name == "log_loss" else brier_losses
            out[usable] = losses(outcome[usable], np.clip(score[usable], 0.0, 1.0))
        return out

    def _sums(self, rows: pl.DataFrame, since: Ints, until: Ints, known: int) -> Floats:
        """Of each row, the sum of the column over its entity's events in (since, until], as known at a moment."""
        source, _, column = self.metric.name.partition(".")
        keys = self.measure.keys
        asked = rows.select(*(pl.col(f"key.{name}").alias(name) for name in keys)).with_columns(
            _row=pl.int_range(pl.len()), _since=pl.Series(since), _until=pl.Series(until)
        )
        out = np.zeros(rows.height)
        try:
            events = standing(self.records.events, source, self.measure.event_id, known)
        except NotFoundError:  # nothing ever happened
            return out
        happened = events.select(*keys, _value=pl.col(column).cast(pl.Float64), _at=pl.col("event_time").to_physical())
        sums = (
            asked.join(happened, on=keys, how="inner")
            .filter((pl.col("_at") > pl.col("_since")) & (pl.col("_at") <= pl.col("_until")))
            .group_by("_row")
            .agg(pl.col("_value").sum())
        )
        out[sums.get_column("_row").to_numpy()] = sums.get_column("_value").to_numpy()
        return out
