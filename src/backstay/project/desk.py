"""Builds the desk of a server from a project's parts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from backstay.core.clock import Clock
from backstay.core.errors import BackstayError
from backstay.core.times import SECOND
from backstay.features.lookup import Reached
from backstay.features.online import OnlineWriter
from backstay.project.loading import Definitions
from backstay.project.permits import users
from backstay.project.services import Services
from backstay.registry.access import Authority
from backstay.registry.routing import Routing
from backstay.registry.versions import Registry
from backstay.serving.admission import Limiter
from backstay.serving.approvals import Approvals, Reviews
from backstay.serving.breaker import Breaker
from backstay.serving.cache import Cache
from backstay.serving.champions import Champions
from backstay.serving.core import Core
from backstay.serving.cuts import Cuts
from backstay.serving.desk import Parts
from backstay.serving.guard import Guard
from backstay.serving.lookups import Lookups
from backstay.serving.metrics import Metrics
from backstay.serving.objectives import Keeper
from backstay.serving.parse import RequestParser
from backstay.serving.push import Push
from backstay.serving.repository import Repository
from backstay.serving.routes import Route
from backstay.serving.shadows import Shadows
from backstay.serving.v2.contract import Contract

_logger = logging.getLogger("backstay.serving")


def parts(
    services: Services,
    definitions: Definitions,
    settings: Mapping[str, Any],
    clock: Clock,
    writer: OnlineWriter,
    metrics: Metrics,
    replay: bool,
    approvals: Approvals,
) -> Parts:
    """Everything a server works with; nothing is loaded yet."""
    registry = Registry(services.ledger, services.artifacts, services.verifier)
    models, sets = definitions.models, definitions.feature_sets
    routes = {name: Route(model) for name, model in models.items()}
    cache = Cache(settings["serving.cache_bytes"]) if settings["serving.cache_bytes"] else None
    cuts = Cuts(Routing(services.ledger, registry), clock, metrics.board, metrics.slot)
    online = Breaker(services.online)
    reached = _reached(writer)
    champions = Champions(models, registry, services.ledger, online, reached)
    rows = settings["serving.rows_limit"]
    limiter = _limiter(settings, replay, definitions)
    shadows = Shadows(services.predictions, clock, limiter, replay=replay, cuts=cuts)
    guard = _guard(services, definitions, clock)
    return Parts(
        core=Core(services.predictions, clock, metrics, replay=replay, shadows=shadows, cache=cache, cuts=cuts),
        cuts=cuts,
        cache=cache,
        shadows=shadows,
        champions=champions,
        guard=guard,
        metrics=metrics,
        limiter=limiter,
        clock=clock,
        repository=Repository(champions, routes, services.ledger, clock),
        routes=routes,
        contracts={name: Contract(model, rows) for name, model in models.items()},
        parsers={name: RequestParser(model, replay=replay, limit=rows) for name, model in models.items()},
        lookups={name: Lookups(features, online, reached, replay=replay) for name, features in sets.items()},
        pushes={
            name: Push(source, services.events, writer, clock, feature_sets=sets.values(), replay=replay)
            for name, source in definitions.sources.items()
        },
        online=online,
        keeper=Keeper(metrics.tallies, services.counts, clock, models),
        reviews=Reviews(approvals, guard),
        remote=settings["online.url"] is not None,
        close=services.close,
    )


def _reached(writer: OnlineWriter) -> Reached:
    """How far the online state is now: should it be lost, even who never asked before is not answered from nothing."""
    try:
        return Reached(writer.reached())
    except BackstayError as error:
        _logger.error("the online state cannot be asked as the server starts: %s", error)
        return Reached()


def _guard(services: Services, definitions: Definitions, clock: Clock) -> Guard:
    return Guard(
        Authority(services.ledger, clock, "server", definitions.feature_sets),
        services.token,
        models={name: model.features.name for name, model in definitions.models.items()},
        feature_sets=definitions.feature_sets.keys(),
        sources=users(definitions),
    )


def _limiter(settings: Mapping[str, Any], replay: bool, definitions: Definitions) -> Limiter:
    """Admission goes by the tightest latency that was promised: the setting's, or that of a model.

    In a replay nothing is refused: it comes out the same on a slow machine, only later.
    """
    if replay:
        return Limiter(86_400.0, 1_000_000)
    promised = definitions.objectives.values()
    tightest = min([settings["serving.objective_ms"] / 1000, *(one.latency / SECOND for one in promised)])
    return Limiter(tightest, settings["serving.queue_limit"])
