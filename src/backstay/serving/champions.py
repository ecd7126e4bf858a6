"""Which versions serve: the `champion` alias and the route of each model, followed by polling the ledger.

An operator may take a model out of service, and back (`backstay.serving.repository`): that is in the ledger too, so
every server follows it, and a restart does not undo it.

What is new is loaded and verified off the loop, then swapped in by one assignment; requests already being computed
finish on the versions they began with. A version that cannot be loaded never replaces one that works. The version to
which a rollback would go stays in memory, so a rollback loads nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from backstay.core.errors import BackstayError, IntegrityError
from backstay.definitions import Model
from backstay.evaluation.calibration.rule import Rule
from backstay.features.lookup import OnlineLookup
from backstay.registry.routing import RouteEntry, Routing
from backstay.registry.rules import Rules
from backstay.registry.versions import ModelVersion, Registry
from backstay.runtimes import load
from backstay.serving.routes import Cost, Route, ServedModel, Snapshot
from backstay.storage.ports import Ledger, OnlineState

POLL_SECONDS = 0.1
_logger = logging.getLogger("backstay.serving")


class Champions:
    """Loads versions and keeps the routes on what the ledger says."""

    def __init__(self, models: Mapping[str, Model], registry: Registry, ledger: Ledger, online: OnlineState) -> None:
        self._models, self._registry, self._ledger = models, registry, ledger
        self._lookups = {name: OnlineLookup(model.features, online) for name, model in models.items()}
        self._routing, self._rules = Routing(ledger, registry), Rules(ledger, registry)
        self._warm: dict[str, dict[int, ServedModel]] = {name: {} for name in models}
        """By model and number, every loaded version."""
        self._turns = {name: asyncio.Lock() for name in models}
        self._revision = -1
        self.problems: dict[str, str] = {}
        """Per model, why its champion could not be loaded (absent: it is served)."""
        self.lacking: dict[str, str] = {}
        """Per model, why a version of its route could not be loaded: the champion takes its share."""
        self._errors: dict[str, Exception] = {}

    def load(self, name: str, number: int) -> ServedModel:
        """A version of a model, verified file by file (the one in memory, if it is there), with the rule in force."""
        known = self._warm[name].get(number)
        if known is not None:
            rule = self._rule(known.version)
            return known if known.rule.name == rule.name else replace(known, rule=rule)
        model, version = self._models[name], self._registry.get(name, number)
        honoured(model, version)
        read = self._registry.reader(version)
        scorer = load(model, version.manifest.scorer.format, read, where=f"{name}/{version.number}")
        cost = Cost.measured(scorer, len(model.features.vector))
        return ServedModel(model, version, scorer, self._lookups[name], self._rule(version), cost)

    def _rule(self, version: ModelVersion) -> Rule:
        found = self._rules.in_force(version)
        return Rule.of(found.threshold, found.calibrator, found.name)

    def start(self, routes: Mapping[str, Route]) -> None:
        """Load every version that answers. A champion that cannot be trusted stops the start."""
        self._revision = self._ledger.revision()
        for name, route in routes.items():
            self._bring(name, route)
            if name in self.problems and route.snapshot is None:
                raise self._errors[name]

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
        if revision == self._revision and not self.problems and not self.lacking:
            return
        # Side by side: one model that takes long to load must not hold up another's rollback.
        await asyncio.gather(*(self.refresh(name, route) for name, route in routes.items()))
        self._revision = revision

    async def refresh(self, name: str, route: Route) -> None:
        """Bring one route to what the ledger says now; why that cannot be is in `problems`."""
        async with self._turns[name]:
            await asyncio.to_thread(self._bring, name, route)

    def _bring(self, name: str, route: Route) -> None:
        """What `refresh` does, in a thread of its own: the swap is one assignment, whoever makes it."""
        route.unloaded = self._unloaded(name)
        move = None if route.unloaded else self._registry.alias(name, "champion")
        if move is None:
            if route.unloaded:
                route.snapshot = None
            self.problems.pop(name, None)
            return
        try:
            champion = self.load(name, move.to)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new version, the old one serves on
            _told(self.problems, name, error, move.to)
            self._errors[name] = error
            return
        entry, keep, loaded = self._routing.get(name), {move.to: champion}, {}
        lacking: tuple[Exception, int] | None = None
        for part in () if entry is None else entry.parts:
            if part.baseline:
                continue  # the champion's, or nobody's
            try:
                loaded[part.digest] = keep[part.version] = self.load(name, part.version)
            except Exception as error:  # noqa: BLE001 - its share stays with the champion
                lacking = (error, part.version)
        before = route.snapshot
        if before is None or before.champion.served is not champion or not _same(before, entry, loaded):
            route.snapshot = Snapshot(champion, entry, loaded)
        self.problems.pop(name, None)
        if lacking is None:
            self.lacking.pop(name, None)
        else:
            _told(self.lacking, name, *lacking)
        self._keep(name, keep)

    def _keep(self, name: str, keep: dict[int, ServedModel]) -> None:
        """Let go of what is no longer needed, and load the version to which a rollback would go."""
        before = self._routing.before(name)
        try:
            if before is not None and before not in keep:
                keep[before] = self.load(name, before)
        except BackstayError as error:
            _logger.warning("version %s of model %s could not be kept for a rollback: %s", before, name, error)
        self._warm[name] = keep

    def _unloaded(self, name: str) -> bool:
        entry = self._ledger.last(SERVING, name)
        return entry is not None and entry.body["action"] == "unload"


def _told(problems: dict[str, str], name: str, error: Exception, number: int) -> None:
    if problems.get(name) != str(error):
        _logger.error("version %s of model %s is not served: %s", number, name, error)
    problems[name] = str(error)


def _same(snapshot: Snapshot, entry: RouteEntry | None, loaded: Mapping[str, ServedModel]) -> bool:
    """Whether a snapshot is already what this route says, with these versions."""
    before = None if snapshot.entry is None else snapshot.entry.entry_id
    if before != (None if entry is None else entry.entry_id) or snapshot.loaded.keys() != loaded.keys():
        return False
    return all(snapshot.loaded[digest] is served for digest, served in loaded.items())


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
