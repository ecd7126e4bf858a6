"""The desk: what either shell asks, in terms of no transport: models, predictions, features, events.

A shell says who asks and brings the parsed request; the desk checks the role, asks the route, admits the job, and gives
what came out. Whatever cannot be is a `Refusal` or another `BackstayError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backstay.core.clock import Clock
from backstay.core.version import VERSION
from backstay.definitions.sources import type_name
from backstay.serving.admission import Limiter
from backstay.serving.approvals import Reviews
from backstay.serving.batcher import Batcher
from backstay.serving.breaker import Breaker
from backstay.serving.cache import Cache
from backstay.serving.champions import Champions
from backstay.serving.core import Core
from backstay.serving.cuts import Cuts
from backstay.serving.guard import Guard
from backstay.serving.job import Asking, Client, Job, Looking
from backstay.serving.lookups import Lookups
from backstay.serving.metrics import Metrics
from backstay.serving.objectives import Keeper
from backstay.serving.parse import RequestParser
from backstay.serving.push import Push
from backstay.serving.pushing import Pushing
from backstay.serving.refusal import Refusal, absent
from backstay.serving.repository import Repository
from backstay.serving.routes import Route, found
from backstay.serving.shadows import Shadows
from backstay.serving.v2.contract import Contract, Given

if TYPE_CHECKING:
    from backstay.serving.traces import Trace, Traces

_FEW_BYTES = 65_536
"""A body of rows to be looked up that is longer is read by the worker thread."""
_MANY = 64
"""Rows of one request that are looked up on the loop at most."""
INLINE_SECONDS = 0.002
"""What takes longer to score is scored by the worker thread."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a desk is made of.

    routes, contracts, parsers: by model; lookups: by feature set; pushes: by source
    remote: whether the online state is behind a network, and reading it may hold the loop up
    reviews: approvals, for the admin plane
    """

    core: Core
    shadows: Shadows
    cache: Cache | None
    cuts: Cuts
    champions: Champions
    guard: Guard
    metrics: Metrics
    limiter: Limiter
    clock: Clock
    repository: Repository
    routes: Mapping[str, Route]
    contracts: Mapping[str, Contract]
    parsers: Mapping[str, RequestParser]
    lookups: Mapping[str, Lookups]
    pushes: Mapping[str, Push]
    online: Breaker
    keeper: Keeper
    reviews: Reviews
    remote: bool
    close: Callable[[], None]


class Desk:
    """Takes requests from the shells."""

    def __init__(self, parts: Parts, traces: Traces | None = None) -> None:
        self.parts, self.traces = parts, traces
        self.guard, self.metrics, self.limiter, self.clock = parts.guard, parts.metrics, parts.limiter, parts.clock
        self.routes = parts.routes
        self.pushing = Pushing(parts.pushes, remote=parts.remote)
        self.leaving = False
        """Whether the server is about to stop: it is not ready any more, and answers all that comes meanwhile."""
        self._batchers: dict[str, Batcher[Asking]] = {}
        self._lookers: dict[str, Batcher[Looking]] = {}
        self._worker: ThreadPoolExecutor | None = None
        self._follower: asyncio.Task[None] | None = None
        gauges = self.metrics.gauges
        gauges["rows_in_flight"] = ("Rows admitted and not yet answered.", lambda: self.limiter.rows)
        gauges["predictions_lost"] = ("Predictions that this worker has lost.", lambda: parts.core.lost)
        gauges["predictions_failed"] = (
            "Rows that the answering version had no score for.",
            lambda: parts.core.unscored,
        )
        gauges["rows_limit"] = ("Rows that may be in flight, as adapted to the latency.", lambda: self.limiter.limit)
        if (cache := parts.cache) is not None:
            gauges["cache_bytes"] = ("Bytes that the cache of scores takes.", lambda: cache.bytes)
            gauges["cache_hits"] = ("Rows whose score was in the cache.", lambda: cache.hits)
            gauges["cache_misses"] = ("Rows that the model was asked about.", lambda: cache.misses)
        online, shadows = parts.online, parts.shadows
        gauges["share_failed"] = ("Batches that a share's version failed.", lambda: parts.cuts.failed)
        gauges["online_open"] = ("1 while the online state is not asked, but for probes.", lambda: online.open)
        gauges["online_failed"] = ("Reads of the online state that failed.", lambda: online.failed)
        gauges["shadow_rows"] = ("Rows that shadows have predicted.", lambda: shadows.logged)
        gauges["shadow_rows_waiting"] = ("Rows that wait for their shadows.", lambda: shadows.waiting)
        gauges["shadow_rows_shed"] = ("Rows that shadows were not shown: too much to do.", lambda: shadows.shed)
        gauges["shadow_rows_failed"] = ("Rows that shadows could not predict or log.", lambda: shadows.failed)

    def start(self) -> None:
        """Load the champions, and follow them on the running loop. Raises if one of them cannot be trusted."""
        loop, parts = asyncio.get_running_loop(), self.parts
        # One thread: what it computes would not be faster on two, and batches stay in their order.
        worker = self._worker = ThreadPoolExecutor(1, "backstay-worker")
        remote = parts.remote
        for name in self.routes:
            self._batchers[name] = Batcher(
                parts.core.predict, loop, self.limiter, self.metrics, worker=worker,
                blocks=_slow_or_remote if remote else _slow,
            )  # fmt: skip
        for name, one in parts.lookups.items():
            self._lookers[name] = Batcher(
                one.work,
                loop,
                self.limiter,
                self.metrics,
                worker=worker,
                blocks=lambda jobs: remote or _many(jobs),
            )
        parts.champions.start(self.routes)
        self.guard.start()
        self._follower = asyncio.create_task(parts.champions.follow(self.routes))
        parts.keeper.start()

    async def stop(self) -> None:
        """Stop following, write down what is left, and close the stores."""
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
        await self.parts.keeper.stop()
        await self.guard.stop()
        if self._worker is not None:
            self._worker.shutdown()
        await asyncio.to_thread(self.pushing.close)
        await asyncio.to_thread(self.parts.shadows.close)
        await asyncio.to_thread(self.parts.cuts.close)
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)
        self.parts.close()

    def ready(self) -> None:
        """Raise `Refusal` (503) unless every model is served by its champion, or was unloaded on purpose."""
        if self.leaving:
            raise Refusal(503, "the server is about to stop", field="server", fix="ask another one")
        problems = dict(self.parts.champions.problems)
        problems |= {n: "has no champion" for n, r in self.routes.items() if r.served is None and not r.unloaded}
        if problems:
            raise Refusal(503, "; ".join(f"model {name}: {why}" for name, why in problems.items()), field="model")

    @staticmethod
    def server(*more: str) -> dict[str, Any]:
        """The server's metadata, as the protocol has it; `more` extensions are those of a plane."""
        return {"name": "backstay", "version": VERSION, "extensions": ["binary_tensor_data", *more]}

    def model(self, principal: str, name: str) -> dict[str, Any]:
        """Which version of a model serves, and what it takes."""
        snapshot, champions = self.route(principal, name).taken(), self.parts.champions
        served = snapshot.champion.served
        return {
            "model": name,
            "version": served.version.number,
            "digest": served.version.digest,
            "route": snapshot.told(),
            "route_entry": None if snapshot.entry is None else snapshot.entry.entry_id,
            "feature_set": served.model.features.hash,
            "keys": list(served.model.keys),
            "fields": {feature.name: type_name(feature.dtype) for feature in served.model.features.requests},
            "problem": champions.problems.get(name) or champions.lacking.get(name),
        }

    def metadata(self, principal: str, name: str, version: str) -> dict[str, Any]:
        """A model's metadata, as the protocol has it."""
        route = self.route(principal, name)
        route.version(version)
        version_served = route.taken().champion.served.version
        return self.parts.contracts[name].metadata(version_served.number, version_served.manifest.scorer.format)

    def route(self, principal: str, name: str) -> Route:
        """The route of a model that the principal may use."""
        self.guard.model(principal, name)
        return found(self.routes, name)

    def by_key(self, name: str, data: bytes, deadline: float, client: Client | None) -> tuple[Asking, bool]:
        """A job of rows that are asked by key; whether they came as many."""
        snapshot = self.routes[name].taken()
        at = self.clock.now()
        asked, many = self.parts.parsers[name].parse(data, at)
        job = Asking(
            len(asked), deadline, client,
            choice=snapshot.champion, asked=asked, at=asked[0].at if asked else at, snapshot=snapshot,
        )  # fmt: skip
        if snapshot.entry is not None and asked:
            job.assign(snapshot.each([one.keys for one in asked]))
        return job, many

    def by_inputs(
        self,
        name: str,
        given: Given,
        deadline: float,
        client: Client | None,
        *,
        version: str = "",
        request_id: str = "",
    ) -> Asking:
        """A job of rows that bring the model's inputs. Whoever names the champion's version is answered by it."""
        snapshot = self.routes[name].taken()
        job = Asking(
            len(given.vector), deadline, client,
            choice=snapshot.alone if version else snapshot.champion,
            vector=given.vector, keys=given.keys, at=self.clock.now(), snapshot=snapshot,
        )  # fmt: skip
        if snapshot.entry is not None and not version:
            job.assign(snapshot.each(given.keys) if given.keys else snapshot.one(request_id))
        return job

    def submit(self, name: str, job: Asking) -> None:
        """Take a job of a model; its future is resolved when it has its answer or its error.

        Raises `Refusal` if it is not let in.
        """
        self._batchers[name].submit(job)

    async def done(self, name: str, job: Asking) -> None:
        """The same, and wait; raises the job's error. A job of no rows is done."""
        if job.rows:
            await self._done(self._batchers[name], job)

    async def looked_up(
        self, name: str, data: bytes, deadline: float, client: Client | None, trace: Trace | None = None
    ) -> dict[str, Any]:
        """Features of some entities, with statuses and ages."""
        lookups = self.parts.lookups.get(name)
        if lookups is None:
            raise absent("feature set", "feature_set", name, self.parts.lookups)
        if len(data) <= _FEW_BYTES:
            at, asked = lookups.parse(data, self.clock.now())
        else:
            loop = asyncio.get_running_loop()
            at, asked = await loop.run_in_executor(self._worker, lookups.parse, data, self.clock.now())
        if not asked:
            return lookups.answer(at, [])
        job = Looking(len(asked), deadline, client, asked=asked)
        if trace is not None:
            trace.follow(job)
        await self._done(self._lookers[name], job)
        assert job.answer is not None
        return lookups.answer(at, job.answer)

    @staticmethod
    async def _done(batcher: Batcher[Any], job: Job[Any]) -> None:
        await batcher.submit(job)
        if job.error is not None:
            raise job.error


def _many(jobs: Sequence[Job[Any]]) -> bool:
    """Whether one of these asks for so many features that it would hold up who asks for few."""
    return any(job.rows > _MANY for job in jobs)


def _slow(jobs: Sequence[Asking]) -> bool:
    """Whether answering these would hold the loop up."""
    cost = jobs[0].choice.served.cost
    if cost.of(sum(job.rows for job in jobs)) > INLINE_SECONDS:
        return True
    return _many(jobs) and any(job.asked is not None for job in jobs)


def _slow_or_remote(jobs: Sequence[Asking]) -> bool:
    return any(job.asked is not None for job in jobs) or _slow(jobs)
