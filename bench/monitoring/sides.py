"""The sides of a case: ours in `.venv`, a peer's in `.venv-bench-monitoring`."""

from __future__ import annotations

import os
from pathlib import Path

from bench.harness import ROOT, Measured, Result, Side, say

PYTHON = Path(os.environ.get("BENCH_MONITORING_PEERS", ROOT / ".venv-bench-monitoring" / "bin" / "python"))
SCALE = float(os.environ.get("BENCH_SCALE", "1"))


def scaled(count: int, least: int = 1) -> int:
    """So many, or a part of them to try the bench itself."""
    return max(int(count * SCALE), least)


def ours(name: str, module: str, function: str, **arguments: object) -> Side:
    """A function of `bench.monitoring.MODULE` in our environment."""
    return Side(f"ours, {name}", f"bench.monitoring.{module}", function, arguments)


def peer(name: str, module: str, function: str, **arguments: object) -> Side:
    """A function of `bench.monitoring.peers.MODULE` in the peers' environment."""
    return Side(name, f"bench.monitoring.peers.{module}", function, arguments, PYTHON)


def beside(bar: str, mine: float, theirs: float, unit: str, one: Measured, other: Measured) -> Result:
    """A peer's figure printed beside ours, which nothing is demanded of."""
    ratio = theirs / mine if mine else float("inf") if theirs else 1.0
    versions = {"ours": one["versions"], "peer": other["versions"]}
    return Result(bar, mine, theirs, unit, ratio if ratio != float("inf") else 0.0, 0.0, True, versions)


def tried(side: Side) -> Measured | None:
    """What a peer measured; None, and said, where it fails."""
    try:
        return side.run()
    except RuntimeError as error:
        say(f"    {side.name} fails: {str(error).strip().splitlines()[-1][:200]}")
        return None
