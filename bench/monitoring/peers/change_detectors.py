"""ADWIN, KSWIN, Page-Hinkley and DDM of river, and STEPD of Frouros, each as it comes out of the box, row by row."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from frouros.detectors.concept_drift import STEPD
from river.drift import ADWIN, KSWIN, PageHinkley
from river.drift.binary import DDM


def detectors() -> dict[str, Callable[[], Callable[[int], bool]]]:
    """By name: makes a fresh detector, as a function of the next error that tells whether it alarms."""

    def river(make: Callable[[], Any]) -> Callable[[], Callable[[int], bool]]:
        def fresh() -> Callable[[int], bool]:
            one = make()

            def step(error: int) -> bool:
                one.update(error)
                return bool(one.drift_detected)

            return step

        return fresh

    def stepd() -> Callable[[int], bool]:
        one = STEPD()

        def step(error: int) -> bool:
            one.update(value=1 - error)
            return bool(one.drift)

        return step

    return {
        "ADWIN": river(ADWIN), "KSWIN": river(lambda: KSWIN(seed=0)), "PageHinkley": river(PageHinkley),
        "DDM": river(DDM), "STEPD": stepd,
    }  # fmt: skip


def alarms(path: str, detector: str, every: int) -> dict[str, Any]:
    """The row of the first alarm of each stream, or of one in `every`; -1: none; None: it was not run."""
    fresh = detectors()[detector]
    found: list[int | None] = []
    with np.load(path) as kept:
        streams = [kept[key].astype(int).tolist() for key in sorted(kept.files)]
    begin = perf_counter()
    for place, errors in enumerate(streams):
        if place % every:
            found.append(None)
            continue
        step = fresh()
        found.append(next((at for at, error in enumerate(errors) if step(error)), -1))
    return {"alarms": found, "seconds": perf_counter() - begin}
