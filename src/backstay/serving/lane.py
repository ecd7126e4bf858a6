"""The straight way of a prediction over HTTP: from the socket's bytes to the batcher and back, without a task.

A task, an ASGI scope and its messages cost a small request more than its score does. What goes this way is an ordinary
POST to a model of a length that is told; everything else is the ASGI application's. Both let in, begin and tell by the
same `Predicting`, so their answers differ in nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Protocol

from backstay.serving.job import Asking
from backstay.serving.predicting import Predicting, Tell
from backstay.serving.wire import CLOSE, Answer, Request, refusal, written

_OWN_WAY = {b"transfer-encoding", b"content-encoding", b"expect", b"upgrade"}
"""Headers of requests that are left to the ASGI application."""


class Application(Protocol):
    """What a lane asks of the application."""

    def authenticated(self, request: Request) -> None: ...

    def complete(self, request: Request, answer: Answer) -> Answer: ...

    def timed(self, request: Request, status: int, begin: float) -> None: ...


class Carrier(Protocol):
    """The protocol that the request came by."""

    transport: Any

    def on_response_complete(self) -> None: ...

    def aside(self) -> None: ...


class Lane:
    """One request. It stands where uvicorn's cycle would, and is the future of its job."""

    __slots__ = (
        "_application", "_connection", "_job", "_tell", "body", "disconnected", "keep_alive", "predicting",
        "request", "response_complete",
    )  # fmt: skip
    message_event = asyncio.Event()
    """uvicorn sets it when a connection is lost; nobody waits for it"""

    def __init__(
        self,
        connection: Carrier,
        application: Application,
        predicting: Predicting,
        request: Request,
        keep_alive: bool,
    ) -> None:
        self._connection, self._application, self.predicting = connection, application, predicting
        self.request, self.keep_alive = request, keep_alive
        self.body: bytes | bytearray = bytearray()
        self.response_complete = self.disconnected = False
        self._job: Asking | None = None
        self._tell: Tell | None = None

    def whole(self) -> None:
        """The body is there: begin."""
        request, predicting = self.request, self.predicting
        try:
            self._application.authenticated(request)
            predicting.admit(request)
            job, self._tell = predicting.begin(request, bytes(self.body))
            if job.rows:
                self._job, job.future = job, self
                predicting.desk.submit(predicting.model, job)
                return
            answer = self._tell()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            answer = refusal(error, request.identity)
        self._answer(answer)
        if answer.status == 429:  # it has more rows than there is room for, or it would have been refused unread
            predicting.desk.limiter.refused += 1
            self._connection.aside()

    def cancelled(self) -> bool:
        """Whether nobody waits any more: the job's client tells that."""
        return False

    def done(self) -> bool:
        return self.response_complete

    def set_result(self, _: None) -> None:
        """The job has its answer, or its error."""
        assert self._job is not None
        assert self._tell is not None
        try:
            if self._job.error is not None:
                raise self._job.error
            answer = self._tell()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            answer = refusal(error, self.request.identity)
        self._answer(answer)

    def _answer(self, answer: Answer) -> None:
        application, request, connection = self._application, self.request, self._connection
        self._job = self._tell = None  # the job refers to this: nothing is left that only the collector would find
        answer = application.complete(request, answer)
        begin = monotonic()
        self.response_complete = True
        if not (self.disconnected or connection.transport.is_closing()):
            if CLOSE in answer.headers:
                self.keep_alive = False
            connection.transport.write(written(answer, self.keep_alive))
            if not self.keep_alive:
                connection.transport.close()
            connection.on_response_complete()
        application.timed(request, answer.status, begin)


def straight(headers: Mapping[bytes, bytes], limit: int) -> bool:
    """Whether a request with these headers may go this way: its body comes as it is, of a length that is allowed."""
    length = headers.get(b"content-length", b"")
    return length.isdigit() and int(length) <= limit and _OWN_WAY.isdisjoint(headers)
