"""Realised quality of what was served, week by week, on mature cohorts only, with an interval and the maturity shown.

A *cohort* is the predictions asked in one week. It is judged on its mature rows: judging whatever labels have arrived
would favour early outcomes, and late ones are late for a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from backstay.core.show import Shown
from backstay.core.times import DAY, instant_text
from backstay.definitions import Label
from backstay.evaluation import Interval, NotEnough, auc_interval, log_loss
from backstay.features.labels import join_labels
from backstay.features.offline import EventReader

WEEK = 7 * DAY


@dataclass(frozen=True, slots=True)
class Cohort(Shown):
    """One week's predictions, as of a moment.

    served:   predictions asked in [start, start + 7 days)
    mature:   of these, how many are mature; void: how many were voided; labelled: how many count in the metrics
    auc, log_loss: None where the rows cannot say; `why` then tells
    """

    start: int
    served: int
    mature: int
    void: int
    labelled: int
    positives: int
    auc: Interval | None
    log_loss: float | None
    why: str = ""

    @property
    def maturity(self) -> float:
        return self.mature / self.served if self.served else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "week": instant_text(self.start)[:10],
            "served": self.served,
            "mature": self.mature,
            "maturity": self.maturity,
            "void": self.void,
            "labelled": self.labelled,
            "positives": self.positives,
            "auc": None if self.auc is None else self.auc.as_dict(),
            "log_loss": self.log_loss,
            "why": self.why,
        }


def weekly_quality(
    predictions: pl.DataFrame, label: Label, events: EventReader, *, as_of: int, start: int | None = None
) -> list[Cohort]:
    """A cohort a week, from `start` (default: the first prediction's day) on.

    predictions: columns `at` (Int64 microseconds), `score` (Float64) and the label's key.
    """
    if not predictions.height:
        return []
    first = int(predictions.get_column("at").to_numpy().min())
    origin = first // DAY * DAY if start is None else start
    joined = join_labels(predictions, label, events, as_of=as_of).with_columns(
        _week=(pl.col("at") - origin).floordiv(WEEK), _day=pl.col("at").floordiv(DAY)
    )
    weeks = joined.partition_by("_week", as_dict=True, maintain_order=False)
    return [_cohort(origin + number * WEEK, rows) for (number,), rows in sorted(weeks.items())]


def _cohort(start: int, rows: pl.DataFrame) -> Cohort:
    usable = rows.filter(pl.col("mature") & pl.col("label").is_not_null())
    outcome = usable.get_column("label").cast(pl.Int8).to_numpy()
    score = usable.get_column("score").to_numpy()
    area, loss, why = None, None, ""
    try:
        area = auc_interval(outcome, score, usable.get_column("_day").to_numpy())
        loss = log_loss(outcome, score)
    except NotEnough as error:
        why = str(error)
    return Cohort(
        start=start,
        served=rows.height,
        mature=int(rows.get_column("mature").sum()),
        void=int(rows.get_column("void").sum()),
        labelled=usable.height,
        positives=int(np.sum(outcome)),
        auc=area,
        log_loss=loss,
        why=why,
    )
