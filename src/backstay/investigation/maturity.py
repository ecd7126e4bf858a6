"""Labels that arrive late: quality on what has arrived so far, and on everybody by what is still to come.

What has arrived is a biased sample, since when a label arrives hangs on what it says. Two ways lead to all rows:

    weights      a row whose label is known counts for the rows of its age whose label is not, by one over the chance
                 that a label like it has arrived at that age (inverse probability of censoring; Robins and Rotnitzky
                 1992)
    expectation  a row whose label is not known is either outcome, as likely as rows with its score are (by a logistic
                 recalibration on the weighted rows), given that nothing has arrived at its age

A metric asks only for scores and outcomes, so that the second is right where the recalibration is, and has less noise:
the price of waiting is by it. The weights rest on delays alone; what is told of shifts is by them. Delays are read off
rows that are mature, by outcome and score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.influence import Linear
from backstay.evaluation.logistic import expits
from backstay.investigation.case import Case, Rows
from backstay.investigation.pricing import Floats, cost, quality
from backstay.investigation.weighted import outcome_weights, weighted_quality

Bools = NDArray[np.bool_]

LEAST = 0.2
"""Rows whose label had less chance than this to have arrived have no weight: it would stand for too many."""
STRATA = 4
"""Parts by score, of each of which the delay is its own: what is likely may take longer."""
MATURE = 100
"""Mature rows of each outcome that have a label, from which delays are read off the online side alone."""
PRIOR = 5.0
"""How many rows speak for the scores as they are when they are recalibrated."""
_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Matured:
    """Online quality with all labels that will come.

    ones, zeros: how much each row speaks for either outcome by the weights, shape (rows,)
    seen, whole: quality on what has arrived, and on everybody
    effect:      by how much what has arrived looks worse than everybody
    young:       rows that are not mature; unknown: of these, those that have no weight
    """

    ones: Floats
    zeros: Floats
    seen: Linear
    whole: Linear
    effect: Linear
    young: int
    unknown: int


def matured(case: Case) -> Matured:
    """Quality on all online rows. `NotEnough` where those with labels show one outcome."""
    rows = case.online
    seen = quality(case.metric, rows.score, rows.seen)
    mature = rows.at + case.maturity <= case.as_of
    if mature.all():
        ones, zeros = outcome_weights(np.nan_to_num(rows.label), np.isfinite(rows.label).astype(np.float64))
        whole, unknown = weighted_quality(case.metric, rows.score, ones, zeros), 0
    else:
        age = (case.as_of - rows.at).astype(np.float64)
        chance = _arrived(case, mature, 0, age), _arrived(case, mature, 1, age)
        ones, zeros, unknown = _weights(case, mature, chance)
        whole = _expected(case, mature, chance, ones, zeros)
    young = int(np.count_nonzero(~mature))
    return Matured(ones, zeros, seen, whole, cost(case.metric, whole, seen), young, unknown)


def _weights(case: Case, mature: Bools, chance: tuple[Floats, Floats]) -> tuple[Floats, Floats, int]:
    rows = case.online
    told = np.isfinite(rows.label)
    ones, zeros = outcome_weights(np.nan_to_num(rows.label), told.astype(np.float64))
    ones, zeros = np.where(mature, ones, 0.0), np.where(mature, zeros, 0.0)
    known = ~mature & np.isfinite(rows.waits) & np.isfinite(rows.seen)
    if case.occurrence:  # a row that has no event yet speaks for 0 less what those that have one speak for it
        old = ~mature & np.isfinite(rows.seen) & (chance[1] >= LEAST)
        share = known / np.maximum(chance[1], LEAST)
        ones, zeros = np.where(old, share, ones), np.where(old, 1.0 - share, zeros)
        return ones, zeros, int(np.count_nonzero(~mature & ~old))
    weight = 1.0 / np.maximum(np.where(rows.seen > 0.5, chance[1], chance[0]), LEAST)
    old = ~mature & (np.minimum(chance[0], chance[1]) >= LEAST)
    use, y = known & old, np.nan_to_num(rows.seen)
    ones, zeros = np.where(use, weight * y, ones), np.where(use, weight * (1.0 - y), zeros)
    return ones, zeros, int(np.count_nonzero(~mature & ~old))


def _expected(case: Case, mature: Bools, chance: tuple[Floats, Floats], ones: Floats, zeros: Floats) -> Linear:
    """Quality with every label that is not known as likely as it is; how unsure the recalibration is, is followed."""
    rows = case.online
    design = np.column_stack([np.ones(rows.rows), _odds(rows.score)])
    weights, curvature = _recalibrated(design, ones, zeros)
    come = np.isfinite(rows.waits) if case.occurrence else np.isfinite(rows.seen)
    open_ = ~mature & ~come & ~rows.void
    held = chance[0] if not case.occurrence else np.zeros(rows.rows)
    known = np.where(mature, np.isfinite(rows.label), come & ~rows.void)
    y = np.where(mature, np.nan_to_num(rows.label), np.nan_to_num(rows.seen))

    def at(beta: Floats) -> Linear:
        said = expits(design @ beta)
        left = said * (1.0 - chance[1]), (1.0 - said) * (1.0 - held)
        share = left[0] / np.maximum(left[0] + left[1], 1e-12)
        one = np.where(open_, share, np.where(known, y, 0.0))
        two = np.where(open_, 1.0 - share, np.where(known, 1.0 - y, 0.0))
        return weighted_quality(case.metric, rows.score, one, two)

    found = at(weights)
    slope = np.array([
        (at(weights + step).estimate - at(weights - step).estimate) / (2 * _STEP) for step in _STEP * np.eye(2)
    ])  # fmt: skip
    part = ones - (ones + zeros) * expits(design @ weights)
    return Linear(found.estimate, found.influence + (design @ np.linalg.solve(curvature, slope)) * part)


def _recalibrated(design: Floats, ones: Floats, zeros: Floats) -> tuple[Floats, Floats]:
    """A logistic regression of the weighted outcomes on the scores' log-odds, held near the scores themselves."""
    mass, as_they_are = ones + zeros, np.array([0.0, 1.0])
    weights, held = as_they_are.copy(), PRIOR * np.eye(2)
    curvature = held
    for _ in range(30):
        said = expits(design @ weights)
        curvature = (design * (np.maximum(mass, 0.0) * said * (1.0 - said))[:, None]).T @ design + held
        step = np.linalg.solve(curvature, design.T @ (ones - mass * said) - held @ (weights - as_they_are))
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-8:
            break
    return weights, curvature


