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
from backstay.serving.shed import Shed, plain
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
    shed: list[tuple[ServingProtocol, Shed]]
    """what was read in this turn of the loop, and is to be refused"""


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
        self._shed = door.shed
        self._last = False
        self._within = False
        """whether the parser has seen the beginning of a request and not its end"""

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        idle = not self._within and (self.cycle is None or self.cycle.response_complete)
        if self._limiter.full and idle and plain(data):
            # Most of what a refusal would cost is the parser's: it never sees what is refused like this.
            self._unset_keepalive_if_required()
            self.cycle = shed = Shed(data.partition(b" ")[2].partition(b" ")[0])  # type: ignore[assignment]
            if not self._shed:
                self.loop.call_soon(self._write_shed)
            self._shed.append((self, shed))
        else:
            super().data_received(data)

    def _write_shed(self) -> None:
        """Refuse all that were read in the same turn of the loop, one after the other."""
        refused = self._shed.copy()
        self._shed.clear()
        for connection, shed in refused:
            connection.refuse_shed(shed)

    def refuse_shed(self, shed: Shed) -> None:
        shed.response_complete = True
        if not (shed.disconnected or self.transport.is_closing()):
            self._refused(shed.url, _REFUSAL if shed.keep_alive else _LAST)
            if not shed.keep_alive:
                self.transport.close()
            self.on_response_complete()

    def on_message_begin(self) -> None:
        self._within = True
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        limiter, endpoint = self._limiter, _ENDPOINTS.get(self.url[-6:])
        # One that comes behind another on the same connection waits for it, and is judged when it is taken up.
        if endpoint is not None and (self.cycle is None or self.cycle.response_complete):
            post = self.parser.get_method() == b"POST"
            if post and limiter.full:
                self._refuse()
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
        self._within = False
        cycle = self.cycle
        if isinstance(cycle, Lane):
            cycle.whole()
        elif cycle is not _DONE:
            super().on_message_complete()
        elif self._last:
            self.transport.close()
        else:
            self.on_response_complete()

    def _refuse(self) -> None:
        self.cycle = _DONE
        # A client that asked whether to go on with its body may now leave it out: the next request begins anywhere.
        self._last = self.expect_100_continue or not self.parser.should_keep_alive()
        self._refused(self.url, _LAST if self._last else _REFUSAL)
        if self.expect_100_continue:
            self.transport.close()

    def _refused(self, url: bytes, answer: bytes) -> None:
        self._metrics.answered(_ENDPOINTS[url[-6:]], 429)
        # /v1/models/NAME/...: whoever asks is not known here, nor whether the body would have been right
        tally = self._metrics.tallies.get(b"".join(url.split(b"/", 4)[3:4]).decode("latin-1"))
        if tally is not None:
            tally.answered(429, 0.0)
        self.transport.write(answer)
