"""The memory backend: the fake that ships. The same answers and the same refusals as any other backend, nothing kept.

For tests, replays and examples: a store made here is empty, belongs to its process and is gone with it. It passes the
same contract as the others, so what works on it works there.
"""

from backstay.storage.backends.memory.artifacts import MemoryArtifacts
from backstay.storage.backends.memory.counts import MemoryCounts
from backstay.storage.backends.memory.events import MemoryEvents
from backstay.storage.backends.memory.ledger import MemoryLedger
from backstay.storage.backends.memory.online import MemoryOnline
from backstay.storage.backends.memory.predictions import MemoryPredictions
from backstay.storage.backends.memory.runs import MemoryRuns

__all__ = [
    "MemoryArtifacts",
    "MemoryCounts",
    "MemoryEvents",
    "MemoryLedger",
    "MemoryOnline",
    "MemoryPredictions",
    "MemoryRuns",
]
