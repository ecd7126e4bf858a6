"""A connection of either plane: uvicorn's protocol for HTTP/1.1, made safe for whatever comes from anybody.

An `Upgrade` is ignored, as HTTP allows: the parser, which would take what follows for another protocol, reads such a
head once more without it, and the request stays one with its body. A head has bounds, and so has what stands between
the pieces of a body. What cannot be read is answered with JSON as every other mistake is, behind the answers to what
came before it; then nothing more is read.

A connection that nothing comes by is closed after a while, and a request that stands still is refused. Its one timer
looks when something came last, and waits on: a timer that is set anew for each request costs about as much as reading
it. A connection that is lost is freed at once: nothing that it refers to refers to it any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from backstay.serving.flow import Flow
from backstay.serving.heads import FIELDS, HEAD_BYTES, judge
from backstay.serving.logs import request_id
from backstay.serving.refusal import Refusal
from backstay.serving.wire import refusal, written

STALL_SECONDS = 30.0
"""How long a connection may bring nothing before its first request, a head may take, and a body may stand still."""
_LINGER_SECONDS = 2.0
"""How long the last answer may be read: a connection that is closed while more comes is reset, and the answer lost."""
_GOODBYE_SECONDS = 2.0
"""How long a client may take to end TLS with a server that stops; many never do."""
_READ = 262_144
"""What one read brings at most; over TLS as many as were waiting are brought as one."""
_ROOM = HEAD_BYTES + _READ
"""How much may come, in whole reads, that is no body: the limit, and what may be read together with it."""
_SPILL = 1 << 20
"""How much of a body is read and thrown away that is answered already, so that the client reads the answer."""
_NOTHING, _HEAD, _BODY, _OVER = range(4)
"""What the parser is within; over: nothing more is read."""
_NOBODY: Any = ()
"""Stands where the requests are that wait behind one another, if there are none."""
_logger = logging.getLogger("backstay.serving")


class Connection(HttpToolsProtocol):
    """One connection."""

    # What uvicorn's sets is named too: there may be thousands of connections, and a dictionary of so many names would
    # be much of what each takes, and be far from what is in the processor's cache whenever one brings something.
    __slots__ = (
        "_answering", "_buffered", "_came", "_last", "_read", "_since", "_spilled", "_unread", "_within",
        "access_log", "access_logger", "app", "app_state", "asgi_version", "client", "config", "connections", "cycle",
        "expect_100_continue", "flow", "headers", "limit_concurrency", "logger", "loop", "parser", "pipeline",
        "root_path", "scheme", "scope", "server", "server_state", "tasks", "timeout_keep_alive",
        "timeout_keep_alive_task", "transport", "url", "ws_protocol_class",
    )  # fmt: skip

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pipeline = _NOBODY
        self._within = _NOTHING
        self._answering: RequestResponseCycle | None = None
        """the request that a task answers: where others wait behind it, `cycle` is the last of them"""
        self._spilled = self._buffered = 0
        """bytes thrown away of a body that is answered already; not yet read by the client, when a stop looked last"""
        self._read = self._came = 0
        """bytes of the last read; of those before it, since the last message or piece of a body began"""
        self._since = 0.0
        """on the loop's clock, when the last answer was given, the client read again, or a request went on"""
        self._unread = False
        """whether reading goes on when the client has read what was written"""
        self._last = b""
        """the answer that is the last one"""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: Flow = Flow(transport)
        # As if it had been answered later: the first request may take longer to come than the next.
        self._since = self.loop.time() + STALL_SECONDS - self.timeout_keep_alive
        self._wait(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if self._answering is not None:
            self._answering.disconnected = True
        super().connection_lost(exc)
        self._within = _OVER
        self.cycle = self.scope = self._answering = None  # type: ignore[assignment]
        self.pipeline = _NOBODY

    @property
    def _idle(self) -> bool:
        """Whether every request that came is answered, and no other has begun to come."""
        return not self._within and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        if self._within == _OVER:
            return
        self._read = len(data)
        try:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as stop:
                self._go_on(memoryview(data)[stop.args[0] :])
        except (httptools.HttpParserError, Refusal) as error:
            if _defect(error):
                _logger.error("a connection failed", exc_info=error.__context__)
                self._within = _OVER
                self.transport.close()
            else:
                self._end(_unreadable(error))
            return
        if self._within:
            # A head is small, and has its time from its beginning on; a body may take as long as it goes on coming.
            if self._within == _BODY or not self._came:
                self._since = self.loop.time()
            self._came += min(self._read, _READ)
            if self._came > _ROOM:
                self._end(_too_large(self.url) if self._within == _HEAD else _trailing())

    def _go_on(self, rest: memoryview) -> None:
        """Go on behind a head that asks for another protocol."""
        while True:
            self._read_plainly()
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as stop:
                rest = rest[stop.args[0] :]

    def _read_plainly(self) -> None:
        """Read the head that asks for another protocol once more, as if it did not."""
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise Refusal(501, "CONNECT is not answered here", field="method", expected="a method of the API")
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)  # the one before may hold that nothing follows
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def on_message_begin(self) -> None:
        self._within, self._came, self._spilled = _HEAD, 0, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        if self._came + self._read > HEAD_BYTES or len(self.headers) > FIELDS:
            self._measure()
        headers = dict(self.headers)
        if len(headers) != len(self.headers) or b"host" not in headers or b"transfer-encoding" in headers:
            judge(self.parser.get_http_version(), self.headers)
        if self.parser.should_upgrade():
            return  # what the parser does next is to say that it stops
        self._begin(headers)
        self._within = _BODY
        self.headers = []  # what follows a body are no headers of the request

    def _measure(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES or len(self.headers) > FIELDS:
            raise _too_large(self.url)

    def _begin(self, headers: dict[bytes, bytes]) -> None:  # noqa: ARG002 - who overrides it needs them
        """The head is good: the request begins."""
        if self.url.startswith(b"http") and httptools.parse_url(self.url).path is None:
            raise Refusal(400, "the URL has no path", field="url", expected="a path of this server, such as /v2")
        if self.cycle is not None and not self.cycle.response_complete:
            self.pipeline = self.pipeline or deque()
        super().on_headers_complete()
        self.flow.crowded = bool(self.pipeline)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self._came = 0
        if self.cycle.response_complete:
            self._spilled += len(body)
            if self._spilled > _SPILL:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._within == _BODY:  # or it is the end of a head that is read once more
            self._within = _NOTHING
            self._whole()

    def _whole(self) -> None:
        """The request is there to its end."""
        super().on_message_complete()
        if self.cycle.response_complete:  # before all of its body came
            self.cycle = self.scope = None  # type: ignore[assignment]

    def _end(self, error: Refusal) -> None:
        """Answer what cannot be read, behind what came before it, and read nothing more."""
        if self.transport.is_closing():
            return
        answer = refusal(error)
        answer.headers.append((b"x-request-id", request_id(None)))
        self._last = written(answer, keep_alive=False)
        if self._within == _BODY:
            self._withdraw()
        else:
            self._counted(answer.status)
        self._within = _OVER
        if self.cycle is None or self.cycle.response_complete:
            self._finish()
        else:
            self.flow.pause_reading()

    def _withdraw(self) -> None:
        """Take back the request whose body cannot be read."""
        cycle = self.cycle
        if self.pipeline:
            self.pipeline.popleft()  # it waits behind others, the last of them
            self.flow.crowded = bool(self.pipeline)
        elif cycle.response_complete or getattr(cycle, "response_started", False):
            self._last = b""  # it has its answer
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self.cycle = None  # type: ignore[assignment]

    def _finish(self) -> None:
        """Say the last thing. What the client goes on sending is read for a moment, and thrown away."""
        self.cycle = None  # type: ignore[assignment]
        self.transport.write(self._last)
        if not self._last or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self._wait(_LINGER_SECONDS)

    def _counted(self, status: int) -> None:
        """A request that never began is answered with this status."""

    def pause_writing(self) -> None:
        """The client does not read its answers: then nothing more is read from it."""
        super().pause_writing()
        self._unread = not self.flow.read_paused
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._since = self.loop.time()
        if self._unread:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        self._answering = None
        if self.transport.is_closing():
            return
        following = None
        if self.pipeline:
            following = self.pipeline.pop()
            self.flow.crowded = bool(self.pipeline)
        if following is None and not self._within:
            self.cycle = self.scope = None  # type: ignore[assignment]  # who waits for the next holds nothing of this
        if self.flow.write_paused:
            self._unread = True
        elif following is None or self._within != _OVER:
            self.flow.resume_reading()
        if following is not None:
            self._start_asgi_task(*following)
            return
        self._since = self.loop.time()
        if self._within == _OVER:
            self._finish()

    def shutdown(self) -> None:
        super().shutdown()
        self.loop.call_later(_GOODBYE_SECONDS, self._cut)

    def _cut(self) -> None:
        """Let nobody hold a stop up: who does not read, does not end TLS, or has begun a request and stands still."""
        if self not in self.connections:
            return
        before, self._buffered = self._buffered, self.transport.get_write_buffer_size()
        if (self.transport.is_closing() and not self._buffered) or (self._buffered and self._buffered == before):
            self.transport.abort()
            return
        if self._within in (_HEAD, _BODY) and self.loop.time() - self._since >= _GOODBYE_SECONDS:
            self._end(Refusal(503, "the server is about to stop", field="server", fix="ask another one"))
        self.loop.call_later(_GOODBYE_SECONDS, self._cut)

    def _wait(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        now, often = self.loop.time(), max(self.timeout_keep_alive, 1)
        if self._within == _OVER and self.cycle is None:
            self.transport.close()
        elif self.flow.write_paused or self.flow.read_paused:  # closed now, it would lose what was not read
            self._since = now
            self._wait(often)
        elif self._within in (_HEAD, _BODY):
            if now - self._since < STALL_SECONDS:
                self._wait(often)
            else:
                self._end(_slow())
        elif not self._idle:
            self._wait(often)
        elif (left := self._since + self.timeout_keep_alive - now) > 0:
            self._wait(min(left, often))
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        """The timer goes on."""


def _defect(error: Exception) -> bool:
    """Whether a callback of ours failed, and not the parser, which says that it did."""
    known = (Refusal, httptools.HttpParserError)
    return isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, known)


def _unreadable(error: Exception) -> Refusal:
    """What to answer where the parser stopped, or was stopped by a refusal, which is then the error's context."""
    for one in (error, error.__context__):
        if isinstance(one, Refusal):
            return one
    return Refusal(
        400, f"what came is no HTTP request: {error}", field="request", expected="HTTP/1.1",
        fix="send HTTP/1.1; where the server has no certificate, to http:// and not https://",
    )  # fmt: skip


def _too_large(url: bytes) -> Refusal:
    if len(url) > HEAD_BYTES:
        return Refusal(414, f"the URL is over {HEAD_BYTES} bytes", field="url", expected="a path of this server")
    return Refusal(
        431, "the request has more headers than are read", field="headers",
        expected=f"at most {FIELDS} headers, and {HEAD_BYTES} bytes", fix="leave out what is not needed",
    )  # fmt: skip


def _trailing() -> Refusal:
    return Refusal(
        431, "there is more between and behind the body's chunks than is read", field="body",
        expected=f"at most {HEAD_BYTES} bytes of trailers", fix="send data in the chunks, or with a Content-Length",
    )  # fmt: skip


def _slow() -> Refusal:
    return Refusal(
        408, f"nothing more of the request came within {STALL_SECONDS:g} s", field="request",
        expected="a request that goes on coming", fix="send it again, on another connection",
    )  # fmt: skip
