"""The guards of a canary: is harm shown, by tests that may be looked at at any time?

What is read of the predictions record is a table of rows, `Rows`; what is made of it is one `Look` a guard. Everything
is computed anew from the records at each look: nothing is stored between looks, so nothing can be lost, counted twice
or out of step with the records when a process is killed, whenever the ticks fall.

    units    an entity counts once, by the mean of its rows in the block in which it first appears: a cohort is sticky,
             and ten requests of one customer are one customer. Scoring times count once a batch.
    blocks   an arm beside the other, closed when both have 20 new units, and 2% of those before: bounds that depend on
             who came and never on what came of it, so they are the same at every look. What is not in a closed block
             waits for the next look.
    labels   a row is in the block of the moment at which its label is mature. Late labels of early steps count when
             they are there.
    windows  three quarters of a guard's level are for the whole canary. A version that does harm only later, to those
             who were counted before, is found by the rest: it is shared out over the steps, in each of which every
             entity counts anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from backstay.definitions.rollout import Guard
from backstay.evaluation.interval import Interval
from backstay.evaluation.sequential import AssignmentTest, Counts, HarmTest, MeanDifference, Moments
from backstay.evaluation.sequential.rates import log_bets, log_mixture
from backstay.rollout.stages import Look

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST, GROWTH = 20, 0.02
"""New units of each arm that close a block: so many, or this share of those before if that is more."""
WHOLE = 0.75
"""The share of a guard's level that is for the canary as a whole; the rest is for its steps."""
LABELLED = ("log_loss", "brier")
LOT = 0.001
"""How often an assignment that is fair is called unfair."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a canary and of the baseline beside it, in the order of their T; one value a row in each array.

    at:        T, microseconds
    candidate: whether it is of the candidate's cohort, also where the champion answered because it failed
    entity:    whose row it is: the same number for the same entity
    failed:    whether the candidate gave no score
    score, decision: what was answered
    took:      microseconds that scoring its batch took; 0: nobody took the time
    timed:     whether it should have been: a replay never is
    batch:     with which others it was scored: the same number for rows of one batch
    outcome:   0 or 1 of a mature label, NaN without one; matured: when its label is mature (T + maturity)
    due:       whether it is mature by now
    """

    at: Ints
    candidate: Bools
    entity: Ints
    failed: Bools
    score: Floats
    decision: Bools
    took: Ints
    timed: Bools
    batch: Ints
    outcome: Floats
    matured: Ints
    due: Bools

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a canary: since when, and the shares of candidate and baseline."""

    since: int
    candidate: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Block:
    """What came in one block: a value a unit, of each arm."""

    candidate: Floats
    baseline: Floats


Values = tuple[Ints, Bools, Ints, Floats]
"""When, whose arm, which unit, which value: one of each a row, in order."""


def look(guard: Guard, rows: Rows, steps: Sequence[Step]) -> Look:
    """What one guard sees. `steps` in order, the first one's `since` being the beginning of the canary."""
    values, missing = _values(guard.metric, rows)
    if missing:
        return Look(guard.metric, False, missing, missing=True, needed=guard.rows)
    seen = []
    for name, window, level in _windows(values, steps, guard.level):
        test = replace(guard, level=level)
        seen.append(_TESTS[guard.metric](test, name, list(blocks(*window))))
    shown = next((one for one in seen if one.harm), seen[0])
    whole = seen[0].evidence
    counted = min(int(whole[arm].get("n", whole[arm].get("requests", 0))) for arm in ("candidate", "champion"))
    return replace(shown, counted=counted, needed=guard.rows)


def lot(rows: Rows, steps: Sequence[Step]) -> str:
    """Whether the arms got their shares, by entities counted when they are first seen: "" or what is wrong.

    While the arms grow alike, an entity counts once, in whichever step it is first seen. Above 50% there is not as much
    left for the baseline: from then on those who are first seen are mostly of the arm that grew, since the others have
    been seen, by lot as everything is. So everybody counts anew where the arms are to each other as they were not.
    """
    begins = np.searchsorted(rows.at, [one.since for one in steps])
    shares = [one.candidate / (one.candidate + one.baseline) for one in steps]
    firsts = [place for place, one in enumerate(shares) if not place or not math.isclose(one, shares[place - 1])]
    for place, (first, then) in enumerate(pairwise([*firsts, len(steps)]), 1):
        here = slice(begins[first], begins[then] if then < len(steps) else None)
        _, seen = np.unique(rows.entity[here], return_index=True)
        mine, share = rows.candidate[here][seen], shares[first]
        counts = int(mine.sum()), int(mine.size - mine.sum())
        # 1/2, 1/4, 1/8, ... of the level: they come to it, however many there will be.
        test = AssignmentTest(LOT / 2**place).update(counts, [share, 1 - share])
        if test.shown:
            return (
                f"the arms did not get the shares that they were meant to: {counts[0]:,} entities beside "
                f"{counts[1]:,}, {share:.3g} of them meant (e-value {test.e_value:.3g}); who is in which is not by lot"
            )
    return ""


