"""The REST shell of the data plane: a small ASGI application over the desk.

    GET  /v2/health/live, /v2/health/ready            the process runs; every model is served by its champion
    GET  /v2, /v2/models/{model}[/versions/{version}] metadata; with /ready behind it, whether it is served
    POST /v2/models/{model}[/versions/{version}]/infer  the Open Inference Protocol: from the model's inputs
    POST /v1/models/{model}/predict                   from entity keys and request fields, one row or many
    GET  /v1/models/{model}                           which version serves
    POST /v1/features/{feature_set}                   features of some entities, with statuses and ages
    POST /v1/sources/{source}/events                  push events
    GET  /openapi.json, /metrics                      the API described; metrics for Prometheus

All but the health pages need `Authorization: Bearer TOKEN`: the home's own token, or a principal's (`backstay access`).
401 is a token that nobody has, 403 a principal without the role it needs. Every error is JSON:
`{"error": sentence, "field": where, "expected": ..., "fix": ...}`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from backstay.core.errors import BackstayError
from backstay.serving.desk import Desk
from backstay.serving.job import Asking
from backstay.serving.logs import REQUEST, RequestLog, request_id
from backstay.serving.openapi import document
from backstay.serving.refusal import Refusal
from backstay.serving.v2 import rest
from backstay.serving.wire import (
    CLOSE,
    JSON,
    Answer,
    Receive,
    Request,
    Scope,
    Send,
    compressed,
    encode,
    refusal,
    respond,
)
from backstay.storage.predictions import STATUSES

Handler = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest bodies, in bytes."""

    body: int
    lookup: int
    push: int


