"""One metric of rows without labels, **estimated**: with an interval, what it rests on, and what it takes for granted.

The interval is where the metric of these very rows will lie once their labels have come. Its width is made of three
things, each by the rows' influence: that outcomes fall as chance has it (the more so as the reference's clusters show),
that the reference has only so many rows to say what a score means, and, with another prevalence, that this is guessed.
What importance weights themselves may be off by is not in it; `effective` says how thin the reference is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import SCALES, cluster_codes
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import as_scores
from backstay.evaluation.quantiles import level_tails, student_quantile
from backstay.evaluation.states import State
from backstay.evaluation.unlabelled import shifts
from backstay.evaluation.unlabelled.expected import METRICS, SHARES
from backstay.evaluation.unlabelled.reference import Curve, Floats, ScoredReference, as_matrix

METHODS = ("cbpe", "pape", "label_shift", "bbse")
ASSUMES = {
    "cbpe": "no concept drift, and scores that mean what they meant on the reference",
    "pape": "no concept drift, and rows of the reference that look like these",
    "label_shift": "no concept drift: only the prevalence has changed",
    "bbse": "no concept drift: only the prevalence has changed",
}
"""What each method takes for granted; none of them can see whether it is so."""
LEAST_EFFECTIVE = 50.0
"""Effective rows of the reference below which an estimate says nothing."""
ENOUGH = 5_000
"""Scores of the reference, evenly taken by rank, whose mean probability is that of all."""
STEP = 1e-4


@dataclass(frozen=True, slots=True)
class Estimation(Shown):
    """A metric of rows without labels.

    metric, method: which, and how it was estimated
    value:          the estimate; None unless the state is OK
    interval:       where the metric will lie when the labels have come, at its level
    effective:      how many rows of the reference, equally weighted and independent, speak for these rows
    assumes:        what is taken for granted
    prevalence:     the share of outcome 1 that is expected
    """

    metric: str
    method: str
    state: State
    value: float | None
    interval: Interval | None
    effective: float
    assumes: str
    rows: int
    prevalence: float | None = None
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a record or JSON."""
        return {
            "metric": self.metric, "method": self.method, "state": str(self.state), "value": self.value,
            "interval": None if self.interval is None else self.interval.as_dict(), "effective": self.effective,
            "assumes": self.assumes, "rows": self.rows, "prevalence": self.prevalence, "why": self.why,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """What a method makes of the curve's weights (moved by so much): probabilities; and the variance of a prevalence
    that it guesses, with the probabilities if that were so much higher."""

    curve: Curve
    said: Callable[[Floats | None], Floats]
    effective: float
    guessed: float = 0.0
    higher: Callable[[float], Floats] | None = None


def estimate(
    reference: ScoredReference, scores: ArrayLike, vector: ArrayLike | None = None, metric: str = "auc",
    method: str | None = None, clusters: ArrayLike | None = None, level: float = 0.95,
) -> Estimation:  # fmt: skip
    """What `metric` of rows with these scores, shape (rows,), will be; no labels are needed.

    vector:   what the model saw of each row, shape (rows, features), as in the reference
    method:   of `METHODS`; None: "pape" where both have a vector, else "cbpe"
    clusters: one day or entity a row, as in the reference

    Too little to tell is a state, not an error. Raises `InputError` for an unknown metric or method, scores that are no
    probabilities, or shapes that differ.

    >>> random = np.random.default_rng(0)
    >>> before, now = random.beta(1, 3, 5_000), random.beta(1, 4, 2_000)
    >>> reference = ScoredReference.of(random.random(5_000) < before, before)
    >>> told = estimate(reference, now, metric="brier")
    >>> print(told.state, told.interval, told.assumes)
    OK +0.1365 [+0.1263, +0.1467] no concept drift, and scores that mean what they meant on the reference
    """
    return estimates(reference, scores, vector, (metric,), method, clusters, level)[metric]


def estimates(
    reference: ScoredReference, scores: ArrayLike, vector: ArrayLike | None = None,
    metrics: Sequence[str] = tuple(METRICS), method: str | None = None, clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> dict[str, Estimation]:  # fmt: skip
    """The same of several metrics: weights and curves, which take the time, are made once.

    >>> random = np.random.default_rng(0)
    >>> score = random.beta(1, 3, 5_000)
    >>> reference = ScoredReference.of(random.random(5_000) < score, score)
    >>> {name: str(one.state) for name, one in estimates(reference, score[:20], metrics=("brier", "precision")).items()}
    {'brier': 'OK', 'precision': 'UNDERPOWERED'}
    """
    chosen = method or ("pape" if vector is not None and reference.vector is not None else "cbpe")
    if unknown := [name for name in metrics if name not in METRICS]:
        raise InputError(f"there is no metric {unknown[0]!r}", where="metric", expected=", ".join(METRICS))
    if chosen not in METHODS:
        raise InputError(f"there is no method {chosen!r}", where="method", expected=", ".join(METHODS))
    s = as_scores(scores, "scores", rows=np.asarray(scores).size)
    if ((s < 0.0) | (s > 1.0)).any():
        raise InputError("some scores are outside [0, 1]", where="scores", expected="probabilities")
    if not s.size:
        return {name: _nothing(name, chosen, State.NO_DATA, 0.0, 0, "there are no rows") for name in metrics}
    try:
        codes = None if clusters is None else cluster_codes(clusters, rows=s.size)[0]
        ways = _ways(chosen, reference, s, None if vector is None else as_matrix(vector, s.size), codes)
    except NotEnough as error:
        return {name: _nothing(name, chosen, State.UNDERPOWERED, 0.0, s.size, error.what) for name in metrics}
    told = {}
    for name in metrics:
        try:
            told[name] = _told(name, chosen, reference, ways, s, codes, level)
        except NotEnough as error:
            told[name] = _nothing(name, chosen, State.UNDERPOWERED, ways.effective, s.size, error.what)
    return told


def _ways(
    method: str, reference: ScoredReference, s: Floats, vector: Floats | None, codes: NDArray[np.intp] | None
) -> _Ways:
    worth = reference.outcome.size
    if method in ("cbpe", "pape"):
        weights = None
        if method == "pape":
            weights = shifts.importance(*_columns(reference, s, vector))
            worth = round(shifts.effective(weights))
            if worth < LEAST_EFFECTIVE:
                alike = f"the reference holds {worth} effective rows that look like these"
                raise NotEnough(alike, where="vector", expected=f"at least {LEAST_EFFECTIVE:g}")
        curve = reference.curve(weights)
        return _Ways(curve, lambda by: curve.said(s, by), float(worth))
    curve = reference.curve()
    every = max(worth // ENOUGH, 1)
    some = np.sort(reference.score)[every // 2 :: every]

    def before(by: Floats | None) -> float:
        return float(np.clip(curve.said(some, by).mean(), 1e-6, 1.0 - 1e-6))

    def found(by: Floats | None) -> tuple[float, float]:
        p, prior = curve.said(s, by), before(by)
        return shifts.prevalence(p / prior, (1.0 - p) / (1.0 - prior), codes)

    if method == "bbse":
        at = reference.threshold
        fixed = shifts.by_decisions(s >= at, reference.outcome, reference.score >= at, codes)

    def after(by: Floats | None) -> tuple[float, float]:
        return fixed if method == "bbse" else found(by)

    share, guessed = after(None)

    def said(by: Floats | None) -> Floats:
        return shifts.moved(curve.said(s, by), before(by), after(by)[0])

    def higher(step: float) -> Floats:
        return shifts.moved(curve.said(s), before(None), min(max(share + step, 1e-9), 1.0 - 1e-9))

    return _Ways(curve, said, float(worth), guessed, higher)


def _columns(reference: ScoredReference, s: Floats, vector: Floats | None) -> tuple[Floats, Floats]:
    """What importance weights go by: the score, and what the model saw where both have it."""
    if vector is None or reference.vector is None:
        return reference.score[:, None], s[:, None]
    return np.column_stack([reference.score, reference.vector]), np.column_stack([s, vector])


def _told(
    metric: str, method: str, reference: ScoredReference, ways: _Ways, s: Floats, codes: NDArray[np.intp] | None,
    level: float,
) -> Estimation:  # fmt: skip
    of, threshold = METRICS[metric], reference.threshold
    p = ways.said(None)
    value, rises = of(p, s, threshold)
    shared = _design_effect(metric, reference)
    spread = float((np.square(rises) * p * (1.0 - p)).sum()) * shared
    steps = [one * STEP for one in np.eye(len(ways.curve.weights))]
    slopes = np.array([rises @ (ways.said(one) - ways.said(-one)) for one in steps]) / (2.0 * STEP)
    spread += float(slopes @ ways.curve.covariance @ slopes)
    if ways.higher is not None:
        spread += ways.guessed * (float(rises @ (ways.higher(STEP) - ways.higher(-STEP))) / (2.0 * STEP)) ** 2
    groups = s.size if codes is None else int(codes.max()) + 1
    interval = _around(metric, value, spread, min(groups, reference.clusters), level, s.size, groups)
    return Estimation(
        metric, method, State.OK, value, interval, ways.effective / shared, ASSUMES[method], s.size, float(p.mean())
    )  # fmt: skip


def _design_effect(metric: str, reference: ScoredReference) -> float:
    """How much more the reference's metric spreads over its clusters than independent outcomes would; at least 1."""
    if reference.codes is None:
        return 1.0
    p = reference.curve().said(reference.score)
    gap = METRICS[metric](p, reference.score, reference.threshold)[1] * (reference.outcome - p)
    sums = np.bincount(reference.codes, weights=gap)
    alone = float(np.square(gap).sum())
    return max(float(np.square(sums).sum()) / alone, 1.0) if alone else 1.0


def _around(metric: str, value: float, spread: float, worth: int, level: float, rows: int, groups: int) -> Interval:
    reach = student_quantile(level_tails(level)[1], max(worth - 1, 1)) * math.sqrt(spread)
    if metric in SHARES and 0.0 < value < 1.0:
        there, back, steep = SCALES["log_odds"]
        low, high = (back(there(value) + sign * reach * steep(value)) for sign in (-1.0, 1.0))
    else:
        low, high = max(value - reach, 0.0), value + reach
    return Interval(value, min(low, value), max(high, value), level, rows, groups)


def _nothing(metric: str, method: str, state: State, effective: float, rows: int, why: str) -> Estimation:
    return Estimation(metric, method, state, None, None, effective, ASSUMES[method], rows, why=why)
