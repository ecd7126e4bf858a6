"""Online state in a dictionary."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from backstay.core.errors import BackstayError
from backstay.storage.keyed import check_read, check_write, conflict


class MemoryOnline:
    """`OnlineState` in memory, for the threads of one process; durable as long as that lives."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._closed = False

    def read(self, keys: Sequence[bytes], have: Sequence[bytes | None] | None = None) -> list[bytes | None]:
        check_read(keys, have)
        with self._lock:
            self._check_open()
            found = [self._values.get(key) for key in keys]
        if have is None:
            return found
        return [
            head if head and value is not None and value.startswith(head) else value
            for value, head in zip(found, have, strict=True)
        ]

    def write(self, values: Mapping[bytes, bytes | None], expect: Mapping[bytes, bytes | None] | None = None) -> None:
        expect = expect or {}
        check_write(values, expect)
        with self._lock:
            self._check_open()
            for key, wanted in expect.items():
                if self._values.get(key) != wanted:
                    raise conflict(key, "memory")
            for key, value in values.items():
                if value is None:
                    self._values.pop(key, None)
                else:
                    self._values[key] = value

    def clear(self) -> None:
        with self._lock:
            self._check_open()
            self._values.clear()

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise BackstayError("the online state is closed", where="memory")
