"""Builds the server from a project's parts and runs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from socket import socket
from typing import TYPE_CHECKING, Any

from backstay.core.clock import Clock
from backstay.core.errors import InputError
from backstay.features.backfill import Progress, backfill
from backstay.features.online import OnlineWriter
from backstay.project.loading import Definitions
from backstay.project.services import Services

if TYPE_CHECKING:
    from backstay.serving.desk import Desk
    from backstay.serving.server import Beside

Ready = Callable[[Mapping[str, Any]], None]


def announce(told: Mapping[str, Any]) -> None:
    """Where the server listens, as one line of JSON on standard output."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def serve(
    services: Services,
    definitions: Definitions,
    settings: Mapping[str, Any],
    clock: Clock,
    *,
    host: str | None,
    port: int | None,
    replay: bool,
    ready: Ready,
    progress: Progress,
) -> None:
    """Serve every model of the project. In production the online state is first brought up to the record."""
    # uvicorn, and all that is behind it, only where a server is wanted
    from backstay.project.desk import parts
    from backstay.serving.admin import Admin
    from backstay.serving.app import App, Limits
    from backstay.serving.desk import Desk
    from backstay.serving.server import AdminPlane, listen, loopback, run

    host = host or settings["serving.host"]
    port = settings["serving.port"] if port is None else port
    if replay and not loopback(host):
        raise InputError(
            "a replaying server takes its clients' word for the time", where="serving.host", expected="loopback only"
        )
    sets = definitions.feature_sets.values()
    if not replay:
        backfill(sets, services.events, services.online, until=None, progress=progress)
    writer = OnlineWriter(services.online, sets)
    desk = Desk(parts(services, definitions, settings, clock, writer, replay))
    limits = Limits(
        body=settings["serving.body_limit"],
        lookup=settings["serving.lookup_limit"],
        push=settings["serving.push_limit"],
    )
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        told = {"url": _url(listener), "pid": os.getpid(), "replay": replay, "token": str(services.home / "token")}
        beside: list[Beside] = []
        if settings["serving.admin"]:
            admin = stack.enter_context(listen("127.0.0.1", settings["serving.admin_port"], "serving.admin_port"))
            told["admin_url"] = _url(admin)
            beside.append(AdminPlane(Admin(desk), admin))
        if settings["serving.grpc"]:
            beside.append(_rpc(desk, settings, host, limits.body, told))
        run(App(desk, limits), listener, lambda: ready(told), beside)


def _rpc(desk: Desk, settings: Mapping[str, Any], host: str, limit: int, told: dict[str, Any]) -> Beside:
    """The gRPC server; where it listens is told once it does."""
    try:
        from backstay.serving.rpc import Rpc
    except ModuleNotFoundError as error:
        raise InputError(
            f"gRPC is not installed: {error}", where="serving.grpc", fix="pip install 'backstay[grpc]'"
        ) from None
    return Rpc(desk, host, settings["serving.grpc_port"], limit, lambda address: told.update(grpc=address))


def _url(listener: socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
