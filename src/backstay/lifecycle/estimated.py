"""Quality before the labels come, week by week, by every method there is; and how each did where they have come.

Each week stands on the version that answered most of it, and what that version's scores meant on rows that it had not
learned from. Nothing here is written down: it is a report, and the monitor's tick watches by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from backstay.core.errors import BackstayError, InputError
from backstay.core.show import Shown, plain
from backstay.core.times import DAY, instant_text
from backstay.definitions import Model
from backstay.evaluation import Estimate
from backstay.evaluation.early import METRICS
from backstay.evaluation.unlabelled import METHODS, Backtest, Estimation, ScoredReference, backtest, estimates
from backstay.features.labels import join_labels
from backstay.lifecycle.monitoring.baseline import became, thinned
from backstay.lifecycle.monitoring.counting import Answerer
from backstay.lifecycle.monitoring.losses import scored_frame
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import scored_rows
from backstay.monitoring.labels import WEEK, realised
from backstay.monitoring.rows import answered, rows_of
from backstay.storage.predictions import Prediction


@dataclass(frozen=True, slots=True)
class EstimatedWeek(Shown):
    """One week of what was served.

    start:     its first moment, in microseconds
    served:    rows of the week; `rows`: those of the version that answered most of them, by the features of today
    version:   that version's number; None where nobody answered by these features
    mature:    the share of `rows` whose labels are mature, of those that are not void; rows without the label's key
               never are
    estimates: by method and metric
    realised:  by metric, of the rows that are mature
    why:       why there are no estimates; empty where there are
    """

    start: int
    served: int
    rows: int
    version: int | None
    mature: float
    estimates: Mapping[str, Mapping[str, Estimation]]
    realised: Mapping[str, Estimate]
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "week": instant_text(self.start)[:10], "served": self.served, "rows": self.rows, "version": self.version,
            "maturity": self.mature, "estimates": {name: plain(dict(told)) for name, told in self.estimates.items()},
            "realised": plain(dict(self.realised)), "why": self.why,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class EstimatedQuality(Shown):
    """The weeks in their order, and by method and metric how estimates did on those that are wholly mature."""

    as_of: int
    weeks: tuple[EstimatedWeek, ...]
    backtests: Mapping[str, Mapping[str, Backtest]]

    def as_dict(self) -> dict[str, Any]:
        return {
            "as_of": instant_text(self.as_of), "weeks": [one.as_dict() for one in self.weeks],
            "backtests": {name: plain(dict(told)) for name, told in self.backtests.items()},
        }  # fmt: skip


def estimated_quality(records: Records, model: Model, *, as_of: int, weeks: int) -> EstimatedQuality:
    """Estimates for the last `weeks` in which something was asked before `as_of`, and their backtest.

    Weeks begin as those of realised quality do: on the day of the first prediction there is.
    """
    asked = np.fromiter((one.at for one in answered(_logged(records, model, 0, as_of))), np.int64)
    if not len(asked):
        return EstimatedQuality(as_of, (), {})
    origin = int(asked.min()) // DAY * DAY
    chosen = np.unique((asked - origin) // WEEK)[-weeks:]
    since = origin + int(chosen[0]) * WEEK
    parts: dict[int, list[Prediction]] = {}
    for one in answered(_logged(records, model, since, as_of)):
        parts.setdefault(origin + (one.at - origin) // WEEK * WEEK, []).append(one)
    meanings = _Meanings(records, model, as_of)
    found = tuple(_week(records, model, meanings, start, parts[start], as_of) for start in sorted(parts))
    return EstimatedQuality(as_of, found, _backtests(found))


def _logged(records: Records, model: Model, since: int, until: int) -> Iterator[Prediction]:
    return iter(records.predictions.scan(model=model.name, since=since, until=until))


def _week(
    records: Records, model: Model, meanings: _Meanings, start: int, served: Sequence[Prediction], as_of: int
) -> EstimatedWeek:  # fmt: skip
    mine = [one for one in served if one.feature_set == model.features.hash and np.isfinite(one.score)]
    if not mine:
        why = "nothing was answered by the features that the model has now"
        return EstimatedWeek(start, len(served), 0, None, 0.0, {}, {}, why)
    counts = Counter(Answerer(one.version, one.rule) for one in mine)
    who = max(counts, key=lambda one: (counts[one], one))
    rows = [one for one in mine if Answerer(one.version, one.rule) == who]
    came, mature = _came(records, model, rows, as_of)
    number, reference, why = meanings.of(who)
    said: dict[str, Mapping[str, Estimation]] = {}
    if reference is not None:
        vector = _vector(model, rows)
        scores, days = np.array([one.score for one in rows]), np.array([one.at // DAY for one in rows])
        try:
            said = {name: estimates(reference, scores, vector, METRICS, name, days) for name in METHODS}
        except InputError as error:  # scores that are no probabilities
            why = str(error)
    return EstimatedWeek(start, len(served), len(rows), number, mature, said, came, why)


def _vector(model: Model, rows: Sequence[Prediction]) -> np.ndarray[Any, np.dtype[np.float32]]:
    names = model.features.vector
    columns: list[Any] = []
    for given in (False, True):  # who brings the inputs brings nothing else
        part = [one for one in rows if one.given is given]
        if part:
            told = rows_of(part, model.features, names).features
            columns.append(np.column_stack([np.asarray(told[name], np.float32) for name in names]))
    order = np.argsort([one.given for one in rows], kind="stable")
    out = np.empty((len(rows), len(names)), np.float32)
    out[order] = np.concatenate(columns)
    return out


def _came(
    records: Records, model: Model, rows: Sequence[Prediction], as_of: int
) -> tuple[dict[str, Estimate], float]:  # fmt: skip
    """What the rows that are mature say, and which share of all that are not void they are."""
    told = [one for one in rows if model.label.key in one.keys]
    if not told:
        return {}, 0.0
    labelled = join_labels(scored_frame(model, told), model.label, records.events, as_of=as_of)
    joined = labelled.filter(~pl.col("void"))
    ripe = joined.filter(pl.col("mature") & pl.col("label").is_not_null() & pl.col("score").is_between(0.0, 1.0))
    found = realised(ripe.with_columns(_day=pl.col("at").floordiv(DAY)))
    wanted = len(rows) - (labelled.height - joined.height)
    return found, int(joined.get_column("mature").sum()) / wanted if wanted else 0.0


@dataclass(slots=True)
class _Meanings:
    """What the scores of a version mean by a rule, each made once."""

    records: Records
    model: Model
    as_of: int
    made: dict[Answerer, tuple[int | None, ScoredReference | None, str]] = field(default_factory=dict)

    def of(self, who: Answerer) -> tuple[int | None, ScoredReference | None, str]:
        """The version's number, and what its scores mean, or why that is not known."""
        if who not in self.made:
            self.made[who] = self._made(who)
        return self.made[who]

    def _made(self, who: Answerer) -> tuple[int | None, ScoredReference | None, str]:
        records, model = self.records, self.model
        try:
            version = records.registry.by_digest(who.digest)
        except BackstayError as error:  # of predictions that came from elsewhere
            return None, None, str(error)
        if version.manifest.feature_set.hash != model.features.hash:
            return version.number, None, "the version was trained on another definition of the features"
        try:
            since = became(records, model, version, self.as_of)
            held = scored_rows(records, model, version.number, as_of=since, fitting=True)
            order = thinned(np.argsort(held.labelled.at, kind="stable"))
            rule = records.rule(version, who.rule)
            reference = ScoredReference.of(
                held.labelled.outcome[order], rule.scores(held.raw[order]), held.labelled.vector[order],
                held.labelled.day[order], rule.threshold,
            )  # fmt: skip
        except BackstayError as error:  # too few rows that may judge it, or of a class; or a file that is gone
            return version.number, None, str(error)
        return version.number, reference, ""


def _backtests(weeks: Sequence[EstimatedWeek]) -> dict[str, dict[str, Backtest]]:
    """Of weeks all of whose rows are mature: those of a part of the rows are of another kind of row."""
    whole = [one for one in weeks if one.mature == 1.0 and one.estimates]
    return {
        method: {
            metric: backtest(
                [one.estimates[method][metric] for one in whole], [one.realised.get(metric) for one in whole]
            ) for metric in METRICS
        } for method in METHODS
    }  # fmt: skip
