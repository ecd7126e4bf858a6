"""Many rows of many entities at once: entities are divided into parts that fit the processor's caches, and the parts
are computed side by side. No value depends on which other entities are in its part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from backstay.features.exact import Ints, taken
from backstay.features.history import History
from backstay.features.index import by_segment
from backstay.features.views import Computed, ViewPlan

Result = TypeVar("Result")

_MANY = 100_000
"""Rows from which threads pay."""
_PART = 1 << 15
"""Events of a part, roughly: an entity is never divided."""
_MOST = 256
_ROWS = 1 << 15
"""Asked rows that are answered together: what is made on the way to their features stays in the caches, and in memory
that is used again and again."""


@dataclass(slots=True)
class Grouped:
    """Rows of many entities: the entity's number of each, and how many entities there are."""

    segment: Ints
    segments: int
    _made: tuple[Ints, Ints] | None = None

    def group(self) -> tuple[Ints, Ints]:
        """`places` and `before`, made at the first call."""
        if self._made is None:
            before = np.zeros(self.segments + 1, np.int64)
            np.cumsum(np.bincount(self.segment, minlength=self.segments), out=before[1:])
            self._made = by_segment(self.segment, self.segments), before
        return self._made

    @property
    def places(self) -> Ints:
        """The places of the rows, entity by entity, otherwise in their order."""
        return self.group()[0]

    @property
    def before(self) -> Ints:
        """How many rows there are before each entity's, and in all."""
        return self.group()[1]

    def of(self, begin: int, end: int) -> tuple[Ints, Ints]:
        """The places of the entities begin..end-1, entity by entity, and the entity of each, counted from `begin`."""
        places = self.places[self.before[begin] : self.before[end]]
        steps = np.bincount(self.before[begin + 1 : end] - self.before[begin], minlength=len(places))[: len(places)]
        return places, np.cumsum(steps)


@dataclass(slots=True)
class Told:
    """Events of many entities, in the order of their sequence, and the other columns `History` takes."""

    events: Grouped
    columns: list[npt.NDArray[Any]]

    def some(self, begin: int, end: int) -> Told:
        """The events of the entities begin..end-1, counted from `begin`."""
        places, segment = self.events.of(begin, end)
        columns = [one.take(places) if one.ndim == 1 else taken(one.T, places).T for one in self.columns]
        return Told(Grouped(segment, end - begin), columns)

    def history(self, plan: ViewPlan) -> History:
        event_time, known_time, values, *until = self.columns
        segment, segments = self.events.segment, self.events.segments
        return History(plan.question, segment, event_time, known_time, None, values, segments, *until)


@contextmanager
def beside(asked: int) -> Iterator[Callable[[Grouped], object]]:
    """What has rows grouped while other work goes on, if so many asked rows will want it; it is done at the end."""
    if asked < _MANY:
        yield lambda _: None
        return
    with ThreadPoolExecutor(2) as pool:
        yield lambda rows: pool.submit(rows.group)


def compute_parts(plan: ViewPlan, told: Told, rows: Grouped, at: Ints, out: Computed) -> None:
    """Fill in a view's features for rows at their T. Their entities count from 1; 0 is one that was never seen."""
    events, segment = told.events, rows.segment
    parts = min(-(-len(events.segment) // _PART), events.segments, _MOST)
    if parts < 2 or len(at) < _MANY:
        history = told.history(plan)
        for some in _blocks(len(at)):
            out.put(some, plan.compute(plan.ask(history, segment[some] - 1, at[some]), at[some]))
        return
    # Entity by entity, neighbouring rows find neighbouring events: several times faster than in any order.
    last = np.maximum(events.before[1:] - 1, 0)  # the last event of each entity, or of those before it
    first = (last * parts // len(events.segment)).searchsorted(np.arange(parts + 1))

    def work(part: int) -> None:
        begin, end = int(first[part]), int(first[part + 1])
        history = told.some(begin, end).history(plan) if begin < end else None
        places, wanted = rows.of(begin + 1 if part else 0, end + 1)
        if not part:
            wanted -= 1  # who was never seen is in the first part
        for some in _blocks(len(places)):
            moments = at.take(places[some])
            out.put(places[some], plan.compute(plan.ask(history, wanted[some], moments), moments))

    in_threads([partial(work, part) for part in range(parts)])


def _blocks(rows: int) -> Iterator[slice]:
    for begin in range(0, rows, _ROWS):
        yield slice(begin, begin + _ROWS)


def in_threads(work: Sequence[Callable[[], Result]]) -> list[Result]:
    """The results of all, several at once."""
    threads = min(len(work), os.cpu_count() or 1, 8)
    if threads < 2:
        return [one() for one in work]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda one: one(), work))
