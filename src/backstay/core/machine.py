"""The machine: what this process runs on, as people compare it, and what it may have of it. Standard library only.

Nothing in `machine()` changes between two runs on one machine: no process, no port, no path, no load.
"""

from __future__ import annotations

import os
import platform
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

_CPUINFO = "proc", "cpuinfo"
_MOST_FILES = 65_536


def machine() -> dict[str, Any]:
    """CPU model, cores, memory in bytes, system and Python.

    cores: those that this process may use, which can be fewer than there are (a container, an affinity)

    >>> sorted(machine())
    ['cores', 'cpu', 'memory', 'python', 'system']
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "cpu": _cpu(),
        "cores": usable,
        "memory": _memory(),
        "system": _system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def open_files() -> int:
    """How many files and connections this process may have open from now on: as many as the system allows it, up to
    65,536. What a process starts with is mostly a small part of that, which a server has used up with its clients.

    >>> open_files() >= 256
    True
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    most = _MOST_FILES if hard == unlimited else min(hard, _MOST_FILES)
    if soft != unlimited and soft < most:
        with suppress(ValueError, OSError):  # some systems allow less than the limit that they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if soft == unlimited else soft


def _cpu() -> str:
    """The processor's name; its architecture, where the system does not tell one."""
    try:
        lines = Path("/", *_CPUINFO).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # no such file outside Linux
        lines = []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"{name} ({platform.machine()})" if name else platform.processor() or platform.machine()


def _memory() -> int | None:
    names = os.sysconf_names
    if not {"SC_PHYS_PAGES", "SC_PAGE_SIZE"} <= names.keys():
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:  # only some systems have that file
        name = ""
    return f"{name} ({kernel})" if name else kernel
