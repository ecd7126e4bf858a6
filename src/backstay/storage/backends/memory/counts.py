"""Counts in a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstay.storage.counts import Counted, decode, encode


class MemoryCounts:
    """`CountLog` in memory. They are kept encoded: what comes back is what a disk would give."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []

    def append(self, rows: Sequence[Counted]) -> None:
        data = encode(rows)
        if rows:
            self._frames.append(data)

    def scan(
        self, *, model: str | None = None, since: int | None = None, until: int | None = None
    ) -> Iterator[Counted]:
        for one in (one for data in self._frames[:] for one in decode(data)):
            if one.wanted(model, since, until):
                yield one
