"""What tests of several processes begin with: made once a run, by whichever of them comes first, and copied by each."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` has filled: a copy of this process's own."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each has a folder of its own in that of the run
        root = root.parent
    kept = root / "once" / name
    kept.parent.mkdir(exist_ok=True)
    with kept.with_suffix(".held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ready = kept.with_suffix(".ready")
        if not ready.exists():
            shutil.rmtree(kept, ignore_errors=True)  # of one that failed half way: it is tried again, and fails again
            kept.mkdir()
            make(kept)
            ready.touch()
    return Path(shutil.copytree(kept, factory.mktemp(name) / name))
