"""The cache of scores: what a version said of exactly these inputs, it says again without being asked.

Its key is the version's digest (which covers the model's files and its feature set) and the bytes of the model's
inputs. A score is a function of these and of nothing else. So features are looked up for every request, at its own T;
what is spared is the model. An answer from the cache is as fresh as any other, and is logged like any other.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt

from backstay.serving.routes import ServedModel
from backstay.serving.scoring import scored

_ENTRY = 256
"""Bytes of an entry beside its inputs: the objects of a key and its score, and their places in the table."""


class Cache:
    """Scores rows, and keeps scores in at most `limit` bytes; those that were used longest ago go first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = limit, threading.Lock()
        self._scores: dict[tuple[str, bytes], float] = {}
        self.bytes = self.hits = self.misses = 0

    def score(self, served: ServedModel, matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The scores of all rows; the model is asked about those that are not known, in one call."""
        digest = served.version.digest
        keys = [(digest, row.tobytes()) for row in matrix]
        with self._lock:
            found = [self._scores.pop(key, None) for key in keys]
            for key, score in zip(keys, found, strict=True):
                if score is not None:
                    self._scores[key] = score  # behind all others: it was used last
            # A row that stands twice in one request was popped for its first place: its second is looked at again.
            found = [self._scores.get(key) for key in keys]
            missing = [place for place, score in enumerate(found) if score is None]
            self.hits += len(keys) - len(missing)
            self.misses += len(missing)
        if not missing:
            return np.array(found, np.float64)
        fresh = scored(served.scorer, matrix[missing] if len(missing) < len(keys) else matrix)
        scores = np.array([np.nan if one is None else one for one in found], np.float64)
        scores[missing] = fresh
        with self._lock:
            for place, score in zip(missing, fresh.tolist(), strict=True):
                self._keep(keys[place], score)
        return scores

    def _keep(self, key: tuple[str, bytes], score: float) -> None:
        size = _ENTRY + len(key[1])
        if key in self._scores or size > self._limit or score - score != 0.0:  # no number is kept
            return
        self._scores[key] = score
        self.bytes += size
        while self.bytes > self._limit:
            oldest = next(iter(self._scores))
            del self._scores[oldest]
            self.bytes -= _ENTRY + len(oldest[1])
