"""The circuit breaker before the online state: a store that does not answer is soon not asked, but for a probe.

It opens after some failures in a row; from then on a read fails at once, instead of holding its requests up for a
timeout each. After a second one read is let through as a probe: if that is answered, the circuit is closed again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from time import monotonic

from backstay.core.errors import BackstayError, InputError
from backstay.features.lookup import Unavailable
from backstay.storage.ports import OnlineState

FAILURES, PAUSE_SECONDS = 3, 1.0
_logger = logging.getLogger("backstay.serving")


class Breaker:
    """An `OnlineState` whose reads raise `Unavailable` where the store fails, and while the circuit is open."""

    def __init__(self, state: OnlineState, *, failures: int = FAILURES, pause: float = PAUSE_SECONDS) -> None:
        self._state, self._most, self._pause = state, failures, pause
        self._lock = threading.Lock()
        self._failed, self._until = 0, 0.0
        self.refused = self.failed = 0
        """Reads that were not tried, and reads that failed."""

    @property
    def open(self) -> bool:
        """Whether reads are refused, but for probes."""
        return self._failed >= self._most

    def read(self, keys: Sequence[bytes], have: Sequence[bytes | None] | None = None) -> list[bytes | None]:
        if self._failed:
            self._admit()
        try:
            found = self._state.read(keys, have)
        except InputError:
            raise
        except BackstayError as error:
            self._fail(error)
            raise Unavailable(error.what, where=error.where, fix=error.fix) from error
        if self._failed:
            self._mend()
        return found

    def write(self, values: Mapping[bytes, bytes | None], expect: Mapping[bytes, bytes | None] | None = None) -> None:
        self._state.write(values, expect)

    def clear(self) -> None:
        self._state.clear()

    def close(self) -> None:
        self._state.close()

    def _admit(self) -> None:
        with self._lock:
            if not self.open:
                return
            now = monotonic()
            if now < self._until:
                self.refused += 1
                raise Unavailable(
                    "the online state failed, and is not asked until it answers a probe", where="online state",
                    fix="see that the server of the online state runs; it is asked again every second",
                )  # fmt: skip
            self._until = now + self._pause  # this read is the probe; others wait for what it finds

    def _fail(self, error: BackstayError) -> None:
        with self._lock:
            self.failed += 1
            self._failed += 1
            self._until = monotonic() + self._pause
            if self._failed == self._most:
                _logger.error("the online state is not asked any more, but for a probe a second: %s", error)

    def _mend(self) -> None:
        with self._lock:
            if self.open:
                _logger.warning("the online state answers again")
            self._failed = 0
