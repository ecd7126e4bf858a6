"""Many rows of many entities at once: entities are divided into parts that fit the processor's caches, and the parts
are computed side by side. No value depends on which other entities are in its part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from backstay.features.exact import Ints
from backstay.features.history import History
from backstay.features.index import by_segment
from backstay.features.views import Computed, ViewPlan

Result = TypeVar("Result")

_MANY = 100_000
"""Rows from which threads pay."""
_PART = 1 << 15
"""Events of a part, roughly: an entity is never divided."""
_MOST = 256
_ROWS = 1 << 14
"""Asked rows that are answered together: what is made on the way to their features stays in the caches, and in memory
that is used again and again."""


@dataclass(slots=True)
class Told:
    """Events of many entities: the entity's number of each, how many there are, and the other columns `History`
    takes."""

    segment: Ints
    segments: int
    columns: list[npt.NDArray[Any]]

    def history(self, plan: ViewPlan) -> History:
        event_time, known_time, sequence, values, *until = self.columns
        return History(plan.question, self.segment, event_time, known_time, sequence, values, self.segments, *until)


def compute_parts(plan: ViewPlan, told: Told, segment: Ints, at: Ints, out: Computed) -> None:
    """Fill in a view's features for rows of (segment, T); a segment of -1 is an entity that was never seen."""
    parts = min(-(-len(told.segment) // _PART), told.segments, _MOST)
    if parts < 2 or len(at) < _MANY:
        history = told.history(plan)
        for some in _blocks(len(at)):
            out.put(some, plan.compute(plan.ask(history, segment[some], at[some]), at[some]))
        return
    ends = np.cumsum(np.bincount(told.segment, minlength=told.segments))
    part_of = ((ends - 1) * parts // len(told.segment)).astype(np.uint8)
    first = part_of.searchsorted(np.arange(parts + 1))
    events = _divided(part_of[told.segment], parts)
    rows = _divided(np.where(segment < 0, np.uint8(0), part_of[segment]), parts)

    def work(part: int) -> None:
        some, asked = events[part], rows[part]
        if not len(asked):
            return
        # Entity by entity, neighbouring rows find neighbouring events: several times faster than in any order.
        asked = asked[by_segment(segment[asked] - int(first[part]) + 1, told.segments)]
        begin, end = int(first[part]), int(first[part + 1])
        numbers = told.segment[some] - begin
        columns = [column.take(some, axis=0) for column in told.columns]
        history = Told(numbers, end - begin, columns).history(plan) if len(some) else None
        for block in _blocks(len(asked)):
            places = asked[block]
            wanted, moments = segment[places], at[places]
            answer = plan.ask(history, np.where(wanted < 0, -1, wanted - begin), moments)
            out.put(places, plan.compute(answer, moments))

    in_threads([partial(work, part) for part in range(parts)])


def _blocks(rows: int) -> Iterator[slice]:
    for begin in range(0, rows, _ROWS):
        yield slice(begin, begin + _ROWS)


def _divided(part: npt.NDArray[np.uint8], parts: int) -> list[Ints]:
    """The places of each part, in order."""
    places = part.argsort(kind="stable")
    return np.split(places, np.bincount(part, minlength=parts)[: parts - 1].cumsum())


def in_threads(work: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of all, several at once."""
    threads = min(len(work), os.cpu_count() or 1, 8)
    if threads < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda one: one(), work))
