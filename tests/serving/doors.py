"""What stands behind the protocol where only connections are tried: no models, and a server on a port of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from backstay.serving.admission import Limiter
from backstay.serving.heads import Heads
from backstay.serving.metrics import Metrics
from backstay.serving.patience import Patience
from backstay.serving.protocol import ServingProtocol


class Door:
    """What the protocol asks of an application. It lets so many rows in; subclasses answer."""

    def __init__(self, limit: float) -> None:
        self.limiter, self.metrics, self.heads = Limiter(1.0, 1_000), Metrics(), Heads()
        self.limiter.limit = limit
        self.patience, self.leaving = Patience(self.limiter, 1.0), False
        self.straight: dict[bytes, Any] = {}


@asynccontextmanager
async def serving(door: Any, **settings: Any) -> AsyncIterator[int]:
    """The port of a server with this application, on the running loop; settings are uvicorn's."""
    settings["http"] = settings.get("http") or ServingProtocol
    config = uvicorn.Config(door, lifespan="off", log_level="error", ws="none", **settings)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task
