"""HTTP at the edges: a request as the handlers see it, its body with limit and coding, and an answer's bytes."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from backstay.core.errors import InputError
from backstay.serving.admission import deadline
from backstay.serving.job import Client
from backstay.serving.logs import REQUEST, request_id
from backstay.serving.objectives import Tally
from backstay.serving.refusal import Gone, NotAllowed, Overloaded, Refusal, refused

if TYPE_CHECKING:
    from backstay.serving.traces import Trace

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CLIENT = "backstay.client"
"""The scope's extension that holds the client of a request."""
PENDING = "backstay.pending"
"""The scope's extension of a request that was counted as pending when it was read."""
encode = msgspec.json.Encoder().encode
JSON = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")
"""Tells the client to send its next request on another connection."""
COMPRESS_FROM = 1_024
"""An answer below so many bytes is not compressed: it would cost more than it spares."""


@dataclass(slots=True)
class Answer:
    """An answer that is 200 unless it says otherwise."""

    body: bytes
    headers: Headers = field(default_factory=lambda: [JSON])
    status: int = 200


async def nothing() -> MutableMapping[str, Any]:
    """Receives nothing more: the body is not read this way."""
    return {"type": "http.disconnect"}


class Request:
    """One HTTP request."""

    __slots__ = (
        "_receive",
        "begun",
        "client",
        "endpoint",
        "headers",
        "identity",
        "method",
        "path",
        "principal",
        "tally",
        "trace",
    )

    def __init__(
        self, method: str, path: str, headers: Mapping[bytes, bytes], client: Client | None, receive: Receive = nothing
    ) -> None:
        self.begun = monotonic()
        self._receive = receive
        self.method, self.path, self.headers, self.client = method, path, headers, client
        self.identity = request_id(headers.get(b"x-request-id"))
        self.endpoint = "other"
        self.tally: Tally | None = None
        """what counts whether the model that is asked keeps its objective, if it has one"""
        self.trace: Trace | None = None
        """if it is traced"""
        self.principal = ""

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Request:
        """The request of an ASGI scope."""
        client = scope.get("extensions", {}).get(CLIENT)
        return cls(scope["method"], scope["path"], dict(scope["headers"]), client, receive)

    @property
    def deadline(self) -> float:
        """Until when the client waits, on the monotonic clock: the header `x-request-timeout-ms`."""
        return deadline(self.headers.get(b"x-request-timeout-ms"), self.begun)

    @property
    def awaited(self) -> bool:
        """Whether an answer could have come in time at all: if not, that it came too late is the client's mistake."""
        return self.deadline > self.begun

    def json_length(self) -> int | None:
        """How long the JSON of the body is, where raw bytes follow it."""
        text = self.headers.get(b"inference-header-content-length")
        if text is None:
            return None
        if not text.isdigit() or len(text) > 12:
            raise InputError(
                f"the length of the JSON is {text[:40]!r}", where="inference-header-content-length",
                expected="a number of bytes",
            )  # fmt: skip
        return int(text)

    async def body(self, limit: int, more: Callable[[int], None] = lambda _: None) -> bytes:
        """The body, decompressed; refused as soon as it is known to be over the limit. `more` is told, piece by piece,
        how many bytes have come of it, and may refuse it too."""
        declared = self.headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            raise too_large(limit)
        message = await self._receive()
        data: bytes = message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise Gone()
        more(len(data))
        if message.get("more_body"):
            data = await self._rest(data, limit, more)
        if len(data) > limit:
            raise too_large(limit)
        coding = self.headers.get(b"content-encoding")
        if coding is not None:
            data = decompressed(data, coding, limit)
            more(len(data))
        return data

    async def _rest(self, data: bytes, limit: int, more: Callable[[int], None]) -> bytes:
        chunks, size = [data], len(data)
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                raise too_large(limit)
            more(len(chunks[-1]))
            if not message.get("more_body"):
                return b"".join(chunks)


def too_large(limit: int) -> Refusal:
    return Refusal(
        413,
        f"the body is over {limit} bytes",
        field="body",
        expected=f"at most {limit} bytes",
        fix="send less at a time",
    )


_WINDOWS = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}
"""By coding; x-gzip is gzip's old name."""


def decompressed(data: bytes, coding: bytes, limit: int) -> bytes:
    """The body without its coding; never more than `limit` bytes are made of it."""
    coding = coding.strip().lower()
    if coding == b"identity":
        return data
    window = _WINDOWS.get(coding)
    if window is None:
        raise Refusal(
            415, f"the content-encoding {coding.decode('latin-1')[:40]!r} is not read", field="content-encoding",
            expected="gzip, deflate or none",
        )  # fmt: skip
    if coding == b"deflate" and data[:1] and (data[0] & 0x0F) != 8:
        window = -zlib.MAX_WBITS  # without the header of zlib, as some clients send it
    machine = zlib.decompressobj(window)
    try:
        out = machine.decompress(data, limit + 1)
    except zlib.error as error:
        raise InputError(
            f"the body is not {coding.decode()}: {error}", where="body", expected=coding.decode()
        ) from None
    if len(out) > limit:
        raise too_large(limit)
    if not machine.eof or machine.unused_data:
        raise InputError(
            f"the body is not one whole stream of {coding.decode()}", where="body", expected=coding.decode()
        )
    return out


def compressed(answer: Answer, accepted: bytes | None) -> Answer:
    """The answer in a coding that the client accepts, where that pays."""
    if accepted is None or len(answer.body) < COMPRESS_FROM:
        return answer
    coding = next((one for one in (b"gzip", b"deflate") if one in _accepted(accepted)), None)
    if coding is not None:
        machine = zlib.compressobj(1, zlib.DEFLATED, _WINDOWS[coding])
        answer.body = machine.compress(answer.body) + machine.flush()
        answer.headers.append((b"content-encoding", coding))
    return answer


def _accepted(header: bytes) -> set[bytes]:
    """The codings that a header names, but for those it names to be left out (q=0)."""
    names = set()
    for part in header.lower().split(b","):
        name, _, quality = part.replace(b" ", b"").partition(b";q=")
        if quality.strip(b"0.") or not quality:
            names.add(name)
    return names


def refusal(error: Exception, identity: bytes = b"") -> Answer:
    """The answer to a request that was refused, or that failed; a log line of it bears the request's identity."""
    token = REQUEST.set(identity.decode())
    try:
        status, told = refused(error)
    finally:
        REQUEST.reset(token)
    told = {name: text.encode(errors="backslashreplace").decode() for name, text in told.items()}  # no defect here
    headers = [JSON]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, NotAllowed):
        headers.append((b"allow", error.allowed.encode()))
    if isinstance(error, Overloaded):
        headers.append((b"retry-after", str(error.retry_after).encode()))
    return Answer(encode(told), headers, status)


def written(answer: Answer, keep_alive: bool) -> bytes:
    """An answer as it goes over the wire. Its headers are ours, or were checked when they were read."""
    parts = [STATUS_LINE[answer.status]]
    for name, value in answer.headers:
        parts += (name, b": ", value, b"\r\n")
    closing = b"" if keep_alive or CLOSE in answer.headers else b"connection: close\r\n"
    parts += (closing, b"content-length: ", str(len(answer.body)).encode(), b"\r\n\r\n", answer.body)
    return b"".join(parts)


async def respond(send: Send, answer: Answer) -> None:
    """Send an answer whole."""
    answer.headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})
