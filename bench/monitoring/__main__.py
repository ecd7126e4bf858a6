"""Every case of monitoring: `make bench-monitoring`, or `python -m bench.monitoring speed edge` for some.

A case is a module here with a function `run() -> list[Result]`, named in `CASES`. All sides get the same rows by seed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from bench.harness import Result, finish, say

CASES = ("stationary", "power", "speed", "edge", "incidents", "streams", "estimates")


def main(chosen: Sequence[str]) -> None:
    if unknown := [name for name in chosen if name not in CASES]:
        sys.exit(f"there is no case {unknown[0]!r}; expected some of {', '.join(CASES)}")
    results: list[Result] = []
    for name in chosen or CASES:
        say(name)
        results += import_module(f"bench.monitoring.{name}").run()
    finish("monitoring" if not chosen else "monitoring-trial", results)


if __name__ == "__main__":
    main(sys.argv[1:])
