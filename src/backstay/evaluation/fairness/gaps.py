"""Gaps: by how much a criterion of fairness is missed, beside what chance alone would make of it.

    demographic_parity   everybody is as likely to be selected                     selection rate
    equal_opportunity    of those with outcome 1, as many are selected             TPR
    predictive_equality  of those with outcome 0, as many are selected             FPR
    equalized_odds       both of the last two                                      the larger of the two gaps
    predictive_parity    of those selected, as many have outcome 1                 PPV
    calibration          at the same score, as many have outcome 1                 outcomes less those that the score
                                                                                   lets expect

A **gap** is the largest rate of a cell less the smallest. It is never 0: of 24 groups that are treated exactly alike,
in 5,000 rows, it may well be 0.2. The **noise floor** is what chance makes of it in 95 of 100 cases, found by dealing
the groups anew among the rows that count: among those with outcome 1 for equal opportunity, among those selected for
predictive parity, among those of a like score for calibration. What is dealt are counts (a multivariate hypergeometric
draw), so the number of rows costs nothing, and the answer does not depend on their order.

The answer about a gap:

    GAP            it is above the noise floor, and some two cells are shown to differ by more than the tolerance; where
                   the tolerance is 0, the noise floor alone decides
    OK             every two cells are shown to differ by no more than the tolerance
    INSUFFICIENT   neither is shown, or too many rows are in cells that can't be told

What "shown" means: the difference of two Wilson intervals (Newcombe 1998, method 10), at a level divided by the number
of pairs (Bonferroni). Where several gaps are looked at, p-values are adjusted for all of them (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from backstay.core.errors import InputError
from backstay.core.show import plain
from backstay.evaluation.fairness.cells import Clustered, Floats, Ints
from backstay.evaluation.fairness.rates import RATES, SHORT, Shares, shares, wilson_limits
from backstay.evaluation.interval import Estimate, Insufficient, Interval
from backstay.evaluation.quantiles import normal_quantile

CRITERIA: dict[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("tpr",),
    "predictive_equality": ("fpr",),
    "equalized_odds": ("tpr", "fpr"),
    "predictive_parity": ("ppv",),
    "calibration": (),
}
"""The criteria, and the rates that each wants alike; calibration compares outcomes at the same score."""


class Finding(StrEnum):
    """What the rows say about a gap."""

    OK = "OK"
    GAP = "GAP"
    INSUFFICIENT = "INSUFFICIENT"


@dataclass(frozen=True, slots=True)
class GapRule:
    """When a gap is one.

    tolerance:    the difference between two cells that is put up with, as a share (0.1: ten in a hundred)
    minimum:      fewer rows of a kind than this (rows with outcome 1, say) tell nothing about a cell
    untold:       the share of rows that may be in cells that can't be told, for an answer to be OK
    level:        the confidence of intervals; the noise floor is at this level too
    permutations: how often groups are dealt anew
    """

    tolerance: float = 0.1
    minimum: int = 20
    untold: float = 0.0
    level: float = 0.95
    permutations: int = 1_999

    def __post_init__(self) -> None:
        for name, low, high in (("tolerance", 0, 1), ("untold", 0, 1), ("level", 0.5, 0.9999)):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"{name} is {getattr(self, name)}", where="rule", expected=f"from {low} to {high}")
        if self.minimum < 1 or self.permutations < 99:
            raise InputError(
                f"minimum {self.minimum}, permutations {self.permutations}", where="rule",
                expected="at least 1 row, at least 99 permutations",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gap:
    """One criterion's gap over the cells of one partition.

    gap:      the largest difference between two cells, with its limits; or why there is none
    floor:    what chance alone would make of it in `level` of cases
    p:        how often chance would make as much; `adjusted`, for all gaps that were looked at
    highest, lowest: the cells that it is between, and `rate` what they differ in
    surest:   the rate and the two cells that most surely differ, which may be others: larger ones
    told:     the cells that are compared
    untold:   by cell that is not, why; `unseen` is the share of rows in them
    """

    criterion: str
    partition: str
    gap: Estimate
    finding: Finding
    reason: str
    tolerance: float
    floor: float | None = None
    p: float | None = None
    adjusted: float | None = None
    rate: str = ""
    highest: str = ""
    lowest: str = ""
    surest: tuple[str, str, str] = ("", "", "")
    told: tuple[str, ...] = ()
    untold: tuple[tuple[str, str], ...] = ()
    unseen: float = 0.0
    looks: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        names = [name for name in self.__slots__ if name not in ("gap", "untold", "finding")]
        return {
            **{name: plain(getattr(self, name)) for name in names},
            "finding": self.finding.value,
            "gap": self.gap.as_dict(),
            "untold": dict(self.untold),
        }


def gap(
    criterion: str,
    partition: str,
    cells: Sequence[str],
    counts: Ints,
    rule: GapRule | None = None,
    *,
    clustered: Clustered | None = None,
    seed: int = 0,
) -> Gap:
    """One criterion's gap over cells, from the counts of `cells.tally`.

    Raises `InputError` for an unknown criterion, and for calibration, which `calibration.calibration_gap` answers.
    The same seed gives the same noise floor.

    >>> counts = np.array([[400, 100, 50, 150], [300, 200, 50, 150], [1, 0, 0, 0]])
    >>> found = gap("predictive_equality", "group", ["a", "b", "c"], counts, GapRule(untold=0.01))
    >>> print(found.gap, found.finding, found.reason)
    +0.2000 [+0.1438, +0.2545] GAP FPR of b is above that of a by more than 0.1
    """
    rule = rule or GapRule()
    if criterion not in CRITERIA or not CRITERIA[criterion]:
        expected = ", ".join(name for name, rates in CRITERIA.items() if rates)
        raise InputError(f"the criterion is {criterion!r}", where="criterion", expected=f"one of {expected}")
    found = [shares(counts, rate, rule.minimum, clustered, rule.level) for rate in CRITERIA[criterion]]
    rows = counts.sum(axis=1)
    selected = int(counts[:, RATES["selection_rate"][0]].sum())
    if selected in (0, int(rows.sum())):
        who = "every row" if selected else "no row"
        why = f"{who} is selected: there is no decision to compare"
        return Gap(
            criterion, partition, Insufficient(why, int(rows.sum())), Finding.INSUFFICIENT, why, rule.tolerance,
            untold=tuple((cell, why) for cell in cells), unseen=1.0,
        )  # fmt: skip
    contrasts = [contrast(one, rule, looks=len(found)) for one in found]
    return answer(criterion, partition, cells, rows, contrasts, rule, np.random.default_rng(seed))


@dataclass(frozen=True, slots=True)
class Contrast:
    """What one rate says about the J cells that can be told, and what deals of chance are made from.

    places:    which cells they are
    low, high: J x J, the limits of the difference of the first cell less the second
    dealt:     the rows of each of them, and the hits in all; several where they are dealt apart, as by score
    of:        what a cell's hits are a share of, in rows that count
    why:       of every cell, why it can't be told
    clusters:  how many the rows are from; as many as rows, where each stands for itself
    """

    rate: str
    places: Ints
    shares: Floats
    low: Floats
    high: Floats
    dealt: tuple[tuple[Ints, int], ...]
    of: Floats
    why: tuple[str, ...]
    clusters: int


def contrast(found: Shares, rule: GapRule, *, looks: int = 1) -> Contrast:
    """The differences between every two told cells of one rate; so many rates are looked at together."""
    told = found.told
    p, n = found.share[told], np.maximum(found.effective[told], 1e-9)
    low, high = differences(p, n, rule.level, looks=looks)
    worth = np.maximum(np.rint(np.minimum(found.effective, found.n)[told]), 1).astype(np.int64)
    hits = round(float(np.sum(p * worth)))
    return Contrast(
        found.rate, told, p, low, high, ((worth, hits),), worth.astype(np.float64), found.why, found.sources
    )


def differences(share: Floats, n: Floats, level: float, *, looks: int = 1) -> tuple[Floats, Floats]:
    """The limits of p_i - p_j for every two of J shares, which hold for all pairs at once: shape (J, J) each.

    Newcombe's square-and-add (1998, method 10), of Wilson's intervals, Bonferroni over the pairs.
    """
    count = max(share.size * (share.size - 1) // 2, 1) * looks
    low, high = wilson_limits(share, n, normal_quantile(1 - (1 - level) / (2 * count)))
    down, up = np.square(share - low), np.square(high - share)
    apart = share[:, None] - share[None, :]
    return apart - np.sqrt(down[:, None] + up[None, :]), apart + np.sqrt(up[:, None] + down[None, :])


def answer(
    criterion: str, partition: str, cells: Sequence[str], rows: Ints, contrasts: Sequence[Contrast], rule: GapRule,
    rng: np.random.Generator,
) -> Gap:  # fmt: skip
    """The answer about one criterion, from the contrasts of its rates."""
    lacking = {
        place: f"{SHORT.get(one.rate, one.rate)}: {why}"
        for one in contrasts for place, why in enumerate(one.why) if why
    }  # fmt: skip
    unseen = float(sum(rows[place] for place in lacking) / max(int(rows.sum()), 1))
    told = tuple(cell for place, cell in enumerate(cells) if place not in lacking)
    untold = tuple((cells[place], why) for place, why in lacking.items())
    short = [one for one in contrasts if one.places.size < 2]
    base = Gap(
        criterion, partition, Insufficient("", int(rows.sum())), Finding.INSUFFICIENT, "", rule.tolerance, told=told,
        untold=untold, unseen=unseen,
    )  # fmt: skip
    if short or not contrasts:
        rate = SHORT.get(short[0].rate, short[0].rate) if short else criterion
        number = short[0].places.size if short else 0
        why = f"the {rate} of {number} of {len(cells)} cells can be told, and two are needed"
        if untold:
            why += f" ({'; '.join(f'{cell}: {text}' for cell, text in untold[:3])})"
        return replace(base, gap=Insufficient(why, int(rows.sum())), reason=why)
    widest = max(contrasts, key=lambda one: float(np.ptp(one.shares)))
    estimate = float(np.ptp(widest.shares))
    low = max(0.0, *(float(one.low.max()) for one in contrasts))
    high = min(1.0, max(float(one.high.max()) for one in contrasts))
    chance = noise(contrasts, rule.permutations, rng)
    made = replace(
        base,
        gap=Interval(estimate, min(low, estimate), max(high, estimate), rule.level, int(rows.sum()), widest.clusters),
        floor=float(np.quantile(chance, rule.level, method="higher")),
        p=(1 + int(np.count_nonzero(chance >= estimate - 1e-12))) / (chance.size + 1),
        rate=widest.rate,
        highest=cells[int(widest.places[int(np.argmax(widest.shares))])],
        lowest=cells[int(widest.places[int(np.argmin(widest.shares))])],
        surest=_surest(contrasts, cells),
    )
    return judged(replace(made, adjusted=made.p), rule)


def _surest(contrasts: Sequence[Contrast], cells: Sequence[str]) -> tuple[str, str, str]:
    one = max(contrasts, key=lambda one: float(one.low.max()))
    first, second = np.unravel_index(int(np.argmax(one.low)), one.low.shape)
    return one.rate, cells[int(one.places[first])], cells[int(one.places[second])]


def noise(contrasts: Sequence[Contrast], times: int, rng: np.random.Generator) -> Floats:
    """The gap of `times` deals in which the groups are dealt anew: the largest over the contrasts."""
    out = np.zeros(times)
    for one in contrasts:
        share = np.zeros((times, one.places.size))
        for rows, hits in one.dealt:
            drawn = rng.multivariate_hypergeometric(rows, hits, size=times, method="marginals")
            share += drawn - rows * (hits / max(int(rows.sum()), 1))
        out = np.maximum(out, np.ptp(share / one.of, axis=1))
    return out


def judged(found: Gap, rule: GapRule) -> Gap:
    """The same gap with its finding, by the rule; what could not be made stays as it is."""
    if not isinstance(found.gap, Interval) or found.floor is None or found.adjusted is None:
        return found
    name = SHORT.get(found.rate, found.rate)
    beyond = found.gap.low > rule.tolerance or rule.tolerance == 0.0  # where nothing is put up with, the floor decides
    noted = f"; {found.unseen:.1%} of rows are in cells that can't be told" if found.untold else ""
    if beyond and found.adjusted <= 1 - rule.level:
        finding = Finding.GAP
        rate, first, second = found.surest
        by = f"{SHORT.get(rate, rate)} of {first} is above that of {second} by more than {rule.tolerance:g}"
        floor = f"a gap in {name} of {found.gap.estimate:.3f} is more than chance makes ({found.floor:.3f})"
        reason = by if found.gap.low > rule.tolerance else floor
    elif found.gap.high <= rule.tolerance and found.unseen <= rule.untold:
        finding, reason = Finding.OK, f"no two cells differ in {name} by more than {rule.tolerance:g}{noted}"
    elif found.gap.high <= rule.tolerance:
        finding = Finding.INSUFFICIENT
        unknown = ", ".join(cell for cell, _ in found.untold)
        reason = f"the others are within {rule.tolerance:g}, but can't be told: {unknown}{noted}"
    else:
        finding = Finding.INSUFFICIENT
        size = "no more than chance makes" if found.gap.estimate <= found.floor else "more than chance makes"
        reason = (
            f"a gap in {name} of {found.gap.estimate:.3f}, from {found.lowest} to {found.highest}, is {size}"
            f" ({found.floor:.3f}), but may be from {found.gap.low:.3f} to {found.gap.high:.3f}: within or beyond"
            f" {rule.tolerance:g} can't be told"
        )
    return replace(found, finding=finding, reason=reason)


def adjusted(found: Iterable[Gap], rule: GapRule) -> tuple[Gap, ...]:
    """The gaps, their p-values adjusted for how many were looked at (Holm 1979), and judged again.

    >>> counts = np.array([[40, 10, 5, 15], [30, 20, 5, 15]])
    >>> names = ("equal_opportunity", "predictive_equality")
    >>> two = adjusted([gap(name, "g", ["a", "b"], counts) for name in names], GapRule())
    >>> [one.adjusted >= one.p for one in two], two[0].looks
    ([True, True], 2)
    """
    gaps = list(found)
    known = sorted((one.p, place) for place, one in enumerate(gaps) if one.p is not None)
    worst = 0.0
    for rank, (p, place) in enumerate(known):
        worst = max(worst, min(p * (len(known) - rank), 1.0))
        gaps[place] = judged(replace(gaps[place], adjusted=worst, looks=len(known)), rule)
    return tuple(gaps)
