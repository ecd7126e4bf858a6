"""Online state: the histories that a server needs, packed by entity, and what turns pushed events into them.

One value a (view, entity) holds the events its windows can still need, in the order they came; one value a source holds
its *watermark* (the highest sequence applied). An append is one transaction with the watermark in it, so a reader's
snapshot is always "every event up to this sequence, and no other".

What is kept: at any T not more than `SLACK` before the newest known time, every window and latest value can be computed
exactly. A request about an older T is refused rather than answered from a part of the history.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import polars as pl

from backstay.core.identity import digest_of
from backstay.core.times import DAY
from backstay.definitions import EventSource, FeatureSet, View
from backstay.definitions.features import SEMANTICS
from backstay.features.offline import view_values
from backstay.storage.ports import OnlineState

SLACK = DAY

_HEADER = struct.Struct("<qq")  # generation (the last sequence applied), complete_from (T before which it is partial)
_WATERMARK = struct.Struct("<qq")  # sequence, the newest known time
_TIMES = 3  # event_time, known_time, sequence lead every packed row
_encode = msgspec.msgpack.Encoder().encode


def view_id(view: View) -> bytes:
    """Eight bytes that name what is kept for a view: another definition or a longer window is kept apart."""
    return bytes.fromhex(digest_of([SEMANTICS, view.canonical(), view.longest])[:16])


def entity_key(identity: bytes, keys: Sequence[str | int | float | bool]) -> bytes:
    """The key of an entity's history. MessagePack keeps ("1", "12") and ("11", "2") apart."""
    return identity + _encode(keys)


def watermark_key(source: str, identity: bytes) -> bytes:
    return b"w" + identity + source.encode()


@dataclass(frozen=True, slots=True)
class Packed:
    """An entity's events, unpacked without copying: shape (events,) each, values (events, columns)."""

    complete_from: int
    generation: int
    times: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    values: np.ndarray[tuple[int, int], np.dtype[np.float64]]


def unpack(blob: bytes, columns: int) -> Packed:
    generation, complete_from = _HEADER.unpack_from(blob)
    rows = np.frombuffer(blob, np.int64, offset=_HEADER.size).reshape(-1, _TIMES + columns)
    return Packed(complete_from, generation, rows[:, :_TIMES], rows[:, _TIMES:].view(np.float64))


def generation(blob: bytes) -> int:
    return int(_HEADER.unpack_from(blob)[0])


class OnlineWriter:
    """Applies events to the online state of feature sets; the one writer of that state."""

    def __init__(self, state: OnlineState, feature_sets: Iterable[FeatureSet]) -> None:
        self._state = state
        self._views: dict[str, dict[bytes, View]] = defaultdict(dict)
        for features in feature_sets:
            for view in features.views:
                self._views[view.source.name].setdefault(view_id(view), view)

    def watermark(self, source: EventSource) -> int:
        """The sequence up to which every view of the source has been applied (0: nothing, or none kept)."""
        keys = [watermark_key(source.name, identity) for identity in self._views[source.name]]
        return min((_WATERMARK.unpack(blob)[0] if blob else 0 for blob in self._state.read(keys)), default=0)

    def apply(self, source: EventSource, events: pl.DataFrame) -> int:
        """Apply rows of the events record (with `sequence`) atomically; those already applied change nothing.

        Returns how many rows were new to at least one view.
        """
        writes: dict[bytes, bytes] = {}
        applied = 0
        for identity, view in self._views[source.name].items():
            key = watermark_key(source.name, identity)
            (mark,) = self._state.read([key])
            done, newest = _WATERMARK.unpack(mark) if mark else (0, 0)
            fresh = events.filter(pl.col("sequence") > done).sort("sequence")
            if not fresh.height:
                continue
            applied = max(applied, fresh.height)
            newest = max(newest, int(fresh.get_column("known_time").dt.epoch("us").to_numpy().max()))
            writes |= self._append(identity, view, fresh, newest - SLACK)
            writes[key] = _WATERMARK.pack(int(fresh.get_column("sequence")[-1]), newest)
        if writes:
            self._state.write(writes)
        return applied

    def _append(self, identity: bytes, view: View, events: pl.DataFrame, horizon: int) -> dict[bytes, bytes]:
        events = events.drop_nulls(list(view.entity.keys))
        rows = np.empty((events.height, _TIMES + len(view.values)), np.int64)
        rows[:, 0] = events.get_column("event_time").dt.epoch("us").to_numpy()
        rows[:, 1] = events.get_column("known_time").dt.epoch("us").to_numpy()
        rows[:, 2] = events.get_column("sequence").to_numpy()
        rows[:, _TIMES:] = view_values(view, events).view(np.int64)
        grouped: dict[bytes, list[int]] = defaultdict(list)
        for place, keys in enumerate(events.select(view.entity.keys).iter_rows()):
            grouped[entity_key(identity, keys)].append(place)
        before = self._state.read(list(grouped))
        out = {}
        for (key, places), blob in zip(grouped.items(), before, strict=True):
            packed = (blob or _HEADER.pack(0, -(2**62))) + rows[places].tobytes()
            out[key] = _stamped(packed, int(rows[places[-1], 2]), view, horizon)
        return out


def _stamped(blob: bytes, sequence: int, view: View, horizon: int) -> bytes:
    """The blob with its generation set, and trimmed once its oldest event is long past any use."""
    _, complete_from = _HEADER.unpack_from(blob)
    width = 8 * (_TIMES + len(view.values))
    (oldest,) = struct.unpack_from("<q", blob, _HEADER.size)
    body = blob[_HEADER.size :]
    if len(body) > 64 * width and oldest < horizon - view.longest - max(view.longest // 2, SLACK):
        rows = np.frombuffer(body, np.int64).reshape(-1, width // 8)
        kept = _needed(rows, view.longest, horizon)
        if not kept.all():
            body, complete_from = rows[kept].tobytes(), horizon
    return _HEADER.pack(sequence, complete_from) + body


def _needed(
    rows: np.ndarray[tuple[int, int], np.dtype[np.int64]], longest: int, horizon: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which events can still matter at some T >= horizon: in a window, not yet visible, or the last one visible."""
    event_time, known_time, sequence = rows[:, 0], rows[:, 1], rows[:, 2]
    visible = np.maximum(event_time + 1, known_time)
    needed = (event_time + longest >= horizon) | (visible > horizon)
    past = np.flatnonzero(visible <= horizon)
    if len(past):
        order = np.lexsort((sequence[past], known_time[past], event_time[past]))
        needed[past[order[-1]]] = True
    return np.asarray(needed)
