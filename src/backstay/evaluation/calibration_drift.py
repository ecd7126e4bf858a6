"""**Calibration drift**: do scores still mean what they meant, now that the labels have come?

Two questions, of rows with outcomes, each with an effect in a unit that one can put a bound on, and evidence:

    gap      how much more often it happens than the scores say, in probability: the mean of outcome less probability
    slope    how far apart the scores are from how far they should be, on log-odds: 1 is right (Cox 1958)

DRIFT is said where an interval, at the level of the two together, lies wholly beyond its tolerance; OK where both lie
wholly within twice of it; else the rows are too few to tell. Against a reference, the probabilities are what its curve
makes of the scores, so that a model that never was calibrated does not drift for that.

>>> random = np.random.default_rng(0)
>>> score = random.beta(2, 5, 4_000)
>>> still = calibration_drift(random.random(4_000) < score, score)
>>> print(still.state, still.gap)
OK -0.0177 [-0.0364, +0.0009]
>>> print(calibration_drift(random.random(4_000) < score + 0.1, score).state)
DRIFT
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import outcome_and_probability
from backstay.evaluation.quantiles import level_tails, student_quantile
from backstay.evaluation.reliability import recalibration
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled.reference import ScoredReference

GAP, SLOPE, LEVEL = 0.03, 1.25, 0.99
"""What is put up with: 3 points of probability; a slope between 1/1.25 and 1.25; the level of both together."""
STEP = 1e-4


@dataclass(frozen=True, slots=True)
class CalibrationDrift(Shown):
    """What the labels say of the scores.

    gap:    outcome less probability: above 0, it happens more often than said; None: no rows, or of one cluster
    slope:  below 1, probabilities are too extreme; None: the rows can't tell
    why:    what drifted, or what the rows can't tell
    """

    state: State
    rows: int
    gap: Interval | None
    slope: Interval | None
    gap_tolerance: float
    slope_tolerance: float
    why: str = ""


def calibration_drift(
    outcome: ArrayLike, score: ArrayLike, reference: ScoredReference | None = None, clusters: ArrayLike | None = None,
    *, gap: float = GAP, slope: float = SLOPE, level: float = LEVEL,
) -> CalibrationDrift:  # fmt: skip
    """Whether scores of mature rows still mean what they say or, with a reference, what they meant there.

    gap, slope: the tolerances, above 0 and above 1. Too little is a state, not an error; `InputError` for tolerances
    that allow nothing, scores that are no probabilities, or lengths that differ.
    """
    if not (gap > 0.0 and slope > 1.0):
        raise InputError(f"tolerances of {gap} and {slope}", where="gap", expected="above 0, and above 1")
    y, p = outcome_and_probability(outcome, score)
    if not y.size:
        return CalibrationDrift(State.NO_DATA, 0, None, None, gap, slope, "there are no rows")
    each = 0.5 + level / 2.0  # two questions share what may be wrong
    unsure = 0.0
    if reference is not None:
        curve = reference.curve()
        steps = [one * STEP for one in np.eye(len(curve.weights))]
        slopes = np.array([(curve.said(p, one).mean() - curve.said(p, -one).mean()) / 2.0 / STEP for one in steps])
        unsure, p = float(slopes @ curve.covariance @ slopes), curve.said(p)
    try:
        found = _wider(mean_interval(y - p, clusters, each), unsure)
    except NotEnough as error:
        return CalibrationDrift(State.UNDERPOWERED, y.size, None, None, gap, slope, error.what)
    why, bent = "", None
    try:
        bent = recalibration(y, p, clusters, each).slope
    except NotEnough as error:
        why = error.what
    said, drifts = [], False
    if found.low > gap or found.high < -gap:
        drifts = True
        said.append(f"it happens {abs(found.estimate):.1%} {'more' if found.estimate > 0 else 'less'} often than said")
    if bent is not None and (bent.low > slope or bent.high < 1.0 / slope):
        drifts = True
        said.append(f"probabilities are too {'even' if bent.estimate > 1 else 'extreme'}, by a slope of {bent}")
    if drifts:
        return CalibrationDrift(State.DRIFT, y.size, found, bent, gap, slope, "; ".join(said))
    sure = -2.0 * gap < found.low and found.high < 2.0 * gap
    sure = sure and (bent is None or (1.0 / slope**2 < bent.low and bent.high < slope**2))
    if not sure:
        why = why or "the intervals reach beyond twice what is put up with"
    return CalibrationDrift(State.OK if sure else State.UNDERPOWERED, y.size, found, bent, gap, slope, why)


def _wider(interval: Interval, variance: float) -> Interval:
    """The interval with this variance more."""
    reach = student_quantile(level_tails(interval.level)[1], interval.clusters - 1)
    half = math.hypot((interval.high - interval.low) / 2.0, reach * math.sqrt(variance))
    return Interval(
        interval.estimate, interval.estimate - half, interval.estimate + half, interval.level, interval.n,
        interval.clusters,
    )  # fmt: skip
