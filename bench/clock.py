"""Stopwatches that every side uses alike."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import perf_counter, perf_counter_ns
from typing import Any


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of one call, and what it returned."""
    gc.collect()
    begin = perf_counter()
    result = work()
    return perf_counter() - begin, result


def each(work: Callable[[Any], Any], arguments: Sequence[Any], *, warm: int = 200) -> dict[str, float]:
    """Percentiles, in seconds, of one call for each argument; the first `warm` calls do not count."""
    for argument in arguments[:warm]:
        work(argument)
    gc.collect()
    took = []
    for argument in arguments[warm:]:
        begin = perf_counter_ns()
        work(argument)
        took.append(perf_counter_ns() - begin)
    took.sort()
    return {"p50": took[len(took) // 2] / 1e9, "p99": took[len(took) * 99 // 100] / 1e9, "calls": len(took)}
