"""The board: what the workers of one server count, laid side by side in one memory that all of them map.

A worker writes in a slot of its own; whoever is scraped adds the slots up. A slot outlives its worker: the one that
takes its place counts on from there. So no sum ever goes backwards, nothing is left behind by a worker that died, and a
scrape costs the same however often workers were replaced.

    a slot    who writes in it: pid (0: nobody), since when (Unix seconds), how many have so far
              gauges, in the order of their registration
              the counters and histograms of `Metrics`
              rows of the models whose objectives are counted (`objectives.py`)
      marks, one a thread: which share or shadow it is scoring, if it is, and since when

Behind the slots stand tables in which all workers write: what shares did lately (`watch.py`).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import MutableSequence
from dataclasses import dataclass
from time import time
from typing import NamedTuple, cast

from backstay.serving.watch import CELLS

GAUGES = 64
"""How many gauges there may be."""
ROWS, ROW = 256, 8
"""How many models with an objective a server may have, and how many numbers are kept of each."""
TABLES = 64
"""How many shares may be watched by all workers together; what is beyond is watched by each on its own."""
LANES = 4
"""How many threads of a worker have a mark: its loop, its worker thread and the shadows'; one to spare."""
_MARK = 5
_PID, _SINCE, _STARTS, _HEAD = 0, 1, 2, 3

Cells = MutableSequence[float]


@dataclass(frozen=True, slots=True)
class Sign:
    """Who writes in a slot. since: Unix seconds; starts: how many workers have written in it, this one included"""

    slot: int
    pid: int
    since: float
    starts: int


class Mark(NamedTuple):
    """What a thread of a worker is scoring: a version's rows, by the route of an entry.

    since, bound: when that began (monotonic), and how many seconds it may take
    """

    entry: int
    number: int
    shadow: bool
    since: float
    bound: float


class Board:
    """So many slots, of `width` counters each, in a file; without one, in the memory of this process alone."""

    def __init__(self, width: int, slots: int = 1, descriptor: int | None = None) -> None:
        self._rows = _HEAD + GAUGES + width
        self._marks = self._rows + ROWS * ROW
        length = self._marks + LANES * _MARK
        begin = slots * length
        size = (begin + TABLES * CELLS) * 8
        if descriptor is not None and os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)  # the new bytes are zeros
        memory = memoryview(mmap.mmap(-1 if descriptor is None else descriptor, size)).cast("d")
        self._slots = [memory[at : at + length] for at in range(0, begin, length)]
        self.tables = [cast("Cells", memory[at : at + CELLS]) for at in range(begin, size // 8, CELLS)]

    def sign(self, slot: int) -> None:
        """This process begins to write in the slot."""
        cells = self._slots[slot]
        cells[_SINCE] = time()
        cells[_STARTS] += 1
        cells[_PID] = os.getpid()

    def leave(self, slot: int) -> None:
        """Whoever wrote in the slot is gone: its gauges mean nothing any more, its counts stay."""
        cells = self._slots[slot]
        cells[_PID] = 0
        for place in (*range(_HEAD, _HEAD + GAUGES), *range(self._marks, len(cells), _MARK)):
            cells[place] = 0

    def signs(self) -> list[Sign]:
        """Who writes now."""
        return [
            Sign(slot, int(cells[_PID]), cells[_SINCE], int(cells[_STARTS]))
            for slot, cells in enumerate(self._slots)
            if cells[_PID]
        ]

    def starts(self) -> int:
        """How many workers have written in any slot so far."""
        return int(sum(cells[_STARTS] for cells in self._slots))

    def gauges(self, slot: int) -> Cells:
        return cast("Cells", self._slots[slot][_HEAD : _HEAD + GAUGES])

    def cells(self, slot: int) -> Cells:
        return cast("Cells", self._slots[slot][_HEAD + GAUGES : self._rows])

    def rows(self, slot: int) -> Cells:
        return cast("Cells", self._slots[slot][self._rows : self._marks])

    def mark(self, slot: int, lane: int) -> Cells:
        """The fields of `Mark`, of one of the slot's worker's threads; an entry of 0: it scores none."""
        begin = self._marks + lane * _MARK
        return cast("Cells", self._slots[slot][begin : begin + _MARK])

    def marks(self, slot: int) -> list[Mark]:
        """What its worker's threads are scoring, of shares and shadows."""
        told = [list(self.mark(slot, lane)) for lane in range(LANES)]
        return [Mark(int(one[0]), int(one[1]), bool(one[2]), one[3], one[4]) for one in told if one[0]]

    def all_rows(self) -> list[Cells]:
        """The rows of every slot, whether anybody writes in it or not."""
        return [self.rows(slot) for slot in range(len(self._slots))]

    def summed(self) -> list[float]:
        """Gauges and cells, each the sum over all slots."""
        columns = zip(*(cells[_HEAD : self._rows] for cells in self._slots), strict=True)
        return [sum(column) for column in columns]
