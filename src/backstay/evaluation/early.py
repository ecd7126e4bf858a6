"""Quality of rows that are not of age yet, by **inverse probability of censoring weights**.

Labels that are known early are not a sample of all: a flight that lands on time is known before one that is late. Each
known row weighs as many rows as there are like it, one over the share of labels of its outcome that are known by its
age, by the curves of cohorts whose labels have all come (`evaluation.maturity`; Robins and Rotnitzky 1992). Rows of an
age at which hardly any label of either outcome is known are left out, known or not.

It assumes that labels of an outcome come as fast as they did; the interval does not hold what the curves may be off by.

>>> from backstay.evaluation.maturity import maturity_curve
>>> random = np.random.default_rng(0)
>>> late = random.random(20_000) < 0.3
>>> delay, age = random.exponential(np.where(late, 3.0, 1.0)), random.uniform(0.5, 6.0, 20_000)
>>> curves = tuple(maturity_curve(delay[late == one], np.full((late == one).sum(), 60.0)) for one in (False, True))
>>> known = delay <= age
>>> found = early_quality(late[known], np.full(known.sum(), 0.3), age[known], curves, "prevalence")
>>> round(float(late[known].mean()), 2), round(found.value.estimate, 2)
(0.22, 0.29)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import Linear, linear_interval
from backstay.evaluation.interval import Estimate, Insufficient, NotEnough, estimated
from backstay.evaluation.maturity import Maturity
from backstay.evaluation.metrics import Bools, Floats, as_numbers, brier_losses, log_losses, outcome_and_probability

METRICS = ("auc", "log_loss", "brier", "prevalence")
LEAST_KNOWN = 0.1
"""The share of labels of either outcome that must be known at a row's age."""
LEAST_EFFECTIVE = 30.0


@dataclass(frozen=True, slots=True)
class Early(Shown):
    """A metric of rows of which not all labels are known.

    value:     with its interval over clusters, or why there is none
    rows:      known rows that count, and `effective`, of how many of equal weight they are worth; too_young: left out
    maturity:  the share of labels that is known at the rows' ages, by the weights
    """

    metric: str
    value: Estimate
    rows: int
    effective: float
    too_young: int
    maturity: float | None


def early_quality(
    outcome: ArrayLike, probability: ArrayLike, ages: ArrayLike, curves: tuple[Maturity, Maturity],
    metric: str = "log_loss", clusters: ArrayLike | None = None, level: float = 0.95,
) -> Early:  # fmt: skip
    """A metric by the rows whose label is known, each of shape (rows,).

    ages:   how long ago each was asked, in the curves' unit
    curves: of the outcomes 0 and 1, from cohorts whose labels have all come

    Too little is `Insufficient`; `InputError` for an unknown metric, or what `log_losses` refuses.
    """
    if metric not in METRICS:
        raise InputError(f"there is no metric {metric!r}", where="metric", expected=", ".join(METRICS))
    y, p = outcome_and_probability(outcome, probability)
    age = as_numbers(ages, "ages")
    if age.size != y.size:
        raise InputError(f"there are {age.size} ages for {y.size} rows", where="ages", expected="one a row")
    shares = [curve.at(age) for curve in curves]
    old = np.minimum(*shares) >= LEAST_KNOWN
    weights = 1.0 / np.maximum(np.where(y, shares[1], shares[0])[old], LEAST_KNOWN)
    groups = None if clusters is None else np.asarray(clusters)[old]
    young = int(np.count_nonzero(~old))
    if not weights.size:
        return Early(metric, Insufficient("no row is old enough", y.size), 0, 0.0, young, None)
    worth = float(weights.sum() ** 2 / np.square(weights).sum())
    maturity = float(weights.size / weights.sum())

    def ask() -> Estimate:
        if worth < LEAST_EFFECTIVE:
            raise NotEnough(f"known rows are worth {worth:.0f}", expected=f"at least {LEAST_EFFECTIVE:g}")
        return linear_interval(_weighted(metric, y[old], p[old], weights), groups, level)

    return Early(metric, estimated(ask, weights.size), weights.size, worth, young, maturity)


def _weighted(metric: str, y: Bools, p: Floats, weights: Floats) -> Linear:
    if metric == "auc":
        return _auc(y, p, weights)
    values = (
        {"log_loss": log_losses, "brier": brier_losses}[metric](y, p) if metric != "prevalence" else y.astype(float)
    )
    total = weights.sum()
    mean = float((weights * values).sum() / total)
    scale = "log_odds" if metric == "prevalence" else "log"
    if not mean > 0.0 or (scale == "log_odds" and mean >= 1.0):
        raise NotEnough(f"it is {mean:g} in every row", where="outcome", expected="rows that differ")
    return Linear(mean, np.asarray(weights * (values - mean) / total, np.float64), scale)


def _auc(y: Bools, p: Floats, weights: Floats) -> Linear:
    """The weighted share of pairs that are ranked right, and each row's influence (DeLong's placements, weighted)."""
    cases, controls = float(weights[y].sum()), float(weights[~y].sum())
    if not (cases and controls):
        raise NotEnough("all known rows have the same outcome", where="outcome", expected="both outcomes")
    values, run = np.unique(p, return_inverse=True)
    of_cases, of_controls = (np.bincount(run, weights=weights * one, minlength=values.size) for one in (y, ~y))
    below = (np.cumsum(of_controls) - of_controls / 2.0)[run] / controls
    above = (cases - np.cumsum(of_cases) + of_cases / 2.0)[run] / cases
    area = float((weights * below)[y].sum() / cases)
    if not 0.0 < area < 1.0:
        raise NotEnough(f"every pair is ranked alike: the AUC is {area:g}", where="probability")
    influence = np.where(y, weights * (below - area) / cases, weights * (above - area) / controls)
    return Linear(area, np.asarray(influence, np.float64), "log_odds")
