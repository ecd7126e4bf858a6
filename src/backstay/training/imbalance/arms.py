"""The arms: what may be done about imbalance, each as it would be used, with its correction or calibrator.

    plain        nothing: the estimator and its own regularisation
    weights      each positive as heavy as all its negatives; the odds are divided by the weight (Elkan 2001)
    undersample  all positives and a sample of the negatives; the odds are corrected (Dal Pozzolo et al. 2015)
    bag          ten such samples, ten models, the mean of their corrected probabilities (Wallace et al. 2011)
    smote        made-up positives between neighbours (Chawla et al. 2002), by imbalanced-learn, in the training rows
                 only; a calibrator on the later part
    anomaly      an isolation forest (Liu et al. 2008), which sees no outcome; a calibrator on the later part

They stand in the order of their simplicity: what it takes to train them, to serve them and to explain them. All of them
use the same estimator with the same parameters; a parameter that counts rows (such as LightGBM's min_child_samples)
means more where fewer are left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.core.errors import BackstayError
from backstay.core.packages import need
from backstay.evaluation.imbalance import without_undersampling, without_weight
from backstay.training.imbalance.learning import learn_weighed, neutral, scores
from backstay.training.imbalance.task import Answer, Floats, Ints, NotApplicable, Task, Vector, calibrated

NEGATIVES = 10
"""Negatives that undersampling keeps for each positive; where the data hold fewer than twice that, one."""
BAGS = 10
NEIGHBOURS = 5
"""Positives that a made-up one may lie on the way to."""
TREES = 200


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm: `run` learns from a task and answers it; `NotApplicable` where it can't."""

    name: str
    title: str
    run: Callable[[Task], Answer]


def plain(task: Task) -> Answer:
    """Nothing but what the estimator regularises by itself."""
    estimator = task.estimator()
    notes = neutral(estimator)
    estimator.fit(task.vector, task.outcome)
    found = scores(estimator, task.test)
    return Answer(found, found, notes)


def weights(task: Task) -> Answer:
    """Class weights that balance the outcomes, and the prior corrected."""
    estimator = task.estimator()
    neutral(estimator)
    weight = len(task.negatives) / len(task.positives)
    learn_weighed(estimator, task.vector, task.outcome, weight)
    raw = scores(estimator, task.test)
    return Answer(without_weight(raw, weight), raw, (f"a positive weighs {weight:.4g} times a negative",))


def undersample(task: Task) -> Answer:
    """One sample of the negatives."""
    corrected, raw, kept = _undersampled(task, 0)
    return Answer(corrected, raw, (f"{kept:.3g} of the negatives are kept",))


def bag(task: Task) -> Answer:
    """The mean of models of several samples of the negatives, each corrected by itself."""
    found = [_undersampled(task, part) for part in range(BAGS)]
    corrected, raw = np.mean([one[0] for one in found], axis=0), np.mean([one[1] for one in found], axis=0)
    return Answer(corrected, raw, (f"{BAGS} models, {found[0][2]:.3g} of the negatives are kept in each",))


def smote(task: Task) -> Answer:
    """Made-up positives, as many as there are negatives, in the earlier part; a calibrator on the later part."""
    sampler = _sampler(task)
    earlier, later = task.parts
    filled, width = _filler(task, earlier)
    estimator = task.estimator()
    neutral(estimator)
    made, outcome = sampler.fit_resample(filled(task.vector[earlier]) / width, task.outcome[earlier])
    estimator.fit((made * width).astype(np.float32), outcome)
    calibrator = calibrated(task, scores(estimator, filled(task.vector[later])))
    raw = scores(estimator, filled(task.test))
    notes = [f"{len(outcome) - len(earlier):,} positives are made up", _by(calibrator.kind, later)]
    if np.isnan(task.vector).any():
        notes.append("missing values are filled with medians: SMOTE knows no distance to what is missing")
    return Answer(calibrator(raw), raw, tuple(notes))


def anomaly(task: Task) -> Answer:
    """How soon a row is isolated by random cuts, as a score; a calibrator on the later part."""
    forest = need("sklearn.ensemble").IsolationForest(n_estimators=TREES, random_state=task.seed)
    earlier, later = task.parts
    filled, _ = _filler(task, earlier)
    forest.fit(filled(task.vector[earlier]))
    calibrator = calibrated(task, -forest.score_samples(filled(task.vector[later])))
    return Answer(calibrator(-forest.score_samples(filled(task.test))), None, (_by(calibrator.kind, later),))


ARMS = (
    Arm("plain", "nothing but regularisation", plain),
    Arm("weights", "class weights, prior corrected", weights),
    Arm("undersample", "undersampling, corrected", undersample),
    Arm("bag", "bag of undersamples, corrected", bag),
    Arm("smote", "SMOTE, calibrated", smote),
    Arm("anomaly", "anomaly detector, calibrated", anomaly),
)


def _undersampled(task: Task, part: int) -> tuple[Floats, Floats, float]:
    """Corrected and raw probabilities of the test rows, and the share of the negatives that was kept."""
    positives, negatives = task.positives, task.negatives
    each = NEGATIVES if len(negatives) >= 2 * NEGATIVES * len(positives) else 1
    size = each * len(positives)
    if size >= len(negatives):
        raise NotApplicable(f"there are {len(negatives):,} negatives for {len(positives):,} positives: none to spare")
    rows = np.sort(np.concatenate([positives, task.random(part).choice(negatives, size, replace=False)]))
    estimator = task.estimator()
    neutral(estimator)
    estimator.fit(task.vector[rows], task.outcome[rows])
    raw, kept = scores(estimator, task.test), size / len(negatives)
    return without_undersampling(raw, kept), raw, kept


def _sampler(task: Task) -> Any:
    """SMOTE for the earlier part; `NotApplicable` without the package, or with too few positives to lie between."""
    try:
        smote_of = need("imblearn.over_sampling", "imbalance").SMOTE
    except BackstayError as error:
        raise NotApplicable(f"{error.what} (fix: {error.fix})") from None
    outcome = task.outcome[task.parts[0]]
    positives = int(np.count_nonzero(outcome))
    if positives < 2 or 2 * positives >= len(outcome):
        raise NotApplicable(f"{positives:,} of {len(outcome):,} rows are positive: none can be made up between them")
    return smote_of(k_neighbors=min(NEIGHBOURS, positives - 1), random_state=task.seed)


def _filler(task: Task, rows: Ints) -> tuple[Callable[[Vector], Vector], Vector]:
    """What fills missing values with the medians of some rows, and the width that each feature has there."""
    known = task.vector[rows].astype(np.float64)
    known[~np.isfinite(known)] = np.nan
    known[:, np.isnan(known).all(axis=0)] = 0.0
    medians = np.nanmedian(known, axis=0).astype(np.float32)
    width = np.nanstd(known, axis=0)
    return lambda vector: np.where(np.isfinite(vector), vector, medians), np.where(width > 0, width, 1).astype(
        np.float32
    )


def _by(kind: str, later: Ints) -> str:
    return f"calibrated ({kind}) on the {len(later):,} latest training rows, which it has not learned from"
