"""Processes of tests, hundreds of them: what they import is imported once, by a server that forks them (forkserver).

The server itself only imports: it runs no thread that a fork could cut in half. What a user types is run cold where
that is the question (`tests/cli`, the workers of a server, what is imported).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.reduction import DupFd
from pathlib import Path

_CONTEXT = get_context("forkserver")
_SERVER = ["backstay.cli", "backstay.serving.server", "backstay.serving.admin", "onnxruntime", "uvloop", "httptools"]
_CONTEXT.set_forkserver_preload(
    ["polars", "deltalake", "lmdb", "backstay", "backstay.project", "tests.predicted", *_SERVER]
)


class Warm:
    """`code`, run with `arguments` in `sys.argv[1:]`; what it reads and prints are lines of `stdin` and `stdout`."""

    def __init__(self, code: str, *arguments: object) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        given = (code, [str(one) for one in arguments], DupFdLater(theirs_in), DupFdLater(theirs_out))
        self._process = _CONTEXT.Process(target=_run, args=given, daemon=True)
        self._process.start()
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin, self.stdout = os.fdopen(ours_in, "w"), os.fdopen(ours_out)

    def poll(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int | None:
        """Its exit code, once it has ended."""
        self._process.join()
        return self._process.exitcode

    def close(self) -> None:
        self.kill()
        self.wait()
        self.stdin.close()
        self.stdout.close()


class WarmCommand:
    """`backstay` with these words, in an environment; its errors go to a file, its output to `stdout`. As a Popen."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        ours, theirs = os.pipe()
        given = (list(words), dict(environment), str(log), DupFdLater(theirs))
        self._process = _CONTEXT.Process(target=_command, args=given, daemon=True)
        self._process.start()
        os.close(theirs)
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdout = os.fdopen(ours)

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        assert code is not None, f"it has not ended after {timeout} s"
        return code


class DupFdLater:
    """A descriptor that is handed over when the process it is an argument of is started."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[object, ...]:
        return _detached, (DupFd(self.descriptor),)


def _detached(given: object) -> int:
    return given.detach()  # type: ignore[attr-defined,no-any-return]


def _command(words: list[str], environment: dict[str, str], log: str, stdout: int) -> None:
    os.environ.clear()
    os.environ.update(environment)
    errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(stdout, 1)
    os.dup2(errors, 2)
    os.close(stdout)
    os.close(errors)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.argv = ["backstay", *words]
    main = import_module("backstay.cli").main
    sys.exit(main())


def _run(code: str, arguments: list[str], stdin: int, stdout: int) -> None:
    os.environ["POLARS_MAX_THREADS"] = "1"
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.close(stdin)
    os.close(stdout)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<warm>", "exec"), {"__name__": "__main__"})
