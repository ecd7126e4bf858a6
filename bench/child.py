"""One case in a fresh interpreter: `python -m bench.child MODULE FUNCTION JSON` prints what it measured as JSON.

The function takes the JSON object as its arguments and returns a dict; the peak of the process's memory (bytes, the
whole process: interpreter and libraries too) and the versions of what it imported are added here. It runs in any
environment, so it uses the standard library only.
"""

from __future__ import annotations

import json
import platform
import resource
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "backstay",
    "polars",
    "duckdb",
    "feast",
    "dask",
    "redis",
    "hiredis",
    "lmdb",
    "deltalake",
    "sklearn",
    "fairlearn",
)


def main() -> None:
    module, function, arguments = sys.argv[1:]
    measured = getattr(import_module(module), function)(**json.loads(arguments)) or {}
    measured["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    measured["versions"] = {"python": platform.python_version()} | _versions()
    print(json.dumps(measured))


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        if name in sys.modules:
            try:
                found[name] = version(name)
            except PackageNotFoundError:
                found[name] = "?"
    return found


if __name__ == "__main__":
    main()
