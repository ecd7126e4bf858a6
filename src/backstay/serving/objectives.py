"""Objectives: how the models of a server keep what they promise, counted as requests are answered.

A model with an objective has a row in each worker's slot of the board. A row is a model's by the CRC of its name, not
by its place: workers that replace others may know other models.

    a row     the CRC; requests, failed, slow; and how many of each have been written down

A request counts if it was asked properly: answered, or failed (5xx; 422, for which the model has no score; 429, which
is refused although nothing is wrong with it). What was the client's own mistake (any other 4xx, or a deadline of 0),
and what it did not wait for (499), says nothing about the server.

About every ten seconds a worker writes down what has been added to its row. What a worker that was killed had counted
stands in its slot still, and is written by the one that takes its place; where nobody does (the machine, or a server
of one worker, is gone) at most the last ten seconds are lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from zlib import crc32

from backstay.core.clock import Clock
from backstay.core.errors import BackstayError, InputError
from backstay.core.times import MINUTE, SECOND
from backstay.definitions import Model, Objective
from backstay.evaluation.budgets import Kept, first, keeping
from backstay.serving.board import ROW, ROWS, Board, Cells
from backstay.storage.counts import Counted
from backstay.storage.ports import CountLog

WRITE_SECONDS = 10.0
_FRESH = 30 * SECOND
_NAME, REQUESTS, FAILED, SLOW, _WRITTEN = 0, 1, 2, 3, 4
COUNTS = (REQUESTS, FAILED, SLOW)
_logger = logging.getLogger("backstay.serving")


class Tally:
    """Counts the answers of one model, in this worker's row of it: an addition or two a request, and nothing else."""

    __slots__ = ("_at", "_cells", "_within", "objective")

    def __init__(self, objective: Objective, cells: Cells, at: int) -> None:
        self.objective = objective
        self._cells, self._at, self._within = cells, at, objective.latency / SECOND

    def answered(self, status: int, seconds: float) -> None:
        """One more request was answered with this status, so many seconds after it was read."""
        cells, at = self._cells, self._at
        if status < 400:
            cells[at + REQUESTS] += 1
            if seconds > self._within:
                cells[at + SLOW] += 1
        elif status >= 500 or status in (422, 429):
            cells[at + REQUESTS] += 1
            cells[at + FAILED] += 1

    def unwritten(self) -> list[int]:
        """What has been counted and not written down yet: requests, failed, slow."""
        cells, at = self._cells, self._at
        return [int(cells[at + one] - cells[at + _WRITTEN + place]) for place, one in enumerate(COUNTS)]

    def written(self, numbers: list[int]) -> None:
        """So many of each have been written down."""
        for place, number in enumerate(numbers):
            self._cells[self._at + _WRITTEN + place] += number


def tallies(board: Board, slot: int, objectives: Mapping[str, Objective]) -> dict[str, Tally]:
    """By model, what counts in this slot. Raises `InputError` for more models than a board has rows."""
    cells = board.rows(slot)
    return {name: Tally(one, cells, _row(cells, name)) for name, one in objectives.items()}


def counted(board: Board, name: str) -> tuple[float, ...]:
    """What all workers have counted of a model: requests, failed, slow."""
    found = [(cells, _find(cells, name)) for cells in board.all_rows()]
    return tuple(sum(cells[at + one] for cells, at in found if at is not None) for one in COUNTS)


def _find(cells: Cells, name: str) -> int | None:
    mark = float(crc32(name.encode()) + 1)
    return next((at for at in range(0, ROWS * ROW, ROW) if cells[at + _NAME] == mark), None)


def _row(cells: Cells, name: str) -> int:
    """Where the row of a model begins; one that nobody has, if it has none."""
    at = _find(cells, name)
    if at is None:
        at = next((at for at in range(0, ROWS * ROW, ROW) if not cells[at + _NAME]), None)
        if at is None:
            raise InputError(
                f"there are more than {ROWS} models with an objective", where=f"model {name!r}",
                expected=f"at most {ROWS} in one server", fix="serve some of them from another project",
            )  # fmt: skip
        cells[at + _NAME] = float(crc32(name.encode()) + 1)
    return at


def collect(board: Board, models: Mapping[str, Tally]) -> Iterator[Any]:
    """What `prometheus_client` writes out: counters of all workers, and what they are held against."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    counters: list[Any] = [
        CounterMetricFamily(f"backstay_objective_{name}", meaning, labels=["model"])
        for name, meaning in (
            ("requests", "Requests that count for the model's objective: answered, or failed."),
            ("failed", "Of these, those that got no answer: 5xx, without a score, or refused under overload."),
            ("slow", "Of these, those that were answered later than the objective wants."),
        )
    ]
    targets: list[Any] = [
        GaugeMetricFamily(f"backstay_objective_{name}", meaning, labels=["model"])
        for name, meaning in (
            ("latency_seconds", "Within which an answer is good."),
            ("latency_target", "Share of answers that are to be that fast."),
            ("availability_target", "Share of requests that are to be answered."),
        )
    ]
    for model, one in models.items():
        for family, number in zip(counters, counted(board, model), strict=True):
            family.add_metric([model], number)
        wanted = one.objective
        for family, number in zip(targets, (wanted.latency / SECOND, wanted.share, wanted.availability), strict=True):
            family.add_metric([model], number)
    if models:
        yield from (*counters, *targets)


class Keeper:
    """Writes down what a worker counts, and judges by what all have written.

    tallies: of the models that are counted; models: all of them, also those without an objective
    """

    def __init__(self, tallies: Mapping[str, Tally], log: CountLog, clock: Clock, models: Mapping[str, Model]) -> None:
        self._tallies, self._log, self._clock = tallies, log, clock
        self._objectives = {name: model.objective for name, model in models.items()}
        self._judged: list[Kept] = []
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write now and then, on the running loop."""
        if self._tallies:
            self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Write what is left."""
        self._stopped.set()  # not cancelled: what is being written just now must be marked as written
        if self._task is not None:
            await self._task

    async def _follow(self) -> None:
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), WRITE_SECONDS)
            await self.write()
        await self.write()  # what was counted while the last write waited for the disk

    def judged(self) -> list[Kept]:
        """How every model keeps its objective, by what all servers of this home have written down.

        As of now, or of half a minute ago: weeks of counts are read for it, which requests should not feel.
        """
        now, before = self._clock.now(), self._judged
        if not before or not 0 <= now - before[0].as_of < _FRESH:
            rows = self._log.scan(since=first(self._objectives, now), until=now)
            self._judged = keeping(self._objectives, rows, now)
        return self._judged

    async def write(self) -> None:
        """Write down what has been added, beside the loop: a slow disk holds no request up.

        What cannot be written now is written with the next.
        """
        minute = self._clock.now() // MINUTE * MINUTE
        added = {name: numbers for name, one in self._tallies.items() if (numbers := one.unwritten())[0]}
        if not added:
            return
        rows = [Counted(minute, name, *numbers) for name, numbers in added.items()]
        try:
            await asyncio.to_thread(self._log.append, rows)
        except BackstayError:
            _logger.exception("what was counted is not written down")
            return
        for name, numbers in added.items():
            self._tallies[name].written(numbers)
