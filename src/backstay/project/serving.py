"""Builds the server from a project's parts and runs it: in this process, or as several workers on one listener."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from socket import socket
from threading import Lock
from typing import TYPE_CHECKING, Any

from backstay.core.clock import SystemClock
from backstay.core.errors import InputError
from backstay.core.settings import within_bounds
from backstay.features.backfill import Progress, backfill
from backstay.features.online import OnlineWriter
from backstay.project.context import Context
from backstay.project.started import write_down

if TYPE_CHECKING:
    from backstay.serving.board import Board
    from backstay.serving.desk import Desk
    from backstay.serving.server import Beside, Stopping
    from backstay.serving.suspects import Death
    from backstay.serving.tls import Tls
    from backstay.serving.traces import Traces

Ready = Callable[[Mapping[str, Any]], None]


def announce(told: Mapping[str, Any]) -> None:
    """Where the server listens, as one line of JSON on standard output."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Seat:
    """What a worker needs to know. The numbers are descriptors that it inherits, but for those that say otherwise.

    slot, slots: which place on the board, of how many
    grpc_port:   a port, shared by all; None: gRPC is off
    replaces:    whether a worker was there before, so that the online state may have been left behind the record
    tells, ends: where it says that it is ready; what ends with the parent
    """

    path: str
    home: str
    actor: str
    host: str
    replay: bool
    listener: int
    admin: int | None
    grpc_port: int | None
    board: int
    slots: int
    slot: int = 0
    replaces: bool = False
    tells: int = -1
    ends: int = -1


def serve(
    context: Context,
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    replay: bool,
    ready: Ready,
    progress: Progress,
) -> None:
    """Serve every model of the project. In production the online state is first brought up to the record."""
    # uvicorn, and all that is behind it, only where a server is wanted
    from backstay.serving.server import listen
    from backstay.serving.tls import configured, loopback

    settings = context.settings
    host = host or settings["serving.host"]
    port = settings["serving.port"] if port is None else port
    count = settings["serving.workers"] if workers is None else workers
    _check(context, port, count)
    if replay and not loopback(host):
        raise InputError(
            "a replaying server takes its clients' word for the time", where="serving.host", expected="loopback only"
        )
    secure = configured(settings, context.path, host) is not None
    ready = _recorded(context, host, count, secure, replay, ready)
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        token = context.services.home / "token"
        told = {
            "url": url(listener, secure),
            "pid": os.getpid(),
            "replay": replay,
            "token": str(token),
            "workers": count,
        }
        admin = None
        if settings["serving.admin"]:
            admin = stack.enter_context(listen("127.0.0.1", settings["serving.admin_port"], "serving.admin_port"))
            told["admin_url"] = url(admin)
        if not replay:
            fill(context, progress)
        if count == 1:
            rpc = settings["serving.grpc_port"] if settings["serving.grpc"] else None
            run(
                context, host, replay, listener, admin, rpc, stopping=_stopping(settings),
                ready=lambda more: ready(told | dict(more)),
            )  # fmt: skip
            return
        _supervise(context, host, replay, listener, admin, count, lambda more: ready(told | dict(more)), stack)


def _recorded(context: Context, host: str, workers: int, tls: bool, replay: bool, ready: Ready) -> Ready:
    """`ready`, before which the start is written down: whoever is told knows that it is."""

    def recorded(told: Mapping[str, Any]) -> None:
        write_down(
            context.services.ledger, context.settings, host=host, workers=workers, tls=tls,
            at=None if replay else context.clock.now(), actor=context.actor,
        )  # fmt: skip
        ready(told)

    return recorded


def _check(context: Context, port: int, workers: int) -> None:
    within_bounds("serving.port", port, "port")
    within_bounds("serving.workers", workers, "workers")
    if workers > 1 and not isinstance(context.clock, SystemClock):
        raise InputError(
            "workers have clocks of their own", where="workers", expected="1, or a project without a clock"
        )


