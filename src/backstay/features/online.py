"""Online state: the histories that a server needs, packed by entity, and what turns pushed events into them.

One value a (view, entity) holds the events its windows can still need; one value a view holds its *watermark* (the
highest sequence applied). An append is one transaction with the watermark in it, so a reader's snapshot is always
"every event up to this sequence, and no other". The transaction is conditional on the watermark it began from: of
several processes that apply the same events, one does, and the others find it done.

What is kept: at any T not more than `SLACK` before the newest event happened, or was known if that was before, every
window and latest value can be computed exactly. A request about an older T is refused rather than answered from a part
of the history. Where events may be corrected nothing is dropped, since a correction can bring back into the past what
was over.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import polars as pl

from backstay.core.errors import BackstayError, ConflictError, InputError
from backstay.core.identity import digest_of
from backstay.core.times import DAY
from backstay.definitions import EventSource, FeatureSet, View
from backstay.definitions.features import SEMANTICS
from backstay.features.cells import check_recorded, micros, view_columns
from backstay.features.corrections import Corrections
from backstay.features.packed import EVENT_TIME, Packed, extended, packed_rows, times
from backstay.storage.ports import EventStore, OnlineState

SLACK = DAY

_WATERMARK = struct.Struct("<qq")  # sequence, the newest moment: see the module's text
_SMALL = 1_024  # bytes of events below which trimming is not worth a look
_encode = msgspec.msgpack.Encoder().encode


def view_id(view: View) -> bytes:
    """Eight bytes that name what is kept for a view: another definition or a longer window is kept apart."""
    return bytes.fromhex(digest_of([SEMANTICS, view.canonical(), view.longest])[:16])


def entity_key(identity: bytes, keys: Sequence[str | int | float | bool] | None) -> bytes:
    """The key of an entity's history. MessagePack keeps ("1", "12") and ("11", "2") apart."""
    return identity + _encode(keys)


def watermark_key(source: str, identity: bytes) -> bytes:
    return b"w" + identity + source.encode()


class OnlineWriter:
    """Applies events to the online state of feature sets."""

    def __init__(self, state: OnlineState, feature_sets: Iterable[FeatureSet]) -> None:
        self._state = state
        self._views: dict[str, dict[bytes, View]] = defaultdict(dict)
        for features in feature_sets:
            for view in features.views:
                self._views[view.source.name].setdefault(view_id(view), view)

    def columns(self, source: EventSource) -> list[str]:
        """The columns of a source's events that the online state is made of."""
        read = [name for view in self._views[source.name].values() for name in view_columns(view)]
        return list(dict.fromkeys(["event_time", "known_time", "sequence", *read]))

    def watermark(self, source: EventSource) -> int:
        """The sequence up to which every view of the source has been applied (0: nothing, or none kept)."""
        return min(self.watermarks(source), default=0)

    def watermarks(self, source: EventSource) -> list[int]:
        """The sequence up to which each view of the source has been applied."""
        keys = [watermark_key(source.name, identity) for identity in self._views[source.name]]
        return [_WATERMARK.unpack(blob)[0] if blob else 0 for blob in self._state.read(keys)]

    def reached(self) -> dict[bytes, int]:
        """The same of all sources, by the keys of the watermarks; only of views that were ever applied."""
        keys = [watermark_key(source, identity) for source, views in self._views.items() for identity in views]
        blobs = self._state.read(keys)
        return {key: _WATERMARK.unpack(blob)[0] for key, blob in zip(keys, blobs, strict=True) if blob}

    def apply(self, source: EventSource, events: pl.DataFrame) -> int:
        """Apply rows of the events record (with `sequence`) atomically; those already applied change nothing.

        Returns how many rows were new to at least one view.
        """
        while True:
            try:
                return self._apply(source, events)
            except ConflictError:  # another process applied some of them meanwhile: look again
                continue

    def _apply(self, source: EventSource, events: pl.DataFrame) -> int:
        writes: dict[bytes, bytes | None] = {}
        marks = {watermark_key(source.name, identity): identity for identity in self._views[source.name]}
        expect = dict(zip(marks, self._state.read(list(marks)), strict=True))
        applied = 0
        for key, identity in marks.items():
            view, mark = self._views[source.name][identity], expect[key]
            done, newest = _WATERMARK.unpack(mark) if mark else (0, 0)
            sequence = events.get_column("sequence").to_numpy()
            fresh = events if len(sequence) and sequence[0] > done else events.filter(sequence > done)
            if not fresh.height:
                continue
            if int(fresh.get_column("sequence")[0]) != done + 1:
                raise InputError(
                    f"events {done + 1} to {int(fresh.get_column('sequence')[0]) - 1} were never applied",
                    where=f"online state of {source.where}",
                    expected="every event in the order of its sequence",
                    fix="run: backstay features backfill",
                )
            check_recorded(view, fresh)
            applied = max(applied, fresh.height)
            # By a declared delay events become known long after now, which is the T of those who ask.
            newest = max(newest, int(np.minimum(micros(fresh, "event_time"), micros(fresh, "known_time")).max()))
            writes |= self._append(identity, view, fresh, newest - SLACK)
            writes[key] = _WATERMARK.pack(int(fresh.get_column("sequence")[-1]), newest)
        if writes:
            self._state.write(writes, expect=expect)
        return applied

    def _append(self, identity: bytes, view: View, events: pl.DataFrame, horizon: int) -> dict[bytes, bytes | None]:
        rows, words = packed_rows(view, events)
        columns = [events.get_column(name).to_physical().to_list() for name in view.entity.keys]  # times as integers
        named = zip(*columns, strict=True) if columns else [()] * events.height
        keys = [entity_key(identity, None if None in values else values) for values in named]
        if view.source.event_id is not None:
            ids = events.get_column(view.source.event_id).to_list()
            return Corrections(self._state, identity, view).append(keys, rows, words, ids)
        grouped: dict[bytes, list[int]] = defaultdict(list)
        nobody = entity_key(identity, None)
        for place, key in enumerate(keys):
            if key != nobody:
                grouped[key].append(place)
        before = self._state.read(list(grouped))
        out: dict[bytes, bytes | None] = {}
        for (key, places), blob in zip(grouped.items(), before, strict=True):
            packed = Packed.read(blob, view) if blob else Packed.empty(view)
            out[key] = _trimmed(extended(packed, view, rows[places], words, places), view, horizon).blob()
        return out


