"""Every case of the registry: `make bench-registry`, or `python -m bench.registry digest runs` for some.

What was logged is read back and compared before a time counts.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.harness import ROOT, Result, Side, alternate, compared, finish, limited, say

_OURS = "bench.registry.ours"
PEERS = Path(os.environ.get("BENCH_REGISTRY_PEERS", ROOT / ".venv-bench-registry" / "bin" / "python"))
_METRICS = 2_000


def main(chosen: Sequence[str]) -> None:
    cases = {"runs": runs, "search": search, "versions": versions, "digest": digest}
    if unknown := [name for name in chosen if name not in cases]:
        sys.exit(f"there is no case {unknown[0]!r}; expected some of {', '.join(cases)}")
    results: list[Result] = []
    for name in chosen or cases:
        say(name)
        results += cases[name]()
    finish("registry" if not chosen else "registry-trial", results)


def _mlflow(function: str, **arguments: object) -> Side:
    return Side(f"MLflow, {function}", "bench.registry.peers.mlflow_side", function, arguments, PEERS)


def runs() -> list[Result]:
    """A first open, and logging a metric, beside MLflow on SQLite."""
    mine, theirs = alternate([Side("ours, opening", _OURS, "opening"), _mlflow("opening")], 3)
    opened = compared("first open, MLflow x ours", mine, theirs, "seconds", "ms", least=20)
    sides = [Side("ours, logging", _OURS, "logging", {"metrics": _METRICS}), _mlflow("logging", metrics=_METRICS)]
    mine, theirs = alternate(sides, 3)
    return [
        opened,
        compared("logging a metric, MLflow x ours", mine, theirs, "seconds", "us", least=20),
        limited("logging a metric", mine, "seconds", "us", most=50),
    ]


def search() -> list[Result]:
    """A search over ten thousand runs of twenty parameters and five metrics."""
    (mine,) = alternate([Side("ours, searching", _OURS, "searching")], 2)
    return [limited("10,000 runs: a search by a project just opened", mine, "seconds", "ms", most=100)]


def versions() -> list[Result]:
    """Registering a version, moving an alias."""
    (mine,) = alternate([Side("ours, registering", _OURS, "registering", {"versions": 40})], 3)
    return [
        limited("registering a version of 1.5 MB", mine, "register", "ms", most=100),
        limited("moving an alias", mine, "move", "ms", most=10),
    ]


def digest() -> list[Result]:
    """The digest of ten million rows of twenty columns, against reading them from Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "table.parquet")
        Side("the table", _OURS, "table", {"path": path}).run()
        (mine,) = alternate([Side("ours, digest", _OURS, "digest", {"path": path})], 3)
    read = [{**one, "seconds": one["read"]} for one in mine]
    return [compared("digest of 10M x 20, x reading it", mine, read, "seconds", "s", most=1.5)]


if __name__ == "__main__":
    main(sys.argv[1:])
