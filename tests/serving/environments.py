"""Environments of clients that nobody here wrote: each is made from its lock, once, and kept.

As a program (`python -m tests.serving.environments`) it makes all of them, the slowest first: `make test` begins so,
and checks style and types meanwhile. What is no Python comes out of Debian's packages, unpacked beside them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(__file__).with_name("clients")
FORMATS = ROOT / "tests" / "lifecycle" / "clients"
EVERY = (
    ("kserve", CLIENTS, False), ("mlflow", FORMATS, True), ("tritonclient", CLIENTS, False),
    ("formats", FORMATS, False), ("discovery", FORMATS, False),
)  # fmt: skip


def python(name: str, clients: Path = CLIENTS, *, behind: bool = False) -> Path:
    """The interpreter of the environment that `NAME.lock` in `clients` describes.

    behind: what this process has installed stands behind it, all but Backstay: the lock has what is to be added
    """
    lock = clients / f"{name}.lock"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    folder = ROOT / ".venv-clients" / name
    folder.parent.mkdir(exist_ok=True)
    ready = folder / "ready"
    with (folder.parent / f"{name}.held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # tests run in several processes
        if not ready.is_file() or ready.read_text() != digest:
            shutil.rmtree(folder, ignore_errors=True)
            # Our pip installs into it: one of its own would take longer than what many of these locks name.
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
            inside = ["--python", folder / "bin" / "python"]
            pip = [sys.executable, "-m", "pip", *inside, "--quiet", "--disable-pip-version-check", "--no-input"]
            # What is imported is compiled then; most never is, and it would take longer than the installation.
            install = ["install", "--no-deps", "--no-compile", "--require-hashes", "-r", lock]
            subprocess.run([*pip, *install], check=True, env=compiling())
            if behind:  # a path that a .pth file names is not looked through for others, such as that of Backstay
                (place,) = folder.glob("lib/python*/site-packages")
                (place / "behind.pth").write_text(sysconfig.get_path("purelib"))
            ready.write_text(digest)
    return folder / "bin" / "python"


def promtool() -> Path | None:
    """What Prometheus reads rules with: of this machine, or out of Debian's package; None where neither can be had."""
    if installed := shutil.which("promtool"):
        return Path(installed)
    folder = ROOT / ".venv-clients" / "promtool"
    program = folder / "usr" / "bin" / "promtool"
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "promtool.held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not program.is_file() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
            _unpacked("prometheus", folder)
    return program if program.is_file() else None


def _unpacked(package: str, folder: Path) -> None:
    """A Debian package's files, in a folder of ours: nothing is installed, and nobody's settings change."""
    shutil.rmtree(folder, ignore_errors=True)
    fetched = folder.with_suffix(".fetched")
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir()
    fetch = ["apt-get", "-qq", "download", package]
    if subprocess.run(fetch, cwd=fetched, capture_output=True, check=False).returncode:  # a new machine has no lists
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False)
        subprocess.run(fetch, cwd=fetched, capture_output=True, check=False)
    for archive in fetched.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", archive, fetched / "files"], check=True)
        (fetched / "files").rename(folder)
    shutil.rmtree(fetched)


def compiling() -> dict[str, str]:
    """The surroundings of a process that keeps what it compiles, so that the next one need not."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}


def run(environment: str, script: str, *arguments: str, clients: Path = CLIENTS, behind: bool = False) -> Any:
    """What a script of `clients` prints as JSON, in its environment."""
    command = [python(environment, clients, behind=behind), clients / script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=compiling())
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    for one, where, over in EVERY:
        python(one, where, behind=over)
    promtool()
