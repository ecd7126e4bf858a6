"""Predictions in a list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstay.core.errors import BackstayError, InputError


class MemoryPredictions:
    """`PredictionLog` in memory."""

    def __init__(self) -> None:
        self._payloads: list[bytes] = []
        self._closed = False

    def append(self, payloads: Sequence[bytes]) -> None:
        if self._closed:
            raise BackstayError("the prediction log is closed", where="memory")
        for payload in payloads:
            if not isinstance(payload, bytes):
                raise InputError("a prediction record is not bytes", where="payloads", expected="bytes")
        self._payloads.extend(payloads)

    def scan(self) -> Iterator[bytes]:
        return iter(self._payloads[:])

    def close(self) -> None:
        self._closed = True
