"""Processes that log metrics, killed anywhere: nothing acknowledged is lost or doubled, the run is killed."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from backstay.storage.backends.local import LocalRuns
from backstay.storage.runs import KILLED, RUNNING

KILLS = 20
WRITER = """
import os, sys
from backstay.core.clock import SystemClock
from backstay.registry.experiments import Runs
from backstay.storage.backends.local import LocalArtifacts, LocalRuns
home, me = sys.argv[1:]
runs = Runs(LocalRuns(home), LocalArtifacts(home + "-artifacts"), SystemClock(), "ana")
sys.stdin.readline()
with runs.begin(me) as run:
    for n in range(10**9):
        run.log("auc", n / 7, n)
        run.tag("at", str(n)) if n % 5 == 0 else None
        os.write(1, b"%d\\n" % n)
"""


def test_twenty_kills(tmp_path: Path, warm: Any) -> None:
    dice, home, told = random.Random(11), tmp_path / "runs", 0
    coming = warm(WRITER, home, 0)
    for at in range(KILLS):
        process, coming = coming, warm(WRITER, home, at + 1) if at + 1 < KILLS else None
        process.stdin.write("go\n")
        process.stdin.flush()
        process.stdout.readline()  # it has begun
        assert LocalRuns(home).scan()[-1].status == RUNNING
        time.sleep(dice.random() * 0.02)
        process.kill()
        process.wait()
        steps = [0, *map(int, process.stdout.read().split())]
        run = LocalRuns(home).scan()[-1].whole()
        assert (run.name, run.status) == (str(at), KILLED)
        logged = [(one.step, one.value) for one in LocalRuns(home).metrics(run.id)]
        assert logged == [(step, step / 7) for step in range(len(logged))]
        assert len(logged) - len(steps) in (0, 1)  # one may have been written and not told of
        assert run.metrics == {"auc": (len(logged) - 1) / 7}
        assert int(run.tags["at"]) in (steps[-1] // 5 * 5, steps[-1] + 1)
        told += len(steps)
    assert len(LocalRuns(home).scan()) == KILLS
    assert told > KILLS * 10
