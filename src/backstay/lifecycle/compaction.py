"""Compaction of the prediction log: what servers have written goes into a table, each value by its feature's name."""

from __future__ import annotations

from collections.abc import Callable

from backstay.lifecycle.records import Records
from backstay.storage.ports import Compacted


def compact(records: Records, progress: Callable[[int, int], None] = lambda *_: None) -> Compacted:
    """Compact the prediction log; `progress` is told bytes done and in all. Doing it again goes on with what is left.

    The names are those of the registered versions, of every model there has been: only they are served.
    """
    registry = records.registry
    sets = (one.manifest.feature_set for model in registry.models() for one in registry.versions(model))
    return records.predictions.compact({one.hash: one.features for one in sets}, progress)