def check_filled(features: FeatureSet, events: EventStore, state: OnlineState, at: int) -> None:
    """Raise `InputError` if there are events that a feature set reads, known at T, and nothing of it was ever brought
    into the state: entities would seem never to have been seen."""
    writer = OnlineWriter(state, [features])
    for source in features.sources:
        held = events.last_sequence(source.name)
        if held and 0 in writer.watermarks(source):
            (first,) = events.batches(source.name, columns=["known_time"], sequence_until=1)
            if micros(first, "known_time")[0] > at:
                continue
            raise InputError(
                f"there are {held} events of {source.name!r}, and the online state holds nothing of feature set "
                f"{features.name!r}",
                where=features.where,
                expected="a state that was filled since the feature set was declared, or changed",
                fix="run: backstay features backfill",
            )


def shown(
    source: EventSource, events: EventStore, writer: OnlineWriter, appended: pl.DataFrame
) -> BackstayError | None:
    """Make events visible that were just appended (with `sequence`); why that cannot be, if it cannot.

    They are in the record all the same, so that whoever sent them must not send them again.
    """
    try:
        if appended.height:
            apply_appended(source, events, writer, appended)
    except BackstayError as error:
        return error
    return None


def apply_appended(source: EventSource, events: EventStore, writer: OnlineWriter, appended: pl.DataFrame) -> None:
    """Apply events that were just appended (with `sequence`), after those of others that the state has not seen yet."""
    done, first = writer.watermark(source), int(appended.get_column("sequence")[0])
    if done + 1 < first:
        columns = writer.columns(source)
        for frame in events.batches(source.name, columns=columns, sequence_after=done, sequence_until=first - 1):
            writer.apply(source, frame)
    writer.apply(source, appended)


def _trimmed(packed: Packed, view: View, horizon: int) -> Packed:
    """The events without those past any use, once the oldest is long past it."""
    if packed.rows.nbytes <= _SMALL:
        return packed
    if packed.rows[0, EVENT_TIME] >= horizon - view.longest - max(view.longest // 2, SLACK):
        return packed
    kept = packed.needed(view.longest, horizon)
    if kept.all():
        return packed
    rows, lead = packed.rows[kept], times(view)
    words = packed.words
    for number, column in enumerate(place for place, value in enumerate(view.values) if value.coded):
        cells = rows[:, lead + column].view(np.float64)
        used, places = np.unique(cells[~np.isnan(cells)], return_inverse=True)
        cells[~np.isnan(cells)] = places
        rows[:, lead + column] = cells.view(np.int64)
        words[number] = [words[number][int(code)] for code in used]
    return Packed(packed.generation, horizon, rows, words)
