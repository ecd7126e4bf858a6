"""Grades the investigator: does it name the planted cause, and nothing where nothing is planted?

It is given the records and the definition, and nothing else. Right is the first of its `ranked` causes; where several
are found, whether the planted one is within the first two. On loops without a fault any cause is a false one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from backstay.evaluation.interval import Interval
from backstay.investigation import Cause, Investigation
from backstay.lifecycle.why import why
from bench.harness import say
from bench.monitoring.why.faults import control, mended, paired, planted
from bench.monitoring.why.loop import Served, lived
from bench.monitoring.why.measure import MATERIAL, business, gap
from bench.monitoring.why.plan import Plan
from bench.monitoring.why.world import sales

ATTEMPTS = 10
UNMOVED = 0.5
"""A fix has worked if less than this share of the gap is left, or what is left is not told from 0."""

SINGLE = (
    Cause.STALE, Cause.UNITS, Cause.DEFAULT, Cause.TIME_ZONE, Cause.LATE_JOIN, Cause.COVARIATE, Cause.CONCEPT,
)  # fmt: skip
"""Causes that can be planted two at a time."""


@dataclass
class Graded:
    """One loop: what was planted, what was found, in the order of its ranks, and the gap before and after the fix."""

    planted: tuple[Cause, ...]
    seed: int
    plan: Plan
    before: Interval | float
    found: tuple[Cause, ...]
    seconds: float
    after: Interval | float | None = None
    told: Investigation | None = None
    problem: str = ""

    @property
    def first(self) -> bool:
        return bool(self.found) and self.found[0] in self.planted

    @property
    def two(self) -> bool:
        """Of one cause: within the first two. Of two: both are."""
        if len(self.planted) > 1:
            return set(self.planted) <= set(self.found[:2])
        return self.planted[0] in self.found[:2]

    @property
    def closed(self) -> bool | None:
        """Whether the fix closed the gap; None: it was not applied."""
        if self.after is None:
            return None
        now = self.after.estimate if isinstance(self.after, Interval) else self.after
        was = self.before.estimate if isinstance(self.before, Interval) else self.before
        return now < UNMOVED * was or (isinstance(self.after, Interval) and self.after.low <= 0.0)


def lost(served: Served) -> float:
    """What the decisions of the last period pay less than those of the version that paid best before, as a share."""
    before, now = business(served, until=served.since)[1], business(served, since=served.since, until=served.until)[1]
    return float(1.0 - now[0] / before.max())


def material(cause: Cause, served: Served) -> Interval | float | None:
    """The gap, if it is one that somebody would ask about."""
    if cause is Cause.PROXY:
        share = lost(served)
        return share if share >= 0.08 else None
    found = gap(served)
    return found if found.estimate >= MATERIAL[served.model.gate.metric] and found.low > 0.0 else None


def made(cause: Cause, seed: int, second: Cause | None = None) -> tuple[Plan, Served, Interval | float]:
    """A loop with the fault (or two), drawn again, and stronger, until its gap is material.

    Where none of the draws is, as in a world that happens to be easier online, it is the one with the widest gap.
    """
    best: tuple[float, Plan, Interval | float] | None = None
    for attempt in range(ATTEMPTS):
        plan = planted(cause, seed, attempt) if second is None else paired(cause, second, seed, attempt)
        served = lived(plan)
        found = material(cause, served)
        if found is not None:
            return plan, served, found
        there = gap(served)
        wide = there.estimate / MATERIAL[plan.metric]
        if best is None or wide > best[0]:
            best = wide, plan, there
    assert best is not None
    return best[1], lived(best[1]), best[2]


def asked(served: Served) -> tuple[Investigation | None, float, str]:
    """What the investigator says, what it takes in seconds, and its error, if it failed."""
    begin = perf_counter()
    try:
        told = why(
            served.records, served.model, since=served.since, until=served.until, as_of=served.as_of,
            sources={sales.name: sales},
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - one that fails has not found it
        return None, perf_counter() - begin, f"{type(error).__name__}: {error}"
    return told, perf_counter() - begin, ""


def graded(cause: Cause, seed: int, *, fix: bool = True) -> Graded:
    """Plant, investigate, mend, and measure again."""
    plan, served, before = made(cause, seed)
    told, seconds, problem = asked(served)
    found = () if told is None else tuple(one.cause for one in told.ranked)
    after: Interval | float | None = None
    if fix:
        again, how = mended(cause, plan)
        loop = served if again == plan else lived(again)
        after = lost(loop) if cause is Cause.PROXY else gap(loop, how)
    return Graded((cause,), seed, plan, before, found, seconds, after, told, problem)


def graded_pair(seed: int) -> Graded:
    """Two faults at once, which the seed draws."""
    rng = np.random.default_rng([seed, 30])
    first, second = (SINGLE[place] for place in rng.choice(len(SINGLE), 2, replace=False))
    plan, served, before = made(first, seed, second)
    told, seconds, problem = asked(served)
    found = () if told is None else tuple(one.cause for one in told.ranked)
    return Graded((first, second), seed, plan, before, found, seconds, None, told, problem)


def graded_control(seed: int) -> Graded:
    """Nothing is planted."""
    plan = control(seed)
    served = lived(plan)
    told, seconds, problem = asked(served)
    found = () if told is None else tuple(one.cause for one in told.ranked)
    return Graded((), seed, plan, gap(served), found, seconds, None, told, problem)


@dataclass
class Table:
    """What came out, by cause."""

    rows: list[Graded] = field(default_factory=list)

    def lines(self) -> Iterable[str]:
        head = (
            f"{'planted':<18}{'n':>4}{'first':>8}{'of two':>8}{'closed':>8}{'seconds':>9}  what else was ranked first"
        )
        yield head
        yield "-" * len(head)
        for cause in [one for one in Cause if any(row.planted == (one,) for row in self.rows)]:
            some = [one for one in self.rows if one.planted == (cause,)]
            yield self._line(cause.value, some)
        if pairs := [one for one in self.rows if len(one.planted) == 2]:
            yield self._line("two at once", pairs)
        if controls := [one for one in self.rows if not one.planted]:
            wrong = [one for one in controls if one.found]
            names = _counted(one.found[0].value for one in wrong)
            yield f"{'nothing':<18}{len(controls):>4}  false causes in {len(wrong)}  {names}"

    @staticmethod
    def _line(name: str, some: Sequence[Graded]) -> str:
        wrong = _counted(
            one.found[0].value if one.found else one.problem[:60] or "none" for one in some if not one.first
        )
        shut = [one.closed for one in some if one.closed is not None]
        cells = [_share(one.first for one in some), _share(one.two for one in some), _share(shut) if shut else "-"]
        seconds = float(np.median([one.seconds for one in some]))
        return f"{name:<18}{len(some):>4}" + "".join(f"{cell:>8}" for cell in cells) + f"{seconds:>9.1f}  {wrong}"


def _share(values: Iterable[Any]) -> str:
    told = [bool(one) for one in values]
    return f"{sum(told)}/{len(told)}"


def _counted(names: Iterable[str]) -> str:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items(), key=lambda one: -one[1]))


def run_grades(
    seeds: Sequence[int], causes: Sequence[Cause], controls: Sequence[int], pairs: Sequence[int] = (), *,
    fix: bool = True, each: Callable[[Graded], None] = lambda _: None,
) -> Table:  # fmt: skip
    """Grade all of it, one loop after the other."""
    table = Table()
    jobs: list[Callable[[], Graded]] = [
        *(lambda c=cause, s=seed: graded(c, s, fix=fix) for seed in seeds for cause in causes),
        *(lambda s=seed: graded_pair(s) for seed in pairs),
        *(lambda s=seed: graded_control(s) for seed in controls),
    ]
    for job in jobs:
        one = job()
        table.rows.append(one)
        each(one)
        names = "+".join(cause.value for cause in one.planted) or "nothing"
        say(
            f"    {names} {one.seed} {one.plan.metric} gap {_short(one.before)} found "
            f"{[cause.value for cause in one.found]} after {_short(one.after)} {one.seconds:.1f} s {one.problem}"
        )
    return table


def _short(value: Interval | float | None) -> str:
    return "-" if value is None else str(value) if isinstance(value, Interval) else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit("python3 -m bench.monitoring why")
