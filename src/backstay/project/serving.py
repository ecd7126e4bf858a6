"""Builds the server from a project's parts and runs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from backstay.core.clock import Clock
from backstay.core.errors import InputError
from backstay.features.backfill import Progress, backfill
from backstay.features.online import OnlineWriter
from backstay.project.loading import Definitions
from backstay.project.permits import users
from backstay.project.services import Services
from backstay.registry.access import Authority
from backstay.registry.versions import Registry

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
    from backstay.serving.server import listen, loopback, run  # uvicorn only where a server is wanted

    host = host or settings["serving.host"]
    port = settings["serving.port"] if port is None else port
    if replay and not loopback(host):
        raise InputError(
            "a replaying server takes its clients' word for the time", where="serving.host", expected="loopback only"
        )
    sets = definitions.feature_sets.values()
    if not replay:
        backfill(sets, services.events, services.online, until=None, progress=progress)
    app = _app(services, definitions, settings, clock, OnlineWriter(services.online, sets), replay)
    listener = listen(host, port)
    address = listener.getsockname()[:2]
    token = services.home / "token"

    name = f"[{address[0]}]" if ":" in address[0] else address[0]
    told = {"url": f"http://{name}:{address[1]}", "pid": os.getpid(), "replay": replay, "token": str(token)}
    try:
        run(app, listener, lambda: ready(told))
    finally:
        listener.close()


def _app(
    services: Services,
    definitions: Definitions,
    settings: Mapping[str, Any],
    clock: Clock,
    writer: OnlineWriter,
    replay: bool,
) -> Any:
    from backstay.serving.app import App
    from backstay.serving.champions import Champions
    from backstay.serving.core import Core
    from backstay.serving.guard import Guard
    from backstay.serving.lookups import Lookups
    from backstay.serving.parse import RequestParser
    from backstay.serving.push import Push

    registry = Registry(services.ledger, services.artifacts)
    guard = Guard(
        Authority(services.ledger, clock, "server", definitions.feature_sets),
        services.token,
        models={name: model.features.name for name, model in definitions.models.items()},
        feature_sets=definitions.feature_sets.keys(),
        sources=users(definitions),
    )
    return App(
        core=Core(services.predictions, clock, replay=replay),
        champions=Champions(definitions.models, registry, services.ledger, services.online),
        parsers={name: RequestParser(model, replay=replay) for name, model in definitions.models.items()},
        lookups={
            name: Lookups(features, services.online, replay=replay)
            for name, features in definitions.feature_sets.items()
        },
        pushes={
            name: Push(source, services.events, writer, clock, replay=replay)
            for name, source in definitions.sources.items()
        },
        clock=clock,
        guard=guard,
        body_limit=settings["serving.body_limit"],
        lookup_limit=settings["serving.lookup_limit"],
        push_limit=settings["serving.push_limit"],
        on_stop=services.close,
    )
