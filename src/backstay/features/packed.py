"""How an entity's events are packed into one value of the online state.

    header   generation, complete_from, bytes of rows            three 64-bit integers, little-endian
    rows     event_time, known_time, sequence, [until, id], values of the view     8 bytes each (id: 16)
    words    by coded column, the words that its cells number     MessagePack; absent where no column is coded

`generation` is the last sequence that changed the value: a reader that holds it has the whole value. At T before
`complete_from` the events are only a part. `until` and `id` are kept where the source's events may be corrected.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np
import polars as pl

from backstay.definitions import View
from backstay.features.cells import micros, view_values
from backstay.features.exact import Ints

HEADER = struct.Struct("<qqq")
GENERATION = 8
"""bytes of a value's beginning that change whenever it does"""
EVENT_TIME, KNOWN_TIME, SEQUENCE, UNTIL, ID = range(5)
FOREVER = -(2**62)
_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


def times(view: View) -> int:
    """How many 64-bit cells lead the values of a packed row."""
    return 3 if view.source.event_id is None else 6


def event_identity(value: str | int) -> bytes:
    """Sixteen bytes for an event's id."""
    return blake2b(_encode(value), digest_size=16).digest()


@dataclass(slots=True)
class Packed:
    """An entity's events: rows of shape (events, cells), 64-bit; see the module's text."""

    generation: int
    complete_from: int
    rows: Ints
    words: list[list[Any]] = field(default_factory=list)

    @classmethod
    def empty(cls, view: View) -> Packed:
        words: list[list[Any]] = [[] for value in view.values if value.coded]
        return cls(0, FOREVER, np.empty((0, times(view) + len(view.values)), np.int64), words)

    @classmethod
    def read(cls, blob: bytes, view: View) -> Packed:
        generation, complete_from, size = HEADER.unpack_from(blob)
        cells = times(view) + len(view.values)
        rows = np.frombuffer(blob, np.int64, size // 8, HEADER.size).reshape(-1, cells)
        words = _decode(blob[HEADER.size + size :]) if len(blob) > HEADER.size + size else []
        return cls(generation, complete_from, rows, words)

    def blob(self) -> bytes:
        body = self.rows.tobytes()
        tail = _encode(self.words) if self.words else b""
        return HEADER.pack(self.generation, self.complete_from, len(body)) + body + tail

    def needed(self, longest: int, horizon: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which events can still matter at some T >= horizon: in a window, not yet visible, or the last one visible."""
        event_time, known_time, sequence = self.rows[:, EVENT_TIME], self.rows[:, KNOWN_TIME], self.rows[:, SEQUENCE]
        visible = np.maximum(event_time + 1, known_time)
        needed = (event_time + longest >= horizon) | (visible > horizon)
        past = np.flatnonzero(visible <= horizon)
        if len(past):
            order = np.lexsort((sequence[past], known_time[past], event_time[past]))
            needed[past[order[-1]]] = True
        return np.asarray(needed)


def generation(blob: bytes) -> int:
    return int(HEADER.unpack_from(blob)[0])


def packed_rows(view: View, events: pl.DataFrame) -> tuple[Any, dict[int, list[Any]]]:
    """Events as packed rows, and by value column the values that are kept as words (their cells are still empty)."""
    lead = times(view)
    rows = np.zeros((events.height, lead + len(view.values)), np.int64)
    rows[:, EVENT_TIME] = micros(events, "event_time")
    rows[:, KNOWN_TIME] = micros(events, "known_time")
    rows[:, SEQUENCE] = events.get_column("sequence").to_numpy()
    values, words = view_values(view, events)
    rows[:, lead:] = values.view(np.int64)
    return rows, {place: column.to_list() for place, column in words.items()}


def extended(packed: Packed, view: View, rows: Any, words: dict[int, list[Any]], places: Sequence[int]) -> Packed:
    """The packed events with some more, which came at `places` of the rows that `words` belongs to."""
    lead = times(view)
    for number, (column, values) in enumerate(words.items()):
        known = packed.words[number]
        code = {word: place for place, word in enumerate(known)}
        cells = np.empty(len(places))
        for row, place in enumerate(places):
            word = values[place]
            if word is None:
                cells[row] = np.nan
                continue
            if word not in code:
                code[word] = len(known)
                known.append(word)
            cells[row] = code[word]
        rows[:, lead + column] = cells.view(np.int64)
    both = np.concatenate([packed.rows, rows]) if len(packed.rows) else rows
    return Packed(int(rows[-1, SEQUENCE]), packed.complete_from, both, packed.words)
