"""What is done again and again outlives whatever one turn meets, and tells of it when it begins and when it is over.

A ledger that is away for an hour is looked for ten times a second: told each time, it would bury all else in the log.
"""

from __future__ import annotations

import logging
from types import TracebackType

from backstay.core.errors import BackstayError

_logger = logging.getLogger("backstay.serving")


class Outlived:
    """A context for each turn: nothing that it raises leaves it, but what ends the process or its task.

    what: says in the log what could not be done
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing: type[BaseException] | None = None

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        if error is not None and not isinstance(error, Exception):
            return False
        if kind is not self._failing:
            self._tell(error)
        self._failing = kind
        return error is not None

    def _tell(self, error: Exception | None) -> None:
        if error is None:
            _logger.warning("%s: it is over", self._what)
        else:  # what is said in words is no defect, and needs no trace
            trace = None if isinstance(error, BackstayError) else error
            _logger.error("%s: %s", self._what, error, exc_info=trace)
