"""Predictions in a list."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from backstay.core.errors import BackstayError
from backstay.storage.ports import Compacted
from backstay.storage.predictions import Prediction, Wanted, decode, encode, newest


class MemoryPredictions:
    """`PredictionLog` in memory, in durable mode. They are kept encoded: what comes back is what a disk would give."""

    dropped = 0

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._closed = False

    def append(self, predictions: Sequence[Prediction]) -> None:
        records = [encode(one) for one in predictions]
        if self._closed:
            raise BackstayError("the prediction log is closed", where="memory")
        self._records.extend(records)

    def submit(self, predictions: Sequence[Prediction]) -> None:
        self.append(predictions)

    def scan(
        self,
        *,
        model: str | None = None,
        since: int | None = None,
        until: int | None = None,
        ids: Collection[str] | None = None,
        last: int | None = None,
    ) -> Iterator[Prediction]:
        wanted = Wanted(model, since, until, ids)
        found = (one for one in map(decode, self._records[:]) if wanted.holds(one))
        yield from found if last is None else newest(found, last)

    def compact(self, _names: Mapping[str, Sequence[str]], _progress: Callable[[int, int], None]) -> Compacted:
        return Compacted(0, 0)

    def lost(self) -> int:
        return self.dropped

    def close(self) -> None:
        self._closed = True
