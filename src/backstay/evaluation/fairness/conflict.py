"""The conflict panel: which criteria of fairness can hold together on these rows, and what holding two costs the rest.

Of each group, one equation ties its base rate p to the errors made in it (Chouldechova 2017):

    FPR = p / (1 - p) x (1 - PPV) / PPV x (1 - FNR)

So where base rates differ, PPV, FPR and FNR can't all be alike, whatever the model, unless it makes no error at all.
Any two of them can; the third then follows. This is arithmetic and no property of a model: what can be chosen is which
two, and the panel says what the others would then be.

The reasons, for decisions and for scores: Chouldechova 2017; Kleinberg, Mullainathan and Raghavan 2016; Barocas, Hardt
and Narayanan, Fairness and Machine Learning, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np

from backstay.core.show import Shown
from backstay.evaluation.fairness.cells import FALSE_NEGATIVE, FALSE_POSITIVE, NEGATIVE, TRUE_POSITIVE, Floats, Ints
from backstay.evaluation.fairness.gaps import Contrast, GapRule, contrast, noise
from backstay.evaluation.fairness.rates import shares


@dataclass(frozen=True, slots=True)
class Identity(Shown):
    """One group's base rate and errors, and Chouldechova's equation about them.

    implied:  the FPR that base rate, PPV and FNR come to
    residual: the FPR less that: 0 but for rounding
    why:      why it can't be evaluated, where it can't: the numbers are None then
    """

    group: str
    n: int
    base_rate: float | None = None
    ppv: float | None = None
    fpr: float | None = None
    fnr: float | None = None
    implied: float | None = None
    residual: float | None = None
    why: str = ""


class Together(StrEnum):
    """Whether two criteria can hold together."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "can't be told"


