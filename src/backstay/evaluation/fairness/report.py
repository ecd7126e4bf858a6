"""The fairness report: rates of each group and crossing, gaps beside their noise floor, conflicts and the frontier.

    report = fairness_report(outcome, score, {"race": race, "sex": sex}, threshold=0.5, clusters=day)

It says what the rows say and decides nothing. Rows are looked at once for each partition, and where they are in
clusters once for each policy of the frontier; all else works on counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from backstay.core.show import Shown
from backstay.evaluation.decided import Costs
from backstay.evaluation.fairness.calibration import calibration_errors
from backstay.evaluation.fairness.cells import Clustered, Ints, Partition, called, states, tally, tally_clusters
from backstay.evaluation.fairness.conflict import Conflict, conflict
from backstay.evaluation.fairness.frontier import Frontier, frontier, halves
from backstay.evaluation.fairness.gaps import CRITERIA, Gap, GapRule, adjusted, contrast
from backstay.evaluation.fairness.look import Look, check_criterion, looked
from backstay.evaluation.fairness.pooled import pooled
from backstay.evaluation.fairness.rates import RATES, Shares, shares
from backstay.evaluation.fairness.scored import Heights, by_step, mean_scores
from backstay.evaluation.interval import Estimate, Insufficient, NotEnough
from backstay.evaluation.metrics import Bools


@dataclass(frozen=True, slots=True)
class Cell(Shown):
    """One group or crossing: what it is, its rows, its rates, and the same with what it borrows from the others.

    values:      by attribute
    rows, positives, selected: how many
    rates:       by name, with Wilson's interval, or why it can't be told (see `rates`)
    pooled:      the same, partially pooled; for reading alone, no gap is made of it
    mean_score:  None where scores are no probabilities
    calibration: outcomes less the mean score
    """

    values: Mapping[str, str]
    rows: int
    positives: int
    selected: int
    rates: Mapping[str, Estimate]
    pooled: Mapping[str, Estimate]
    mean_score: float | None
    calibration: Estimate

    @property
    def name(self) -> str:
        """What it is called."""
        return called(list(self.values.values()))


@dataclass(frozen=True, slots=True)
class Group(Shown):
    """One partition of the rows: by an attribute, or by a crossing.

    absent: crossings that no row is in
    """

    name: str
    attributes: tuple[str, ...]
    cells: tuple[Cell, ...]
    absent: int
    gaps: tuple[Gap, ...]
    conflict: Conflict


@dataclass(frozen=True, slots=True)
class FairnessReport(Shown):
    """What the rows say about fairness, everything counted and nothing dropped.

    groups:   by each attribute and crossing
    frontier: of the primary criterion over the first attribute, or why there is none
    clusters: how many the rows are from; None where each row stands for itself
    looks:    how many gaps were looked at, for which p-values are adjusted
    """

    rows: int
    positives: int
    selected: int
    threshold: float
    clusters: int | None
    criterion: str | None
    rule: GapRule
    groups: tuple[Group, ...]
    frontier: Frontier | Insufficient
    looks: int

    def as_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        names = ("rows", "positives", "selected", "threshold", "clusters", "criterion", "looks")
        rule = {name: getattr(self.rule, name) for name in self.rule.__slots__}
        return {
            **{name: getattr(self, name) for name in names},
            "rule": rule,
            "groups": [group.as_dict() for group in self.groups],
            "frontier": self.frontier.as_dict(),
        }

    def gaps(self, criterion: str) -> tuple[Gap, ...]:
        """A criterion's gap in each partition, p-values adjusted for these alone: what a gate asks."""
        return adjusted((one for group in self.groups for one in group.gaps if one.criterion == criterion), self.rule)


