"""Pushes as the server takes them: no more at once than there is room for, and none for long on the loop.

A few events cost less than a change of threads. Thousands would hold up everybody who asks meanwhile, and so would few
ones before which the online state has to be brought up to the record, that go to it over a network, or that take turns
with others, such as an ingest: they are taken by a thread of their own, in the order they came, and so is all that
comes while it has something to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from backstay.serving.push import Push
from backstay.serving.refusal import Overloaded, absent

FEW_BYTES = 8_192
"""A body up to this may be taken on the loop (some forty events, a millisecond or two), and always has room."""
ROOM = 64 << 20
"""Bytes of larger bodies that may be held at once; one alone is let in, whatever its size."""


class Pushing:
    """Takes pushes, by the names of their sources. remote: whether the online state is behind a network."""

    def __init__(self, pushes: Mapping[str, Push], *, remote: bool, room: int = ROOM) -> None:
        self._pushes, self._remote, self._room = pushes, remote, room
        self._held = self._aside = 0
        self._thread: ThreadPoolExecutor | None = None

    @contextmanager
    def room(self) -> Iterator[Callable[[int], None]]:
        """What is told how many bytes more have come of a body, and holds room for them until the end of the block. It
        raises `Overloaded` if there is none."""
        mine = 0

        def more(size: int) -> None:
            nonlocal mine
            others = self._held - mine
            if others and mine + size > FEW_BYTES and self._held + size > self._room:
                raise Overloaded()
            mine += size
            self._held += size

        try:
            yield more
        finally:
            self._held -= mine

    async def take(self, name: str, data: bytes) -> dict[str, object]:
        """What a push of these bytes is answered with."""
        push = self._pushes.get(name)
        if push is None:
            raise absent("source", "source", name, self._pushes)
        if len(data) <= FEW_BYTES and not self._aside and not self._remote and not push.waits:
            return push.take(data)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "backstay-push")
        self._aside += 1
        taking = asyncio.get_running_loop().run_in_executor(self._thread, push.take, data)
        # Not when nobody waits any more: the thread goes on.
        done = asyncio.shield(taking)
        taking.add_done_callback(self._done)
        return await done

    def _done(self, _: object) -> None:
        self._aside -= 1

    def close(self) -> None:
        """Wait until what was taken is recorded."""
        if self._thread is not None:
            self._thread.shutdown()
