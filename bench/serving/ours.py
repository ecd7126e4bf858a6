"""Our server as it is, or without one of its parts: `python -m bench.serving.ours PROJECT PORT [PART]`.

What a part costs is what the server gains without it. It is taken out by replacing it with nothing, here only:

    log        predictions are not written down
    metrics    nothing is counted
    token      nobody is asked who they are
    admission  everything is let in
    batching   each request is computed by itself
    lane       each request is a task of the ASGI application
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def without_log() -> None:
    from backstay.storage.backends.local import LocalPredictions

    LocalPredictions.submit = lambda *_: None  # type: ignore[method-assign]


def without_metrics() -> None:
    from backstay.serving.metrics import Metrics

    for name in ("observe", "batch", "answered"):
        setattr(Metrics, name, lambda *_: None)


def without_token() -> None:
    from backstay.serving.guard import HOME, Guard

    Guard.require = lambda *_: HOME  # type: ignore[method-assign]
    Guard.model = lambda *_: None  # type: ignore[method-assign]


def without_admission() -> None:
    from backstay.serving.admission import Limiter

    for name in ("admit", "enter", "leave", "served"):
        setattr(Limiter, name, lambda *_: None)
    Limiter.full = False  # type: ignore[assignment,method-assign]


def without_batching() -> None:
    from backstay.serving import batcher

    batcher.LARGEST = 1


def without_lane() -> None:
    from backstay.serving import protocol

    protocol.straight = lambda *_: False


PARTS: dict[str, Callable[[], Any]] = {
    "log": without_log,
    "metrics": without_metrics,
    "token": without_token,
    "admission": without_admission,
    "batching": without_batching,
    "lane": without_lane,
}


def main() -> None:
    project, port, *parts = sys.argv[1:]
    for part in parts:
        PARTS[part]()
    from backstay import Project

    Project(project).serve(port=int(port))


if __name__ == "__main__":
    main()
