"""What the server tells whoever runs it: lines on standard error, as text or as JSON, each with its request's id.

Requests that failed (5xx) and slow ones are told of, or all of them. A line is made and written by a thread of its own:
a request only puts the record into a queue, and those that are neither failed nor slow not even that.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from itertools import count
from typing import Any

import msgspec

REQUEST = ContextVar("backstay_request", default="")
"""The id of the request that an error belongs to."""
LONGEST = 128
_GOOD = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")
_SELF, _NUMBERS = os.urandom(6).hex(), count(1)
_logger = logging.getLogger("backstay.requests")


def request_id(given: bytes | None) -> bytes:
    """The id of a request: the client's, if it is one that cannot harm a log or a header, or a new one."""
    if given is not None and _GOOD.fullmatch(given):
        return given
    return b"%s-%x" % (_SELF.encode(), next(_NUMBERS))


class RequestLog:
    """Tells of requests: those that failed, those that took `slow` seconds or more, or `everything`."""

    def __init__(self, slow: float, everything: bool) -> None:
        self._least = 0.0 if everything else slow
        self._slow = slow

    def answered(self, identity: bytes, seconds: float, status: int, method: str, path: str, principal: str) -> None:
        """Called for each request; costs two comparisons where there is nothing to tell."""
        if status < 500 and seconds < self._least:
            return
        failed, slow = status >= 500, seconds >= self._slow
        told = {
            "request_id": identity.decode(), "method": method, "path": path[:200], "status": status,
            "ms": round(seconds * 1000, 3), "principal": principal,
        }  # fmt: skip
        what = "failed" if failed else "was slow" if slow else "was answered"
        _logger.log(
            logging.ERROR if failed else logging.WARNING if slow else logging.INFO,
            "%s %s %s: %d after %.1f ms", method, path[:200], what, status, seconds * 1000, extra={"told": told},
        )  # fmt: skip


class _Queued(logging.handlers.QueueHandler):
    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        told = dict(getattr(record, "told", {}))
        if not told.get("request_id") and REQUEST.get():
            told["request_id"] = REQUEST.get()
        record.told = told
        return record


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would not show as it is, ends of lines too."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class Text(logging.Formatter):
    """One line a record; below it, indented, an error's trace. What clients sent makes no line, and moves no cursor."""

    def format(self, record: logging.LogRecord) -> str:
        identity = getattr(record, "told", {}).get("request_id")
        lines = [
            f"{record.levelname} {printable(record.getMessage())}" + (f" [request {identity}]" if identity else "")
        ]
        if record.exc_info:
            trace = "".join(traceback.format_exception(*record.exc_info))
            lines += [f"  {printable(line)}" for line in trace.splitlines()]
        return "\n".join(lines)


class Json(logging.Formatter):
    """One object a line: time, level, logger, message, pid, what is known of the request, and the error's trace."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage(),
            "pid": record.process, **getattr(record, "told", {}),
        }  # fmt: skip
        if record.exc_info:
            told["trace"] = "".join(traceback.format_exception(*record.exc_info))
        return msgspec.json.encode(told).decode()


@contextmanager
def logging_to_stderr(form: str, *, everything: bool) -> Iterator[None]:
    """In the context, what is logged goes to standard error in this form ("text" or "json"), by a thread."""
    records: queue.SimpleQueue[Any] = queue.SimpleQueue()
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(Json() if form == "json" else Text())
    listener = logging.handlers.QueueListener(records, writer)
    root, handler = logging.getLogger(), _Queued(records)
    _logger.setLevel(logging.INFO if everything else logging.WARNING)
    root.addHandler(handler)
    listener.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        listener.stop()
