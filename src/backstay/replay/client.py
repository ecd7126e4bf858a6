"""Many customers at once: requests over HTTP, a fixed number in flight, each one's latency measured by the customer."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from backstay.core.errors import BackstayError

_KEPT = 5
_IDLE_SECONDS = 2.0


@dataclass(slots=True)
class Outcome:
    """What came of many requests."""

    served: int = 0
    errors: int = 0
    messages: list[str] = field(default_factory=list)
    """the first few errors"""
    latency_ms: list[float] = field(default_factory=list)
    versions: set[int] = field(default_factory=set)


class Client:
    """Sends to one server, from `in_flight` threads with one connection each."""

    def __init__(self, url: str, token: str, in_flight: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._in_flight = in_flight
        self._pool = ThreadPoolExecutor(in_flight)
        self._own = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def send_all(self, path: str, bodies: Iterable[bytes]) -> Outcome:
        """POST every body, `in_flight` at a time; returns when all are answered."""
        todo = iter(list(bodies))
        total = Outcome()
        for part in self._pool.map(lambda _: self._worker(path, todo), range(self._in_flight)):
            total.served += part.served
            total.errors += part.errors
            total.messages = (total.messages + part.messages)[:_KEPT]
            total.latency_ms += part.latency_ms
            total.versions |= part.versions
        return total

    def post(self, path: str, body: bytes) -> Any:
        """One POST; an answer other than 200 is an error."""
        status, data = self._send("POST", path, body)
        if status != 200:
            raise BackstayError(f"the server answered {status}: {data.decode(errors='replace')[:500]}", where=path)
        return msgspec.json.decode(data)

    def get(self, path: str) -> Any:
        status, data = self._send("GET", path, b"")
        if status != 200:
            raise BackstayError(f"the server answered {status}: {data.decode(errors='replace')[:500]}", where=path)
        return msgspec.json.decode(data)

    def gauges(self, *names: str) -> list[float]:
        """The values of the server's metrics of these names, which have no labels."""
        status, data = self._send("GET", "/metrics", b"")
        if status != 200:
            raise BackstayError(
                f"the server answered {status}: {data.decode(errors='replace')[:500]}", where="/metrics"
            )
        told = dict(line.split(" ", 1) for line in data.decode().splitlines() if not line.startswith("#"))
        return [float(told[name]) for name in names]

    def close(self) -> None:
        """Once nothing is in flight: ends the threads, and closes their connections."""
        self._pool.shutdown()
        for connection in self._open:
            connection.close()

    def _worker(self, path: str, todo: Iterator[bytes]) -> Outcome:
        out = Outcome()
        for body in todo:  # one list iterator shared by all threads: each body is taken once
            begin = time.perf_counter()
            try:
                status, data = self._send("POST", path, body)
            except (OSError, http.client.HTTPException) as error:
                status, data = 0, repr(error).encode()
            out.latency_ms.append((time.perf_counter() - begin) * 1_000)
            if status == 200:
                out.served += 1
                out.versions.add(_version(data))
            else:
                out.errors += 1
                out.messages = [*out.messages, f"{status}: {data.decode(errors='replace')[:300]}"][:_KEPT]
        return out

    def _send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = getattr(self._own, "connection", None)
        if connection is not None and time.monotonic() - self._own.used > _IDLE_SECONDS:
            self._close(connection)  # the server may close an idle connection; a request must not meet that moment
            connection = None
        self._own.used = time.monotonic()
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
            self._open.add(connection)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._close(connection)
            self._own.connection = None
            raise

    def _close(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        self._open.discard(connection)


class _Answer(msgspec.Struct):
    version: int


_answer = msgspec.json.Decoder(_Answer).decode


def _version(data: bytes) -> int:
    return _answer(data).version
