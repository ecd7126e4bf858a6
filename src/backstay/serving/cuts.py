"""Cuts: a share whose version fails again and again is cut to zero, and the ledger says so.

It is all that a server may do to a route; everything else is for people and for gates. What the failing version should
have answered is answered by the champion, as route "fallback". The cut is an entry like any other route: every server
follows it, and whoever sets the route anew decides whether the version gets a share again.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from backstay.core.clock import Clock
from backstay.core.errors import BackstayError, ConflictError
from backstay.registry.routing import RouteEntry, Routing
from backstay.serving.routes import ServedModel

FAILURES = 5
"""Batches in a row that may fail."""
_logger = logging.getLogger("backstay.serving")


class Cuts:
    """Counts failures of shares, and cuts those that are at their limit, in a thread beside the requests."""

    def __init__(self, routing: Routing, clock: Clock, failures: int = FAILURES) -> None:
        self._routing, self._clock, self._most = routing, clock, failures
        self._row: dict[tuple[int, str], int] = {}
        self._lock = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "backstay-cuts")
        self.failed = 0

    def went_well(self, entry: RouteEntry, served: ServedModel) -> None:
        """A batch of a share was scored."""
        if self._row:
            with self._lock:
                self._row.pop((entry.entry_id, served.version.digest), None)

    def went_wrong(self, entry: RouteEntry, served: ServedModel, problem: str) -> None:
        """A batch of a share was not: an error, or a score that is no number."""
        key = entry.entry_id, served.version.digest
        with self._lock:
            self.failed += 1
            count = self._row[key] = self._row.get(key, 0) + 1
        if count == self._most:
            self._writer.submit(self._cut, entry, served, problem)

    def close(self) -> None:
        """Finish what is being written."""
        self._writer.shutdown()

    def _cut(self, entry: RouteEntry, served: ServedModel, problem: str) -> None:
        number, digest = served.version.number, served.version.digest
        why = f"version {number} failed {self._most} times in a row, so its share was cut: {problem}"
        parts = [one for one in entry.parts if one.shadow or one.digest != digest]
        _logger.error("model %s: %s", entry.model, why)
        try:
            self._routing.set(
                entry.model, parts, key=entry.key, why=why, at=self._clock.now(), actor="server",
                expect=entry.entry_id,
            )  # fmt: skip
        except ConflictError:  # another server was first, or somebody set the route anew: theirs holds
            _logger.info("the route of model %s was set meanwhile", entry.model)
        except BackstayError:  # the champion goes on answering for it; it is tried again after as many failures
            _logger.exception("the share of version %s of model %s could not be cut", number, entry.model)
            with self._lock:
                self._row.pop((entry.entry_id, digest), None)
