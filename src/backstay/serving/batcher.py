"""Coalescing without waiting: requests that arrive in the same turn of the loop are predicted together.

Nothing is ever delayed to fill a batch. While one batch is computed, the sockets fill with the next.
"""

from __future__ import annotations

import asyncio
from typing import Any

from backstay.core.errors import BackstayError
from backstay.features.lookup import Asked
from backstay.serving.core import Core, ServedModel

LARGEST = 64


class Batcher:
    """Collects the requests of one model and hands them to the core, at most `LARGEST` at a time."""

    def __init__(self, core: Core, loop: asyncio.AbstractEventLoop) -> None:
        self._core, self._loop = core, loop
        self._waiting: list[tuple[Asked, asyncio.Future[dict[str, Any]]]] = []
        self.served: ServedModel | None = None
        """The version new batches go to; replaced in one assignment, so a batch never mixes versions."""

    def submit(self, asked: Asked) -> asyncio.Future[dict[str, Any]]:
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting.append((asked, future))
        if len(self._waiting) == 1:
            # One turn later, when the sockets that were ready together have all been read.
            self._loop.call_soon(self._loop.call_soon, self._flush)
        return future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
        if self._waiting:
            self._loop.call_soon(self._flush)
        assert self.served is not None
        self._predict(self.served, [(asked, future) for asked, future in batch if not future.cancelled()])

    def _predict(self, served: ServedModel, batch: list[tuple[Asked, asyncio.Future[dict[str, Any]]]]) -> None:
        if not batch:
            return
        try:
            answers = self._core.predict(served, "champion", [asked for asked, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered: nobody may wait for ever
            if len(batch) > 1 and isinstance(error, BackstayError):
                # One request that cannot be answered must not take the others with it.
                for one in batch:
                    self._predict(served, [one])
                return
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)
