"""Corrections in the online state: which versions an event has, and from when on each is replaced.

For each event's id, one value of the state lists the entities in whose histories versions of it stand, because a
correction may say that it happened to somebody else. When a version comes, the histories of all its versions are read,
and of each version it is written down when the first higher one becomes visible.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from backstay.definitions import View
from backstay.features.cells import NEVER
from backstay.features.exact import Ints
from backstay.features.packed import EVENT_TIME, ID, KNOWN_TIME, SEQUENCE, UNTIL, Packed, event_identity, extended
from backstay.storage.ports import OnlineState

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


class Corrections:
    """Appends events that may be corrections to the histories of one view."""

    def __init__(self, state: OnlineState, identity: bytes, view: View) -> None:
        self._state, self._identity, self._view = state, identity, view

    def append(
        self, keys: Sequence[bytes], rows: Ints, words: dict[int, list[Any]], ids: Sequence[Any]
    ) -> dict[bytes, bytes | None]:
        """What is to be written, for events in the order of their sequence: their entities' keys, rows and ids."""
        rows[:, UNTIL] = NEVER
        named = {place: event_identity(value) for place, value in enumerate(ids) if value is not None}
        for place, name in named.items():
            rows[place, ID : ID + 2] = np.frombuffer(name, np.int64)
        entities = self._entities(list(dict.fromkeys(named.values())))
        for place, name in named.items():
            if keys[place] not in entities[name]:
                entities[name].append(keys[place])
        wanted = dict.fromkeys([*keys, *(key for found in entities.values() for key in found)])
        blobs = self._state.read(list(wanted))
        packed = {
            key: Packed.read(blob, self._view) if blob else Packed.empty(self._view)
            for key, blob in zip(wanted, blobs, strict=True)
        }
        grouped: dict[bytes, list[int]] = defaultdict(list)
        for place, key in enumerate(keys):
            grouped[key].append(place)
        for key, places in grouped.items():
            packed[key] = extended(packed[key], self._view, rows[places], words, places)
        for one in packed.values():
            one.rows = one.rows.copy()
        changed = set(grouped)
        for name, found in entities.items():
            changed |= self._replace(name, [(key, packed[key]) for key in found])
        for key in changed:
            packed[key].generation = int(rows[-1, SEQUENCE])
        out: dict[bytes, bytes | None] = {key: packed[key].blob() for key in changed}
        for name, found in entities.items():
            out[self._index(name)] = _encode([key[len(self._identity) :] for key in found])
        return out

    def _index(self, name: bytes) -> bytes:
        return b"i" + self._identity + name

    def _entities(self, names: list[bytes]) -> dict[bytes, list[bytes]]:
        """By id, the keys of the histories that hold versions of it."""
        found = self._state.read([self._index(name) for name in names])
        return {
            name: [self._identity + tail for tail in _decode(blob)] if blob else []
            for name, blob in zip(names, found, strict=True)
        }

    def _replace(self, name: bytes, held: list[tuple[bytes, Packed]]) -> set[bytes]:
        """Write down of each version of one event when a higher one becomes visible; returns the histories changed."""
        wanted = np.frombuffer(name, np.int64)
        versions = [
            (int(one.rows[place, KNOWN_TIME]), int(one.rows[place, SEQUENCE]), key, one, place)
            for key, one in held
            for place in np.flatnonzero((one.rows[:, ID : ID + 2] == wanted).all(axis=1)).tolist()
        ]
        soonest, changed = NEVER, set()
        for known, _, key, one, place in sorted(versions, key=lambda version: version[:2], reverse=True):
            if one.rows[place, UNTIL] != soonest:
                one.rows[place, UNTIL] = soonest
                changed.add(key)
            soonest = min(soonest, max(int(one.rows[place, EVENT_TIME]) + 1, known))
        return changed
