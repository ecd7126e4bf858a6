"""Which version serves: the `champion` alias of each model, followed by polling the ledger.

An operator may take a model out of service, and back (`backstay.serving.repository`): that is in the ledger too, so
every server follows it, and a restart does not undo it.

A new champion is loaded and verified off the loop, then swapped in by one assignment; requests already being computed
finish on the version they began with. A version that cannot be loaded never replaces one that works.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from backstay.core.errors import IntegrityError, NotFoundError
from backstay.definitions import Model
from backstay.features.lookup import OnlineLookup
from backstay.registry.versions import ModelVersion, Registry
from backstay.runtimes import load
from backstay.serving.routes import Cost, Route, ServedModel
from backstay.storage.ports import Ledger, OnlineState

POLL_SECONDS = 0.1
_logger = logging.getLogger("backstay.serving")


class Champions:
    """Loads champions and keeps the routes on them."""

    def __init__(self, models: Mapping[str, Model], registry: Registry, ledger: Ledger, online: OnlineState) -> None:
        self._models, self._registry, self._ledger = models, registry, ledger
        self._lookups = {name: OnlineLookup(model.features, online) for name, model in models.items()}
        self._revision = -1
        self.problems: dict[str, str] = {}
        """Per model, why its current champion could not be loaded (absent: it is served)."""

    def load(self, name: str) -> ServedModel:
        """The champion of a model, verified file by file. Raises `NotFoundError` if there is none."""
        model = self._models[name]
        move = self._registry.alias(name, "champion")
        if move is None:
            raise NotFoundError(
                f"model {name!r} has no champion", fix=f"promote a version first: backstay promote 1 --model {name}"
            )
        version = self._registry.get(name, move.to)
        honoured(model, version)
        read = partial(self._registry.file, version)
        scorer = load(model, version.manifest.scorer.format, read, where=f"{name}/{version.number}")
        cost = Cost.measured(scorer, len(model.features.vector))
        return ServedModel(model, version, scorer, self._lookups[name], version.manifest.threshold, cost)

    def start(self, routes: Mapping[str, Route]) -> None:
        """Load every champion there is. A champion that cannot be trusted stops the start."""
        self._revision = self._ledger.revision()
        for name, route in routes.items():
            route.unloaded = self._unloaded(name)
            if not route.unloaded and self._registry.alias(name, "champion") is not None:
                route.served = self.load(name)

    async def follow(self, routes: Mapping[str, Route]) -> None:
        """Keep every route on its model's champion, for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._poll(routes)
            except Exception:  # following must outlive whatever one turn meets; what it served goes on being served
                _logger.exception("the champions could not be followed")

    async def _poll(self, routes: Mapping[str, Route]) -> None:
        revision = await asyncio.to_thread(self._ledger.revision)
        if revision == self._revision and not self.problems:
            return
        for name, route in routes.items():
            await self.refresh(name, route)
        self._revision = revision

    async def refresh(self, name: str, route: Route) -> None:
        """Bring one route to what the ledger says now; why that cannot be is in `problems`."""
        route.unloaded = await asyncio.to_thread(self._unloaded, name)
        if route.unloaded:
            route.served = None
            self.problems.pop(name, None)
            return
        move = await asyncio.to_thread(self._registry.alias, name, "champion")
        if move is None or (route.served is not None and route.served.version.number == move.to):
            self.problems.pop(name, None)
            return
        try:
            route.served = await asyncio.to_thread(self.load, name)
            self.problems.pop(name, None)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new version, the old one serves on
            if self.problems.get(name) != str(error):
                _logger.error("version %s of model %s is not served: %s", move.to, name, error)
            self.problems[name] = str(error)

    def _unloaded(self, name: str) -> bool:
        entry = self._ledger.last(SERVING, name)
        return entry is not None and entry.body["action"] == "unload"


SERVING = "serving"
"""The ledger's kind of entry for models taken out of service, and back; its subject is the model."""


def honoured(model: Model, version: ModelVersion) -> None:
    """Refuse a version that was trained on other feature definitions than this server computes."""
    trained = version.manifest.feature_set.hash
    if trained != model.features.hash:
        raise IntegrityError(
            f"version {version.number} of model {model.name!r} was trained on feature set {trained[:12]}",
            where=f"feature set {model.features.name!r}",
            expected=f"the feature set defined here, {model.features.hash[:12]}",
            fix="restore the definitions it was trained with, or train a new version",
        )