class App:
    """The ASGI application of the data plane. The lifespan of the server is its own."""

    def __init__(self, desk: Desk, limits: Limits, log: RequestLog) -> None:
        self._log = log
        self.desk, self._limits = desk, limits
        self.limiter, self.metrics = desk.limiter, desk.metrics
        self._known: dict[tuple[str, str], Handler] = {}
        for name in desk.routes:
            self._known["POST", f"/v1/models/{name}/predict"] = _of(self._predict, name)
            self._known["POST", f"/v2/models/{name}/infer"] = _of(self._infer, name, "")
        self.failure: BackstayError | None = None
        """Why the start failed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope, receive)
            identity = request_id(request.headers.get(b"x-request-id"))
            if request.pending:
                self.limiter.pending -= 1
            try:
                answer = await self._answer(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                REQUEST.set(identity.decode())
                answer = refusal(error)
            answer.headers.append((b"x-request-id", identity))
            if self.desk.leaving:
                answer.headers.append(CLOSE)
            begin = monotonic()
            await respond(send, compressed(answer, request.headers.get(b"accept-encoding")))
            now = monotonic()
            self.metrics.observe("write", now - begin)
            seconds = now - request.begun
            self.metrics.observe("request", seconds)
            self.metrics.answered(request.endpoint, answer.status)
            self._log.answered(identity, seconds, answer.status, request.method, request.path, request.principal)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            self.desk.start()
        except BackstayError as error:
            self.failure = error
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.desk.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, request: Request) -> Answer:
        handler = self._known.get((request.method, request.path))
        if handler is None:
            parts = request.path.strip("/").split("/")
            if parts[:2] == ["v2", "health"]:
                return self._health(request, parts[2:])
            handler = self._find(parts)
        request.principal = self.desk.guard.require(request.headers.get(b"authorization", b""))
        return await handler(request)

    def _health(self, request: Request, parts: list[str]) -> Answer:
        _method(request, "GET")
        if parts == ["live"]:
            return _json({"live": True})
        if parts != ["ready"]:
            raise Refusal(404, f"there is no health page {'/'.join(parts)!r}", field="path", expected="live or ready")
        self.desk.ready()
        return _json({"ready": True})

    def _find(self, parts: list[str]) -> Handler:
        """The handler of a path; a 404 or 405 is raised by the handler, once it is known who asks."""
        desk = self.desk
        match parts:
            case ["v1", "models", name]:
                return _get(lambda request: desk.model(request.principal, name))
            case ["v1", "models", name, "predict"]:
                return _post(self._predict, name)
            case ["v1", "features", name]:
                return _post(self._features, name)
            case ["v1", "sources", name, "events"]:
                return _post(self._events, name)
            case ["v2"]:
                return _get(lambda _: desk.server())
            case ["openapi.json"]:
                return _get(lambda _: document(desk.routes, desk.parts.lookups, desk.parts.pushes))
            case ["metrics"]:
                return self._scrape
            case ["v2", "models", *rest_of_path]:
                handler = self._of_protocol(rest_of_path)
                if handler is not None:
                    return handler
        return _nothing

    def _of_protocol(self, parts: list[str]) -> Handler | None:
        desk, version = self.desk, ""
        name, *what = parts or [""]
        if len(what) > 1 and what[0] == "versions":
            version, what = what[1], what[2:]
        match what:
            case []:
                return _get(lambda request: desk.metadata(request.principal, name, version))
            case ["ready"]:
                return _get(lambda request: desk.metadata(request.principal, name, version) and _ready(name))
            case ["infer"]:
                return _post(self._infer, name, version)
        return None

    async def _predict(self, request: Request, name: str) -> Answer:
        desk, metrics = self.desk, self.metrics
        request.endpoint = "predict"
        desk.route(request.principal, name)
        desk.limiter.admit()
        data = await request.body(self._limits.body)
        job, many = await desk.keyed(name, data, request.deadline, request.client)
        metrics.observe("parse", job.begun - request.begun)
        return _json(_told(job, many))

    async def _infer(self, request: Request, name: str, version: str) -> Answer:
        desk = self.desk
        request.endpoint = "infer"
        route = desk.route(request.principal, name)
        if version:
            route.version(version)
        desk.limiter.admit()
        data = await request.body(self._limits.body)
        asked = rest.read(data, request.json_length(), desk.parts.contracts[name])
        deadline = request.deadline if asked.wait == inf else min(request.deadline, request.begun + asked.wait)
        job = await desk.given(name, asked.given, deadline, request.client, version=version, request_id=asked.id)
        self.metrics.observe("parse", job.begun - request.begun)
        assert job.answer is not None
        body, length = rest.written(name, job.version, asked, job.answer)
        if length is None:
            return Answer(body)
        binary = (b"content-type", b"application/octet-stream")
        return Answer(body, [binary, (b"inference-header-content-length", str(length).encode())])

    async def _features(self, request: Request, name: str) -> Answer:
        request.endpoint = "features"
        self.desk.guard.features(request.principal, name)
        self.desk.limiter.admit()
        data = await request.body(self._limits.lookup)
        return _json(await self.desk.looked_up(name, data, request.deadline, request.client))

    async def _events(self, request: Request, name: str) -> Answer:
        request.endpoint = "events"
        self.desk.guard.source(request.principal, name)
        return _json(self.desk.push(name, await request.body(self._limits.push)))

    async def _scrape(self, request: Request) -> Answer:
        _method(request, "GET")
        body, kind = self.metrics.written()
        return Answer(body, [(b"content-type", kind.encode())])


def _told(job: Asking, many: bool) -> dict[str, Any]:
    """The answer to a request by key, for JSON."""
    served, answer = job.choice.served, job.answer
    model, version = served.model.name, job.version
    rows = (
        [] if answer is None else list(zip(answer.ids, answer.scores, answer.decisions, answer.statuses, strict=True))
    )
    names = [feature.name for feature in served.model.features]
    marked = {"degraded": answer.degraded} if answer is not None and answer.degraded else {}
    if not many:
        one, score, decision, status = rows[0]
        return {
            "prediction_id": one, "model": model, "version": version, "score": score, "decision": decision,
            "at": job.at, "statuses": _statuses(names, status), **marked,
        }  # fmt: skip
    told = [
        {"prediction_id": one, "score": score, "decision": decision, "statuses": _statuses(names, status)}
        for one, score, decision, status in rows
    ]
    if version is None and answer is not None:  # the rows fell to several versions: each names its own
        told = [{**one, "version": number} for one, number in zip(told, answer.versions, strict=True)]
    return {"model": model, "version": version, "at": job.at, "rows": told, **marked}


def _statuses(names: list[str], codes: bytes) -> dict[str, str]:
    """The features that are not OK, by name."""
    return {name: STATUSES[code] for name, code in zip(names, codes, strict=True) if code}


def _ready(name: str) -> dict[str, Any]:
    return {"name": name, "ready": True}


def _json(told: object) -> Answer:
    return Answer(encode(told), [JSON])


def _of(handle: Callable[..., Awaitable[Answer]], *names: str) -> Handler:
    return lambda request: handle(request, *names)


def _get(tell: Callable[[Request], Any]) -> Handler:
    async def handler(request: Request) -> Answer:
        _method(request, "GET")
        return _json(tell(request))

    return handler


def _post(handle: Callable[..., Awaitable[Answer]], *names: str) -> Handler:
    async def handler(request: Request) -> Answer:
        _method(request, "POST")
        return await handle(request, *names)

    return handler


async def _nothing(request: Request) -> Answer:
    raise Refusal(404, f"there is nothing at {request.path}", field="path", fix="see GET /openapi.json")


def _method(request: Request, allowed: str) -> None:
    if request.method != allowed and not (allowed == "GET" and request.method == "HEAD"):
        raise Refusal(405, f"{request.method} is not answered here", field="method", expected=allowed)
