"""The recommendation: which arm to take, by a rule that is stated before anybody looks, and why each other one lost.

An **arm** is a way to deal with imbalance. Arms are held against each other twice, since they are used in two ways:

    decision   the score is taken for a probability: by the cost of the decisions it leads to, or, where nobody has
               said what errors cost, by the log loss, which weighs every ratio of costs (Shuford et al. 1966)
    ranking    only the order counts: by the average precision

The rule, the same for both:

1. An arm that is worse than the constant base rate, on the scores as they would be used, is dropped: by its log loss
   and by what is compared.
2. Of the others the best is found: the lowest cost or log loss, the highest average precision.
3. The simplest arm that is within one standard error of the best is recommended (Breiman et al. 1984). It is the
   standard error of the difference of the two, row by row over clusters, so what makes a day hard cancels out.

Where no arm is left, nothing is recommended: the constant is as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.clustered import mean_interval
from backstay.evaluation.imbalance.resolution import standard_error
from backstay.evaluation.interval import Interval
from backstay.evaluation.metrics import Floats
from backstay.evaluation.power import detectable

WORDS = {"cost": "cost a row", "log_loss": "log loss", "average_precision": "average precision"}


@dataclass(frozen=True, slots=True)
class Contender:
    """An arm as the rule sees it, or the constant.

    values: one a row, whose mean is what arms are compared by
    losses: the log loss of each row, where the score is used as a probability
    """

    name: str
    values: Floats
    losses: Floats | None = None


@dataclass(frozen=True, slots=True)
class Recommendation(Shown):
    """What the rule says for one use, and why.

    use:      "decision" or "ranking"; `by` is what was compared: "cost", "log_loss" or "average_precision"
    arm:      what is recommended; None: no arm is better than the constant
    best:     the arm with the best value, within one standard error of which the simplest is taken
    why:      in a sentence; `reasons` has one for each arm that was given
    differs:  of each arm that was not dropped, by how much it is better (below 0: worse) than `arm`
    detects:  the smallest true difference between two arms that these rows would show
    """

    use: str
    by: str
    arm: str | None
    best: str | None
    why: str
    reasons: dict[str, str]
    differs: dict[str, Interval]
    detects: float | None


def recommend(
    arms: Sequence[Contender], constant: Contender, clusters: ArrayLike, *, use: str, by: str
) -> Recommendation:
    """Apply the rule to arms, in the order of their simplicity, and the constant, all on the same rows.

    Raises `InputError` for a `by` of another name or no arm, `NotEnough` with fewer than two clusters.

    >>> day, losses = np.repeat(np.arange(6), 2), np.linspace(0.1, 0.3, 12)
    >>> plain, bag, smote, constant = (
    ...     Contender(name, losses + more) for name, more in (("plain", 0), ("bag", -0.01), ("SMOTE", 0.2), ("", 0.1))
    ... )
    >>> found = recommend([plain, bag, smote], constant, day, use="decision", by="log_loss")
    >>> found.arm, found.reasons["SMOTE"]
    ('bag', 'dropped: its log loss is 0.1 worse than that of the constant base rate')
    """
    if by not in WORDS or not arms:
        raise InputError(f"{len(arms)} arms compared by {by!r}", expected=f"some, by one of {', '.join(WORDS)}")
    sign = 1.0 if by == "average_precision" else -1.0
    dropped = {one.name: reason for one in arms if (reason := _dropped(one, constant, clusters, sign, by))}
    left = [one for one in arms if one.name not in dropped]
    if not left:
        why = "no arm is better than the constant base rate"
        return Recommendation(use, by, None, None, why, dropped, {}, None)
    best = left[0]
    for one in left[1:]:  # the simplest of equal ones stays
        if _better(one.values, best.values, clusters, sign).estimate > 0:
            best = one
    chosen = next(one for one in left if one is best or _within(one, best, clusters, sign))
    differs = {one.name: _better(one.values, chosen.values, clusters, sign) for one in left if one is not chosen}
    why = _why(chosen, best, left, clusters, sign, by)
    reasons = {chosen.name: f"recommended: {why}", **dropped}
    later = {one.name for one in left[left.index(chosen) :]}
    reasons |= {name: _lost(gain, chosen.name, by, simpler=name not in later) for name, gain in differs.items()}
    smallest = float(np.median([detectable(one) for one in differs.values()])) if differs else None
    ordered = {one.name: reasons[one.name] for one in arms}
    return Recommendation(use, by, chosen.name, best.name, why, ordered, differs, smallest)


def _better(values: Floats, than: Floats, clusters: ArrayLike, sign: float) -> Interval:
    """By how much the first are better than the second: positive is better."""
    return mean_interval(sign * (values - than), clusters)


def _dropped(one: Contender, constant: Contender, clusters: ArrayLike, sign: float, by: str) -> str:
    """Why an arm is worse than knowing nothing, if it is."""
    measured = [(WORDS[by], _better(one.values, constant.values, clusters, sign).estimate)]
    if one.losses is not None and constant.losses is not None:
        measured.insert(0, (WORDS["log_loss"], _better(one.losses, constant.losses, clusters, -1.0).estimate))
    for measure, gain in measured:
        if gain < 0:
            return f"dropped: its {measure} is {-gain:.2g} worse than that of the constant base rate"
    if by == "average_precision" and measured[-1][1] == 0:
        return "dropped: it ranks no better than the constant base rate, which ranks nothing"
    return ""


def _within(one: Contender, best: Contender, clusters: ArrayLike, sign: float) -> bool:
    """Whether it is less than one standard error of the difference behind the best."""
    behind = _better(best.values, one.values, clusters, sign)
    return behind.estimate <= standard_error(behind)


def _why(
    chosen: Contender, best: Contender, left: Sequence[Contender], clusters: ArrayLike, sign: float, by: str
) -> str:
    if chosen is best:
        kind = "highest" if sign > 0 else "lowest"
        simpler = "no simpler arm is within one standard error of it" if left.index(best) else "it is the simplest"
        return f"its {WORDS[by]} is the {kind}, and {simpler}"
    behind = _better(best.values, chosen.values, clusters, sign)
    return (
        f"it is the simplest within one standard error of the best: its {WORDS[by]} is {behind.estimate:.2g} worse "
        f"than that of {best.name}, the standard error is {standard_error(behind):.2g}"
    )


def _lost(gain: Interval, chosen: str, by: str, *, simpler: bool) -> str:
    """Why an arm that was not dropped is not the one: worse, or not better by enough to be worth being less simple."""
    error = f"a standard error of {standard_error(gain):.2g}"
    if gain.estimate == 0:
        return f"lost: its {WORDS[by]} is that of {chosen}, which is simpler"
    side = "worse" if gain.estimate < 0 else "better"
    told = f"lost: its {WORDS[by]} is {abs(gain.estimate):.2g} {side} than that of {chosen}, with {error}"
    if simpler:
        return f"{told}: it is simpler, but too far behind the best"
    if side == "worse":
        return f"{told}, and it is less simple"
    return f"{told}: too little to be worth being less simple"
