"""What **decisions** are worth: rows that were flagged or not, held against what happened.

A decision is 0 or 1 (or False and True), made from a probability by a threshold or by any other rule. What it is worth
is said by the four counts, and by what each mistake costs:

    ok       expected_cost(outcome, flagged, Costs(false_positive=1, false_negative=20))
    not ok   the accuracy: of outcomes that are 1 in 1,000 rows, never flagging anything is right in 99.9%

So the accuracy is told beside `constant`, what always giving the commoner answer gets. Two rules for the same rows are
held against each other by the rows on which they differ (`mcnemar`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval, share_difference, share_interval
from backstay.evaluation.cuts import POINTS, Curve, all_cuts, curve
from backstay.evaluation.influence import Linear, linear_interval
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Bools, Floats, as_numbers, as_outcome
from backstay.evaluation.quantiles import binomial_tail


@dataclass(frozen=True, slots=True)
class Costs:
    """What each kind of row costs, in a unit of one's own; a gain is below 0.

    Raises `InputError` for a cost that is not finite, or where a mistake costs no more than what it takes the place of:
    then one of the two decisions is always right, and no model is needed.

    >>> Costs(false_positive=1, false_negative=19).threshold
    0.05
    """

    false_positive: float
    false_negative: float
    true_positive: float = 0.0
    true_negative: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.as_dict().values()):
            raise InputError("a cost is not finite", where="Costs", expected="four numbers")
        if self.false_positive <= self.true_negative or self.false_negative <= self.true_positive:
            found = "a mistake costs no more than the right decision for the same row"
            raise InputError(found, where="Costs", expected="a false positive above a true negative, and so on")

    @property
    def threshold(self) -> float:
        """The probability from which on flagging is cheaper, if probabilities are right (Elkan 2001)."""
        wrongly, missed = self.false_positive - self.true_negative, self.false_negative - self.true_positive
        return wrongly / (wrongly + missed)

    def as_dict(self) -> dict[str, float]:
        """Plain numbers, for a record or JSON."""
        names = ("false_positive", "false_negative", "true_positive", "true_negative")
        return {name: float(getattr(self, name)) for name in names}


@dataclass(frozen=True, slots=True)
class Confusion(Shown):
    """The four counts of decisions: tp and fp were flagged, fn and tn not; tp and fn have outcome 1.

    A share that has nothing to be a share of is `NotEnough`: without outcomes that are 1 the recall is not 0.

    >>> found = confusion([1, 1, 0, 0, 0], [1, 0, 1, 0, 0])
    >>> found.recall, found.precision, found.accuracy, found.constant
    (0.5, 0.5, 0.6, 0.6)
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def n(self) -> int:
        """All rows."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def recall(self) -> float:
        """Of the outcomes that are 1, the share that was flagged (the true positive rate)."""
        return _share(self.tp, self.tp + self.fn, "no row has outcome 1")

    @property
    def precision(self) -> float:
        """Of the flagged rows, the share whose outcome is 1 (the positive predictive value)."""
        return _share(self.tp, self.tp + self.fp, "no row was flagged")

    @property
    def false_positive_rate(self) -> float:
        """Of the outcomes that are 0, the share that was flagged."""
        return _share(self.fp, self.fp + self.tn, "no row has outcome 0")

    @property
    def flagged(self) -> float:
        """The share of all rows that was flagged (the selection rate)."""
        return _share(self.tp + self.fp, self.n, "there are no rows")

    @property
    def prevalence(self) -> float:
        """The share of all rows whose outcome is 1."""
        return _share(self.tp + self.fn, self.n, "there are no rows")

    @property
    def accuracy(self) -> float:
        """The share of right decisions; worth nothing without `constant` beside it."""
        return _share(self.tp + self.tn, self.n, "there are no rows")

    @property
    def constant(self) -> float:
        """The accuracy of always giving the commoner answer."""
        return _share(max(self.tp + self.fn, self.fp + self.tn), self.n, "there are no rows")

    def f_beta(self, beta: float = 1.0) -> float:
        """The F measure (van Rijsbergen 1979): recall counts beta times as much as precision.

        (1 + β²) tp / ((1 + β²) tp + β² fn + fp); `NotEnough` where nothing was flagged and nothing had outcome 1.
        """
        if not (math.isfinite(beta) and beta > 0):
            raise InputError(f"beta is {beta}", where="beta", expected="a number above 0, such as 1 or 2")
        square = beta * beta
        whole = (1 + square) * self.tp + square * self.fn + self.fp
        if not whole:
            raise NotEnough("no row has outcome 1 and none was flagged", where="outcome")
        return (1 + square) * self.tp / whole

    def cost(self, costs: Costs) -> float:
        """What a row costs on average, in the unit of the costs."""
        total = self.fp * costs.false_positive + self.fn * costs.false_negative
        total += self.tp * costs.true_positive + self.tn * costs.true_negative
        return _share(total, self.n, "there are no rows")

    def as_dict(self) -> dict[str, Any]:
        """The counts, as plain numbers."""
        return {"tp": self.tp, "fp": self.fp, "fn": self.fn, "tn": self.tn}


def confusion(outcome: ArrayLike, decision: ArrayLike) -> Confusion:
    """Count the decisions. Raises `InputError` for lengths that differ or values other than 0 and 1.

    >>> confusion([1, 0, 1], [1, 1, 0]).as_dict()
    {'tp': 1, 'fp': 1, 'fn': 1, 'tn': 0}
    """
    y, d = outcome_and_decision(outcome, decision)
    tp, fp, cases = (int(np.count_nonzero(some)) for some in (y & d, d & ~y, y))
    return Confusion(tp, fp, cases - tp, y.size - cases - fp)


def f_beta(outcome: ArrayLike, decision: ArrayLike, beta: float = 1.0) -> float:
    """The F measure of decisions: see `Confusion.f_beta`.

    >>> round(f_beta([1, 1, 0, 0], [1, 0, 1, 0], beta=2), 4)
    0.5
    """
    return confusion(outcome, decision).f_beta(beta)


def expected_cost(outcome: ArrayLike, decision: ArrayLike, costs: Costs) -> float:
    """What a row costs on average under these decisions, in the unit of the costs; errors as for `confusion`.

    >>> expected_cost([1, 1, 0, 0], [1, 0, 1, 0], Costs(false_positive=1, false_negative=20))
    5.25
    """
    return confusion(outcome, decision).cost(costs)


def row_costs(outcome: ArrayLike, decision: ArrayLike, costs: Costs) -> Floats:
    """What each row costs, shape (rows,); errors as for `confusion`.

    >>> row_costs([1, 1, 0, 0], [1, 0, 1, 0], Costs(false_positive=1, false_negative=20)).tolist()
    [0.0, 20.0, 1.0, 0.0]
    """
    y, d = outcome_and_decision(outcome, decision)
    flagged = np.where(y, costs.true_positive, costs.false_positive)
    return np.asarray(np.where(d, flagged, np.where(y, costs.false_negative, costs.true_negative)), np.float64)


def cost_interval(
    outcome: ArrayLike, decision: ArrayLike, costs: Costs, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The expected cost of a row with its interval, by `mean_interval`."""
    return mean_interval(row_costs(outcome, decision, costs), clusters, level)


