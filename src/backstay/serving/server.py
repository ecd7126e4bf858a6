"""Runs the planes under uvicorn, on one loop. The data plane listens on loopback unless told otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import uvicorn

from backstay.core.errors import BackstayError, InputError
from backstay.serving.admin import Admin
from backstay.serving.app import App
from backstay.serving.protocol import ServingProtocol


def loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    listener.set_inheritable(True)
    return listener


class _Server(uvicorn.Server):
    """Tells when it is ready: after start-up, once requests are taken, and what runs beside it too."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], beside: Sequence[Beside]) -> None:
        super().__init__(config)
        self._ready, self._beside = ready, beside
        self.failure: BackstayError | None = None
        """Why what runs beside it did not start."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
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
        gc.collect()
        gc.freeze()  # what is loaded now lives as long as the server: the collector need not walk it again
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
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


def _config(app: App | Admin, lifespan: Literal["on", "off"]) -> uvicorn.Config:
    return uvicorn.Config(
        app, loop="uvloop", http=ServingProtocol if isinstance(app, App) else "httptools", lifespan=lifespan,
        log_level="warning", access_log=False, ws="none", server_header=False, date_header=False, proxy_headers=False,
        timeout_graceful_shutdown=10,
    )  # fmt: skip


def run(app: App, listener: socket.socket, ready: Callable[[], None], beside: Sequence[Beside] = ()) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight. Raises if the start failed."""
    server = _Server(_config(app, lifespan="on"), ready, beside)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn drains on these and then raises them again; a drained server has ended well.
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that the start failed; below, ours
        server.run([listener])
    if (failure := app.failure or server.failure) is not None:
        raise failure
    if not server.started:
        raise BackstayError("the server did not start", fix="see the message above")
