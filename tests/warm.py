"""Processes to be killed, many of them: what they import is imported once, by a server that forks them (forkserver).

The server itself only imports: it runs no thread that a fork could cut in half.
"""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from multiprocessing.reduction import DupFd

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["polars", "deltalake", "lmdb", "backstay", "backstay.project", "tests.predicted"])


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


class DupFdLater:
    """A descriptor that is handed over when the process it is an argument of is started."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __reduce__(self) -> tuple[object, ...]:
        return _detached, (DupFd(self.descriptor),)


def _detached(given: object) -> int:
    return given.detach()  # type: ignore[attr-defined,no-any-return]


def _run(code: str, arguments: list[str], stdin: int, stdout: int) -> None:
    os.environ["POLARS_MAX_THREADS"] = "1"
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.close(stdin)
    os.close(stdout)
    sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<warm>", "exec"), {"__name__": "__main__"})
