"""The load: wrk, as fast as the server answers; h2load, at a rate of its own whatever the server does."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
import tempfile
from math import nan
from pathlib import Path
from typing import Any

from bench.serving.servers import Server

_SCRIPTS = Path(__file__).with_name("scripts")
_EACH = 10
"""Requests a second of one connection of h2load."""
RAMP = 4
"""Seconds over which its connections are opened; each sends for so much longer than is measured."""
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


def needed() -> None:
    """Exit with what to install, if a generator is missing. Of open files as many are allowed as can be: each of a
    generator's connections is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name, package in (("wrk", "wrk"), ("h2load", "nghttp2-client")):
        if shutil.which(name) is None:
            sys.exit(f"{name} is not installed. Fix: apt-get install {package}")


def wrk(server: Server, path: str, script: str, connections: int, seconds: int) -> dict[str, Any]:
    """Requests that were answered a second, percentiles in seconds, and how many were not answered with 200."""
    headers = [part for name, value in server.headers().items() for part in ("-H", f"{name}: {value}")]
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", _SCRIPTS / f"{script}.lua",
        "-H", "Content-Type: application/json", *headers, server.url(path),
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    shares = {f"p{share}": _seconds(out, rf"\n\s+{share}%\s+(\S+)") for share in (50, 99)}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    failed = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", out)
    assert rate is not None, out
    bad = (int(refused[1]) if refused else 0) + (sum(map(int, failed.groups())) if failed else 0)
    return {"rate": float(rate[1]) - bad / seconds, "bad": bad, "versions": {"wrk": "4"}, **shares}


def _seconds(text: str, pattern: str) -> float:
    found = re.search(pattern, text)
    assert found is not None, text
    number = re.fullmatch(r"([\d.]+)(us|ms|s|m)", found[1])
    assert number is not None, text
    return float(number[1]) * _UNITS[number[2]]


def h2load(server: Server, path: str, body: bytes, rate: int, seconds: int) -> dict[str, Any]:
    """At `rate` requests a second, whatever the server does: each connection sends every 100 ms, which is as long as
    an answer may take, so none waits for the one before it and is missing from what is measured, unless the server
    leaves the connection unread.

    Connections are opened one after the other, over some seconds that do not count: opened at once, all would send at
    the same moments, and what was measured would be how fast a server accepts connections.

    accepted: answers that were 200, a second; took: seconds that these took, in order; p99, p999: of these, NaN if
              there are none; bad: neither 200 nor 429
    """
    clients = max(1, rate // _EACH)
    with tempfile.TemporaryDirectory() as folder:
        data, log = Path(folder) / "body", Path(folder) / "log"
        data.write_bytes(body)
        headers = [part for name, value in server.headers().items() for part in ("-H", f"{name}: {value}")]
        command = [
            "h2load", "--h1", f"--clients={clients}", f"--rps={_EACH}",
            f"--requests={clients * _EACH * (seconds + RAMP)}",
            f"--rate={-(-clients // (RAMP * 100))}", "--rate-period=10ms", f"--data={data}", f"--log-file={log}",
            "-H", "Content-Type: application/json", *headers, server.url(path),
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, text=True, check=True)
        rows = [tuple(map(int, line.split("\t"))) for line in log.read_text().splitlines()]
    first = min(row[0] for row in rows) + RAMP * 1_000_000
    rows = [row for row in rows if first <= row[0] < first + seconds * 1_000_000]
    took = sorted(row[2] / 1e6 for row in rows if row[1] == 200)
    refused = sum(row[1] == 429 for row in rows)
    return {
        "offered": len(rows) / seconds, "accepted": len(took) / seconds, "refused": refused / seconds,
        "bad": len(rows) - len(took) - refused, "took": took, "p99": took[len(took) * 99 // 100] if took else nan,
        "p999": took[len(took) * 999 // 1000] if took else nan, "versions": {"h2load": "nghttp2"},
    }  # fmt: skip