def _supervise(
    context: Context,
    host: str,
    replay: bool,
    listener: socket,
    admin: socket | None,
    count: int,
    ready: Ready,
    stack: ExitStack,
) -> None:
    """Start the workers and watch over them. What this process had opened to fill the online state is closed."""
    from backstay.registry.routing import Routing
    from backstay.serving.board import Board
    from backstay.serving.cuts import crashed
    from backstay.serving.metrics import WIDTH
    from backstay.serving.server import reserved
    from backstay.serving.supervisor import Supervisor

    settings, rpc = context.settings, None
    if settings["serving.grpc"]:
        holder = stack.enter_context(reserved(host, settings["serving.grpc_port"], "serving.grpc_port"))
        rpc = holder.getsockname()[1]
    context.services.token  # noqa: B018 - made once, before the workers ask for it
    context.services.close()
    one_by_one = Lock()
    file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    board = Board(WIDTH, count + 1, file.fileno())
    base = Seat(
        str(context.path), str(context.services.home), context.actor, host, replay, listener.fileno(),
        None if admin is None else admin.fileno(), rpc, file.fileno(), count + 1,
    )  # fmt: skip

    def start(slot: int, replaces: bool, tells: int, ends: int) -> subprocess.Popen[bytes]:
        seat = asdict(base) | {"slot": slot, "replaces": replaces, "tells": tells, "ends": ends}
        passed = [base.listener, base.board, tells, ends, *([] if base.admin is None else [base.admin])]
        # A session of its own: Ctrl-C is for the parent, which tells its workers once. Its output is for people.
        return subprocess.Popen(
            [sys.executable, "-m", "backstay.project.worker", json.dumps(seat)],
            pass_fds=passed, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True,
        )  # fmt: skip

    def died(deaths: Sequence[Death]) -> None:
        with one_by_one:  # each sees the route that the one before has left
            records = context.records
            for death in deaths:
                crashed(Routing(records.ledger, records.registry), records.clock, death)

    listeners = [listener] if admin is None else [listener, admin]
    Supervisor(start, board, count, ready, _stopping(settings).grace, listeners, died).run()


def fill(context: Context, progress: Progress) -> None:
    """Bring the online state up to the record."""
    services = context.services
    backfill(context.definitions.feature_sets.values(), services.events, services.online, until=None, progress=progress)


def run(
    context: Context,
    host: str,
    replay: bool,
    listener: socket,
    admin: socket | None,
    rpc: int | None,
    *,
    ready: Ready,
    stopping: Stopping,
    board: Board | None = None,
    slot: int = 0,
) -> None:
    """Serve in this process until it is told to stop. `ready` is told what only the running server knows."""
    from backstay.project.desk import parts
    from backstay.project.reviewing import Reviewing
    from backstay.serving.admin import Admin
    from backstay.serving.app import App, Limits
    from backstay.serving.desk import Desk
    from backstay.serving.logs import RequestLog, logging_to_stderr
    from backstay.serving.metrics import Metrics
    from backstay.serving.server import AdminPlane
    from backstay.serving.server import run as run_server
    from backstay.serving.tls import configured

    services, settings = context.services, context.settings
    tls = configured(settings, context.path, host)
    writer = OnlineWriter(services.online, context.definitions.feature_sets.values())
    metrics = Metrics(board, slot)
    if not replay:  # history served again promises nobody anything
        metrics.keep(context.definitions.objectives)
    reviews = Reviewing(context)
    made = parts(services, context.definitions, settings, context.clock, writer, metrics, replay, reviews)
    # History served again is nobody's request.
    desk = Desk(made, None if replay else _traces(context, secure=tls is not None))
    limits = Limits(
        body=settings["serving.body_limit"],
        lookup=settings["serving.lookup_limit"],
        push=settings["serving.push_limit"],
    )
    told: dict[str, Any] = {}
    beside: list[Beside] = []
    if admin is not None:
        beside.append(AdminPlane(Admin(desk), admin))
    if rpc is not None:
        beside.append(_rpc(desk, host, rpc, limits.body, told, shared=board is not None, tls=tls))
    everything = settings["serving.access_log"]
    app = App(desk, limits, RequestLog(settings["serving.slow_ms"] / 1000, everything))
    with logging_to_stderr(settings["serving.log"], everything=everything):
        run_server(app, listener, lambda: ready(told), beside, stopping, tls)


def _rpc(
    desk: Desk, host: str, port: int, limit: int, told: dict[str, Any], *, shared: bool, tls: Tls | None
) -> Beside:
    """The gRPC server; where it listens is told once it does."""
    try:
        from backstay.serving.rpc import Rpc
    except ModuleNotFoundError as error:
        raise InputError(
            f"gRPC is not installed: {error}", where="serving.grpc", fix="pip install 'backstay[grpc]'"
        ) from None
    return Rpc(desk, host, port, limit, lambda address: told.update(grpc=address), shared=shared, tls=tls)


def _traces(context: Context, *, secure: bool) -> Traces | None:
    """What requests are traced by; None where they are not."""
    if context.settings["serving.traces"] == "off":
        return None
    try:
        from backstay.serving.traces import Traces
    except ModuleNotFoundError as error:
        raise InputError(
            f"OpenTelemetry is not installed: {error}", where="serving.traces", fix="pip install 'backstay[otel]'"
        ) from None
    return Traces(context.name, context.settings["serving.trace_share"], "https" if secure else "http")


def _stopping(settings: Mapping[str, Any]) -> Stopping:
    from backstay.serving.server import Stopping

    return Stopping(grace=float(settings["serving.grace"]))


def url(listener: socket, secure: bool = False) -> str:
    host, port = listener.getsockname()[:2]
    return f"http{'s' if secure else ''}://{f'[{host}]' if ':' in host else host}:{port}"
