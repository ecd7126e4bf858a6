"""The histogram of what was measured, kept beside the results: percentiles alone cannot be looked into.

It is written as HdrHistogram writes its percentile distribution, so that its plotter, among others, reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import floor, log10

from bench.harness import RESULTS, ROOT, say


def keep(name: str, took: Sequence[float]) -> None:
    """Write `bench/results/NAME.hgrm`: of latencies, in seconds, how many were how long, in milliseconds of three
    digits. Nothing, if nothing was answered."""
    if not took:
        return
    counts = Counter(map(_rounded, took))
    lines = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""]
    reached = 0
    for value, count in sorted(counts.items()):
        reached += count
        share = reached / len(took)
        rest = f"{1 / (1 - share):14.2f}" if reached < len(took) else ""
        lines.append(f"{value:12.4f} {share:14.12f} {reached:10d} {rest}".rstrip())
    mean = sum(took) / len(took)
    spread = (sum((one - mean) ** 2 for one in took) / len(took)) ** 0.5
    lines += [
        f"#[Mean    = {mean * 1e3:12.4f}, StdDeviation   = {spread * 1e3:12.4f}]",
        f"#[Max     = {max(took) * 1e3:12.4f}, Total count    = {len(took):12d}]",
    ]
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.hgrm"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"    the histogram: {path.relative_to(ROOT)}")


def _rounded(seconds: float) -> float:
    """Milliseconds, of three digits."""
    value = seconds * 1e3
    return round(value, 2 - floor(log10(value))) if value > 0 else 0.0
