"""Pushes as the server takes them: no more at once than there is room for, and none for long on the loop.

A few events cost less than a change of threads. Thousands would hold up everybody who asks meanwhile: they are taken by
a thread of their own, in the order they came, and so are few ones while it has something to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from backstay.serving.push import Push
from backstay.serving.refusal import Overloaded, absent

FEW_BYTES = 8_192
"""A body up to this is taken on the loop: some forty events, a millisecond or two."""
ROOM = 64 << 20
"""Bytes of bodies that may be held at once; one that is larger is let in alone."""


class Pushing:
    """Takes pushes, by the names of their sources."""

    def __init__(self, pushes: Mapping[str, Push], *, room: int = ROOM) -> None:
        self._pushes, self._room = pushes, room
        self._held = self._aside = 0
        self._thread: ThreadPoolExecutor | None = None

    @contextmanager
    def held(self, length: int) -> Iterator[None]:
        """Hold room for a body of at most so many bytes. Raises `Overloaded` if there is none: nothing was taken."""
        if self._held and self._held + length > self._room:
            raise Overloaded()
        self._held += length
        try:
            yield
        finally:
            self._held -= length

    async def take(self, name: str, data: bytes) -> dict[str, object]:
        """What a push of these bytes is answered with."""
        push = self._pushes.get(name)
        if push is None:
            raise absent("source", "source", name, self._pushes)
        if len(data) <= FEW_BYTES and not self._aside:
            return push.take(data)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "backstay-push")
        self._aside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, push.take, data)
        finally:
            self._aside -= 1

    def close(self) -> None:
        """Wait until what was taken is recorded."""
        if self._thread is not None:
            self._thread.shutdown()
