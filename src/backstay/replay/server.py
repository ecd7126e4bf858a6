"""The real server as a process of its own, for the length of a replay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from backstay.core.errors import BackstayError

_STOP_SECONDS = 20


class ServerProcess:
    """`backstay serve --replay` on a free port of loopback; a context that ends with the process gone."""

    def __init__(self, project: Path, home: Path) -> None:
        self._command = [
            sys.executable, "-m", "backstay", "serve", "--project", str(project), "--home", str(home), "--replay",
            "--port", "0", "--json",
        ]  # fmt: skip
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.token = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            told = json.loads(line)
            self.url = told["url"]
        except (json.JSONDecodeError, KeyError):
            self._stop()
            raise BackstayError(
                f"the server did not start: {line.strip() or 'see its message above'}",
                where=" ".join(self._command[2:4]),
                fix="run the same command by hand",
            ) from None
        self.token = Path(told["token"]).read_text(encoding="ascii").strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._stop()
        if kind is None and code != 0:
            raise BackstayError(f"the server ended with exit code {code}")

    def _stop(self) -> int:
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        if process.stdout is not None:
            process.stdout.close()
        return process.wait()
