"""The model repository, as the protocol's extension has it: which models there are, and taking them out of service.

`unload` takes a model out of service and `load` takes it back, with its champion of that moment. Both are entries of
the ledger, with who and when: other servers of the same home follow within a fraction of a second; so does a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from backstay.core.clock import Clock
from backstay.serving.champions import SERVING, Champions
from backstay.serving.refusal import Refusal
from backstay.serving.routes import Route, found
from backstay.storage.ports import Ledger


class Repository:
    """Lists, loads and unloads the models of a project."""

    def __init__(self, champions: Champions, routes: Mapping[str, Route], ledger: Ledger, clock: Clock) -> None:
        self._champions, self._routes, self._ledger, self._clock = champions, routes, ledger, clock

    def index(self, *, ready: bool = False) -> list[dict[str, Any]]:
        """Every model, or those that are ready: name, version, state, and the reason if it is not as it should be."""
        rows = [self._row(name, route) for name, route in sorted(self._routes.items())]
        return [row for row in rows if row["state"] == "READY" or not ready]

    def _row(self, name: str, route: Route) -> dict[str, Any]:
        served, problem = route.served, self._champions.problems.get(name, "")
        if served is None:
            return {"name": name, "version": "", "state": "UNAVAILABLE", "reason": problem or route.missing().what}
        return {"name": name, "version": str(served.version.number), "state": "READY", "reason": problem}

    async def load(self, name: str, principal: str) -> None:
        """Take a model (back) into service. Raises `Refusal` (400) if it cannot be."""
        route = found(self._routes, name)
        await self._decide(name, "load", principal)
        if route.served is None:
            raise Refusal(
                400, f"model {name!r} is not served: {self._row(name, route)['reason']}", field="model",
                fix=f"backstay promote NUMBER --model {name}, then load it again",
            )  # fmt: skip

    async def unload(self, name: str, principal: str) -> None:
        """Take a model out of service; requests that are being computed are answered."""
        found(self._routes, name)
        await self._decide(name, "unload", principal)

    async def _decide(self, name: str, action: str, principal: str) -> None:
        body = {"action": action}
        await asyncio.to_thread(self._ledger.append, SERVING, name, body, at=self._clock.now(), actor=principal)
        await self._champions.refresh(name, self._routes[name])
