"""The frontier: how small a gap can be made by the scores there are, and at what price.

A *policy* is a threshold for each group. For each gap that might be put up with, the policy is found that costs least
among those whose gap is no larger, on one half of the held-out rows; cost and gap are then measured on the other half,
which had no part in the choice. The halves are rows at random, or clusters; limits of gaps are then by cluster too.

A policy with unlike thresholds needs each person's attribute when it decides. It is marked so: to treat people by it is
a decision of its own, which in many places the law has a word in. No lottery is drawn; each policy decides the same for
the same score and group.

Whatever else is tried (reweighing, another model) is compared here and nowhere else: as a point (`place`) beside the
frontier of the model as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backstay.core.errors import InputError
from backstay.core.show import Shown, plain
from backstay.evaluation.decided import Costs
from backstay.evaluation.fairness.cells import Clustered, Floats, Ints
from backstay.evaluation.fairness.gaps import CRITERIA, GapRule, contrast
from backstay.evaluation.fairness.rates import RATES, shares
from backstay.evaluation.interval import Estimate, Insufficient, Interval, NotEnough

LEVELS = 50
"""How finely the common level of a rate is tried: in steps of 1 / LEVELS; of two rates, half as finely each."""
GAPS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
"""The gaps that policies are sought for."""
EQUAL = Costs(false_positive=1.0, false_negative=1.0)


@dataclass(frozen=True, slots=True)
class Point(Shown):
    """One policy or model, measured on the half that had no part in choosing it.

    cost:       of a row, in the unit of the costs
    gap:        of the criterion, with limits that hold for all pairs of groups; or why it can't be told
    rates:      by group, the criterion's rates
    thresholds: by group; empty for a point that is no policy of this score
    needs_attribute: the thresholds differ, so it needs each person's attribute when it decides
    sought:     the gap that the policy was sought for; None for one that was given
    """

    name: str
    cost: float
    gap: Estimate
    rates: Mapping[str, Mapping[str, float]]
    thresholds: Mapping[str, float]
    needs_attribute: bool
    sought: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The same as plain values; a threshold that selects nobody is None."""
        found = {name: plain(getattr(self, name)) for name in self.__slots__}
        found["thresholds"] = {g: None if np.isinf(t) else t for g, t in self.thresholds.items()}
        return found


@dataclass(frozen=True, slots=True)
class Frontier(Shown):
    """The policies worth having, by falling cost and rising gap, with the model as it is, and one threshold for all.

    fitted, measured: rows of each half
    left_out:         groups that can't be told, with why: they keep the model's threshold and count for the cost
    """

    criterion: str
    partition: str
    points: tuple[Point, ...]
    now: Point
    single: Point
    fitted: int
    measured: int
    left_out: Mapping[str, str]


def halves(steps: Ints, seed: int = 0) -> tuple[Ints, Ints]:
    """Rows dealt into two halves at random, by their counts: the same halves whatever the order of rows."""
    first = np.random.default_rng(seed).binomial(steps, 0.5).astype(np.int64)
    return first, steps - first


