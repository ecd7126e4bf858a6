"""What a replay waits for, since a server does it by itself: that it follows the ledger, and that shadows are done."""

from __future__ import annotations

import time

from backstay.core.errors import BackstayError
from backstay.registry.routing import RouteEntry
from backstay.registry.versions import AliasMove
from backstay.replay.client import Client

_SECONDS = 30
_PAUSE_SECONDS = 0.01


def followed(client: Client, model: str, champion: AliasMove | None, route: RouteEntry | None) -> None:
    """Wait until the running server serves this champion, by this entry of the route."""
    deadline = time.monotonic() + _SECONDS
    entry = None if route is None else route.entry_id
    while True:
        told = client.get(f"/v1/models/{model}")
        if champion is None or (told["version"] == champion.to and told["route_entry"] == entry):
            return
        if told["problem"] or time.monotonic() > deadline:
            wanted = f"version {champion.to}" + ("" if route is None else f" and the route of entry {entry}")
            raise BackstayError(
                f"the server did not follow to {wanted}: {told['problem'] or 'it is still on another'}",
                where=f"model {model!r}",
            )
        time.sleep(_PAUSE_SECONDS)


def shadows_done(client: Client) -> tuple[int, int]:
    """Wait until no row waits for its shadows; how many rows they have scored, and how many they were not shown."""
    deadline = time.monotonic() + _SECONDS
    while True:
        told = client.gauges("backstay_shadow_rows_waiting", "backstay_shadow_rows", "backstay_shadow_rows_shed")
        if told[0] == 0:
            return int(told[1]), int(told[2])
        if time.monotonic() > deadline:
            raise BackstayError(f"{told[0]:,.0f} rows still wait for their shadows", where="the server's metrics")
        time.sleep(_PAUSE_SECONDS)