def blocks(at: Ints, candidate: Bools, unit: Ints, value: Floats) -> Iterator[Block]:
    """The closed blocks of rows that stand in order: each unit once, by the mean of its rows in its first block."""
    if not at.size:
        return
    # An entity that came to both arms, as one without keys may, is one in each.
    _, first, group = np.unique(2 * unit + candidate, return_index=True, return_inverse=True)
    new = np.zeros(at.size, np.bool_)
    new[first] = True
    ends = _ends(np.cumsum(new & candidate), np.cumsum(new & ~candidate))
    place = np.searchsorted(ends, np.arange(at.size), "right")  # the block each row is in
    counted = (place == place[first][group]) & (place < len(ends))
    rows, groups = value[counted], group[counted]
    number = np.bincount(groups, minlength=first.size)
    mean = np.divide(
        np.bincount(groups, rows, minlength=first.size), number, out=np.zeros(first.size), where=number > 0
    )
    order = np.argsort(place[first], kind="stable")
    bounds = np.searchsorted(place[first][order], np.arange(len(ends) + 1))
    for begin, end in pairwise(bounds):
        here = order[begin:end]
        mine = candidate[first[here]]
        yield Block(mean[here][mine], mean[here][~mine])


def _ends(candidate: Ints, baseline: Ints) -> list[int]:
    """Behind which row each block is closed, from the new units of each arm up to and with each row."""
    ends: list[int] = []
    mine = theirs = 0
    while True:
        more = max(LEAST, math.ceil(GROWTH * min(mine, theirs)))
        end = max(np.searchsorted(candidate, mine + more), np.searchsorted(baseline, theirs + more)) + 1
        if end > candidate.size:
            return ends
        ends.append(int(end))
        mine, theirs = int(candidate[end - 1]), int(baseline[end - 1])


def _values(metric: str, rows: Rows) -> tuple[Values, str]:
    """The rows that a metric is about, with their values; and what is missing, if there should be some."""
    keep, at, unit = np.ones(len(rows), np.bool_), rows.at, rows.entity
    value: Floats
    missing = ""
    if metric == "errors":
        value = rows.failed.astype(np.float64)
    elif metric == "decisions":
        value = rows.decision.astype(np.float64)
    elif metric == "latency":
        keep, unit = (rows.took > 0) & ~rows.failed, rows.batch
        value = np.log(np.maximum(rows.took, 1).astype(np.float64))
        if rows.timed.any() and not keep.any():
            missing = "latency: nobody took the time of scoring"
    else:
        keep, at, value = ~np.isnan(rows.outcome), rows.matured, _losses(metric, rows)
        if rows.due.any() and not keep.any():
            missing = f"{metric}: of {int(rows.due.sum()):,} rows whose labels are mature, none has one"
    order = np.argsort(at[keep], kind="stable")
    picked = (at[keep][order], rows.candidate[keep][order], unit[keep][order], value[keep][order])
    return picked, missing


def _losses(metric: str, rows: Rows) -> Floats:
    score = np.clip(rows.score, 1e-15, 1 - 1e-15)
    if metric == "brier":
        return np.asarray((rows.score - rows.outcome) ** 2, np.float64)
    return np.asarray(-np.where(rows.outcome > 0, np.log(score), np.log1p(-score)), np.float64)


def _windows(values: Values, steps: Sequence[Step], level: float) -> Iterator[tuple[str, Values, float]]:
    """The canary as a whole, and each step after the first that has begun, with the level of each."""
    yield "", values, WHOLE * level
    begin = np.searchsorted(values[0], [one.since for one in steps])
    for place, one in enumerate(steps[1:], 1):
        here = slice(begin[place], begin[place + 1] if place + 1 < len(steps) else None)
        window = values[0][here], values[1][here], values[2][here], values[3][here]
        # 1/2, 1/4, 1/8, ... of the rest: they come to it, however many steps there will be.
        yield f" at {100 * one.candidate:.4g}%", window, (1 - WHOLE) * level / 2**place