@dataclass(frozen=True, slots=True)
class Pair(Shown):
    """Two criteria, whether they can hold together, and why.

    implied: where they can though base rates differ, by group the rates that would follow, if what the two want alike
             were what it is now over all told groups
    """

    first: str
    second: str
    together: Together
    why: str
    implied: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""
        implied = {group: dict(rates) for group, rates in self.implied}
        return {
            "first": self.first, "second": self.second, "together": self.together.value, "why": self.why,
            "implied": implied,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Conflict(Shown):
    """The panel of one partition: the equation by group, whether base rates differ, and every two criteria."""

    partition: str
    identities: tuple[Identity, ...]
    base_rates_differ: bool | None
    """None where that can't be told"""
    reason: str
    pairs: tuple[Pair, ...]


def identities(cells: Sequence[str], counts: Ints) -> tuple[Identity, ...]:
    """Chouldechova's equation in each cell, from the counts of `cells.tally`.

    >>> one = identities(["a"], np.array([[60, 20, 5, 15]]))[0]
    >>> round(one.fpr, 4), round(one.implied, 4), abs(one.residual) < 1e-12
    (0.25, 0.25, True)
    """
    return tuple(_identity(cell, row) for cell, row in zip(cells, counts.tolist(), strict=True))


def _identity(cell: str, row: list[int]) -> Identity:
    tn, fp, fn, tp = (row[state] for state in (NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE))
    n = sum(row)
    for number, what in ((tp + fn, "with outcome 1"), (tn + fp, "with outcome 0"), (tp + fp, "that is selected")):
        if not number:
            return Identity(cell, n, why=f"there is no row {what}")
    p, ppv, fpr, fnr = (tp + fn) / n, tp / (tp + fp), fp / (tn + fp), fn / (tp + fn)
    if not tp:
        return Identity(cell, n, p, ppv, fpr, fnr, why="its PPV is 0, and the equation divides by it")
    implied = p / (1 - p) * (1 - ppv) / ppv * (1 - fnr)
    return Identity(cell, n, p, ppv, fpr, fnr, implied, fpr - implied)


def conflict(
    partition: str, cells: Sequence[str], counts: Ints, rule: GapRule | None = None, *, seed: int = 0,
    base: Contrast | None = None,
) -> Conflict:  # fmt: skip
    """The panel, from the counts of `cells.tally`. `base` are the base rates, where they are by cluster.

    Base rates differ where their gap is above the noise floor: whether any criterion must give is a question of
    evidence too.

    >>> panel = conflict("g", ["a", "b"], np.array([[600, 200, 50, 150], [300, 200, 100, 400]]))
    >>> [(one.first, one.second) for one in panel.pairs if one.together is Together.NO][0]
    ('demographic_parity', 'equalized_odds')
    """
    rule = rule or GapRule()
    found = contrast(shares(counts, "base_rate", rule.minimum), rule) if base is None else base
    differ: bool | None = None
    if found.places.size < 2:
        reason = f"the base rates of {found.places.size} of {len(cells)} groups can be told, and two are needed"
    else:
        chance = noise([found], rule.permutations, np.random.default_rng(seed))
        estimate = float(np.ptp(found.shares))
        floor = float(np.quantile(chance, rule.level, method="higher"))
        differ = estimate > floor
        high, low = (cells[int(found.places[int(at(found.shares))])] for at in (np.argmax, np.argmin))
        beside = "chance alone makes" if differ else "which chance alone makes, up to"
        span = f"from {found.shares.min():.3f} ({low}) to {found.shares.max():.3f} ({high})"
        reason = f"base rates are {span}; {beside} {floor:.3f}"
    told = [cells[place] for place in found.places]
    pairs = tuple(_pair(first, second, differ, told, counts[found.places]) for first, second in combinations(_ORDER, 2))
    return Conflict(partition, identities(cells, counts), differ, reason, pairs)


_ORDER = ("demographic_parity", "equal_opportunity", "predictive_equality", "equalized_odds", "predictive_parity",
          "calibration")  # fmt: skip
_NEVER = {
    ("demographic_parity", "equalized_odds"): (
        "with the same TPR and FPR, more are selected where the base rate is higher, unless TPR = FPR, which is a coin"
    ),
    ("equalized_odds", "predictive_parity"): (
        "FPR = p/(1-p) x (1-PPV)/PPV x TPR: with TPR, FPR and PPV alike, p is (Chouldechova 2017)"
    ),
    ("equalized_odds", "calibration"): (
        "scores that are right in each group can't also be balanced in both outcomes, unless they are perfect "
        "(Kleinberg et al. 2016); decisions could, by thresholds for each group and a lottery between them"
    ),
}
_NO_ERROR = {
    "predictive_parity": "no told group has an error: TPR and PPV are 1 and FPR is 0 in each, whatever its base rate",
    "calibration": "no told group has an error: scores of 0 and 1 would be right in each group and balanced too",
}
_ALIKE = {
    ("equal_opportunity", "equalized_odds"): "equalized odds is equal opportunity and predictive equality",
    ("predictive_equality", "equalized_odds"): "equalized odds is equal opportunity and predictive equality",
    ("equal_opportunity", "predictive_equality"): "both together are equalized odds",
}
_PARTLY = {
    (
        "demographic_parity",
        "calibration",
    ): "scores that are right have the base rate of a group as their mean: with one "
    "threshold for all more are selected where it is higher; a threshold for each group treats the same score unlike",
    ("equal_opportunity", "calibration"): "one kind of error can be made alike, by thresholds or by withholding "
    "information from some (Pleiss et al. 2017), and no longer both",
    ("predictive_equality", "calibration"): "one kind of error can be made alike, by thresholds or by withholding "
    "information from some (Pleiss et al. 2017), and no longer both",
    ("predictive_parity", "calibration"): "scores that are right, with a threshold for each group; one threshold for "
    "all gives unlike PPV where scores are spread differently",
}


def _pair(first: str, second: str, differ: bool | None, told: list[str], counts: Ints) -> Pair:
    key = (first, second)
    if key in _ALIKE:
        return Pair(first, second, Together.YES, _ALIKE[key])
    if differ is not None and first != "demographic_parity" and not counts[:, [FALSE_POSITIVE, FALSE_NEGATIVE]].any():
        return Pair(first, second, Together.YES, _NO_ERROR[second])  # demographic parity stays at odds with it
    if differ is False:
        return Pair(first, second, Together.YES, "base rates differ by no more than chance makes: nothing forbids it")
    if key in _NEVER:
        return Pair(first, second, Together.NO if differ else Together.UNKNOWN, _NEVER[key])
    if differ is None:
        return Pair(first, second, Together.UNKNOWN, "whether base rates differ can't be told")
    if key in _PARTLY:
        return Pair(first, second, Together.YES, _PARTLY[key])
    follow = _FOLLOW[key]
    rates = follow(_base(counts), _pool(counts))
    if rates is None or any(((values < 0) | (values > 1)).any() for values in rates.values()):
        why = "not at today's level: a rate that follows would be below 0 or above 1"
        return Pair(first, second, Together.YES, why)
    implied = tuple(
        (group, tuple((name, float(values[place])) for name, values in rates.items()))
        for place, group in enumerate(told)
    )
    spread = ", ".join(f"{name.upper()} {values.min():.3f} to {values.max():.3f}" for name, values in rates.items())
    return Pair(first, second, Together.YES, f"at the price of the others: {spread}", implied)


def _base(counts: Ints) -> Floats:
    return np.asarray((counts[:, FALSE_NEGATIVE] + counts[:, TRUE_POSITIVE]) / counts.sum(axis=1), np.float64)


def _pool(counts: Ints) -> dict[str, float]:
    """The rates over all groups together."""
    tn, fp, fn, tp = (float(one) for one in counts.sum(axis=0))
    return {
        "selected": (tp + fp) / (tn + fp + fn + tp),
        "tpr": tp / max(tp + fn, 1.0),
        "fpr": fp / max(tn + fp, 1.0),
        "ppv": tp / max(tp + fp, 1.0),
    }


Follow = Callable[[Floats, dict[str, float]], dict[str, Floats] | None]


def _parity_and_tpr(p: Floats, pool: dict[str, float]) -> dict[str, Floats] | None:
    """Alike selection rate s and TPR: PPV = p TPR / s, FPR = (s - p TPR) / (1 - p)."""
    s = pool["selected"]
    if s <= 0 or (p >= 1).any():
        return None
    return {"ppv": p * pool["tpr"] / s, "fpr": (s - p * pool["tpr"]) / (1 - p)}


def _parity_and_fpr(p: Floats, pool: dict[str, float]) -> dict[str, Floats] | None:
    """Alike s and FPR: TPR = (s - (1 - p) FPR) / p, PPV = p TPR / s."""
    s = pool["selected"]
    if s <= 0 or (p <= 0).any():
        return None
    tpr = (s - (1 - p) * pool["fpr"]) / p
    return {"tpr": tpr, "ppv": p * tpr / s}


def _parity_and_ppv(p: Floats, pool: dict[str, float]) -> dict[str, Floats] | None:
    """Alike s and PPV: TPR = s PPV / p, FPR = s (1 - PPV) / (1 - p)."""
    if (p <= 0).any() or (p >= 1).any():
        return None
    s, ppv = pool["selected"], pool["ppv"]
    return {"tpr": s * ppv / p, "fpr": s * (1 - ppv) / (1 - p)}


def _tpr_and_ppv(p: Floats, pool: dict[str, float]) -> dict[str, Floats] | None:
    """Alike TPR and PPV: FPR by Chouldechova's equation."""
    if pool["ppv"] <= 0 or (p >= 1).any():
        return None
    return {"fpr": p / (1 - p) * (1 - pool["ppv"]) / pool["ppv"] * pool["tpr"]}


def _fpr_and_ppv(p: Floats, pool: dict[str, float]) -> dict[str, Floats] | None:
    """Alike FPR and PPV: the same equation, solved for TPR."""
    if pool["ppv"] >= 1 or (p <= 0).any():
        return None
    return {"tpr": pool["fpr"] * (1 - p) / p * pool["ppv"] / (1 - pool["ppv"])}


_FOLLOW: dict[tuple[str, str], Follow] = {
    ("demographic_parity", "equal_opportunity"): _parity_and_tpr,
    ("demographic_parity", "predictive_equality"): _parity_and_fpr,
    ("demographic_parity", "predictive_parity"): _parity_and_ppv,
    ("equal_opportunity", "predictive_parity"): _tpr_and_ppv,
    ("predictive_equality", "predictive_parity"): _fpr_and_ppv,
}
