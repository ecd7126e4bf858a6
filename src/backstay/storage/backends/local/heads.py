"""Heads: what a process remembers of the segments that it reads again and again until they are compacted.

A segment only grows. Of the whole frames that were read of it once, where they lie is remembered, and of what they are:
whoever asks for the last day decodes that day, and what was written since, and not all there is. That the bytes read
before are still the same is checked each time, by one checksum over all of them instead of one a frame.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backstay.storage.backends.local.framing import OVERHEAD
from backstay.storage.backends.local.series import Segment
from backstay.storage.predictions import Wanted, decode_head

Ints = NDArray[np.int64]


def is_number(payload: bytes) -> bool:
    """Whether it is a number of lost predictions: a prediction has sixteen fields, and no number as many bytes."""
    return len(payload) < 16


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a segment: its first `end` bytes, all whole frames, with their checksum.

    rows:   of each prediction: where its payload begins and ends, its T, and its model's place in `models`
    """

    end: int
    check: int
    rows: Ints
    models: tuple[str, ...]

    def holds(self, data: bytes) -> bool:
        return self.end <= len(data) and zlib.crc32(memoryview(data)[: self.end]) == self.check

    def places(self, wanted: Wanted) -> list[tuple[int, int]]:
        """Where the payloads of the wanted ones lie; which ids they have is not told here."""
        at, model = self.rows[:, 2], self.rows[:, 3]
        there = np.ones(len(at), bool)
        if wanted.since is not None:
            there &= at >= wanted.since
        if wanted.until is not None:
            there &= at < wanted.until
        if wanted.model is not None:
            there &= model == (self.models.index(wanted.model) if wanted.model in self.models else -1)
        return [(begin, end) for begin, end in self.rows[there, :2].tolist()]


_NOTHING = _Read(0, 0, np.empty((0, 4), np.int64), ())


class Heads:
    """Of the segments of a folder, what this process has read of them. Any number of threads may ask."""

    def __init__(self) -> None:
        self._read: dict[Path, _Read] = {}

    def keep(self, segments: Collection[Segment]) -> None:
        """Forget the others: they are in the table."""
        for path in set(self._read) - {one.path for one in segments}:
            self._read.pop(path, None)

    def payloads(self, segment: Segment, wanted: Wanted) -> Iterator[bytes]:
        """Those of the wanted predictions, in their order. Damage is an `IntegrityError`, as `Segment.records` says."""
        data = segment.read()
        read = self._read.get(segment.path, _NOTHING)
        if not read.holds(data):
            read = _NOTHING
        for begin, end in read.places(wanted):
            payload = data[begin:end]
            if wanted.ids is None or decode_head(payload).id in wanted.ids:
                yield payload
        models = dict(zip(read.models, range(len(read.models)), strict=True))
        rows: list[tuple[int, int, int, int]] = []
        at = read.end
        for payload in segment.records(data, begin=read.end):
            begin, at = at + OVERHEAD, at + OVERHEAD + len(payload)
            if is_number(payload):
                continue
            head = decode_head(payload)
            rows.append((begin, at, head.at, models.setdefault(head.model, len(models))))
            if wanted.holds(head):
                yield payload
        if at > read.end:
            check = zlib.crc32(memoryview(data)[read.end : at], read.check)
            found = np.concatenate([read.rows, np.array(rows, np.int64).reshape(-1, 4)])
            self._read[segment.path] = _Read(at, check, found, tuple(models))
