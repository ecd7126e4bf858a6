"""The REST shell of the admin plane: a listener of its own, on loopback, off unless a setting enables it.

    POST /v2/repository/index                  which models there are, and whether they are served
    POST /v2/repository/models/{model}/load    take a model back into service
    POST /v2/repository/models/{model}/unload  take it out of service
    GET  /                                     the health page, for browsers: the token is the password they ask for
    GET  /v2/health/live, /v2/health/ready, /metrics
    GET  /v1/approvals/{model}/{version}       the evidence about a version, for browsers; .../bundle: as JSON
    POST /v1/approvals/{model}/{version}       approve or reject it

All but the health pages need the token of an admin, or the home's own; approvals need that of a person with the role
approve. The data plane has none of these paths. What a browser sends by itself (the password it remembers) is taken for
pages alone: nothing is decided by it.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import Any

from backstay.core.errors import InputError
from backstay.serving.desk import Desk
from backstay.serving.page import page
from backstay.serving.parse import body
from backstay.serving.refusal import Refusal
from backstay.serving.wire import JSON, Answer, Receive, Request, Scope, Send, encode, refusal, respond

_LIMIT = 65_536
_SAFE = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    (b"cache-control", b"no-store"),
]


class Admin:
    """The ASGI application of the admin plane. It has no lifespan: it runs beside the data plane."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope, receive)
        try:
            answer = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
            answer = refusal(error)
            if answer.status == 401 and request.method == "GET" and _page(request.path):
                answer.headers.append((b"www-authenticate", b'Basic realm="backstay"'))
        await respond(send, answer)

    async def _answer(self, request: Request) -> Answer:
        desk, parts = self._desk, request.path.strip("/").split("/")
        if parts == ["v2", "health", "live"]:
            return _json({"live": True})
        if parts == ["v2", "health", "ready"]:
            desk.ready()
            return _json({"ready": True})
        given = request.headers.get(b"authorization", b"")
        request.principal = desk.guard.require(_bearer(given) if request.method == "GET" else given)
        if parts[:2] == ["v1", "approvals"]:
            return await self._review(request, parts[2:])
        desk.guard.admin(request.principal, "use the admin plane")
        match request.method, parts:
            case "GET", [""]:
                # Beside the loop: it reads a month of counts.
                kept = await asyncio.to_thread(desk.parts.keeper.judged)
                return Answer(page(desk, kept), [(b"content-type", b"text/html; charset=utf-8"), *_SAFE])
            case "GET", ["metrics"]:
                data, kind = desk.metrics.written()
                return Answer(data, [(b"content-type", kind.encode())])
            case "GET", ["v2"]:
                return _json(desk.server("model_repository"))
            case "POST", ["v2", "repository", "index"]:
                asked = await _asked(request)
                return _json(desk.parts.repository.index(ready=asked.get("ready") is True))
            case "POST", ["v2", "repository", "models", name, ("load" | "unload") as what]:
                asked = await _asked(request)
                if what == "load":
                    await self._load(name, asked, request.principal)
                else:
                    await desk.parts.repository.unload(name, request.principal)
                return Answer(b"{}")
        raise Refusal(
            404, f"{request.method} {request.path} is not answered here", field="path",
            expected="POST /v2/repository/index, or /v2/repository/models/{model}/load or /unload",
        )  # fmt: skip

    async def _review(self, request: Request, parts: list[str]) -> Answer:
        reviews = self._desk.parts.reviews
        match request.method, parts:
            case "GET", [model, version]:
                answer = await reviews.see(request.principal, model, version, as_page=True)
                return Answer(answer.body, [*answer.headers, *_SAFE])
            case "GET", [model, version, "bundle"]:
                return await reviews.see(request.principal, model, version, as_page=False)
            case "POST", [model, version]:
                return await reviews.decide(request.principal, model, version, await _asked(request))
        raise Refusal(
            404, f"{request.method} {request.path} is not answered here", field="path",
            expected="GET or POST /v1/approvals/{model}/{version}, or GET /v1/approvals/{model}/{version}/bundle",
        )  # fmt: skip

    async def _load(self, name: str, asked: dict[str, Any], principal: str) -> None:
        parameters = asked.get("parameters")
        if isinstance(parameters, dict) and parameters:
            raise InputError(
                "a model is loaded as it is registered", where="parameters", expected="none",
                fix="register a version and promote it: files come from the registry only",
            )  # fmt: skip
        await self._desk.parts.repository.load(name, principal)


def _page(path: str) -> bool:
    """Whether a path is that of a page, which browsers ask for the password of."""
    return path == "/" or path.startswith("/v1/approvals/")


def _bearer(authorization: bytes) -> bytes:
    """A browser sends the token as the password of Basic authentication, whatever the user's name."""
    if authorization[:6].lower() != b"basic ":
        return authorization
    try:
        password = b64decode(authorization[6:], validate=True).partition(b":")[2]
    except ValueError:
        return b""
    return b"Bearer " + password


async def _asked(request: Request) -> dict[str, Any]:
    """The body's JSON object; none, as Triton's client sends it, is an empty one."""
    data = await request.body(_LIMIT)
    return body(data) if data else {}


def _json(told: object) -> Answer:
    return Answer(encode(told), [JSON])
