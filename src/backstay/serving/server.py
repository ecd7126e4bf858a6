"""Runs the planes under uvicorn, on one loop. The data plane listens on loopback unless told otherwise.

A server stops in this order: it is not ready any more (SIGTERM), goes on answering for its grace, so that whoever sends
it requests can learn of it, and tells its clients to close their connections; then it takes no more connections,
answers what is in flight, writes down what is left and closes the stores. SIGINT and a second SIGTERM leave out the
grace; further ones change nothing, and are told so. A worker that is being replaced (SIGUSR1) takes no more connections
from the beginning: others do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from types import FrameType
from typing import Any, Literal, Protocol, cast

import uvicorn
import uvloop

from backstay.core.errors import BackstayError, InputError
from backstay.core.machine import open_files
from backstay.serving.admin import Admin
from backstay.serving.app import App
from backstay.serving.connection import Connection
from backstay.serving.garbage import Garbage
from backstay.serving.listener import Listener
from backstay.serving.protocol import ServingProtocol
from backstay.serving.tls import Tls

HURRIED = "it is stopping already: what is in flight is answered, for 10 s at most"
RETIRE_SECONDS = 5.0
"""For how long a worker that is being replaced waits for its clients to connect to others."""
HANDSHAKE_SECONDS = 5.0
"""How long a client may take for its TLS handshake: until then the connection is nobody's to close."""
_logger = logging.getLogger("backstay.serving")


class Loop(uvloop.Loop):
    """The loop of a server. uvicorn has it listen; how connections are taken, and how long a handshake may take, which
    would be a minute, is ours."""

    async def create_server(self, *arguments: Any, **named: Any) -> Any:
        if (listener := named.get("sock")) is None:
            return await super().create_server(*arguments, **named)
        (factory,) = arguments
        listener.listen(named["backlog"])
        return Listener(factory, listener, named["ssl"], HANDSHAKE_SECONDS)


def listen(host: str, port: int, setting: str = "serving.port") -> socket.socket:
    """A listening socket; port 0 takes a free one. `setting` is where the port came from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror}", where=setting, fix="choose another port, or 0"
        ) from None
    listener.listen(1024)
    return listener


def reserved(host: str, port: int, setting: str) -> socket.socket:
    """A socket that holds a port for the gRPC servers of several workers; it is bound, and never listens."""
    listen(host, port, setting).close()  # another's port could be shared as well, by mistake
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, port))
    return holder


@dataclass(frozen=True, slots=True)
class Stopping:
    """How a server comes to its end.

    grace:  seconds for which it goes on after SIGTERM, not ready any more
    parent: a descriptor that ends when the process that supervises this one does; without it nobody would stop it
    """

    grace: float = 0.0
    parent: int | None = None


class _Server(uvicorn.Server):
    """Tells when it is ready: after start-up, once requests are taken, and what runs beside it too."""

    def __init__(
        self, app: App, config: uvicorn.Config, ready: Callable[[], None], beside: Sequence[Beside], stopping: Stopping
    ) -> None:
        super().__init__(config)
        self._app, self._ready, self._beside, self._stopping = app, ready, beside, stopping
        self._until: float | None = None
        self._garbage: Garbage | None = None
        self._retiring = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure: BackstayError | None = None
        """Why what runs beside it did not start."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if not self.started or self.should_exit:
            return
        try:
            for one in self._beside:
                await one.start()
        except BackstayError as error:
            self.failure, self.started = error, False
            self.should_exit = True
            await self.shutdown(sockets)
            return
        self._garbage = Garbage()
        signal.signal(signal.SIGUSR1, self._retire)
        if self._stopping.parent is not None:
            asyncio.get_running_loop().add_reader(self._stopping.parent, self._orphaned)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self._stopping.grace and self._until is None:
            self._leave(self._stopping.grace)
        elif self.should_exit:  # uvicorn would drop what is in flight, and not write down what is left
            if self._stopping.parent is None and self._loop is not None:  # else the parent tells it
                self._loop.call_soon_threadsafe(_logger.warning, HURRIED)
        else:
            super().handle_exit(sig, frame)

    def _leave(self, seconds: float) -> None:
        self._app.desk.leaving = True
        self._until = monotonic() + seconds

    def _retire(self, *_: object) -> None:
        """Others take what comes; what is connected is answered, and told to connect again."""
        self._retiring = True
        self._leave(RETIRE_SECONDS)

    def _orphaned(self) -> None:
        assert self._stopping.parent is not None
        asyncio.get_running_loop().remove_reader(self._stopping.parent)
        self.handle_exit(signal.SIGTERM, None)

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._app.metrics.publish()
        if self._garbage is not None:
            self._garbage.tick(idle=not self._app.limiter.rows)
        if self._retiring:
            for server in self.servers:
                cast("Listener", server).rest()
        done = self._until is not None and (
            monotonic() >= self._until or (self._retiring and not self.server_state.connections)
        )
        return await super().on_tick(counter) or done

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.desk.leaving = True
        for one in self._beside:
            await one.stop()
        await super().shutdown(sockets)


class Beside(Protocol):
    """Another listener that runs on the loop of the data plane."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class AdminPlane:
    """The admin plane under a uvicorn of its own."""

    def __init__(self, app: Admin, listener: socket.socket) -> None:
        self._listener = listener
        self._server = uvicorn.Server(_config(app, lifespan="off"))
        self._running: asyncio.Task[None] | None = None

    async def start(self) -> None:
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup([self._listener])
        self._running = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._running is not None:
            await self._running
        await self._server.shutdown([self._listener])


def _config(app: App | Admin, lifespan: Literal["on", "off"], tls: Tls | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app, loop=f"{__name__}:{Loop.__name__}", lifespan=lifespan,
        http=ServingProtocol if isinstance(app, App) else Connection,
        log_level="warning", access_log=False, ws="none", server_header=False, date_header=False, proxy_headers=False,
        timeout_graceful_shutdown=10,
        ssl_certfile=None if tls is None else tls.certificate, ssl_keyfile=None if tls is None else tls.key,
    )  # fmt: skip


def run(
    app: App,
    listener: socket.socket,
    ready: Callable[[], None],
    beside: Sequence[Beside] = (),
    stopping: Stopping = Stopping(),
    tls: Tls | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight. Raises if the start failed."""
    open_files()  # each client is one
    server = _Server(app, _config(app, "on", tls), ready, beside, stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn drains on these and then raises them again; a drained server has ended well.
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that the start failed; below, ours
        server.run([listener])
    if (failure := app.failure or server.failure) is not None:
        raise failure
    if not server.started:
        raise BackstayError("the server did not start", fix="see the message above")
