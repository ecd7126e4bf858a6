"""A **comparison** of two yes-or-no models on the same rows: every metric's gain, with its interval and its power.

A gain is POSITIVE where the candidate is better, whichever way the metric points. Each has what it could have shown
(`detectable`) and, where it shows nothing yet, how many more rows it would take (`needed`). Many gains are looked at
here, and one in twenty seems to be there by luck: a gate asks for one, chosen before.

>>> rng = np.random.default_rng(0)
>>> true = rng.beta(1, 4, 3000)
>>> y = rng.random(3000) < true
>>> found = compare(y, np.full(3000, 0.2) + 0.05 * true, true, clusters=None)
>>> print(found.gains["log_loss"].gain, found.gains["log_loss"].shown)
+0.0760 [+0.0632, +0.0888] True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import difference_by_influence, mean_interval, paired_difference, share_difference
from backstay.evaluation.decided import Costs, McNemar, linear_f_beta, linear_precision, mcnemar, row_costs
from backstay.evaluation.influence import Linear, linear_difference
from backstay.evaluation.interval import Estimate, Insufficient, Interval, estimated
from backstay.evaluation.metrics import Bools, Floats, outcome_and_probability
from backstay.evaluation.power import POWER, Needed, detectable, shown, still_needed
from backstay.evaluation.ranked import linear_average_precision, linear_precision_at, linear_recall_at

WORDS = {
    "average_precision": "average precision", "auc": "AUC", "log_loss": "log loss", "brier": "Brier score",
    "recall_at_k": "recall at k", "precision_at_k": "precision at k", "recall": "recall", "precision": "precision",
    "false_positive_rate": "false positive rate", "f1": "F1", "cost": "cost of a row",
}  # fmt: skip
"""The metrics that are compared, in the order they are told, and their names for people."""


@dataclass(frozen=True, slots=True)
class Gain(Shown):
    """What the candidate gains in one metric, in its unit.

    margin:     what is asked for; below 0, the loss that is put up with
    shown:      True: the gain is above the margin; False: below it; None: these rows can't tell
    detectable: the least gain over the margin that rows like these show in 8 of 10 cases; None without an interval
    needed:     how many more it takes; None where it is told already, or no number of rows would do
    """

    gain: Estimate
    margin: float
    shown: bool | None
    detectable: float | None
    needed: Needed | None


@dataclass(frozen=True, slots=True)
class Comparison(Shown):
    """Two models on the same rows.

    gains:  by metric, in the order of `WORDS`: those of decisions only with a threshold (or costs), those at k with a k
    mcnemar: which decisions are right; None without a threshold
    """

    n: int
    positives: int
    level: float
    gains: dict[str, Gain]
    mcnemar: McNemar | Insufficient | None

    def __str__(self) -> str:
        width = max(len(WORDS[name]) for name in self.gains)
        lines = []
        for name, one in self.gains.items():
            found = {True: "better", False: "not better", None: "can't tell"}[one.shown]
            more = f": {one.needed}" if one.needed is not None else ""
            lines.append(f"{WORDS[name]:<{width}}  {one.gain}  {found}{more}")
        return "\n".join(lines)


def compare(
    outcome: ArrayLike,
    champion: ArrayLike,
    candidate: ArrayLike,
    *,
    clusters: ArrayLike | None,
    threshold: float | tuple[float, float] | None = None,
    cost: Costs | None = None,
    k: int | None = None,
    level: float = 0.95,
    margins: Mapping[str, float] | None = None,
    power: float = POWER,
) -> Comparison:
    """Compare two models on rows that neither has learned from.

    champion, candidate: their probabilities; threshold: of both, or (champion's, candidate's); by default that of the
    costs. margins: by metric, in its unit, 0 where none is named; the rest as for `evaluate`. Raises `InputError` as
    `evaluate` does, and for a margin of no metric.
    """
    y, first = outcome_and_probability(outcome, champion)
    _, second = outcome_and_probability(y, candidate)
    wanted = dict(margins or {})
    if unknown := [name for name in wanted if name not in WORDS]:
        raise InputError(f"there is no metric {unknown[0]!r}", where="margins", expected=", ".join(WORDS))
    if k is not None and not 1 <= k <= y.size:
        raise InputError(f"k is {k}", where="k", expected=f"from 1 to the number of rows, which is {y.size}")
    asked = _ranking(y, first, second, clusters, k, level)
    at = cost.threshold if threshold is None and cost is not None else threshold
    agreed: McNemar | Insufficient | None = None
    if at is not None:
        one, two = at if isinstance(at, tuple) else (at, at)
        flagged = (first >= one, second >= two)
        asked |= _decided(y, *flagged, clusters, cost, level)
        agreed = estimated(lambda: mcnemar(y, *flagged, clusters, level), y.size)
    gains = {
        name: _gain(estimated(asked[name], y.size), float(wanted.get(name, 0.0)), power)
        for name in WORDS
        if name in asked
    }
    return Comparison(y.size, int(np.count_nonzero(y)), level, gains, agreed)


Asked = dict[str, Callable[[], Interval]]


def _ranking(y: Bools, first: Floats, second: Floats, clusters: ArrayLike | None, k: int | None, level: float) -> Asked:
    def linear(of: Callable[..., Linear], *more: Any) -> Callable[[], Interval]:
        return lambda: linear_difference(of(y, first, *more), of(y, second, *more), clusters, level)

    def paired(metric: str) -> Callable[[], Interval]:
        return lambda: paired_difference(y, first, second, clusters, metric, level)

    def share(of: Callable[..., Linear], n: int) -> Callable[[], Interval]:
        return lambda: difference_by_influence(of(y, first, k), of(y, second, k), (n, n), clusters, level)

    asked: Asked = {metric: paired(metric) for metric in ("auc", "log_loss", "brier")}
    asked["average_precision"] = linear(linear_average_precision)
    if k is not None:
        cases = int(np.count_nonzero(y))
        asked |= {"recall_at_k": share(linear_recall_at, cases), "precision_at_k": share(linear_precision_at, k)}
    return asked


def _decided(
    y: Bools, first: Bools, second: Bools, clusters: ArrayLike | None, costs: Costs | None, level: float
) -> Asked:
    labels = None if clusters is None else np.asarray(clusters)

    def among(rows: Bools, champion: Bools, candidate: Bools) -> Callable[[], Interval]:
        some = None if labels is None else labels[rows]
        return lambda: share_difference(champion[rows], candidate[rows], some, level)

    def precision() -> Interval:
        both = linear_precision(y, first), linear_precision(y, second)
        return difference_by_influence(*both, (int(first.sum()), int(second.sum())), clusters, level)

    asked: Asked = {
        "recall": among(y, first, second),
        "false_positive_rate": among(~y, ~first, ~second),
        "precision": precision,
        "f1": lambda: linear_difference(linear_f_beta(y, first), linear_f_beta(y, second), clusters, level),
    }
    if costs is not None:
        saved = row_costs(y, first, costs) - row_costs(y, second, costs)
        asked["cost"] = lambda: mean_interval(saved, clusters, level)
    return asked


def _gain(gain: Estimate, margin: float, power: float) -> Gain:
    if not isinstance(gain, Insufficient) and gain.low == gain.high:  # no certainty: nothing to tell it from
        gain = Insufficient("no row tells the two apart", gain.n)
    if isinstance(gain, Insufficient):
        return Gain(gain, margin, None, None, None)
    answer = shown(gain, margin)
    least = detectable(gain, power)
    return Gain(gain, margin, answer, least, still_needed(gain, margin, power) if answer is None else None)
