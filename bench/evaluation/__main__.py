"""Every case of evaluations: `make bench-evaluation`, or `python -m bench.evaluation auc coverage` for some.

A case is a module here with a function `run() -> list[Result]`, named in `CASES`. Both sides are asserted to compute
the same numbers before a time counts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from bench.harness import Result, finish, say

CASES = ("auc", "coverage", "fairness", "slices")


def main(chosen: Sequence[str]) -> None:
    if unknown := [name for name in chosen if name not in CASES]:
        sys.exit(f"there is no case {unknown[0]!r}; expected some of {', '.join(CASES)}")
    results: list[Result] = []
    for name in chosen or CASES:
        say(name)
        results += import_module(f"bench.evaluation.{name}").run()
    finish("evaluation" if not chosen else "evaluation-trial", results)


if __name__ == "__main__":
    main(sys.argv[1:])