def linear_f_beta(outcome: ArrayLike, decision: ArrayLike, beta: float = 1.0) -> Linear:
    """The F measure and the influence of each row: ((1 + β²) y d - F (β² y + d)) / ((1 + β²) tp + β² fn + fp)."""
    y, d = outcome_and_decision(outcome, decision)
    value, square = confusion(y, d).f_beta(beta), beta * beta
    whole = square * np.count_nonzero(y) + np.count_nonzero(d)
    return Linear(value, ((1 + square) * (y & d) - value * (square * y + d)) / whole, "log_odds", among=y | d)


def f_beta_interval(
    outcome: ArrayLike, decision: ArrayLike, beta: float = 1.0, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The F measure with its interval, on log-odds.

    An F of 0 or 1 shows no spread. F grows with the share that is right among the rows flagged or missed, so then it
    has the bound of that share's exact interval, whichever of the two mistakes weighs more.

    >>> print(f_beta_interval([1, 1, 0, 1, 0, 1], [1, 0, 1, 1, 0, 1]))
    +0.7500 [+0.1574, +0.9797]
    """
    metric = linear_f_beta(outcome, decision, beta)
    if 0.0 < metric.estimate < 1.0:
        return linear_interval(metric, clusters, level)
    y, d = outcome_and_decision(outcome, decision)
    some = y | d
    share = share_interval((y & d)[some], None if clusters is None else np.asarray(clusters)[some], level)
    square = beta * beta

    def at(right: float, weight: float) -> float:
        return (1 + square) * right / ((1 + square) * right + weight * (1 - right))

    low, high = at(share.low, max(square, 1.0)), at(share.high, min(square, 1.0))
    return Interval(metric.estimate, low, high, level, y.size, share.clusters)


@dataclass(frozen=True, slots=True)
class McNemar(Shown):
    """Two rules on the same rows (McNemar 1947): only rows that one of them gets right say which is better.

    gained, lost: rows that only the candidate, only the champion gets right
    p_value:      two-sided and exact: how often a fair coin parts gained + lost so unevenly; rows taken as independent
    difference:   of the shares that are right, with its interval over clusters: POSITIVE = the candidate is better
    """

    gained: int
    lost: int
    p_value: float
    difference: Interval


def mcnemar(
    outcome: ArrayLike,
    champion: ArrayLike,
    candidate: ArrayLike,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> McNemar:
    """Compare the decisions of two rules. `NotEnough` where they are right on the very same rows.

    The p-value takes each row for itself; where rows lean on each other, go by the interval.

    >>> found = mcnemar([1, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 1], [1, 1, 0, 0, 1, 1])
    >>> found.gained, found.lost, found.p_value
    (3, 0, 0.25)
    """
    y, first = outcome_and_decision(outcome, champion)
    _, second = outcome_and_decision(outcome, candidate)
    gained = int(np.count_nonzero((second == y) & (first != y)))
    lost = int(np.count_nonzero((first == y) & (second != y)))
    if not gained + lost:
        raise NotEnough("both are right on the very same rows", where="candidate", expected="rows where one is wrong")
    p_value = min(1.0, 2.0 * binomial_tail(max(gained, lost), gained + lost))
    return McNemar(gained, lost, p_value, share_difference(first == y, second == y, clusters, level))


def linear_precision(outcome: ArrayLike, decision: ArrayLike) -> Linear:
    """The precision and the influence of each row, d (y - P) / flagged; `NotEnough` where nothing was flagged."""
    y, d = outcome_and_decision(outcome, decision)
    precision = confusion(y, d).precision
    return Linear(precision, d * (y - precision) / np.count_nonzero(d), "log_odds", among=d)


def cost_curve(outcome: ArrayLike, score: ArrayLike, costs: Costs, points: int = POINTS) -> Curve:
    """What a row costs on average at each cut, against the share of rows that are flagged, from none to all.

    Its first point (threshold infinite) flags nothing, its last everything: a model is worth having only between them.

    >>> cost_curve([1, 0, 0, 0], [0.9, 0.4, 0.2, 0.1], Costs(1, 20)).y
    (5.0, 0.0, 0.25, 0.5, 0.75)
    """
    cuts = all_cuts(outcome, score)
    tp, flagged = (np.concatenate(([0], some)).astype(np.float64) for some in (cuts.hits, cuts.flagged))
    fp, fn = flagged - tp, cuts.cases - tp
    total = fp * costs.false_positive + fn * costs.false_negative + tp * costs.true_positive
    total += (cuts.rows - cuts.cases - fp) * costs.true_negative
    threshold = np.concatenate(([np.inf], cuts.threshold))
    return curve(("flagged", "cost"), flagged / cuts.rows, total / cuts.rows, threshold, points)


def outcome_and_decision(outcome: ArrayLike, decision: ArrayLike) -> tuple[Bools, Bools]:
    """Both as booleans of one length, or `InputError`."""
    y = as_outcome(outcome)
    values = as_numbers(decision, "decision")
    if values.size != y.size:
        found = f"there are {values.size} values for {y.size} outcomes"
        raise InputError(found, where="decision", expected="one for each outcome")
    wrong = np.flatnonzero((values != 0.0) & (values != 1.0))
    if wrong.size:
        found = f"{wrong.size} decisions are neither 0 nor 1, the first is {values[wrong[0]]} in row {wrong[0]}"
        raise InputError(found, where="decision", expected="0 or 1", fix="compare the probability with a threshold")
    return y, values == 1.0


def _share(part: float, whole: int, nothing: str) -> float:
    if not whole:
        raise NotEnough(nothing, where="outcome, decision", expected="at least one")
    return part / whole
