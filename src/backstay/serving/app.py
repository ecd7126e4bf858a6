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
from time import monotonic
from typing import Any

from backstay.core.errors import BackstayError
from backstay.serving.desk import Desk
from backstay.serving.heads import Heads
from backstay.serving.logs import RequestLog
from backstay.serving.openapi import document
from backstay.serving.patience import Patience
from backstay.serving.predicting import ByInputs, ByKey, Predicting
from backstay.serving.refusal import RETRY_SECONDS, NotAllowed, Refusal
from backstay.serving.wire import (
    CLOSE,
    JSON,
    PENDING,
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

Handler = Callable[[Request], Awaitable[Answer]]
_PATIENCE = 0.9
"""Of the time that who is refused is told to wait, how long it is left unread: who does wait as long never notices."""


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
        patience = self.patience = Patience(desk.limiter, _PATIENCE * RETRY_SECONDS)
        desk.metrics.gauges["connections_waiting"] = (
            "Connections that were refused, and are not read for now.",
            lambda: patience.held,
        )
        self.body_limit = limits.body
        self.heads = Heads()
        self.straight: dict[bytes, Predicting] = {}
        for name in desk.routes:
            self.straight[f"/v1/models/{name}/predict".encode()] = ByKey(desk, name)
            self.straight[f"/v2/models/{name}/infer".encode()] = ByInputs(desk, name)
        self.failure: BackstayError | None = None
        """Why the start failed."""

    @property
    def leaving(self) -> bool:
        """Whether the server is about to stop."""
        return self.desk.leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request.of(scope, receive)
            if PENDING in scope.get("extensions", ()):
                self.limiter.pending -= 1
            try:
                answer = await self._answer(request)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is answered
                answer = refusal(error, request.identity)
            answer = self.complete(request, answer)
            begin = monotonic()
            await respond(send, answer)
            self.timed(request, answer.status, begin)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    def authenticated(self, request: Request) -> None:
        """Find out who asks. Raises `Refusal` (401) for a token that nobody has."""
        request.principal = self.desk.guard.require(request.headers.get(b"authorization", b""))

    def complete(self, request: Request, answer: Answer) -> Answer:
        """The answer with the headers that all have, in a coding that the client accepts; and it is counted.

        Before it is written: who has an answer, and asks for the metrics, finds it among them.
        """
        self.metrics.answered(request.endpoint, answer.status)
        if request.tally is not None and (answer.status != 504 or request.awaited):
            request.tally.answered(answer.status, monotonic() - request.begun)
        answer.headers.append((b"x-request-id", request.identity))
        if self.desk.leaving:
            answer.headers.append(CLOSE)
        return compressed(answer, request.headers.get(b"accept-encoding"))

    def timed(self, request: Request, status: int, begin: float) -> None:
        """Note how long a request took, whose answer was written from `begin` on."""
        now, metrics = monotonic(), self.metrics
        seconds = now - request.begun
        metrics.observe("write", now - begin)
        metrics.observe("request", seconds)
        if request.trace is not None:
            request.trace.answered(status, begin, now, request.identity)
        self._log.answered(request.identity, seconds, status, request.method, request.path, request.principal)

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
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["v2", "health"]:
            return self._health(request, parts[2:])
        handler = self._find(parts)
        self.authenticated(request)
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
                return _post(self._predict, ByKey(desk, name))
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
                return _post(self._predict, ByInputs(desk, name, version))
        return None

    async def _predict(self, request: Request, predicting: Predicting) -> Answer:
        predicting.admit(request)
        job, tell = predicting.begin(request, await request.body(self._limits.body))
        await self.desk.done(predicting.model, job)
        return tell()

    async def _features(self, request: Request, name: str) -> Answer:
        request.endpoint = "features"
        if (traces := self.desk.traces) is not None:
            request.trace = traces.asked(request, "/v1/features/{feature_set}", feature_set=name)
        self.desk.guard.features(request.principal, name)
        self.desk.limiter.admit()
        data = await request.body(self._limits.lookup)
        return _json(await self.desk.looked_up(name, data, request.deadline, request.client, request.trace))

    async def _events(self, request: Request, name: str) -> Answer:
        request.endpoint = "events"
        self.desk.guard.source(request.principal, name)
        pushing, limit = self.desk.pushing, self._limits.push
        with pushing.room() as more:
            told = await pushing.take(name, await request.body(limit, more))
        return Answer(encode(told), [JSON], 200 if told.get("visible", True) else 202)

    async def _scrape(self, request: Request) -> Answer:
        _method(request, "GET")
        body, kind = self.metrics.written()
        return Answer(body, [(b"content-type", kind.encode())])


def _ready(name: str) -> dict[str, Any]:
    return {"name": name, "ready": True}


def _json(told: object) -> Answer:
    return Answer(encode(told), [JSON])


def _get(tell: Callable[[Request], Any]) -> Handler:
    async def handler(request: Request) -> Answer:
        _method(request, "GET")
        return _json(tell(request))

    return handler


def _post(handle: Callable[..., Awaitable[Answer]], *names: Any) -> Handler:
    async def handler(request: Request) -> Answer:
        _method(request, "POST")
        return await handle(request, *names)

    return handler


async def _nothing(request: Request) -> Answer:
    raise Refusal(404, f"there is nothing at {request.path}", field="path", fix="see GET /openapi.json")


def _method(request: Request, allowed: str) -> None:
    if request.method != allowed and not (allowed == "GET" and request.method == "HEAD"):
        raise NotAllowed(request.method, allowed)