def _errors(guard: Guard, when: str, seen: Sequence[Block]) -> Look:
    test = _harm(guard, seen)
    mine, theirs = test.candidate, test.champion
    rates = [f"{100 * one.harms / max(one.requests, 1):.3g}% of {one.requests:,} entities" for one in (mine, theirs)]
    if test.shown:
        reason = f"errors{when}: {rates[0]} failed beside {rates[1]} (p {test.p_value:.2g})"
    elif not test.blocks:
        reason = f"errors{when}: too few entities to tell yet"
    else:
        reason = f"errors{when}: no harm shown, {rates[0]} failed beside {rates[1]}"
    return Look("errors", test.shown, reason, evidence=test.as_dict())


def _harm(guard: Guard, seen: Sequence[Block]) -> HarmTest:
    """The test after these blocks, up to the first at which harm is shown: what `update` does, all at once."""
    empty = HarmTest(margin=guard.margin, alpha=guard.level)
    if not seen:
        return empty
    arms = [(one.candidate.size, one.candidate.sum(), one.baseline.size, one.baseline.sum()) for one in seen]
    n, x, m, y = np.array(arms, np.float64).T
    stakes = np.cumsum(log_bets(n, x, m, y, empty.ratio, empty.margin), axis=0)
    highest = np.maximum.accumulate(np.maximum(log_mixture(stakes), 0.0))
    crossed = np.flatnonzero(highest >= -math.log(guard.level))
    last = int(crossed[0]) if crossed.size else len(seen) - 1
    sums = [float(one[: last + 1].sum()) for one in (n, x, m, y)]
    return replace(
        empty, log_stakes=tuple(stakes[last].tolist()), log_highest=float(highest[last]), blocks=last + 1,
        candidate=Counts(int(sums[0]), sums[1]), champion=Counts(int(sums[2]), sums[3]),
    )  # fmt: skip


def _worse(guard: Guard, when: str, seen: Sequence[Block]) -> Look:
    """Of a loss, or of the logarithm of a time: is the mean higher by more than the margin?"""
    share = guard.metric == "latency"
    margin = math.log1p(guard.margin) if share else guard.margin
    return _means(guard, when, seen, lambda gap: gap.low > margin, None, 1 - 2 * guard.level)


def _moved(guard: Guard, when: str, seen: Sequence[Block]) -> Look:
    """Of a share of decisions: is it another one by more than the margin, in whichever direction?"""
    apart = guard.margin
    return _means(guard, when, seen, lambda gap: gap.low > apart or gap.high < -apart, (0.0, 1.0), 1 - guard.level)


def _means(
    guard: Guard, when: str, seen: Sequence[Block], harmful: Callable[[Interval], bool],
    bounds: tuple[float, float] | None, level: float,
) -> Look:  # fmt: skip
    test, harm = MeanDifference(level=level, bounds=bounds), False
    for one in seen:
        test = test.update(Moments.of(one.candidate), Moments.of(one.baseline))
        gap = test.reading().gain
        if isinstance(gap, Interval) and harmful(gap):
            harm = True
            break
    unit = "batches" if guard.metric == "latency" else "entities"
    sizes = f"{test.candidate.n:,} {unit} beside {test.champion.n:,}"
    gap = test.reading().gain
    if not isinstance(gap, Interval):
        return Look(guard.metric, False, f"{guard.metric}{when}: {sizes} cannot tell yet", evidence=test.as_dict())
    told = [gap.estimate, gap.low, gap.high]
    if guard.metric == "latency":
        told = [math.expm1(one) for one in told]
        said = "scoring time {:+.1%} [{:+.1%}, {:+.1%}]".format(*told)
    else:
        said = f"{guard.metric} " + "{:+.4f} [{:+.4f}, {:+.4f}]".format(*told)
    shown = "beyond" if harm else "no harm shown beyond"
    reason = f"{said}{when}, {sizes}; {shown} the margin of {guard.margin:g}"
    return Look(guard.metric, harm, reason, evidence=test.as_dict())


_TESTS: dict[str, Callable[[Guard, str, Sequence[Block]], Look]] = {
    "errors": _errors, "log_loss": _worse, "brier": _worse, "latency": _worse, "decisions": _moved,
}  # fmt: skip
