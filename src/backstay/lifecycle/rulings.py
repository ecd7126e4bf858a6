"""Rulings: making a calibration or a threshold of a version, from rows that it has not learned from.

Both are fitted on all the rows there are. What a calibration is worth is shown on rows that it was not fitted on: the
later half of the days, by one of the earlier half; what a threshold does is told of the rows that it was chosen on.
What was made is registered with that evidence, and changes nothing until it is put in force. From then on the rows that
it was fitted on tell nobody how good the version is: see `Records.learned_until`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.identity import canonical_json, sha256
from backstay.core.show import Shown
from backstay.core.times import DAY
from backstay.definitions import Model
from backstay.evaluation.calibration import Calibrator, Threshold, fit_calibrator
from backstay.evaluation.clustered import paired_difference
from backstay.evaluation.interval import NotEnough, estimated
from backstay.evaluation.metrics import brier, log_loss
from backstay.features.trainingset import asked_rows
from backstay.lifecycle.records import Records
from backstay.lifecycle.scored import ScoredRows
from backstay.registry.rules import Artefact
from backstay.storage.digest import frame_digest


@dataclass(frozen=True, slots=True)
class Span:
    """What was asked while the rows of a choice came: `asked` rows, with and without an outcome, in so many `days`."""

    days: float
    asked: int


Choose = Callable[[npt.NDArray[np.int8], npt.NDArray[np.float64], npt.NDArray[np.int64], Span], Threshold]
"""Chooses a threshold, of outcomes, probabilities and days, and the span that they are of."""


@dataclass(frozen=True, slots=True)
class Calibrated(Shown):
    """A calibration that was made, of so many rows and cases, and what one of the earlier half does on the later.

    shown: `shifts` of the metrics, with the gain over days; `mean_before` and `mean_after` of the score, beside the
           `rate` of what happened; or `why_not`, where half of the rows is too little
    """

    artefact: Artefact
    calibrator: Calibrator
    rows: int
    cases: int
    shown: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.artefact.model, "version": self.artefact.version, "calibration": self.artefact.number,
            "digest": self.artefact.digest, "calibrator": self.calibrator.as_dict(), "rows": self.rows,
            "cases": self.cases, "shown": dict(self.shown),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChosenThreshold(Shown):
    """A threshold that was made, on the probabilities of a calibration (None: of the version as it was trained)."""

    artefact: Artefact
    calibration: int | None
    threshold: Threshold

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.artefact.model, "version": self.artefact.version, "threshold": self.artefact.number,
            "digest": self.artefact.digest, "calibration": self.calibration, **self.threshold.as_dict(),
        }  # fmt: skip


def calibrate(records: Records, rows: ScoredRows, kind: str | None = None) -> Calibrated:
    """Fit and register a calibration of a version. `NotEnough` where the rows can't bear one."""
    labelled = rows.labelled
    calibrator = fit_calibrator(labelled.outcome, rows.raw, kind)
    shown = _shown(rows, calibrator.kind)
    document = {"form": "backstay-calibration-1", "calibrator": calibrator.as_dict(), **_basis(rows), "shown": shown}
    artefact = records.rules.keep("calibration", rows.version, document, at=records.clock.now(), actor=records.actor)
    return Calibrated(artefact, calibrator, labelled.rows, int(labelled.outcome.sum()), shown)


def choose_threshold(
    records: Records, model: Model, rows: ScoredRows, choose: Choose, calibration: int | None
) -> ChosenThreshold:
    """Choose and register a threshold on the probabilities of a calibration, by its number (None: of none)."""
    made = None if calibration is None else records.rules.get("calibration", rows.version, calibration)
    score = rows.raw if made is None else Calibrator.from_dict(made.document["calibrator"])(rows.raw)
    found = choose(rows.labelled.outcome, score, rows.labelled.day, _span(records, model, rows))
    document = {
        "form": "backstay-threshold-1", "value": found.value, "calibration": None if made is None else made.digest,
        "label": model.label.name,
        **_basis(rows), "chosen": found.as_dict(),
    }  # fmt: skip
    artefact = records.rules.keep("threshold", rows.version, document, at=records.clock.now(), actor=records.actor)
    return ChosenThreshold(artefact, calibration, found)


def _basis(rows: ScoredRows) -> Mapping[str, Any]:
    """What was fitted on: of which version, which rows, and a digest of them."""
    labelled, version = rows.labelled, rows.version
    scores = sha256(rows.raw.tobytes())
    return {
        "manifest": version.digest, "since": rows.since, "until": rows.until, "as_of": rows.as_of,
        "rows": labelled.rows, "cases": int(labelled.outcome.sum()),
        "dataset": sha256(canonical_json([frame_digest(labelled.frame), scores])),
    }  # fmt: skip


def _span(records: Records, model: Model, rows: ScoredRows) -> Span:
    """From the day (UTC) of the first asked row to the end of the last one's, or as much of it as was asked for."""
    asked = asked_rows(model, records.events, since=rows.since, until=rows.until, as_of=rows.as_of).get_column("at")
    first, last = int(np.min(asked.to_numpy())), int(np.max(asked.to_numpy()))
    begin, end = max(rows.since, first // DAY * DAY), min(rows.until, (last // DAY + 1) * DAY)
    return Span((end - begin) / DAY, len(asked))


def _shown(rows: ScoredRows, kind: str) -> dict[str, Any]:
    """What a calibration of the earlier half of the days does on the later half; or why that can't be told."""
    labelled, day = rows.labelled, rows.labelled.day
    later = day > np.median(np.unique(day))
    y, raw = labelled.outcome, rows.raw
    try:
        halved = fit_calibrator(y[~later], raw[~later], kind)
        after, before, happened, days = halved(raw[later]), raw[later], y[later], day[later]
        shifts = {
            name: {"before": metric(happened, before), "after": metric(happened, after), "gain": gain.as_dict()}
            for name, metric in (("log_loss", log_loss), ("brier", brier))
            for gain in [estimated(partial(paired_difference, happened, before, after, days, name), len(happened))]
        }
    except NotEnough as error:
        return {"why_not": str(error)}
    means = {"mean_before": float(before.mean()), "mean_after": float(after.mean()), "rate": float(happened.mean())}
    return {"shifts": shifts, **means}
