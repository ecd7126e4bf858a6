"""The guards of a canary: is harm shown, by tests that may be looked at at any time?

What is read of the predictions record is a table of rows, `Rows`; what is made of it is one `Look` a guard. Everything
is computed anew from the records at each look: nothing is stored between looks, so nothing can be lost, counted twice
or out of step with the records when a process is killed, whenever the ticks fall.

    units    an entity counts once, by the mean of its rows in the block in which it first appears: a cohort is sticky,
             and ten requests of one customer are one customer. Scoring times count once a call, beside a call of the
             other arm (`calls.py`): among those of one size, and among all, at half the level each.
    blocks   an arm beside the other, closed when both have 20 new units, and 2% of those before: bounds that depend on
             who came and never on what came of it, so they are the same at every look. What is not in a closed block
             waits for the next look, and a guard without one has seen nothing: no step goes on.
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
from backstay.evaluation.interval import Estimate, Interval, estimated
from backstay.evaluation.sequential import AssignmentTest, Counts, HarmTest, MeanDifference, Moments
from backstay.evaluation.sequential.rates import log_bets, log_mixture
from backstay.rollout.calls import pairs, size_class
from backstay.rollout.stages import Look

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST, GROWTH = 20, 0.02
"""New units of each arm that close a block: so many, or this share of those before if that is more."""
WHOLE = 0.75
"""The share of a guard's level that is for the canary as a whole; the rest is for its steps."""
LABELLED = ("log_loss", "brier")
_ARMS = ("candidate", "champion")
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
    size:      how many rows that batch had, also those of neither cohort
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
    size: Ints
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
    labelled, needed = guard.metric in LABELLED, max(guard.rows, LEAST)
    if guard.metric == "latency" and not rows.timed.any():
        reason = "latency: a replay takes no times, and none are compared"
        return Look(guard.metric, False, reason, needed=guard.rows)
    seen: list[Look] = []
    whole: list[tuple[int, Look]] = []
    kinds = _latencies(rows) if guard.metric == "latency" else {"": _values(guard.metric, rows)}
    for kind, values in kinds.items():
        for name, window, level in _windows(values, steps, guard.level / len(kinds)):
            test = replace(guard, level=level)
            seen.append(_TESTS[guard.metric](test, kind + name, list(blocks(*window))))
            if not name:
                whole.append((_counted(seen[-1]), seen[-1]))
    shown = next((one for one in seen if one.harm), next((one for count, one in whole if count), whole[-1][1]))
    missing = "" if shown.harm else _missing(guard.metric, rows)
    return replace(
        shown, counted=max(count for count, _ in whole), needed=needed, first=0 if labelled else LEAST,
        missing=bool(missing), reason=missing or shown.reason,
    )  # fmt: skip


def _counted(seen: Look) -> int:
    """How many units of the arm that has fewer are in closed blocks."""
    return min(int(seen.evidence[arm].get("n", seen.evidence[arm].get("requests", 0))) for arm in _ARMS)


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
    arm = 2 * place[first] + ~candidate[first]  # of a block the candidate's units, and then the baseline's
    order = np.argsort(arm, kind="stable")
    mean = mean[order]
    bounds = arm[order].searchsorted(np.arange(2 * len(ends) + 1)).tolist()
    for begin, middle, end in zip(bounds[:-1:2], bounds[1::2], bounds[2::2], strict=True):
        yield Block(mean[begin:middle], mean[middle:end])


def _ends(candidate: Ints, baseline: Ints) -> list[int]:
    """Behind which row each block is closed, from the new units of each arm up to and with each row."""
    ends: list[int] = []
    mine = theirs = 0
    while True:
        more = max(LEAST, math.ceil(GROWTH * min(mine, theirs)))
        end = max(candidate.searchsorted(mine + more), baseline.searchsorted(theirs + more)) + 1
        if end > candidate.size:
            return ends
        ends.append(int(end))
        mine, theirs = int(candidate[end - 1]), int(baseline[end - 1])


def _values(metric: str, rows: Rows) -> Values:
    """The rows that a metric is about, with their values."""
    keep, at = np.ones(len(rows), np.bool_), rows.at
    value: Floats
    if metric == "errors":
        value = rows.failed.astype(np.float64)
    elif metric == "decisions":
        value = rows.decision.astype(np.float64)
    else:
        keep, at, value = _labelled(rows), rows.matured, _losses(metric, rows)
    order = np.argsort(at[keep], kind="stable")
    return at[keep][order], rows.candidate[keep][order], rows.entity[keep][order], value[keep][order]


def _latencies(rows: Rows) -> dict[str, Values]:
    """Pairs of calls of one size, and of any size: the candidate's value is how much longer its call took, and the
    baseline's is 0."""
    _, first = np.unique(rows.batch, return_index=True)
    first = np.sort(first)
    calls = first[(rows.took[first] > 0) & ~rows.failed[first]]
    mine, size, took = rows.candidate[calls], rows.size[calls], rows.took[calls]
    out: dict[str, Values] = {}
    for name, kind in ((" of calls of one size", size_class(size)), (" of calls of any size", np.zeros_like(size))):
        later, gap = pairs(mine, size, took, kind)
        value = np.column_stack([gap, np.zeros_like(gap)]).ravel()
        arm = np.tile([True, False], gap.size)
        out[name] = np.repeat(rows.at[calls][later], 2), arm, np.repeat(np.arange(gap.size), 2), value
    return out


def _labelled(rows: Rows) -> Bools:
    """Which rows have an outcome, and a score to hold against it."""
    return np.isfinite(rows.outcome) & np.isfinite(rows.score)


def _missing(metric: str, rows: Rows) -> str:
    """Which arm lacks values that should be there by now, in a sentence; "" if neither does."""
    if metric in LABELLED:
        due, known, what = rows.due, _labelled(rows), "whose labels are mature, {} with a label and a score"
    elif metric == "latency":
        due, known, what = rows.timed & ~rows.failed, rows.took > 0, "whose scoring takes time, {} with the time"
    else:
        return ""
    for arm, mine in (("candidate", rows.candidate), ("baseline", ~rows.candidate)):
        many, some = int((due & mine).sum()), int((due & known & mine).sum())
        if (many and not some) or (many >= LEAST and 2 * some < many):
            return f"{metric}: {arm}, {many:,} rows {what.format(f'{some:,}' if some else 'none')}"
    return ""


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
    """Of a loss, or of the logarithm of a time over another: is the mean higher by more than the margin?"""
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
        gap = _gap(test)
        if isinstance(gap, Interval) and harmful(gap):
            harm = True
            break
    unit = "pairs" if guard.metric == "latency" else "entities"
    sizes = f"{test.candidate.n:,} {unit}" + ("" if unit == "pairs" else f" beside {test.champion.n:,}")
    gap = _gap(test)
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


def _gap(test: MeanDifference) -> Estimate:
    return estimated(test.interval, test.candidate.n + test.champion.n)


_TESTS: dict[str, Callable[[Guard, str, Sequence[Block]], Look]] = {
    "errors": _errors, "log_loss": _worse, "brier": _worse, "latency": _worse, "decisions": _moved,
}  # fmt: skip