def _odds(score: Floats) -> Floats:
    held = np.clip(score, 1e-6, 1.0 - 1e-6)
    return np.asarray(np.log(held / (1.0 - held)), np.float64)


def _arrived(case: Case, mature: Bools, outcome: int, age: Floats) -> Floats:
    """The chance that a label of this outcome has arrived at each age, of rows with scores like it, shape (rows,)."""
    waits, score = _waits(case.online, mature, outcome)
    if waits.size < MATURE:
        more = _waits(case.offline, np.ones(case.offline.rows, np.bool_), outcome)
        waits, score = np.concatenate([waits, more[0]]), np.concatenate([score, more[1]])
    if not waits.size:
        return np.zeros(age.size)
    parts = max(1, min(STRATA, waits.size // (MATURE // 2)))
    cuts = np.quantile(score, np.linspace(0, 1, parts + 1)[1:-1])
    of, to = np.searchsorted(cuts, score, side="right"), np.searchsorted(cuts, case.online.score, side="right")
    out = np.zeros(age.size)
    for part in range(parts):
        known = np.sort(waits[of == part] if (of == part).any() else waits)
        out[to == part] = np.searchsorted(known, age[to == part], side="right") / known.size
    return out


def _waits(rows: Rows, among: Bools, outcome: int) -> tuple[Floats, Floats]:
    chosen = among & (rows.label == outcome) & np.isfinite(rows.waits)
    return rows.waits[chosen], rows.score[chosen]


def half(waits: Floats) -> float | None:
    """The median wait in days; None where none is known."""
    known = waits[np.isfinite(waits)]
    return float(np.median(known)) / 86_400e6 if known.size else None
