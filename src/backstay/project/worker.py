"""A worker of a server that has several: `python -m backstay.project.worker SEAT`, started by the supervisor only.

It opens the project anew and shares nothing with the others but what the seat names; see `backstay.serving.supervisor`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any

from backstay.core.errors import BackstayError
from backstay.project.context import Context
from backstay.project.serving import Seat, fill, run


def main(seat: Seat) -> int:
    """Serve until told to stop. Tells the parent once: that it is ready, or why it cannot be."""

    def tell(told: Mapping[str, Any]) -> None:
        os.write(seat.tells, json.dumps(dict(told)).encode() + b"\n")

    try:
        _serve(seat, tell)
    except BackstayError as error:
        kind = type(error).__name__
        tell({"kind": kind, "error": error.what, "where": error.where, "expected": error.expected, "fix": error.fix})
        return 1
    return 0


def _serve(seat: Seat, tell: Any) -> None:
    from backstay.serving.board import Board
    from backstay.serving.metrics import WIDTH
    from backstay.serving.server import Stopping

    context = Context(seat.path, home=seat.home, actor=seat.actor)
    if seat.replaces and not seat.replay:
        fill(context, lambda *_: None)
    run(
        context, seat.host, seat.replay, socket.socket(fileno=seat.listener),
        None if seat.admin is None else socket.socket(fileno=seat.admin), seat.grpc_port,
        ready=tell, stopping=Stopping(grace=float(context.settings["serving.grace"]), parent=seat.ends),
        board=Board(WIDTH, seat.slots, seat.board), slot=seat.slot,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(Seat(**json.loads(sys.argv[1]))))
