"""Runs the application under uvicorn, on loopback unless told otherwise."""

from __future__ import annotations

import contextlib
import gc
import ipaddress
import signal
import socket
from collections.abc import Callable

import uvicorn

from backstay.core.errors import BackstayError, InputError
from backstay.serving.app import App


def loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror}", where="serving.port", fix="choose another port, or 0"
        ) from None
    listener.listen(1024)
    listener.set_inheritable(True)
    return listener


class _Server(uvicorn.Server):
    """Tells when it is ready: after start-up, once requests are taken."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            gc.collect()
            gc.freeze()  # what is loaded now lives as long as the server: the collector need not walk it again
            self._ready()


def run(app: App, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in flight. Raises if the start failed."""
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", lifespan="on", log_level="warning", access_log=False, ws="none",
        server_header=False, date_header=False, timeout_graceful_shutdown=10,
    )  # fmt: skip
    server = _Server(config, ready)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn drains on these and then raises them again; a drained server has ended well.
        signal.signal(number, lambda *_: None)
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that the start failed; below, ours
        server.run([listener])
    if app.failure is not None:
        raise app.failure
    if not server.started:
        raise BackstayError("the server did not start", fix="see the message above")
