"""A web server of this machine that takes what is posted to it, and keeps it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Received:
    """What a server got, and what it answers."""

    def __init__(self, status: int, hangs: bool) -> None:
        self.status, self.hangs, self.requests = status, hangs, list[tuple[str, dict[str, str], Any]]()
        self.released = threading.Event()
        self.url = ""


@contextmanager
def listening(status: int = 204, *, hangs: bool = False) -> Iterator[Received]:
    received = Received(status, hangs)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if received.hangs:
                received.released.wait(5)
                return
            self.send_response(received.status)
            self.send_header("Location", received.url)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
