"""Coalescing without waiting: requests that arrive in the same turn of the loop are computed together.

Nothing is ever delayed to fill a batch. While one batch is computed, the sockets fill with the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from backstay.core.errors import BackstayError
from backstay.features.lookup import Asked
from backstay.serving.core import Core, ServedModel

LARGEST = 64
"""Rows that are computed together; one request may bring more."""

Answer = TypeVar("Answer")
Worked = tuple[Sequence[Answer], Future[None] | None]
"""Answers, and what must be done before they are given (None: nothing)."""


class Coalescer(Generic[Answer]):
    """Collects requests of one or many rows each, and hands their rows to `work`, which answers each in its order."""

    def __init__(self, work: Callable[[Sequence[Asked]], Worked[Answer]], loop: asyncio.AbstractEventLoop) -> None:
        self._work, self._loop = work, loop
        self._waiting: list[tuple[Sequence[Asked], asyncio.Future[Sequence[Answer]]]] = []

    def submit(self, asked: Sequence[Asked]) -> asyncio.Future[Sequence[Answer]]:
        """The answers to the rows of one request, when they are there."""
        future: asyncio.Future[Sequence[Answer]] = self._loop.create_future()
        self._waiting.append((asked, future))
        if len(self._waiting) == 1:
            # One turn later, when the sockets that were ready together have all been read.
            self._loop.call_soon(self._loop.call_soon, self._flush)
        return future

    def _flush(self) -> None:
        count, rows = 0, 0
        while count < len(self._waiting) and (not count or rows + len(self._waiting[count][0]) <= LARGEST):
            rows += len(self._waiting[count][0])
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        if self._waiting:
            self._loop.call_soon(self._flush)
        self._answer([(asked, future) for asked, future in batch if not future.cancelled()])

    def _answer(self, batch: list[tuple[Sequence[Asked], asyncio.Future[Sequence[Answer]]]]) -> None:
        if not batch:
            return
        try:
            answers, written = self._work([one for asked, _ in batch for one in asked])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered: nobody may wait for ever
            if len(batch) > 1 and isinstance(error, BackstayError):
                # One request that cannot be answered must not take the others with it.
                for one in batch:
                    self._answer([one])
                return
            _refuse(batch, error)
            return
        if written is None:
            _give(batch, answers)
            return

        def settled() -> None:
            error = written.exception()
            _give(batch, answers) if error is None else _refuse(batch, error)

        written.add_done_callback(lambda _: self._loop.call_soon_threadsafe(settled))


def _give(batch: list[tuple[Sequence[Asked], asyncio.Future[Sequence[Answer]]]], answers: Sequence[Answer]) -> None:
    begin = 0
    for asked, future in batch:
        if not future.done():  # its client may have gone meanwhile
            future.set_result(answers[begin : begin + len(asked)])
        begin += len(asked)


def _refuse(batch: list[tuple[Sequence[Asked], asyncio.Future[Sequence[Answer]]]], error: BaseException) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


class Batcher(Coalescer[dict[str, Any]]):
    """Coalesces the requests of one model, and hands them to the core."""

    def __init__(self, core: Core, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(self._predict, loop)
        self._core = core
        self.served: ServedModel | None = None
        """The version new batches go to; replaced in one assignment, so a batch never mixes versions."""

    def _predict(self, asked: Sequence[Asked]) -> Worked[dict[str, Any]]:
        assert self.served is not None
        return self._core.predict(self.served, "champion", asked)
