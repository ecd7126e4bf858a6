"""What a server writes down as it starts: the machine, the versions and the settings it serves with.

One entry of the ledger a start, once requests are taken, whatever the number of workers: kind "server", subject
"started". No secret is in it, and nothing that differs between two starts of the same deployment: no token, URL,
address of a store, process, port or path.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstay.core.machine import machine
from backstay.core.version import VERSION
from backstay.registry.environment import packages
from backstay.storage.ports import Ledger

SERVER, STARTED = "server", "started"
"""The ledger's kind and subject of the entry."""
_SECTIONS = ("features", "online", "predictions", "serving")
_LEFT_OUT = frozenset({
    "online.url", "serving.port", "serving.grpc_port", "serving.admin_port", "serving.tls_certificate",
    "serving.tls_key",
})  # fmt: skip
_PACKAGES = ("onnxruntime", "lightgbm", "xgboost", "polars", "numpy", "deltalake", "lmdb", "redis", "uvicorn")


def in_force(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say how a deployment serves."""
    return {
        name: value
        for name, value in settings.items()
        if name.partition(".")[0] in _SECTIONS and name not in _LEFT_OUT and value is not None
    }


def online_store(url: str | None) -> str:
    """What keeps the online state, without saying where.

    >>> online_store(None), online_store("rediss://:secret@host:6379/0")
    ('LMDB, in the home', 'Redis or Valkey, over TLS')
    """
    if url is None:
        return "LMDB, in the home"
    return "Redis or Valkey" + (", over TLS" if url.startswith("rediss:") else "")


def write_down(
    ledger: Ledger,
    settings: Mapping[str, Any],
    *,
    host: str,
    workers: int,
    tls: bool,
    at: int | None,
    actor: str,
) -> None:
    """Record that a server has started.

    at: when; None in a replay, which has no time of its own: it is recorded at the moment of what was recorded last, so
        that two replays of the same history have the same ledger
    """
    body = {
        "machine": machine(),
        "packages": {"backstay": VERSION, **packages(_PACKAGES)},
        "workers": workers,
        "tls": tls,
        "online": online_store(settings["online.url"]),
        "replay": at is None,
        "settings": in_force(settings) | {"serving.host": host, "serving.workers": workers},
    }
    ledger.append(SERVER, STARTED, body, at=_before(ledger) if at is None else at, actor=actor)


def _before(ledger: Ledger) -> int:
    """When the last entry was written."""
    return max((entry.at for entry in ledger.entries(after=ledger.revision() - 1)), default=0)
