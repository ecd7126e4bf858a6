"""Runs beside each other: in what they differ, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.storage.runs import Metric, RunRecord

Curve = list[tuple[int, float]]
"""A metric over steps."""


@dataclass(frozen=True, slots=True)
class Comparison(Shown):
    """Runs beside each other; every list has a place for each run, in the order of `runs`.

    parameters: those that differ; None where a run has none
    same:       those that are the same in all
    metrics:    the last value of each; None where a run has none
    curves:     metrics that some run logged at more than one step, over steps
    """

    runs: list[RunRecord]
    parameters: dict[str, list[Any]]
    same: dict[str, Any]
    metrics: dict[str, list[float | None]]
    curves: dict[str, list[Curve]]


def compared(runs: Sequence[RunRecord], logged: Sequence[Sequence[Metric]]) -> Comparison:
    """The comparison of some runs, and of what each logged."""
    every = _beside([run.parameters for run in runs])
    same = {
        name: values[0]
        for name, values in every.items()
        if all(name in run.parameters and run.parameters[name] == values[0] for run in runs)
    }
    curves: dict[str, list[Curve]] = {}
    for place, metrics in enumerate(logged):
        for one in metrics:
            curves.setdefault(one.name, [[] for _ in runs])[place].append((one.step, one.value))
    return Comparison(
        list(runs),
        {name: values for name, values in every.items() if name not in same},
        same,
        _beside([run.metrics for run in runs]),
        {
            name: [sorted(one, key=_step) for one in found]
            for name, found in sorted(curves.items())
            if _over_steps(found)
        },
    )


def _step(point: tuple[int, float]) -> int:
    return point[0]


def _over_steps(curves: list[Curve]) -> bool:
    return any(len({step for step, _ in one}) > 1 for one in curves)


def _beside(found: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """What each has under every name that one of them has, by name."""
    return {name: [one.get(name) for one in found] for name in sorted({name for one in found for name in one})}
