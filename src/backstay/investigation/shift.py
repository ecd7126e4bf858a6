"""Whether others are asked about (covariate shift) or the same behave otherwise (concept shift), and what each costs.

After Cai, Namkoong and Yadlowsky, "Diagnosing model performance under distribution shift" (2023). With P the offline
rows, Q the online ones, and S what is shared, whose density is in proportion to p q / (p + q):

    quality on Q less quality on P  =  S less P, by the outcomes of P       others are asked about: fewer of some
                                     + Q's outcomes less P's, both on S     the same behave otherwise
                                     + Q less S, by the outcomes of Q       others are asked about: new ones

S is reached by weights: a row of P counts by how likely one like it is online, a row of Q by how likely one is offline.
Both lie between 0 and 1, so no row can take over. The likelihood is a logistic regression on the inputs and the score;
how unsure it is, is in the intervals, for every row's influence on it is followed through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.influence import Linear
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.logistic import expits
from backstay.investigation.pricing import worse
from backstay.investigation.weighted import weighted_quality

Floats = NDArray[np.float64]
Inputs = NDArray[np.float32]
Bools = NDArray[np.bool_]

RIDGE = 1.0
KINDS = 12
"""Values up to which each has a weight of its own; of more, value and square have one."""
EDGE = 0.95
"""A row that is this likely online (or offline) has next to none like it on the other side."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One side of the shift: inputs and scores of rows, and how much each speaks for either outcome."""

    vector: Inputs
    score: Floats
    ones: Floats
    zeros: Floats

    @property
    def counts(self) -> Bools:
        """Which rows speak at all."""
        return np.asarray((self.ones != 0.0) | (self.zeros != 0.0), np.bool_)

    @property
    def mass(self) -> Floats:
        """How many rows each stands for, in the mean of those that speak one."""
        mass = np.where(self.counts, np.maximum(self.ones + self.zeros, 0.0), 0.0)
        total = float(mass.sum())
        return mass * (np.count_nonzero(self.counts) / total) if total > 0.0 else mass


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """What the shift costs, by the influence of every row: first those of P, then those of Q.

    covariate, concept: POSITIVE = worse online; together the difference of the two sides
    online:   how likely each row is online, were both sides of a size
    apart:    the AUC by which the two sides are told apart; 0.5: not at all
    new:      the share of online rows that have next to none like them offline; gone: the other way round
    shared:   effective rows of P and of Q on what is shared
    """

    covariate: Linear
    concept: Linear
    online: Floats
    apart: float
    new: float
    gone: float
    shared: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        return {
            "told_apart": self.apart, "new_online": self.new, "gone_online": self.gone,
            "effective_offline": self.shared[0], "effective_online": self.shared[1],
        }  # fmt: skip


def shifted(metric: str, p: Side, q: Side) -> Shift:
    """Take the difference between two sides apart. `NotEnough` where there is one outcome only, or no overlap."""
    n = len(p.score)
    vector = np.concatenate([p.vector, q.vector])
    score = np.concatenate([p.score, q.score])
    counts = np.concatenate([p.counts, q.counts])
    target = np.concatenate([np.zeros(n), np.ones(len(q.score))])
    design = _design(vector, score, metric)
    likely, moved = _told_apart(design, target, np.concatenate([p.mass, q.mass]))
    sign = worse(metric)
    here, there = likely[:n], likely[n:]
    whole_p = weighted_quality(metric, p.score, p.ones, p.zeros)
    whole_q = weighted_quality(metric, q.score, q.ones, q.zeros)
    shared_p = weighted_quality(metric, p.score, p.ones * here, p.zeros * here)
    shared_q = weighted_quality(metric, q.score, q.ones * (1.0 - there), q.zeros * (1.0 - there))
    # What a weight does, times how the regression's coefficients move it, times how each row moves these.
    by_p = moved(design[:n].T @ (shared_p.influence * (1.0 - here)))
    by_q = moved(-design[n:].T @ (shared_q.influence * there))
    only_p = np.concatenate([shared_p.influence, np.zeros(len(q.score))]) + by_p
    only_q = np.concatenate([np.zeros(n), shared_q.influence]) + by_q
    first = only_p - np.concatenate([whole_p.influence, np.zeros(len(q.score))])
    last = np.concatenate([np.zeros(n), whole_q.influence]) - only_q
    covariate = Linear(
        sign * (shared_p.estimate - whole_p.estimate + whole_q.estimate - shared_q.estimate),
        sign * (first + last), among=counts,
    )  # fmt: skip
    concept = Linear(sign * (shared_q.estimate - shared_p.estimate), sign * (only_q - only_p), among=counts)
    speaks_p, speaks_q = counts[:n], counts[n:]
    return Shift(
        covariate, concept, likely, _area(likely[counts], target[counts]),
        float(np.mean(there[speaks_q] > EDGE)), float(np.mean(here[speaks_p] < 1.0 - EDGE)),
        (_effective(here[speaks_p]), _effective(1.0 - there[speaks_q])),
    )  # fmt: skip


