"""Which versions serve: the `champion` alias and the route of each model, followed by polling the ledger.

An operator may take a model out of service, and back (`backstay.serving.repository`): that is in the ledger too, so
every server follows it, and a restart does not undo it.

What is new is loaded and verified off the loop, then swapped in by one assignment; requests already being computed
finish on the versions they began with. A version that cannot be loaded never replaces one that works. The version to
which a rollback would go stays in memory, so a rollback loads nothing; and it waits for nothing that is being loaded,
of its own model or another.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import replace

from backstay.core.errors import BackstayError, IntegrityError
from backstay.definitions import Model
from backstay.evaluation.calibration.rule import Rule
from backstay.features.lookup import OnlineLookup, Reached
from backstay.registry.routing import RouteEntry, Routing
from backstay.registry.rules import Rules
from backstay.registry.versions import ModelVersion, Registry
from backstay.runtimes import load
from backstay.serving.outlived import Outlived
from backstay.serving.routes import Cost, Route, ServedModel, Snapshot
from backstay.storage.ports import Ledger, OnlineState

POLL_SECONDS = 0.1
_logger = logging.getLogger("backstay.serving")


class Champions:
    """Loads versions and keeps the routes on what the ledger says."""

    def __init__(
        self,
        models: Mapping[str, Model],
        registry: Registry,
        ledger: Ledger,
        online: OnlineState,
        reached: Reached | None = None,
    ) -> None:
        self._models, self._registry, self._ledger = models, registry, ledger
        self._lookups = {name: OnlineLookup(model.features, online, reached) for name, model in models.items()}
        self._routing, self._rules = Routing(ledger, registry), Rules(ledger, registry)
        self._warm: dict[str, dict[int, ServedModel]] = {name: {} for name in models}
        """By model and number, every loaded version."""
        self._turns = {name: asyncio.Lock() for name in models}
        self._swaps = {name: threading.Lock() for name in models}
        """Held while what the ledger says of warm versions is put in force: never while one is loaded."""
        self._followed: dict[str, int] = {}
        """By model, the ledger's revision up to which it was followed; `_glanced`: as far as versions are warm."""
        self._glanced: dict[str, int] = {}
        self._following: dict[str, asyncio.Task[None]] = {}
        self._polling = Outlived("the champions could not be followed")
        self._refreshing = {name: Outlived(f"the champion of model {name} could not be followed") for name in models}
        self.problems: dict[str, str] = {}
        """Per model, why its champion could not be loaded (absent: it is served)."""
        self.lacking: dict[str, str] = {}
        """Per model, why a version of its route could not be loaded: the champion takes its share."""
        self._errors: dict[str, Exception] = {}

    def load(self, name: str, number: int) -> ServedModel:
        """A version of a model, verified file by file (the one in memory, if it is there), with the rule in force."""
        known = self._known(name, number)
        if known is not None:
            return known
        model, version = self._models[name], self._registry.get(name, number)
        honoured(model, version)
        read = self._registry.reader(version)
        scorer = load(model, version.manifest.scorer.format, read, where=f"{name}/{version.number}")
        cost = Cost.measured(scorer, len(model.features.vector))
        return ServedModel(model, version, scorer, self._lookups[name], self._rule(version), cost)

    def _known(self, name: str, number: int) -> ServedModel | None:
        """A version that is in memory, with the rule in force."""
        warm = self._warm[name]
        known = warm.get(number)
        if known is None:
            return None
        rule = self._rule(known.version)
        if known.rule.name != rule.name:
            known = warm[number] = replace(known, rule=rule)
        return known

    def _rule(self, version: ModelVersion) -> Rule:
        found = self._rules.in_force(version)
        return Rule.of(found.threshold, found.calibrator, found.name)

    def start(self, routes: Mapping[str, Route]) -> None:
        """Load every version that answers. A champion that cannot be trusted stops the start."""
        revision = self._ledger.revision()
        for name, route in routes.items():
            self._bring(name, route)
            self._followed[name] = revision
            if name in self.problems and route.snapshot is None:
                raise self._errors[name]

    async def follow(self, routes: Mapping[str, Route]) -> None:
        """Keep every route on its model's champion, for ever."""
        try:
            while True:
                await asyncio.sleep(POLL_SECONDS)
                with self._polling:  # what it served is served on
                    await self._poll(routes)
        finally:
            for task in self._following.values():
                task.cancel()

    async def _poll(self, routes: Mapping[str, Route]) -> None:
        """Begin to follow what has changed; what is being loaded is not waited for."""
        revision = await asyncio.to_thread(self._ledger.revision)
        for name, route in routes.items():
            if self._followed.get(name) == revision and name not in self.problems and name not in self.lacking:
                continue
            if name not in self._following:
                task = self._following[name] = asyncio.create_task(self._follow(name, route, revision))
                task.add_done_callback(lambda _, name=name: self._following.pop(name))  # type: ignore[misc]
            elif self._glanced.get(name) != revision:
                self._glanced[name] = revision
                await asyncio.to_thread(self._swap, name, route, {})

    async def _follow(self, name: str, route: Route, revision: int) -> None:
        with self._refreshing[name]:  # it is tried again at the next turn
            await self.refresh(name, route)
            self._followed[name] = revision

    async def refresh(self, name: str, route: Route) -> None:
        """Bring one route to what the ledger says now; why that cannot be is in `problems`."""
        async with self._turns[name]:
            await asyncio.to_thread(self._bring, name, route)

    def _bring(self, name: str, route: Route) -> None:
        """What `refresh` does, in a thread of its own: the swap is one assignment, whoever makes it."""
        failed: dict[int, Exception] = {}
        while True:
            wanted = self._swap(name, route, failed)
            missing = [number for number in wanted if number not in self._warm[name] and number not in failed]
            if not missing:
                break
            for number in missing:
                try:
                    self._warm[name][number] = self.load(name, number)
                except Exception as error:  # noqa: BLE001 - whatever is wrong with it, what serves goes on serving
                    failed[number] = error
        if wanted and name not in self.problems:
            self._keep(name, wanted)

    def _swap(self, name: str, route: Route, failed: Mapping[int, Exception]) -> Collection[int]:
        """Put in force what the ledger says now, as far as its versions are in memory; which ones it says.

        failed: those that cannot be loaded, and why
        """
        with self._swaps[name]:
            route.unloaded = self._unloaded(name)
            move = None if route.unloaded else self._registry.alias(name, "champion")
            if move is None:
                if route.unloaded:
                    route.snapshot = None
                self.problems.pop(name, None)
                return ()
            champion = self._known(name, move.to)
            if champion is None:
                if move.to in failed:  # the old one serves on
                    _told(self.problems, name, failed[move.to], move.to)
                    self._errors[name] = failed[move.to]
                return (move.to,)
            entry = self._routing.get(name)
            # A baseline is the champion's, or nobody's: it needs no version of its own.
            parts = [] if entry is None else [part for part in entry.parts if not part.baseline]
            found = {part.digest: self._known(name, part.version) for part in parts}
            loaded = {digest: one for digest, one in found.items() if one is not None}
            before = route.snapshot
            if before is None or before.champion.served is not champion or not _same(before, entry, loaded):
                route.snapshot = Snapshot(champion, entry, loaded)
            self.problems.pop(name, None)
            lacking = next((part.version for part in parts if part.version in failed), None)
            if lacking is not None:  # its share stays with the champion
                _told(self.lacking, name, failed[lacking], lacking)
            elif len(loaded) == len(found):
                self.lacking.pop(name, None)
            return (move.to, *(part.version for part in parts))

    def _keep(self, name: str, wanted: Collection[int]) -> None:
        """Let go of what is no longer needed, and load the version to which a rollback would go."""
        before, keep = self._routing.before(name), dict.fromkeys(wanted)
        try:
            if before is not None:
                self._warm[name][before] = self.load(name, before)
                keep[before] = None
        except BackstayError as error:
            _logger.warning("version %s of model %s could not be kept for a rollback: %s", before, name, error)
        self._warm[name] = {number: one for number, one in self._warm[name].items() if number in keep}

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