def fairness_report(
    outcome: ArrayLike,
    score: ArrayLike,
    attributes: Mapping[str, ArrayLike] | pl.DataFrame,
    *,
    threshold: float = 0.5,
    criterion: str | None = None,
    rule: GapRule | None = None,
    costs: Costs | None = None,
    order: int = 2,
    clusters: ArrayLike | None = None,
    seed: int = 0,
) -> FairnessReport:
    """The fairness of decisions `score >= threshold`, by attributes and by their crossings up to `order`.

    outcome:    0 or 1 a row
    score:      a number a row; calibration is told of probabilities alone
    attributes: by name, a group a row; missing ones are a group of their own
    criterion:  the primary one: the frontier is drawn for it (without one, for equalized odds)
    clusters:   a day or entity a row: rows of one lean on each other. Without, each row stands for itself
    seed:       of the noise floors and of the halves; the order of rows plays no part

    Raises `InputError` for NaN scores, lengths that differ and unknown criteria, and `NotEnough` for one class, a
    constant score or no rows: what every cell lacks is said once.

    >>> rng = np.random.default_rng(0)
    >>> sex, y = np.where(np.arange(4000) % 2, "f", "m"), rng.random(4000) < 0.4
    >>> report = fairness_report(y, np.clip(0.3 * y + rng.random(4000) * 0.7, 0, 1), {"sex": sex})
    >>> [(one.criterion, str(one.finding)) for one in report.gaps("equalized_odds")]
    [('equalized_odds', 'OK')]
    """
    if criterion is not None:
        check_criterion(criterion)
    parts, look = looked(
        outcome, score, attributes, threshold=threshold, rule=rule, order=order, clusters=clusters, seed=seed
    )
    groups = [_group(part, look) for part in parts]
    every = adjusted((one for group in groups for one in group.gaps), look.rule)
    each = len(CRITERIA)
    groups = [replace(group, gaps=every[place * each : (place + 1) * each]) for place, group in enumerate(groups)]
    return FairnessReport(
        look.outcome.size, int(look.outcome.sum()), int(look.decision.sum()), float(threshold),
        None if look.cluster is None else look.cluster[1], criterion, look.rule, tuple(groups),
        _frontier(parts[0], look, threshold, criterion, costs), len(every),
    )  # fmt: skip


def _group(part: Partition, look: Look) -> Group:
    counts, clustered, rule = tally(part, look.state), look.clustered(part), look.rule
    found = {rate: shares(counts, rate, rule.minimum, clustered, rule.level) for rate in RATES}
    gaps = tuple(look.gap(part, criterion) for criterion in CRITERIA)
    base = contrast(found["base_rate"], rule)
    panel = conflict(part.name, part.cells, counts, rule, seed=look.seed, base=base)
    return Group(part.name, part.attributes, _cells(part, counts, found, look), part.absent, gaps, panel)


def _cells(part: Partition, counts: Ints, found: Mapping[str, Shares], look: Look) -> tuple[Cell, ...]:
    level = look.rule.level
    rates = {name: one.estimates(level) for name, one in found.items()}
    borrowed = {name: pooled(one, level) for name, one in found.items()}
    mean = mean_scores(part, look.score)
    errors = calibration_errors(mean, found["base_rate"], level)
    return tuple(
        Cell(
            dict(zip(part.attributes, values, strict=True)), int(counts[place].sum()), int(counts[place, 2:].sum()),
            int(counts[place, 1::2].sum()), {name: one[place] for name, one in rates.items()},
            {name: one[place] for name, one in borrowed.items()}, None if mean is None else float(mean[place]),
            errors[place],
        )
        for place, values in enumerate(part.values)
    )  # fmt: skip


def _frontier(
    part: Partition, look: Look, threshold: float, criterion: str | None, costs: Costs | None
) -> Frontier | Insufficient:
    chosen = criterion or "equalized_odds"
    if not CRITERIA[chosen]:
        return Insufficient(f"{chosen} is of the score: no threshold touches it", look.outcome.size)
    clustered = None
    if look.cluster is None:
        fit, held = halves(by_step(part, look.outcome, look.heights), look.seed)
    else:  # whole clusters: what is chosen on a day is not measured on that day
        first = fitting_half(*look.cluster, look.seed)
        fit, held = (_half(part, look, rows) for rows in (first, ~first))
        clustered = _by_policy(part, look, ~first)
    try:
        return frontier(
            chosen, part.name, part.cells, fit, held, look.heights.edges, threshold, costs, look.rule, clustered
        )
    except NotEnough as error:
        return Insufficient(error.what, look.outcome.size)


def fitting_half(codes: NDArray[np.intp], number: int, seed: int = 0) -> Bools:
    """Which rows policies of the frontier are chosen on: half of the clusters. They are measured on the rest.

    codes: each row's cluster, below `number`
    """
    drawn: Bools = np.random.default_rng(seed).permutation(number) < (number + 1) // 2
    return drawn[codes]


def _half(part: Partition, look: Look, rows: Bools) -> Ints:
    half = replace(part, code=part.code[rows])
    return by_step(half, look.outcome[rows], Heights(look.heights.edges, look.heights.step[rows]))


def _by_policy(part: Partition, look: Look, rows: Bools) -> Callable[[Ints], Clustered]:
    """The counts of these rows by cluster, for a policy: a threshold's number for each cell."""
    assert look.cluster is not None
    half, outcome, step = replace(part, code=part.code[rows]), look.outcome[rows], look.heights.step[rows]
    cluster, number = look.cluster[0][rows], look.cluster[1]
    return lambda policy: tally_clusters(half, states(outcome, step > policy[half.code]), cluster, number)