def by_feature(metric: str, p: Side, q: Side, names: tuple[str, ...]) -> list[tuple[str, float, float]]:
    """What the shift of each input alone costs, and how far it alone tells the sides apart (AUC): the largest first."""
    n, sign = len(p.score), worse(metric)
    counts = np.concatenate([p.counts, q.counts])
    target = np.concatenate([np.zeros(n), np.ones(len(q.score))])
    whole = weighted_quality(metric, p.score, p.ones, p.zeros).estimate
    out = []
    for place, name in enumerate(names):
        column = np.concatenate([p.vector[:, place], q.vector[:, place]])[:, None]
        design = _columns(column)
        if design.shape[1] < 2:
            continue
        try:
            likely, _ = _told_apart(design, target, np.concatenate([p.mass, q.mass]))
            odds = likely[:n] / np.maximum(1.0 - likely[:n], 1.0 - EDGE)
            there = weighted_quality(metric, p.score, p.ones * odds, p.zeros * odds).estimate
        except NotEnough:
            continue
        out.append((name, sign * (there - whole), _area(likely[counts], target[counts])))
    return sorted(out, key=lambda one: -abs(one[1]))


def _design(vector: Inputs, score: Floats, metric: str) -> Floats:
    said = np.log(np.clip(score, 1e-6, 1 - 1e-6) / (1 - np.clip(score, 1e-6, 1 - 1e-6))) if metric != "auc" else score
    return _columns(np.column_stack([vector.astype(np.float64), said]))


def _columns(values: NDArray[Any]) -> Floats:
    """A constant, and of each column its value, its square and whether it is missing, or each of its few values."""
    out = [np.ones(len(values))]
    for column in values.T.astype(np.float64):
        there = np.isfinite(column)
        if there.any():
            known = np.unique(column[there])
            if 2 < known.size <= KINDS:
                shares = [(column == one).astype(np.float64) for one in known[1:].tolist()]
                out += [one - one.mean() for one in shares]
                continue
            low, high = np.quantile(column[there], (0.005, 0.995))
            held = np.clip(np.where(there, column, np.median(column[there])), low, high)
            spread = float(held.std())
            if spread > 0.0:
                z = (held - held.mean()) / spread
                out.append(z)
                if known.size > 2:
                    out.append(np.square(z) - 1.0)
        if not there.all() and there.any():
            out.append((~there).astype(np.float64) - float(np.mean(~there)))
    return np.column_stack(out)


def _told_apart(design: Floats, target: Floats, mass: Floats) -> tuple[Floats, Any]:
    """How likely each row is online, were both sides of a size; and how each row moves what hangs on the regression."""
    there = mass > 0.0
    x, t, m = design[there], target[there], mass[there]
    many, few = float(m[t > 0.5].sum()), float(m[t < 0.5].sum())
    if not min(many, few) > 0.0:
        raise NotEnough("one side has no labelled rows", where="rows", expected="labelled rows on both sides")
    offset = float(np.log(many / few))
    weights, curvature = _penalised(x, t, m, offset)
    part = mass * (target - expits(design @ weights + offset))

    def moved(gradient: Floats) -> Floats:
        return np.asarray((design @ np.linalg.solve(curvature, gradient)) * part, np.float64)

    return expits(design @ weights), moved


def _penalised(x: Floats, t: Floats, mass: Floats, offset: float) -> tuple[Floats, Floats]:
    """Ridge regression of the log-odds by Newton's method, so that sides that do not overlap have weights, too."""
    weights, held = np.zeros(x.shape[1]), RIDGE * np.eye(x.shape[1])
    curvature = held
    for _ in range(30):
        said = expits(x @ weights + offset)
        curvature = (x * (mass * said * (1.0 - said))[:, None]).T @ x + held
        step = np.linalg.solve(curvature, x.T @ (mass * (t - said)) - held @ weights)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights, curvature


def _area(likely: Floats, target: Floats) -> float:
    return weighted_quality("auc", likely, target, 1.0 - target).estimate


def _effective(weight: Floats) -> float:
    total = float(np.square(weight).sum())
    return float(weight.sum()) ** 2 / total if total > 0.0 else 0.0
