"""The HTTP protocol under the data plane: uvicorn's, which also tells who has gone, and sheds load at the door.

A request that is over the limit is answered as soon as its headers are read: no task is made for it, its body is never
looked at, and whoever sends it is not asked for a token. That costs a fraction of an answer, so a server that is asked
three times what it can do goes on doing it.

The loop reads every socket that is ready before the first of their requests is taken up: those that were read are
counted as pending, or a thousand would be let in at once. What goes the straight way (`lane.py`) is in as it is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from backstay.serving.admission import Limiter
from backstay.serving.lane import Application, Lane, straight
from backstay.serving.metrics import Metrics
from backstay.serving.predicting import Predicting
from backstay.serving.refusal import Overloaded
from backstay.serving.wire import CLIENT, PENDING, Request, refusal

_ENDPOINTS = {b"redict": "predict", b"/infer": "infer"}  # by the end of the URL


def _written(*more: bytes) -> bytes:
    answer = refusal(Overloaded())
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    lines = [name + b": " + value for name, value in headers]
    return STATUS_LINE[answer.status] + b"\r\n".join([*lines, *more, b"", answer.body])


_REFUSAL, _LAST = _written(), _written(b"connection: close")


class _Done:
    """Stands where the request being answered would: there is nothing more to do for it."""

    response_complete = True
    keep_alive = True
    message_event = asyncio.Event()


_DONE: Any = _Done()


class Door(Application, Protocol):
    """What the protocol asks of the application behind it."""

    limiter: Limiter
    metrics: Metrics
    straight: Mapping[bytes, Predicting]
    """by URL, what may be answered without a task of its own"""
    body_limit: int


class ServingProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gone = False
        """Whether nobody reads the answer any more."""
        door: Door = self.config.app  # type: ignore[assignment]
        self._door = door
        self._limiter, self._metrics = door.limiter, door.metrics
        self._extensions: dict[str, Any] = {CLIENT: self}
        self._pending = {CLIENT: self, PENDING: True}
        self._last = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        limiter, endpoint = self._limiter, _ENDPOINTS.get(self.url[-6:])
        # One that comes behind another on the same connection waits for it, and is judged when it is taken up.
        if endpoint is not None and (self.cycle is None or self.cycle.response_complete):
            post = self.parser.get_method() == b"POST"
            if limiter.rows + limiter.pending >= limiter.limit and post:
                self._refuse(endpoint)
                return
            if post and self._straight():
                return
            limiter.pending += 1
            self.scope["extensions"] = self._pending  # type: ignore[typeddict-item]
        super().on_headers_complete()

    def _straight(self) -> bool:
        """Whether the request goes the straight way; then it has begun to."""
        door, parser = self._door, self.parser
        predicting = door.straight.get(self.url)
        if predicting is None or self.flow.write_paused:
            return False
        headers = dict(self.headers)
        if not straight(headers, door.body_limit):
            return False
        request = Request("POST", self.url.decode(), headers, self)
        keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.cycle = Lane(self, door, predicting, request, keep_alive)  # type: ignore[assignment]
        return True

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, Lane):
            self.cycle.body += body  # no longer than was told, and that was allowed: reading never pauses
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if isinstance(cycle, Lane):
            cycle.whole()
        elif cycle is not _DONE:
            super().on_message_complete()
        elif self._last:
            self.transport.close()
        else:
            self.on_response_complete()

    def _refuse(self, endpoint: str) -> None:
        self.cycle = _DONE
        # A client that asked whether to go on with its body may now leave it out: the next request begins anywhere.
        self._last = self.expect_100_continue or not self.parser.should_keep_alive()
        self.transport.write(_LAST if self._last else _REFUSAL)
        self._metrics.answered(endpoint, 429)
        # /v1/models/NAME/...: whoever asks is not known here, nor whether the body would have been right
        tally = self._metrics.tallies.get(b"".join(self.url.split(b"/", 4)[3:4]).decode("latin-1"))
        if tally is not None:
            tally.answered(429, 0.0)
        if self.expect_100_continue:
            self.transport.close()
