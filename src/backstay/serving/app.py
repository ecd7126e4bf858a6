"""The HTTP shell: a small ASGI application over the request core.

    GET  /v2/health/live                 the process runs
    GET  /v2/health/ready                every model with a champion is being served by it
    GET  /v1/models/{model}              which version serves
    POST /v1/models/{model}/predict      one prediction from entity keys and request fields
    POST /v1/features/{feature_set}      features of some entities, with statuses and ages
    POST /v1/sources/{source}/events     push events

All but the health pages need `Authorization: Bearer TOKEN`: the home's own token, or a principal's (`backstay access`).
401 is a token that nobody has, 403 a principal without the role it needs. Every error is JSON:
`{"error": sentence, "field": where, "expected": ..., "fix": ...}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from backstay.core.clock import Clock
from backstay.core.errors import AccessError, BackstayError, InputError, NotFoundError
from backstay.definitions.sources import type_name
from backstay.features.answers import OnlineRow
from backstay.serving.batcher import Batcher, Coalescer
from backstay.serving.champions import Champions
from backstay.serving.core import Core
from backstay.serving.guard import Guard
from backstay.serving.lookups import Lookups
from backstay.serving.parse import RequestParser
from backstay.serving.push import Push

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_encode = msgspec.json.Encoder().encode
_logger = logging.getLogger("backstay.serving")


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake
    """An answer other than 200, with its JSON."""

    def __init__(self, status: int, what: str, *, field: str = "", expected: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.body = {"error": what, "field": field, "expected": expected, "fix": fix}


class App:
    """The ASGI application."""

    def __init__(
        self,
        *,
        core: Core,
        champions: Champions,
        parsers: Mapping[str, RequestParser],
        lookups: Mapping[str, Lookups],
        pushes: Mapping[str, Push],
        clock: Clock,
        guard: Guard,
        body_limit: int,
        lookup_limit: int,
        push_limit: int,
        on_stop: Callable[[], None],
    ) -> None:
        self._core, self._champions, self._parsers, self._pushes = core, champions, parsers, pushes
        self._lookups, self._clock, self._on_stop = lookups, clock, on_stop
        self._guard = guard
        self._body_limit, self._lookup_limit, self._push_limit = body_limit, lookup_limit, push_limit
        self._batchers: dict[str, Batcher] = {}
        self._lookers: dict[str, Coalescer[OnlineRow]] = {}
        self.failure: BackstayError | None = None
        """Why the start failed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        loop = asyncio.get_running_loop()
        self._batchers = {name: Batcher(self._core, loop) for name in self._parsers}
        self._lookers = {name: Coalescer(one.work, loop) for name, one in self._lookups.items()}
        try:
            self._champions.start(self._batchers)
            self._guard.start()
        except BackstayError as error:
            self.failure = error
            await send({"type": "lifespan.startup.failed", "message": ""})
            return
        follower = asyncio.create_task(self._champions.follow(self._batchers))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        follower.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follower
        await self._guard.stop()
        self._on_stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, answer = 200, await self._route(scope, receive)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        except AccessError as error:
            status, answer = 403, _error(error)
        except NotFoundError as error:
            status, answer = 404, _error(error)
        except InputError as error:
            status, answer = 400, _error(error)
        except BackstayError as error:
            _logger.exception("a request failed")
            status, answer = 503, _error(error)
        except Exception as error:
            _logger.exception("a request failed")
            status, answer = 500, {"error": f"{type(error).__name__}: {error}", "field": "", "expected": "", "fix": ""}
        data = _encode(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    async def _route(self, scope: Scope, receive: Receive) -> Any:
        path, method = scope["path"], scope["method"]
        parts = path.strip("/").split("/")
        if parts[:2] == ["v2", "health"] and len(parts) == 3:
            _method(method, "GET")
            return self._health(parts[2])
        principal = self._guard.identify(dict(scope["headers"]).get(b"authorization", b""))
        if principal is None:
            raise Refusal(
                401, "the token is missing or wrong", field="authorization", fix="send Authorization: Bearer TOKEN"
            )
        match parts:
            case ["v1", "models", name]:
                _method(method, "GET")
                self._guard.model(principal, name)
                return self._model(name)
            case ["v1", "models", name, "predict"]:
                _method(method, "POST")
                self._guard.model(principal, name)
                return await self._predict(name, await _read(scope, receive, self._body_limit))
            case ["v1", "features", name]:
                _method(method, "POST")
                self._guard.features(principal, name)
                return await self._look_up(name, await _read(scope, receive, self._lookup_limit))
            case ["v1", "sources", name, "events"]:
                _method(method, "POST")
                self._guard.source(principal, name)
                return self._push(name, await _read(scope, receive, self._push_limit))
        raise Refusal(404, f"there is nothing at {path}", field="path", fix="see GET /v1/models/{model}")

    def _health(self, what: str) -> Any:
        if what == "live":
            return {"live": True}
        if what != "ready":
            raise Refusal(404, f"there is no health page {what!r}", field="path", expected="live or ready")
        problems = dict(self._champions.problems)
        problems |= {name: "has no champion" for name, b in self._batchers.items() if b.served is None}
        if problems:
            raise Refusal(503, "; ".join(f"model {name}: {why}" for name, why in problems.items()), field="model")
        return {"ready": True}

    def _batcher(self, name: str) -> Batcher:
        batcher = self._batchers.get(name)
        if batcher is None:
            raise Refusal(
                404, f"there is no model {name!r}", field="model", expected=f"one of {sorted(self._batchers)}"
            )
        if batcher.served is None:
            raise Refusal(
                503, f"model {name!r} has no champion", field="model", fix=f"backstay promote NUMBER --model {name}"
            )
        return batcher

    def _model(self, name: str) -> Any:
        served = self._batcher(name).served
        assert served is not None
        return {
            "model": name,
            "version": served.version.number,
            "digest": served.version.digest,
            "feature_set": served.model.features.hash,
            "keys": list(served.model.keys),
            "fields": {feature.name: type_name(feature.dtype) for feature in served.model.features.requests},
            "problem": self._champions.problems.get(name),
        }

    async def _predict(self, name: str, data: bytes) -> Any:
        batcher = self._batcher(name)
        (answer,) = await batcher.submit([self._parsers[name].parse(data, self._clock.now())])
        return answer

    async def _look_up(self, name: str, data: bytes) -> Any:
        lookups = self._lookups.get(name)
        if lookups is None:
            raise Refusal(
                404,
                f"there is no feature set {name!r}",
                field="feature_set",
                expected=f"one of {sorted(self._lookups)}",
            )
        at, asked = lookups.parse(data, self._clock.now())
        return lookups.answer(at, await self._lookers[name].submit(asked))

    def _push(self, name: str, data: bytes) -> Any:
        push = self._pushes.get(name)
        if push is None:
            raise Refusal(
                404, f"there is no source {name!r}", field="source", expected=f"one of {sorted(self._pushes)}"
            )
        return push.take(data)


def _error(error: BackstayError) -> dict[str, str]:
    return {"error": str(error), "field": error.where, "expected": error.expected, "fix": error.fix}


def _method(method: str, allowed: str) -> None:
    if method != allowed:
        raise Refusal(405, f"{method} is not answered here", field="method", expected=allowed)


async def _read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request body, refused as soon as it is known to be over the limit."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    chunks: list[bytes] = []
    size = int(declared) if declared.isdigit() else 0
    too_large = Refusal(
        413,
        f"the body is over {limit} bytes",
        field="body",
        expected=f"at most {limit} bytes",
        fix="send less at a time",
    )
    if size > limit:
        raise too_large
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the client went away", field="body")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
