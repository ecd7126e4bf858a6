"""Runs both sides of a measurement alternately, each case in a process of its own, and writes down what came out.

This process stays small, and imports nothing but the standard library: a child's peak of memory begins with that of the
process that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
OURS = ROOT / ".venv" / "bin" / "python"
PEERS = Path(os.environ.get("BENCH_PEERS", ROOT / ".venv-bench" / "bin" / "python"))

Measured = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a function of a module, and the environment it runs in."""

    name: str
    module: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    python: Path = OURS

    def run(self, **more: Any) -> Measured:
        """What the function measures, in a fresh process. Raises `RuntimeError` with what it wrote if it fails."""
        arguments = json.dumps({**self.arguments, **more})
        command = [str(self.python), "-m", "bench.child", self.module, self.function, arguments]
        begin = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ)
        if done.returncode:
            raise RuntimeError(f"{self.name}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-6000:]}")
        say(f"    {self.name}: {time.monotonic() - begin:.1f} s in all")
        measured: Measured = json.loads(done.stdout.splitlines()[-1])
        return measured


@dataclass(frozen=True)
class Result:
    """One bar: figures of both sides in `unit`, the ratio that the bar is about, and whether it holds.

    spread: the widest of the sides, (largest - smallest) / smallest over the repeats
    """

    bar: str
    ours: float
    peer: float
    unit: str
    ratio: float
    spread: float
    holds: bool
    versions: dict[str, dict[str, str]]


def alternate(sides: Sequence[Side], repeats: int) -> list[list[Measured]]:
    """What each side measured, `repeats` times, the sides taking turns."""
    out: list[list[Measured]] = [[] for _ in sides]
    for _ in range(repeats):
        for place, side in enumerate(sides):
            out[place].append(side.run())
    return out


def compared(
    bar: str, ours: Sequence[Measured], peer: Sequence[Measured], figure: str, unit: str, *,
    most: float | None = None, least: float | None = None,
) -> Result:  # fmt: skip
    """A bar between two sides, by the best of their repeats: ours at `most` that many times the peer's, or the peer's
    at `least` that many times ours."""
    mine, theirs = [one[figure] for one in ours], [one[figure] for one in peer]
    best, other = min(mine), min(theirs)
    if most is not None:
        ratio, holds = best / other, best / other <= most
    else:
        assert least is not None
        ratio, holds = other / best, other / best >= least
    versions = {"ours": ours[0]["versions"], "peer": peer[0]["versions"]}
    scale = _UNITS[unit]
    return Result(bar, best / scale, other / scale, unit, ratio, max(_spread(mine), _spread(theirs)), holds, versions)


def limited(
    bar: str, ours: Sequence[Measured], figure: str, unit: str, *, most: float | None = None, least: float | None = None
) -> Result:
    """A bar that is a figure: at `most` or at `least` so much, in `unit`."""
    mine = [one[figure] / _UNITS[unit] for one in ours]
    versions = {"ours": ours[0]["versions"], "peer": {}}
    if most is not None:
        best = min(mine)
        return Result(bar, best, most, unit, best / most, _spread(mine), best <= most, versions)
    assert least is not None
    best = max(mine)
    return Result(bar, best, least, unit, best / least, _spread(mine), best >= least, versions)


_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "MB": 1e6, "1/s": 1.0, "x": 1.0, "share": 1.0}


def _spread(figures: Sequence[float]) -> float:
    return (max(figures) - min(figures)) / min(figures) if min(figures) else 0.0


def table(results: Sequence[Result]) -> str:
    """The results as one aligned table."""
    head = ("bar", "ours", "peer or limit", "unit", "ratio", "spread", "holds")
    rows = [
        (
            r.bar,
            _figure(r.ours),
            _figure(r.peer),
            r.unit,
            f"{r.ratio:.2f}",
            f"{r.spread:.0%}",
            "yes" if r.holds else "NO",
        )
        for r in results
    ]
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    lines = []
    for row in (head, tuple("-" * width for width in widths), *rows):
        cells = [cell.ljust(width) if place in (0, 3, 6) else cell.rjust(width)
                 for place, (cell, width) in enumerate(zip(row, widths, strict=True))]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def finish(name: str, results: Sequence[Result]) -> None:
    """Print the table, write the results, and exit with 1 if a bar does not hold."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n", encoding="utf-8")
    print(f"\n{table(results)}\n\nwritten: {path.relative_to(ROOT)}")
    sys.exit(0 if all(result.holds for result in results) else 1)


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
