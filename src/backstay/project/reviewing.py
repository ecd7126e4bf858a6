"""Reviews for a running server, each in a process of its own: reading a record must not hold the server's requests up.

`python -m backstay.project.reviewing TASK`, started by the server only. What it prints is its answer, or its error.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from backstay.core import errors
from backstay.core.clock import Clock, ReplayClock, SystemClock
from backstay.core.errors import BackstayError
from backstay.lifecycle.approval import Decision
from backstay.project.context import Context

SECONDS = 300
"""What a review may take."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked, by whom, of which project; `at`: the moment, where time is not the machine's."""

    path: str
    home: str
    principal: str
    model: str
    number: int
    what: str
    why: str = ""
    at: int | None = None


class Reviewing:
    """What `serving.approvals.Approvals` asks for, of a project."""

    def __init__(self, context: Context) -> None:
        self._path, self._home, self._clock = str(context.path), str(context.services.home), context.clock

    def page(self, principal: str, model: str, number: int) -> str:
        """The evidence about a version as one HTML page."""
        return str(self._done(principal, model, number, "page")["page"])

    def bundle(self, principal: str, model: str, number: int) -> dict[str, Any]:
        """The same as plain data, with its SHA-256."""
        return self._done(principal, model, number, "bundle")

    def decide(self, principal: str, model: str, number: int, decision: str, why: str) -> dict[str, Any]:
        """Approve or reject a version; what was written down."""
        return self._done(principal, model, number, decision, why)

    def _done(self, principal: str, model: str, number: int, what: str, why: str = "") -> dict[str, Any]:
        at = None if isinstance(self._clock, SystemClock) else self._clock.now()
        task = Task(self._path, self._home, principal, model, number, what, why, at)
        command = [sys.executable, "-m", "backstay.project.reviewing"]
        try:
            done = subprocess.run(
                command, input=json.dumps(asdict(task)), capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise BackstayError(f"the review took more than {SECONDS} s", where="approvals") from None
        if done.returncode not in (0, 1) or not done.stdout:
            raise BackstayError(f"the review failed: {done.stderr.strip()[-500:]}", where="approvals")
        told: dict[str, Any] = json.loads(done.stdout)
        if done.returncode:
            kind = getattr(errors, told.pop("kind"), BackstayError)
            raise kind(told.pop("what"), **told)
        return told


def main(task: Task) -> int:
    """Do it, and print what came of it."""
    clock: Clock = SystemClock() if task.at is None else ReplayClock(task.at)
    context = Context(task.path, home=task.home, actor=task.principal, clock=clock)
    try:
        answer = _answer(context, task)
    except BackstayError as error:
        kind = next((one.__name__ for one in type(error).__mro__ if hasattr(errors, one.__name__)), "BackstayError")
        said = {"what": error.what, "where": error.where, "expected": error.expected, "fix": error.fix}
        sys.stdout.write(json.dumps({"kind": kind, **said}))
        return 1
    finally:
        context.close()
    sys.stdout.write(json.dumps(answer))
    return 0


def _answer(context: Context, task: Task) -> Mapping[str, Any]:
    if task.what in ("approve", "reject"):
        decision: Decision = "approve" if task.what == "approve" else "reject"
        return context.decide(task.number, decision, task.model, why=task.why).as_dict()
    found = context.papers.bundle(task.number, task.model)
    return {"page": found.page()} if task.what == "page" else {**found.told, "sha256": found.digest}


if __name__ == "__main__":
    sys.exit(main(Task(**json.loads(sys.stdin.read()))))
