"""One entity's history in plain numbers, for a T at which all that had happened was known.

A server prepares it when an entity is asked about for the first time, and again after each of its events. So little is
done ahead: the events of a short window are added up and compared as they are. `math.fsum` rounds the exact sum once,
as `exact.rounded` does; prefix sums are made when a window holds more events than that is quick for.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np

from backstay.features.cells import NEVER
from backstay.features.exact import Ints, quotient, quotient_in_two
from backstay.features.history import History
from backstay.features.packed import EVENT_TIME, GENERATION, KNOWN_TIME, SEQUENCE, UNTIL, Packed, times
from backstay.features.question import Answer
from backstay.features.spread import deviation_of, exactly
from backstay.features.totals import Part, prefix_sums
from backstay.features.views import ViewPlan

FEW = 64
"""Events of a window that are taken one by one."""


class Prepared:
    """What happened to one entity, in canonical order.

    head:          how its value in the online state begins
    complete_from: at an earlier T the events are only a part
    words:         by coded column, the words that its cells number
    number:        of events
    event_time:    of each event
    columns:       the values of each column, NaN for null
    bytes:         of memory that it takes, roughly; more once a question has made more of it
    """

    __slots__ = (
        "_asked_in_full", "_corrected", "_history", "_order", "_packed", "_plan", "_since", "_sums", "_whole", "bytes",
        "columns", "complete_from", "event_time", "head", "number", "words",
    )  # fmt: skip

    def __init__(self, plan: ViewPlan, blob: bytes) -> None:
        packed = Packed.read(blob, plan.view)
        self.head, self.complete_from, self.words = blob[:GENERATION], packed.complete_from, packed.words
        rows, lead = packed.rows, times(plan.view)
        self.number, self.bytes = len(rows), 1_500 + 2 * len(blob)
        self._plan, self._packed = plan, packed
        self._corrected = lead > UNTIL and bool((rows[:, UNTIL] != NEVER).any())
        happened = rows[:, EVENT_TIME]
        if self.number > 1 and (happened[1:] <= happened[:-1]).any():
            rows = rows[np.lexsort((rows[:, SEQUENCE], rows[:, KNOWN_TIME], happened))]
        cells = np.ascontiguousarray(rows.T)
        self.event_time = array("q", cells[EVENT_TIME].tobytes())
        self.columns = [array("d", column.tobytes()) for column in cells[lead:]]
        self._whole: list[bool] = np.logical_not(np.isnan(cells[lead:].view(np.float64)).any(axis=1)).tolist()
        self._since = max(self.event_time[-1] + 1, int(cells[KNOWN_TIME].max())) if self.number else 0
        self._history: History | None = None
        self._asked_in_full = False
        self._order: tuple[array[int], bool] | None = None
        self._sums: memoryview | None = None

    @property
    def history(self) -> History:
        """The same events for the kernel, which answers about any T."""
        if self._history is None:
            self._history = history_of(self._plan, self._packed)
            self.bytes += 3_000 + 64 * self.number
        return self._history

    def in_full(self, at: Ints) -> Answer:
        """What the kernel says at each T: of what came late, or was corrected."""
        history, question = self.history, self._plan.question
        if not self._asked_in_full:  # tables of extremes; prefix sums in two orders, of windows apart
            self._asked_in_full = True
            self.bytes += 64 * self.number * len(question.picks)
            self.bytes += 2 * (1 + len(question.windows)) * history.numbers.rows.nbytes if question.windows else 0
        return history.ask(np.zeros(len(at), np.int64), at)

    def entered(self, at: int) -> int:
        """How many events are visible at T: the first ones; -1 if it's not just the first ones."""
        if self._corrected:
            return -1
        if at >= self._since:
            return self.number
        if self._order is None:
            visible = self.history.visible
            whole = np.maximum.accumulate(visible)
            self._order = array("q", whole.tobytes()), bool((whole == visible).all())
        visible_with_all_before, in_order = self._order
        if in_order:
            return bisect_right(visible_with_all_before, at)
        happened = bisect_left(self.event_time, at)
        return happened if not happened or visible_with_all_before[happened - 1] <= at else -1

    def values(self, column: int, left: int, entered: int) -> list[float]:
        """The values of the events left..entered-1 that are not null."""
        some = self.columns[column][left:entered].tolist()
        return some if self._whole[column] else [value for value in some if value == value]

    def total(self, column: int, left: int, entered: int) -> tuple[float, int]:
        """The sum of the values of the events left..entered-1, rounded once, and how many are not null."""
        place = self._plan.question.summed.index(column)
        part = self._numbers[place]
        return quotient(self._exact(part, left, entered), int(part.scale)), self._valid(place, left, entered)

    def smallest(self, column: int, left: int, entered: int) -> float:
        """The smallest value of the events left..entered-1; NaN where all are null."""
        some = np.frombuffer(self.columns[column], np.float64)[left:entered]
        return float(np.fmin.reduce(some, initial=nan)) + 0.0

    def largest(self, column: int, left: int, entered: int) -> float:
        """The largest value of the events left..entered-1; NaN where all are null."""
        some = np.frombuffer(self.columns[column], np.float64)[left:entered]
        return float(np.fmax.reduce(some, initial=nan)) + 0.0

    def deviation(self, column: int, left: int, entered: int) -> float:
        """The sample standard deviation of the values of the events left..entered-1; NaN of fewer than two."""
        question = self._plan.question
        place = len(question.summed) + 3 * question.spread.index(column)
        number, squared = (self._valid(one, left, entered) for one in (place, place + 1))
        if number != squared:  # a square is beyond the floats
            return nan
        parts = self._numbers[place : place + 3]
        sums = [(self._exact(part, left, entered), int(part.scale)) for part in parts]
        told, cancels = deviation_of(number, *(quotient_in_two(*one) for one in sums))
        return exactly(number, *sums) if cancels else told

    @property
    def _numbers(self) -> Sequence[Part]:
        return self.history.numbers.parts

    @property
    def _prefix(self) -> Any:
        """Prefix sums of the history's numbers, read one at a time as Python's own; of one entity they never wrap."""
        if self._sums is None:
            numbers = self.history.numbers.rows
            self._sums = prefix_sums(numbers).data
            self.bytes += 2 * numbers.nbytes
        return self._sums

    def _valid(self, place: int, left: int, entered: int) -> int:
        there = self.history.numbers.there[place]
        if there is None:
            return entered - left
        prefix = self._prefix
        number: int = prefix[there, entered] - prefix[there, left]
        return number

    def _exact(self, part: Part, left: int, entered: int) -> int:
        """The exact sum of a column, times a power of two."""
        prefix, last = self._prefix, part.end - 1
        total: int = prefix[last, entered] - prefix[last, left]
        for limb in range(last - 1, part.begin - 1, -1):
            total = (total << part.bits) + prefix[limb, entered] - prefix[limb, left]
        return total


def history_of(plan: ViewPlan, packed: Packed) -> History:
    """An entity's packed events as a history of one segment."""
    rows, lead = packed.rows, times(plan.view)
    return History(
        plan.question,
        np.zeros(len(rows), np.int64),
        rows[:, EVENT_TIME].copy(),
        rows[:, KNOWN_TIME].copy(),
        rows[:, SEQUENCE],
        rows[:, lead:].view(np.float64),
        1,
        rows[:, UNTIL].copy() if lead > UNTIL else None,
    )
