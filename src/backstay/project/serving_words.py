"""How a deployment serves, in words: batches, admission, logging and breakers, by the settings in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstay.core.times import duration_text
from backstay.project.loading import Definitions


def in_words(settings: Mapping[str, Any], definitions: Definitions, server: Mapping[str, Any] | None) -> dict[str, str]:
    """What each part of serving does, one sentence each. `server` is what the last one wrote down as it started."""
    from backstay.serving.batcher import LARGEST
    from backstay.serving.breaker import FAILURES, PAUSE_SECONDS

    queue, rows, cache = (settings[f"serving.{name}"] for name in ("queue_limit", "rows_limit", "cache_bytes"))
    workers, grpc, admin = (settings[f"serving.{name}"] for name in ("workers", "grpc", "admin"))
    tls = bool(server["tls"]) if server is not None else settings["serving.tls_certificate"] is not None
    policies = ", ".join(f"{one.on_failure} ({name})" for name, one in definitions.feature_sets.items())
    return {
        "protocols": "REST and gRPC" if grpc else "REST",
        "listens on": f"{settings['serving.host']}, {'with' if tls else 'without'} TLS"
        f"{'; an admin plane on loopback' if admin else ''}",
        "workers": f"{workers}, {'each a process' if workers > 1 else 'one process'} that accepts, computes and logs",
        "batching": f"what is in flight together, up to {LARGEST} rows; nothing waits to fill a batch",
        "admission": "nothing is refused: it replays history"
        if server is not None and server["replay"]
        else f"what can be answered in half of {_tightest(settings, definitions)}, at the measured rate;"
        f" at most {queue:,} rows in flight and {rows:,} in a request; the rest is 429",
        "prediction log": f"{settings['predictions.mode']}: {_MODES[settings['predictions.mode']]}",
        "cache of scores": f"{cache:,} bytes a worker" if cache else "none",
        "online state down": f"after {FAILURES} failures in a row only a probe every {PAUSE_SECONDS:g} s asks it; "
        f"answers by the feature set's policy: {policies}",
        "a share that fails": "is answered by the champion, and cut to zero by the bounds of its model's breakers",
        "stopping": f"not ready any more, {settings['serving.grace']} s of grace, then what is in flight is answered",
    }


_MODES = {
    "durable": "written before it is answered; a killed process loses nothing",
    "sync": "on the disk before it is answered; a power cut loses nothing",
    "lossy": "answered at once; losses are counted",
}


def _tightest(settings: Mapping[str, Any], definitions: Definitions) -> str:
    """The latency that admission goes by, and whose it is."""
    promised = {f"promised by {name}": one.latency for name, one in definitions.objectives.items()}
    latencies = {"serving.objective_ms": settings["serving.objective_ms"] * 1_000, **promised}
    whose = min(latencies, key=latencies.__getitem__)
    return f"{duration_text(latencies[whose])} ({whose})"
