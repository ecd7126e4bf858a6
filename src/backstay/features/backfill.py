"""Backfill: the events record into the online state, from where the state stands, in frames of bounded size.

It goes by sequence, the order of appending, and not by time: a row that came late has a higher sequence than all that
was there before, so it cannot be missed. Each frame and the watermark that says it was applied are one transaction:
after a kill at any moment the next run goes on behind it, and nothing is counted twice. A changed definition is another
view with a watermark of its own, and is filled beside the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from backstay.core.errors import InputError
from backstay.core.times import instant_text
from backstay.definitions import EventSource, FeatureSet
from backstay.features.online import OnlineWriter
from backstay.storage.ports import EventStore, OnlineState

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done, and how much there is."""


def backfill(
    features: Iterable[FeatureSet],
    events: EventStore,
    online: OnlineState,
    *,
    until: int | None,
    progress: Progress,
    rows: int = 100_000,
) -> dict[str, int]:
    """Bring the online state up to the record, or up to what was known at `until`. Returns events applied a source.

    `rows` events at a time are read and applied, which bounds the memory.

    Raises `InputError` if the record is not numbered in the order its events became known and `until` cuts it.
    """
    sets = list(features)
    writer = OnlineWriter(online, sets)
    sources = {source.name: source for one in sets for source in one.sources}
    if any(max(writer.watermarks(source)) > events.last_sequence(name) for name, source in sources.items()):
        online.clear()  # a power cut took from the record what the state had seen: the state is made again
    applied = {}
    for name, source in sources.items():
        if events.last_sequence(name):
            applied[name] = _fill(source, writer, events, until, progress, rows)
    return applied


def _fill(
    source: EventSource, writer: OnlineWriter, events: EventStore, until: int | None, progress: Progress, rows: int
) -> int:
    last, done, applied = events.last_sequence(source.name), writer.watermark(source), 0
    if until is not None:
        last = _known(source, events, until)
    what = f"backfill {source.name}"
    progress(what, done, max(last, done))
    columns = writer.columns(source)
    for frame in events.batches(source.name, columns=columns, sequence_after=done, sequence_until=last, rows=rows):
        applied += writer.apply(source, frame)
        progress(what, int(frame.get_column("sequence")[-1]), last)
    return applied


def _known(source: EventSource, events: EventStore, until: int) -> int:
    """The last sequence known at `until`: everything up to it must have been, and nothing behind it."""
    known = events.read(source.name, columns=["known_time"]).get_column("known_time").to_physical().to_numpy()
    last = int(np.count_nonzero(known <= until))
    if (known[:last] > until).any():
        raise InputError(
            f"events of source {source.name!r} are not numbered in the order they became known",
            where=f"backfill until {instant_text(until)}",
            expected="a record that can be replayed: one history, ingested in the order of known time",
            fix="ingest the whole history into a new home",
        )
    return last
