"""A connection of the data plane: it tells who has gone, sheds load at the door, and knows the straight way.

A request that is over the limit is answered as soon as its headers are read: no task is made for it, its body is never
looked at, and whoever sends it is not asked for a token. That costs a fraction of an answer, so a server that is asked
three times what it can do goes on doing it.

The loop reads every socket that is ready before the first of their requests is taken up: those that were read are
counted as pending, or a thousand would be let in at once. What goes the straight way (`lane.py`) is in as it is read.

Who was refused may have to wait until it is read again (`patience.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from backstay.serving.admission import Limiter
from backstay.serving.connection import Connection
from backstay.serving.heads import PREDICTIONS, Asked, Head, Heads, ordinary
from backstay.serving.lane import Application, Lane, straight
from backstay.serving.metrics import Metrics
from backstay.serving.patience import Patience
from backstay.serving.predicting import Predicting
from backstay.serving.refusal import Overloaded
from backstay.serving.wire import CLIENT, PENDING, Request, refusal


def _written(*more: bytes) -> bytes:
    answer = refusal(Overloaded())
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    lines = [name + b": " + value for name, value in headers]
    return STATUS_LINE[answer.status] + b"\r\n".join([*lines, *more, b"", answer.body])


_REFUSAL, _LAST = _written(), _written(b"connection: close")


_LATE_SECONDS = 0.25
"""How long a connection that waits goes on when the server stops."""
_STRAIGHT_BYTES = 65_536
"""A larger body goes the way of the application, which asks for the token before it holds it."""


class _Done:
    """Stands where the request being answered would: there is nothing more to do for it."""

    response_complete = True
    keep_alive = True
    message_event = asyncio.Event()


_DONE: Any = _Done()


class Door(Application, Protocol):
    """What the protocol asks of the application behind it."""

    limiter: Limiter
    patience: Patience
    metrics: Metrics
    leaving: bool
    """Whether the server is about to stop: who is refused is told to connect to another one."""
    straight: Mapping[bytes, Predicting]
    """by URL, what may be answered without a task of its own"""
    body_limit: int
    heads: Heads
    """those that the parser need not read"""


class ServingProtocol(Connection):
    """One connection."""

    __slots__ = ("_door", "_heads", "_leaves", "_limiter", "_metrics", "_stale", "gone")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.gone = False
        """Whether nobody reads the answer any more."""
        door: Door = self.config.app  # type: ignore[assignment]
        self._door = door
        self._limiter, self._metrics = door.limiter, door.metrics
        self._heads = door.heads
        self._leaves = False
        """whether the connection ends with a request that was refused"""
        self._stale = False
        """whether what comes may have waited while nothing was read"""

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._idle:
            head = self._heads.of(data)
            if self._limiter.full or self._stale:
                asked = ordinary(data) if head is None else head.asked
                if asked is not None:
                    self._refuse_ordinary(asked)
                    return
            elif head is not None and self._known(head, data):
                return
        super().data_received(data)
        if not self._within:  # or what goes on has waited
            self._stale = False

    def _known(self, head: Head, data: bytes) -> bool:
        """Whether the request goes the straight way without the parser; then it has begun to."""
        lane = self._straight(head.url, head.headers, keep_alive=True)
        if lane is None:
            return False
        lane.body = data[head.length :]
        lane.whole()
        return True

    def _begin(self, headers: dict[bytes, bytes]) -> None:
        limiter = self._limiter
        # One that comes behind another on the same connection waits for it, and is judged when it is taken up.
        if self.url.endswith(PREDICTIONS) and (self.cycle is None or self.cycle.response_complete):
            post = self.parser.get_method() == b"POST"
            if post and (limiter.full or self._stale):
                self._refuse()
                return
            if post and self._straight(self.url, headers) is not None:
                return
            self._extend({CLIENT: self, PENDING: True})
            super()._begin(headers)  # which may find that the URL is none: then nothing is pending
            limiter.pending += 1
            return
        self._extend({CLIENT: self})
        super()._begin(headers)

    def _extend(self, extensions: dict[Any, Any]) -> None:
        self.scope["extensions"] = extensions

    def _straight(self, url: bytes, headers: Mapping[bytes, bytes], *, keep_alive: bool | None = None) -> Lane | None:
        """The lane of a request that goes the straight way, if it does. keep_alive: None, if the parser knows it."""
        door, parser = self._door, self.parser
        predicting = door.straight.get(url)
        if predicting is None or self.flow.write_paused or not straight(headers, min(door.body_limit, _STRAIGHT_BYTES)):
            return None
        if keep_alive is None:
            keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        request = Request("POST", url.decode(), headers, self)
        self.cycle = lane = Lane(self, door, predicting, request, keep_alive)  # type: ignore[assignment]
        return lane

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, Lane):
            self._came = 0
            self.cycle.body += body  # no longer than was told, and that was allowed: reading never pauses
        else:
            super().on_body(body)

    def _whole(self) -> None:
        cycle = self.cycle
        if isinstance(cycle, Lane):
            cycle.whole()
        elif cycle is not _DONE:
            super()._whole()
        elif self._leaves:
            self.transport.close()
        else:
            self.on_response_complete()
            self.aside()

    def _counted(self, status: int) -> None:
        self._metrics.answered("other", status)

    def _refuse(self) -> None:
        self.cycle = _DONE
        # A client that asked whether to go on with its body may now leave it out: the next request begins anywhere.
        self._leaves = self._door.leaving or self.expect_100_continue or not self.parser.should_keep_alive()
        self._refused(Asked.by(self.url), _LAST if self._leaves else _REFUSAL)
        if self.expect_100_continue:
            self.transport.close()

    def _refuse_ordinary(self, asked: Asked) -> None:
        """Refuse what came, which is one request and no more."""
        if self._door.leaving:
            self._refused(asked, _LAST)
            self.transport.close()
            return
        self._refused(asked, _REFUSAL)
        self._since = self.loop.time()
        self.aside()
        self._stale = False

    def _refused(self, asked: Asked, answer: bytes) -> None:
        metrics = self._metrics
        self._limiter.refused += 1
        metrics.answered(asked.endpoint, 429)
        tally = metrics.tallies.get(asked.model)
        if tally is not None:
            tally.answered(429, 0.0)
        self.transport.write(answer)

    def aside(self) -> None:
        """A request was refused: the next one may have to wait until it is read."""
        if not (self._stale or self.flow.held or self.transport.is_closing()):
            self._door.patience.refused(self, self.loop)

    def hold(self) -> None:
        self.flow.pause_reading()
        self.flow.held = True

    def release(self, stale: bool) -> None:
        self.flow.held = False
        if self.transport.is_closing():
            return
        self._stale = stale
        if self.flow.write_paused:
            self._unread = True
        else:
            self.flow.resume_reading()

    def fresh(self) -> None:
        if not (self._within or self.flow.read_paused):  # or what has waited is still to be read
            self._stale = False

    def shutdown(self) -> None:
        if not self.flow.held:
            super().shutdown()
            return
        self.release(stale=True)  # what has come meanwhile has its answer before the connection ends
        self.loop.call_later(_LATE_SECONDS, super().shutdown)
