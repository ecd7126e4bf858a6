"""A collector of traces for tests: a real receiver of OTLP over HTTP, which keeps what it is sent."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SERVER = Span.SPAN_KIND_SERVER


@dataclass(frozen=True)
class Got:
    """One span as it came; ids in hexadecimal, times in nanoseconds. `resource`: the attributes of who sent it."""

    name: str
    trace: str
    id: str
    parent: str
    state: str
    server: bool
    begin: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]


class Collector:
    """Receives at `url` while its context is open."""

    def __init__(self) -> None:
        self.spans: list[Got] = []
        self.headers: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def trees(self) -> dict[str, list[Got]]:
        """By trace, its spans: the one of the server, and then its stages in the order of their beginnings."""
        out: dict[str, list[Got]] = defaultdict(list)
        for span in sorted(self.spans, key=lambda one: (not one.server, one.begin, one.end)):
            out[span.trace].append(span)
        return out

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.spans += _read(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Says nothing."""

        return Handler


def _read(request: ExportTraceServiceRequest) -> list[Got]:
    return [
        Got(
            one.name, one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex(), one.trace_state,
            one.kind == SERVER, one.start_time_unix_nano, one.end_time_unix_nano, one.status.code == 2,
            _plain(one.attributes), _plain(group.resource.attributes),
        )
        for group in request.resource_spans
        for scope in group.scope_spans
        for one in scope.spans
    ]  # fmt: skip


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
