"""Other processes: each a fresh interpreter (never forked) that runs a few lines and prints what it found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.warm import Warm

import backstay

ROOT = Path(__file__).resolve().parents[4]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(code, *arguments)`: the arguments are in `sys.argv[1:]`; what still runs at the end is killed."""
    running: list[subprocess.Popen[str]] = []
    source = Path(backstay.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(source), str(ROOT)])}

    def _start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield _start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def outcome() -> Callable[[subprocess.Popen[str]], str]:
    """`outcome(process)`: what it printed, once it ended; the test fails with its error if it failed."""

    def _outcome(process: subprocess.Popen[str]) -> str:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out

    return _outcome


@pytest.fixture
def warm() -> Iterator[Callable[..., Warm]]:
    """`warm(code, *arguments)`: the same, soon begun; for tests that kill many."""
    running: list[Warm] = []

    def _warm(code: str, *arguments: object) -> Warm:
        running.append(Warm(code, *arguments))
        return running[-1]

    yield _warm
    for process in running:
        process.close()
