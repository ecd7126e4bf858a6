"""Servers of both sides, each a process of its own on a port of the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.harness import OURS, ROOT
from bench.serving.prepare import DATA

PEERS = Path(os.environ.get("BENCH_SERVING_PEERS", ROOT / ".venv-bench-serving" / "bin" / "python"))
PROJECT = DATA / "project"
_UVICORN = ["-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]


@dataclass(frozen=True)
class Server:
    """A server that runs: where, with which token, and its process."""

    name: str
    port: int
    pid: int
    token: str = ""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def post(self, path: str, body: bytes) -> bytes:
        request = urllib.request.Request(
            self.url(path), body, {"Content-Type": "application/json", **self.headers()}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return bytes(answer.read())

    def memory(self) -> int:
        """Resident bytes."""
        text = Path(f"/proc/{self.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def processor(self) -> float:
        """Seconds of CPU that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208


@contextmanager
def kept_to(cores: set[int]) -> Iterator[None]:
    """What is started within runs on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def apart() -> tuple[set[int], set[int]]:
    """A core for the server, and the others for what asks it; all of them for both where there is just one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return ({first}, set(others)) if others else ({first}, {first})


@contextmanager
def running(name: str, command: Sequence[str | Path], port: int, *, ready: str, token: str = "") -> Iterator[Server]:
    """The process, from when it answers at `ready` (or listens, if that is "") until it is stopped."""
    environment = {
        **os.environ, "BENCH_MODEL": str(DATA / "model.onnx"), "BENCH_MODEL_TEXT": str(DATA / "model.txt"),
        "OMP_NUM_THREADS": "1",  # one worker, one thread that scores: with more, LightGBM's wait for each other
    }  # fmt: skip
    log = DATA / f"{name.replace(' ', '-')}.log"
    with log.open("w") as out:
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        _wait(port, ready, process, log)
        yield Server(name, port, process.pid, token)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError):
            if path:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
            else:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{log.name}: {log.read_text()[-3000:]}")
        time.sleep(0.02)


def ours(*without: str) -> object:
    """Our server, without some of its parts."""
    name = "ours" + "".join(f" without {part}" for part in without)
    port = 9180 if not without else 9186
    token = (PROJECT / ".backstay" / "token").read_text() if (PROJECT / ".backstay" / "token").exists() else ""
    command = [OURS, "-m", "bench.serving.ours", PROJECT, str(port), *without]
    return running(name, command, port, ready="/v2/health/ready", token=token)


def bare() -> object:
    """The limit."""
    command = [OURS, *_UVICORN, "--no-server-header", "--no-date-header", "--no-proxy-headers", "--port", "9181",
               "bench.serving.peers.bare:app"]  # fmt: skip
    return running("bare", command, 9181, ready="")


def refuser() -> object:
    """The limit of refusing."""
    return running("refuser", [OURS, "-m", "bench.serving.peers.refuser", "9187"], 9187, ready="")


def fastapi() -> object:
    """FastAPI by hand."""
    command = [PEERS, *_UVICORN, "--port", "9182", "bench.serving.peers.fastapi_side:app"]
    return running("FastAPI", command, 9182, ready="/v2/health/ready")


def mlserver() -> object:
    """MLServer, without a pool of workers: its faster configuration."""
    command = [PEERS.with_name("mlserver"), "start", DATA / "mlserver"]
    return running("MLServer", command, 9183, ready="/v2/health/ready")
