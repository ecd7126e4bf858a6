"""The two sides of a case: ours in `.venv`, a peer's in `.venv-bench-evaluation`, on the same rows by seed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from bench.harness import ROOT, Side

PYTHON = Path(os.environ.get("BENCH_EVALUATION_PEERS", ROOT / ".venv-bench-evaluation" / "bin" / "python"))
ROWS = max(int(1_000_000 * float(os.environ.get("BENCH_SCALE", "1"))), 1_000)


def ours(name: str, module: str, function: str, **arguments: object) -> Side:
    """A function of `bench.evaluation.MODULE` in our environment."""
    return Side(f"ours, {name}", f"bench.evaluation.{module}", function, arguments)


def peer(name: str, module: str, function: str, **arguments: object) -> Side:
    """A function of `bench.evaluation.peers.MODULE` in the peers' environment."""
    return Side(name, f"bench.evaluation.peers.{module}", function, arguments, PYTHON)


def rows(count: int, prevalence: float = 0.05, seed: int = 0) -> tuple[Any, Any]:
    """Outcomes and probabilities; equal on both sides."""
    random = np.random.default_rng(seed)
    outcome = random.random(count) < prevalence
    return outcome, 1 / (1 + np.exp(-(random.normal(size=count) + 1.5 * outcome - 3)))


TIMES = max(int(2_000 * float(os.environ.get("BENCH_SCALE", "1"))), 100)
