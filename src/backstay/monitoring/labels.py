"""What the **labels** say so far: how they come, what is wrong with them, and how good what was served turned out.

    maturity     the share of labels known by age, and at what age 90, 95 and 99% are
    faults       labels that come twice and disagree, before the question, after the horizon, or never
    cohorts      the predictions of each week: judged on its mature rows alone, with intervals over days; of a week that
                 is not of age yet, estimated by what is known early, weighted by how rare that is
    calibration  whether scores still mean what they say

Every metric has its interval and the maturity of the rows beside it. What the rows can't tell is `Insufficient`, and
says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from backstay.core.show import Shown, plain
from backstay.core.times import DAY, instant_text, seconds_text
from backstay.definitions import Label
from backstay.evaluation import (
    Estimate,
    Insufficient,
    NotEnough,
    auc_interval,
    estimated,
    mean_interval,
    share_interval,
)
from backstay.evaluation.calibration_drift import CalibrationDrift, calibration_drift
from backstay.evaluation.early import METRICS, Early, early_quality
from backstay.evaluation.maturity import LEAST, Maturity, maturity_curve
from backstay.evaluation.metrics import brier_losses, log_losses
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled import ScoredReference
from backstay.features.labels import join_labels, outcomes
from backstay.features.offline import EventReader

WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Faults(Shown):
    """Labels that are not as they should be, counted in rows.

    duplicated:  more than one outcome within the horizon; `conflicting`: of these, those that disagree. The first
                 counts (of an occurrence, that it came)
    before:      an outcome from before the question and none within the horizon: it is not the row's
    after:       an outcome from after the horizon and none within it: the same
    never:       mature, not void, and no outcome came; of an occurrence that is an outcome, and none are counted
    """

    duplicated: int
    conflicting: int
    before: int
    after: int
    never: int

    @property
    def any(self) -> bool:
        return any((self.conflicting, self.before, self.after, self.never))


@dataclass(frozen=True, slots=True)
class LabelledCohort(Shown):
    """The predictions of one week, as of a moment.

    state:    OK: its mature rows tell; UNDERPOWERED: they do not; NO_DATA: none is mature
    served, mature, void, labelled, positives: rows
    realised: metric by metric, of the mature rows
    early:    of a week of which some rows are not mature, by all known rows
    """

    start: int
    state: State
    served: int
    mature: int
    void: int
    labelled: int
    positives: int
    realised: dict[str, Estimate]
    early: dict[str, Early]

    @property
    def maturity(self) -> float:
        """The share of the week's rows that are mature."""
        return self.mature / self.served if self.served else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "week": instant_text(self.start)[:10], "state": str(self.state), "served": self.served,
            "mature": self.mature, "maturity": self.maturity, "void": self.void, "labelled": self.labelled,
            "positives": self.positives, "realised": plain(self.realised), "early": plain(self.early),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelReport(Shown):
    """How the labels of a model's predictions come, as of a moment; ages are in microseconds, in `as_dict` text."""

    as_of: int
    rows: int
    mature: int
    void: int
    maturity: Maturity | Insufficient
    faults: Faults
    cohorts: tuple[LabelledCohort, ...]
    calibration: CalibrationDrift

    def as_dict(self) -> dict[str, Any]:
        return {
            "as_of": instant_text(self.as_of), "rows": self.rows, "mature": self.mature, "void": self.void,
            "maturity": _aged(self.maturity), "faults": self.faults.as_dict(),
            "cohorts": [one.as_dict() for one in self.cohorts], "calibration": self.calibration.as_dict(),
        }  # fmt: skip


def _aged(found: Maturity | Insufficient) -> dict[str, Any]:
    """A curve as plain data, its ages as text: it has them in microseconds here."""
    if isinstance(found, Insufficient):
        return found.as_dict()
    data: dict[str, Any] = found.as_dict()
    curve = [{**one, "age": seconds_text(one["age"])} for one in data["curve"]]
    ages = ("age", "low", "high")
    reached = [
        {**one, **{name: None if one[name] is None else seconds_text(one[name]) for name in ages}}
        for one in data["reached"]
    ]
    return {**data, "longest": seconds_text(found.longest), "curve": curve, "reached": reached}


def label_report(
    predictions: pl.DataFrame, label: Label, events: EventReader, *, as_of: int, start: int | None = None,
    reference: ScoredReference | None = None,
) -> LabelReport:  # fmt: skip
    """What the labels known by `as_of` say of these predictions.

    predictions: columns `at` (Int64 microseconds), `score` (Float64, a probability) and the label's key
    start:       when the first week begins; None: on the first prediction's day
    reference:   what scores meant when the version was judged; None: scores are taken at their word

    Rows without a finite score in [0, 1] are served, and in no metric.
    """
    joined = join_labels(predictions, label, events, as_of=as_of, known=True).filter(pl.col("at") <= as_of)
    joined = joined.with_columns(_day=pl.col("at").floordiv(DAY))
    usable = joined.filter(pl.col("label").is_not_null() & pl.col("score").is_between(0.0, 1.0))
    curves = _curves(usable, as_of)
    ripe = usable.filter("mature")
    return LabelReport(
        as_of=as_of,
        rows=joined.height,
        mature=int(joined.get_column("mature").sum()),
        void=int(joined.get_column("void").sum()),
        maturity=_maturity(joined, as_of),
        faults=label_faults(joined, label, events, as_of=as_of),
        cohorts=_cohorts(joined, usable, curves, as_of, start),
        calibration=calibration_drift(
            _outcome(ripe), ripe.get_column("score").to_numpy(), reference, ripe.get_column("_day").to_numpy()
        ),
    )