def frontier(
    criterion: str, partition: str, cells: Sequence[str], fit: Ints, held: Ints, edges: Floats, threshold: float,
    costs: Costs | None = None, rule: GapRule | None = None, clustered: Callable[[Ints], Clustered] | None = None,
) -> Frontier:  # fmt: skip
    """The frontier of group thresholds, from the counts of `scored.by_step` of the two halves.

    edges:     the thresholds of the steps, ascending; `threshold` is the model's own, and one of them
    criterion: any but calibration, which thresholds don't touch
    clustered: for a policy (the number of a threshold for each cell), the counts of the measuring half by cluster

    Raises `NotEnough` where fewer than two groups can be told in both halves, `InputError` for another criterion.

    >>> rng = np.random.default_rng(1)
    >>> steps = rng.integers(50, 100, (2, 11, 2)) + np.stack([np.arange(100, -1, -10), np.arange(0, 101, 10)], 1)
    >>> found = frontier("demographic_parity", "g", ["a", "b"], *halves(steps), np.linspace(0.05, 0.95, 10), 0.45)
    >>> [one.cost for one in found.points] == sorted((one.cost for one in found.points), reverse=True)
    True
    """
    rule, costs = rule or GapRule(), costs or EQUAL
    if criterion not in CRITERIA or not CRITERIA[criterion]:
        raise InputError(
            f"the criterion is {criterion!r}", where="criterion",
            expected=", ".join(name for name, rates in CRITERIA.items() if rates),
        )  # fmt: skip
    own = int(np.searchsorted(edges, threshold))
    before, after = _by_threshold(fit), _by_threshold(held)
    fixed = np.full(len(cells), own)
    why = _untold(criterion, before[:, 0], after[:, 0], rule)
    if clustered is not None:
        why = _worth_little(criterion, after[:, own], clustered(fixed), rule) | why
    told = [place for place in range(len(cells)) if place not in why]
    if len(told) < 2:
        said = "; ".join(f"{cells[place]}: {text}" for place, text in list(why.items())[:3])
        raise NotEnough(f"{len(told)} of {len(cells)} groups can be told: {said}", expected="two groups at least")
    price = _price(before, costs)
    measure = _Measure(criterion, cells, told, after, edges, costs, rule, clustered)
    found = []
    for sought, chosen in zip(GAPS, _cheapest(criterion, before[told], price[told]), strict=True):
        if chosen is not None:
            policy = fixed.copy()
            policy[told] = chosen
            found.append(measure.point(f"thresholds for a gap of {sought:g}", policy, sought))
    single = np.full(len(cells), int(np.argmin(price.sum(axis=0))))
    return Frontier(
        criterion, partition, _worth_having(found), measure.point("the model as it is", fixed),
        measure.point("the cheapest threshold for all", single), int(fit.sum()), int(held.sum()),
        {cells[place]: text for place, text in sorted(why.items())},
    )  # fmt: skip


def place(
    name: str, criterion: str, cells: Sequence[str], counts: Ints, costs: Costs | None = None,
    rule: GapRule | None = None, clustered: Clustered | None = None,
) -> Point:  # fmt: skip
    """Another model's point beside the frontier, from the counts of its decisions on the same held-out rows.

    clustered: the same by cluster (`tally_clusters`); without, each row stands for itself

    >>> one = place("reweighed", "equal_opportunity", ["a", "b"], np.array([[60, 20, 5, 45], [50, 30, 9, 41]]))
    >>> round(one.cost, 4), one.needs_attribute
    (0.2462, False)
    """
    rule, costs = rule or GapRule(), costs or EQUAL
    cost = float(_price(counts, costs).sum())
    gap, rates = _gap(criterion, cells, counts, rule, clustered)
    return Point(name, cost / max(int(counts.sum()), 1), gap, rates, {}, False)


@dataclass(frozen=True, slots=True)
class _Measure:
    """What measures a policy on the half that was kept for it."""

    criterion: str
    cells: Sequence[str]
    told: list[int]
    counts: Ints
    edges: Floats
    costs: Costs
    rule: GapRule
    clustered: Callable[[Ints], Clustered] | None

    def point(self, name: str, policy: Ints, sought: float | None = None) -> Point:
        counts = self.counts[np.arange(len(self.cells)), policy]
        limits = np.append(self.edges, np.inf)[policy]
        cells = [self.cells[place] for place in self.told]
        clustered = None if self.clustered is None else self.clustered(policy).only(np.asarray(self.told))
        gap, rates = _gap(self.criterion, cells, counts[self.told], self.rule, clustered)
        cost = float(_price(counts, self.costs).sum())
        thresholds = {cell: float(limit) for cell, limit in zip(self.cells, limits, strict=True)}
        return Point(
            name, cost / max(int(counts.sum()), 1), gap, rates, thresholds, bool(np.unique(policy).size > 1), sought
        )


def _by_threshold(steps: Ints) -> Ints:
    """The counts of `cells.tally` at every threshold: shape (cells, thresholds + 1, 4); the last selects nobody."""
    above = steps[:, ::-1].cumsum(axis=1)[:, ::-1]
    selected = np.concatenate([above[:, 1:], np.zeros_like(above[:, :1])], axis=1)
    left = steps.sum(axis=1, keepdims=True) - selected
    return np.stack([left[..., 0], selected[..., 0], left[..., 1], selected[..., 1]], axis=-1)


def _price(counts: Ints, costs: Costs) -> Floats:
    """What the rows cost in all, by the counts of `cells.tally`: shape (..., 4) to (...)."""
    each = costs.true_negative, costs.false_positive, costs.false_negative, costs.true_positive
    return np.asarray(counts @ np.array(each), np.float64)


