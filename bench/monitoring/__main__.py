"""Every case of monitoring: `make bench-monitoring`, or `python -m bench.monitoring speed edge` for some.

A case is a module here with a function `run() -> list[Result]`, named in `CASES`. All sides get the same rows by seed.
What stands behind one case, and begins with a dash, is that case's own: `python -m bench.monitoring why --seeds 3`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from bench.harness import OURS, Result, finish, say

CASES = ("stationary", "power", "speed", "edge", "incidents", "changes", "estimates", "harm", "why")


def main(words: Sequence[str]) -> None:
    begin = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    chosen, rest = words[:begin], words[begin:]
    if unknown := [name for name in chosen if name not in CASES]:
        sys.exit(f"there is no case {unknown[0]!r}; expected some of {', '.join(CASES)}")
    if rest and len(chosen) != 1:
        sys.exit(f"{rest[0]} is of one case: name it")
    results: list[Result] = []
    for name in chosen or CASES:
        say(name)
        case = import_module(f"bench.monitoring.{name}")
        results += case.run(rest) if rest else case.run()
    finish("monitoring" if not chosen else "monitoring-trial", results)


if __name__ == "__main__":
    if sys.prefix != str(OURS.parent.parent):  # the loops of `why` run in this process, and it says how far it is
        os.execv(OURS, [str(OURS), "-m", "bench.monitoring", *sys.argv[1:]])
    main(sys.argv[1:])
