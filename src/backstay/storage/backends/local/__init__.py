"""The local backend: one directory, no server, several processes at once.

    events       a Delta table a source, numbered under a lock
    predictions  framed, checksummed segment files, one series a writer, compacted into a Delta table
    counts       framed, checksummed files, one a day and process
    runs         a framed, checksummed index, and a file of metrics a run
    ledger       SQLite in WAL mode, append-only by trigger, hash-chained; its heads in a file of their own
    artifacts    files named by their SHA-256
    online       LMDB

All of it needs a local disk: file locks and memory maps do not hold on a network mount. Each store's driver is imported
when the store is first asked for, so that reading the ledger does not load Delta, nor serving SQLAlchemy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backstay.storage.backends.local.anchors import Anchored
    from backstay.storage.backends.local.artifacts import LocalArtifacts
    from backstay.storage.backends.local.counts import LocalCounts
    from backstay.storage.backends.local.events import LocalEvents
    from backstay.storage.backends.local.ledger import LocalLedger
    from backstay.storage.backends.local.online import LocalOnline
    from backstay.storage.backends.local.predictions import LocalPredictions
    from backstay.storage.backends.local.runs import LocalRuns

__all__ = [
    "Anchored",
    "LocalArtifacts",
    "LocalCounts",
    "LocalEvents",
    "LocalLedger",
    "LocalOnline",
    "LocalPredictions",
    "LocalRuns",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "anchors" if name == "Anchored" else name.removeprefix("Local").lower()
    return getattr(import_module(f"{__name__}.{module}"), name)