def _untold(criterion: str, before: Ints, after: Ints, rule: GapRule) -> dict[int, str]:
    """The cells that have too few rows of a kind that the criterion is about, in one of the halves.

    The counts are those where everybody is selected, so that PPV is asked of all rows.
    """
    out: dict[int, str] = {}
    for counts in (before, after):
        for rate in CRITERIA[criterion]:
            for place, why in enumerate(shares(counts, rate, rule.minimum).why):
                if why:
                    out.setdefault(place, f"in one half {why}")
    return out


def _worth_little(criterion: str, counts: Ints, clustered: Clustered, rule: GapRule) -> dict[int, str]:
    """The cells that have rows enough in the measuring half, but in clusters that are worth too few of them.

    Asked at the model's own threshold: where everybody is selected, nothing shows how rows lean on each other.
    """
    out: dict[int, str] = {}
    for rate in CRITERIA[criterion]:
        alone = shares(counts, rate, rule.minimum).why
        for place, why in enumerate(shares(counts, rate, rule.minimum, clustered, rule.level).why):
            if why and not alone[place]:
                out.setdefault(place, f"in the measuring half {why}")
    return out


def _cheapest(criterion: str, counts: Ints, price: Floats) -> list[Ints | None]:
    """For each of `GAPS` the thresholds of the groups that cost least, among those whose rates lie within it.

    Rates lie within a gap if there is a level that all are at or above and none is above by more: levels are tried in
    turn, and for each every group takes its cheapest threshold alone.
    """
    rates = [_share(counts, rate) for rate in CRITERIA[criterion]]
    steps = LEVELS // len(rates)
    levels, slack = np.linspace(0, 1, steps + 1), 1 / steps / 2
    out: list[Ints | None] = []
    for sought in GAPS:
        within = [
            (rate[:, None, :] >= levels[None, :, None] - slack)
            & (rate[:, None, :] <= levels[None, :, None] + sought + slack)
            for rate in rates
        ]
        if len(within) == 1:
            allowed = within[0]
        else:
            allowed = (within[0][:, :, None, :] & within[1][:, None, :, :]).reshape(price.shape[0], -1, price.shape[1])
        cost = np.where(allowed, price[:, None, :], np.inf)
        total = cost.min(axis=2).sum(axis=0)
        best = int(np.argmin(total))
        out.append(cost[:, best].argmin(axis=1) if np.isfinite(total[best]) else None)
    return out


def _share(counts: Ints, rate: str) -> Floats:
    """A rate at every threshold of every cell; NaN where it is a share of nothing, which is within no gap."""
    hit, of = RATES[rate]
    n = counts[..., of].sum(axis=-1)
    return np.where(n > 0, counts[..., hit].sum(axis=-1) / np.maximum(n, 1), np.nan)


def _gap(
    criterion: str, cells: Sequence[str], counts: Ints, rule: GapRule, clustered: Clustered | None
) -> tuple[Estimate, dict[str, dict[str, float]]]:
    found = [shares(counts, rate, rule.minimum, clustered, rule.level) for rate in CRITERIA[criterion]]
    rates = {
        cell: {one.rate: float(one.share[place]) for one in found if not one.why[place]}
        for place, cell in enumerate(cells)
    }
    lacking = [f"{cell}: {why}" for one in found for cell, why in zip(cells, one.why, strict=True) if why]
    if lacking:
        return Insufficient("; ".join(lacking[:3]), int(counts.sum())), rates
    sides = [contrast(one, rule, looks=len(found)) for one in found]
    gap = max(float(np.ptp(one.shares)) for one in sides)
    low = max(0.0, *(float(one.low.max()) for one in sides))
    high = min(1.0, max(float(one.high.max()) for one in sides))
    return Interval(gap, min(low, gap), max(high, gap), rule.level, int(counts.sum()), sides[0].clusters), rates


def _worth_having(points: list[Point]) -> tuple[Point, ...]:
    """The points that no other beats in both cost and gap, by falling cost."""
    told = [one for one in points if isinstance(one.gap, Interval)]
    told.sort(key=lambda one: (one.cost, _size(one)))
    kept: list[Point] = []
    for one in told:
        if not kept or _size(one) < _size(kept[-1]):
            kept.append(one)
    return tuple(reversed(kept))


def _size(point: Point) -> float:
    return point.gap.estimate if isinstance(point.gap, Interval) else np.inf
