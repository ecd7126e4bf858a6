"""OpenTelemetry traces: a span for a request, and below it one for each of its stages.

Whether a request is traced is settled when it is let in: by its caller, in `traceparent`, or else by chance. While it
is answered only the times of its stages are noted. Its spans are made once the answer is written, and a thread of the
SDK exports them over OTLP; what it cannot deliver it drops and logs, and no request waits for it.

The spans are built whole, by the SDK's `ReadableSpan`: its tracer, which is made for spans that are open while code
runs in them, takes ten times as long, and that on the loop.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from random import random
from threading import Thread
from time import monotonic, time_ns
from typing import Any, Protocol

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from backstay.core.version import VERSION
from backstay.serving.job import Asking, Job, Stages

LAST_SECONDS = 2.0
"""For how long a server that stops waits for the collector."""
_GIVES_WAY = 0.0005
"""Seconds for which a thread holds the interpreter while another waits for it; Python's own are ten times as many."""
_LONGEST = 200
"""Characters of what a client has named."""
_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED, _FAILED = TraceFlags(TraceFlags.SAMPLED), Status(StatusCode.ERROR)


class Incoming(Protocol):
    """What is asked of a request over HTTP; `begun` is on the monotonic clock."""

    begun: float
    method: str
    path: str
    headers: Mapping[bytes, bytes]


class Traces:
    """Decides which requests are traced, and takes their spans. It starts the thread that exports them.

    service: what the traces are filed under
    share:   of the requests whose callers have not decided, how many are traced: 0 to 1
    scheme:  of the server's URL
    """

    def __init__(self, service: str, share: float, scheme: str) -> None:
        self._share, self._scheme = share, scheme
        self._ids = RandomIdGenerator()
        self._resource = Resource.create({"service.name": service, "process.pid": os.getpid()})
        self._scope = InstrumentationScope("backstay", VERSION)
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        # The exporting thread encodes in Python, hundreds of spans at once: the loop must not wait for it each time.
        sys.setswitchinterval(_GIVES_WAY)

    def asked(self, request: Incoming, route: str, **about: str) -> Trace | None:
        """A request over HTTP has come in, about a model or a feature set; None if it is not traced."""
        headers = request.headers
        trace = self._begun(headers.get(b"traceparent"), headers.get(b"tracestate"), request.begun)
        if trace is not None:
            trace.describe(
                f"{request.method} {route}",
                {
                    "http.request.method": request.method, "http.route": route, "url.path": request.path,
                    "url.scheme": self._scheme,
                },
                about,
            )  # fmt: skip
        return trace

    def called(
        self, method: str, metadata: Iterable[tuple[str, str | bytes]] | None, begun: float, **about: str
    ) -> Trace | None:
        """A call over gRPC has come in; None if it is not traced."""
        given = {name: value.encode() if isinstance(value, str) else value for name, value in metadata or ()}
        trace = self._begun(given.get("traceparent"), given.get("tracestate"), begun)
        if trace is not None:
            trace.describe(method, {"rpc.system.name": "grpc", "rpc.method": method}, about)
        return trace

    def _begun(self, traceparent: bytes | None, tracestate: bytes | None, begun: float) -> Trace | None:
        parent = named(traceparent)
        if parent is None:
            return Trace(self, begun, None, None) if random() < self._share else None  # noqa: S311 - no secret
        if not parent.trace_flags.sampled:
            return None
        state = None if tracestate is None else TraceState.from_header([tracestate.decode("latin-1")])
        return Trace(self, begun, parent, state)

    def context(self, trace: int | None, state: TraceState | None) -> SpanContext:
        """Of a new span, in this trace or in a new one."""
        ids = self._ids
        return SpanContext(trace or ids.generate_trace_id(), ids.generate_span_id(), False, _SAMPLED, state)

    def take(self, name: str, context: SpanContext, parent: SpanContext | None, **more: Any) -> None:
        """Queue a span for the exporting thread. It never waits; a queue that is full drops its oldest."""
        self._processor.on_end(
            ReadableSpan(name, context, parent, self._resource, instrumentation_scope=self._scope, **more)
        )

    def close(self) -> None:
        """Export what is left; a collector that is down does not hold up the server's end for longer than it must."""
        last = Thread(target=self._processor.shutdown, name="backstay-traces", daemon=True)
        last.start()
        last.join(LAST_SECONDS)


class Trace:
    """One request that is traced, until its spans are made."""

    __slots__ = ("_attributes", "_begun", "_job", "_name", "_parent", "_stages", "_state", "_traces")

    def __init__(self, traces: Traces, begun: float, parent: SpanContext | None, state: TraceState | None) -> None:
        self._traces, self._begun, self._parent, self._state = traces, begun, parent, state
        self._name, self._attributes = "", dict[str, Any]()
        self._stages: Stages = []
        self._job: Job[Any] | None = None

    def describe(self, name: str, attributes: dict[str, str], about: dict[str, str]) -> None:
        """Name it, and say what is known of it from the beginning."""
        self._name = name
        self._attributes = {key: value[:_LONGEST] for key, value in attributes.items()}
        self._attributes |= {f"backstay.{key}": value[:_LONGEST] for key, value in about.items()}

    def follow(self, job: Job[Any]) -> None:
        """The request is parsed: what becomes of its job is noted from here on."""
        self._job = job
        self._stages.append(("parse", self._begun, job.begun))
        job.watch(self._stages)

    def answered(self, status: int, begin: float, end: float, identity: bytes, code: str = "") -> None:
        """The answer was written, from `begin` to `end` on the monotonic clock: hand over the spans.

        code: gRPC's name of the status, of a call
        """
        job, self._job = self._job, None  # it refers to the request, and that to this: no work for the collector
        attributes = self._attributes | _known(job) | {"backstay.request_id": identity.decode()}
        attributes["rpc.response.status_code" if code else "http.response.status_code"] = code or status
        more: dict[str, Any] = {"kind": SpanKind.SERVER, "attributes": attributes}
        if status >= 500:
            attributes["error.type"] = code or str(status)
            more["status"] = _FAILED
        parent, state, take = self._parent, self._state, self._traces.take
        root = self._traces.context(None if parent is None else parent.trace_id, state)
        zero = time_ns() - int(monotonic() * 1e9)
        for name, first, last in (*self._stages, ("write", begin, end)):
            own = self._traces.context(root.trace_id, state)
            take(name, own, root, start_time=zero + int(first * 1e9), end_time=zero + int(last * 1e9))
        start, stop = zero + int(self._begun * 1e9), zero + int(end * 1e9)
        take(self._name, root, parent, start_time=start, end_time=stop, **more)


def _known(job: Job[Any] | None) -> dict[str, Any]:
    """What a job tells of itself once it is done."""
    if job is None:
        return {}
    out: dict[str, Any] = {"backstay.rows": job.rows}
    if isinstance(job, Asking):
        if job.version is not None:
            out["backstay.version"] = job.version
        if job.answer is not None and job.rows == 1:
            out["backstay.prediction_id"] = job.answer.ids[0]
    return out


def named(traceparent: bytes | None) -> SpanContext | None:
    """The span that a `traceparent` names, by the W3C's rules; None where it names none.

    >>> span = named(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    >>> f"{span.trace_id:032x}", f"{span.span_id:016x}", span.trace_flags.sampled
    ('0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', True)
    >>> named(b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01") is None
    True
    """
    found = None if traceparent is None else _PARENT.fullmatch(traceparent.strip())
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    span = SpanContext(int(found[2], 16), int(found[3], 16), True, TraceFlags(int(found[4], 16)))
    return span if span.is_valid else None
