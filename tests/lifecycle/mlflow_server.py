"""MLflow's own server, as `mlflow server` starts it: SQLite, artifacts in a folder, on this machine alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from tests.serving import environments

CLIENTS = Path(__file__).with_name("clients")
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a queue of jobs for language models, with packages of its own
}


class MlflowServer:
    """A context: the server, until it is left. `uri` is what clients are given."""

    def __init__(self, folder: Path) -> None:
        port = _free()
        self.uri = f"http://127.0.0.1:{port}"
        self._log = folder / "mlflow.log"
        places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "files"]
        command = [
            environments.python("mlflow", CLIENTS, behind=True),
            "-m",
            "mlflow",
            "server",
            *places,
            "--workers",
            "1",
        ]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log, cwd=folder,
                env=environments.compiling() | QUIET, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> MlflowServer:
        end = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)  # the command, and the server that it started
        self._process.wait(30)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
