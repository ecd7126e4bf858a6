"""Programs for which the modes of files hold, whoever runs the tests: root otherwise writes what nobody may write."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

_DROP = 24  # PR_CAPBSET_DROP
_OVERRIDES = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def unwritable(folder: Path) -> Path:
    """The folder, with all that is in it, after nobody may write it any more."""
    for one in (folder, *folder.rglob("*")):
        one.chmod(one.stat().st_mode & ~0o222)
    return folder


def writable(folder: Path) -> Path:
    """The folder, after its owner may write all of it again: what is to be removed has to be."""
    folder.chmod(0o755)
    for one in folder.rglob("*"):
        one.chmod(one.stat().st_mode | 0o200)
    return folder


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program that may do what the modes of files say, and no more."""
    kernel = ctypes.CDLL(None)

    def obey() -> None:
        for one in _OVERRIDES:
            kernel.prctl(_DROP, one, 0, 0, 0)  # who is not root has none of them, and may not drop them either

    return subprocess.run(
        words, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, preexec_fn=obey
    )  # fmt: skip
