"""Online state in a dictionary."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from backstay.core.errors import BackstayError, InputError


class MemoryOnline:
    """`OnlineState` in memory."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._closed = False

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        _check("keys", keys)
        with self._lock:
            self._check_open()
            return [self._values.get(key) for key in keys]

    def write(self, values: Mapping[bytes, bytes]) -> None:
        _check("keys", list(values))
        _check("values", list(values.values()))
        with self._lock:
            self._check_open()
            self._values.update(values)

    def clear(self) -> None:
        with self._lock:
            self._check_open()
            self._values.clear()

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise BackstayError("the online state is closed", where="memory")


def _check(what: str, given: Sequence[bytes]) -> None:
    for value in given:
        if not isinstance(value, bytes):
            raise InputError(f"one of the {what} is a {type(value).__name__}", where=what, expected="bytes")
