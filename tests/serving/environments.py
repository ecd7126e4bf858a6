"""Environments of clients that nobody here wrote: each is made from its lock, once, and kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).with_name("clients")


def python(name: str, clients: Path = CLIENTS) -> Path:
    """The interpreter of the environment that `NAME.lock` in `clients` describes."""
    lock = clients / f"{name}.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    folder = ROOT / ".venv-clients" / name
    folder.parent.mkdir(exist_ok=True)
    ready = folder / "ready"
    with (folder.parent / f"{name}.held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run in several processes
        if not ready.is_file() or ready.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
            subprocess.run([*pip, "install", "--no-deps", "--require-hashes", "-r", lock], check=True)
            ready.write_text(digest)
    return folder / "bin" / "python"


def run(environment: str, script: str, *arguments: str, clients: Path = CLIENTS) -> Any:
    """What a script of `clients` prints as JSON, in its environment."""
    command = [python(environment, clients), clients / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