def label_faults(joined: pl.DataFrame, label: Label, events: EventReader, *, as_of: int) -> Faults:
    """What is wrong with the labels of rows that `join_labels` has joined."""
    rows = joined.select("at", label.key).with_row_index("_row")
    pairs = rows.join(outcomes(label, events, as_of), on=label.key, how="inner")
    at, happened = pl.col("at"), pl.col("_happened")
    inside = happened.is_between(at, at + label.horizon)
    each = pairs.group_by("_row").agg(
        inside=inside.sum(), before=(happened < at).any(), after=(happened > at + label.horizon).any(),
        different=pl.col("label").filter(inside).n_unique(),
    )  # fmt: skip
    none = pl.col("inside") == 0
    told = each.select(
        duplicated=(pl.col("inside") > 1).sum(),
        conflicting=((pl.col("inside") > 1) & (pl.col("different") > 1)).sum(),
        before=(none & pl.col("before")).sum(),
        after=(none & pl.col("after") & ~pl.col("before")).sum(),
    ).row(0, named=True)
    missing = pl.col("mature") & ~pl.col("void") & pl.col("label").is_null()
    return Faults(**told, never=joined.filter(missing).height)


def _maturity(joined: pl.DataFrame, as_of: int) -> Maturity | Insufficient:
    delays = (joined.get_column("known") - joined.get_column("at")).cast(pl.Float64).to_numpy()
    ages = (as_of - joined.get_column("at")).cast(pl.Float64).to_numpy()
    days, void = joined.get_column("_day").to_numpy(), joined.get_column("void").to_numpy()
    return estimated(lambda: maturity_curve(np.maximum(delays, 0.0), ages, void, days), joined.height)


def _curves(usable: pl.DataFrame, as_of: int) -> tuple[Maturity, Maturity] | None:
    """One curve an outcome, of mature rows: all of their labels that will come have come; None: too few."""
    ripe = usable.filter("mature")
    made = []
    for outcome in (False, True):
        rows = ripe.filter(pl.col("label") == outcome)
        if rows.height < LEAST:
            return None
        delays = (rows.get_column("known") - rows.get_column("at")).cast(pl.Float64).to_numpy()
        ages = (as_of - rows.get_column("at")).cast(pl.Float64).to_numpy()
        made.append(maturity_curve(np.maximum(delays, 0.0), ages))
    return made[0], made[1]


def _cohorts(
    joined: pl.DataFrame, usable: pl.DataFrame, curves: tuple[Maturity, Maturity] | None, as_of: int, start: int | None
) -> tuple[LabelledCohort, ...]:
    if not joined.height:
        return ()
    first = joined.get_column("at").to_numpy().min() // DAY * DAY
    origin = int(first) if start is None else start
    week = (pl.col("at") - origin).floordiv(WEEK)
    known = usable.with_columns(_week=week)
    parts = joined.with_columns(_week=week).partition_by("_week", as_dict=True)
    return tuple(
        _cohort(origin + number * WEEK, rows, known.filter(pl.col("_week") == number), curves, as_of)
        for (number,), rows in sorted(parts.items())
    )


def _cohort(
    start: int, rows: pl.DataFrame, known: pl.DataFrame, curves: tuple[Maturity, Maturity] | None, as_of: int
) -> LabelledCohort:
    ripe, mature = known.filter("mature"), int(rows.get_column("mature").sum())
    came = realised(ripe)
    told = not isinstance(came["log_loss"], Insufficient)
    early: dict[str, Early] = {}
    if curves is not None and mature < rows.height and known.height:
        outcome, score = _outcome(known), known.get_column("score").to_numpy()
        ages = (as_of - known.get_column("at")).cast(pl.Float64).to_numpy()
        days = known.get_column("_day").to_numpy()
        early = {name: early_quality(outcome, score, ages, curves, name, days) for name in came}
    return LabelledCohort(
        start=start,
        state=State.OK if told else State.UNDERPOWERED if mature else State.NO_DATA,
        served=rows.height,
        mature=mature,
        void=int(rows.get_column("void").sum()),
        labelled=ripe.height,
        positives=int(np.sum(_outcome(ripe))),
        realised=came,
        early=early,
    )


def realised(ripe: pl.DataFrame) -> dict[str, Estimate]:
    """By metric, of mature rows: columns `label`, `score` (a probability) and `_day`, the day they lean on."""
    outcome, score = _outcome(ripe), ripe.get_column("score").to_numpy()
    days = ripe.get_column("_day").to_numpy()

    def ask(name: str) -> Estimate:
        if not ripe.height:
            raise NotEnough("no row is mature", where="label")
        if name == "auc":
            return auc_interval(outcome, score, days)
        if name == "prevalence":
            return share_interval(outcome, days)
        return mean_interval((log_losses if name == "log_loss" else brier_losses)(outcome, score), days)

    return {name: estimated(partial(ask, name), ripe.height) for name in METRICS}


def _outcome(rows: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.int8]]:
    return rows.get_column("label").cast(pl.Int8).to_numpy()
