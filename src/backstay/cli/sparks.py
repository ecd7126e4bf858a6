"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

_LEVELS = "▁▂▃▄▅▆▇█"
WIDTH = 32

Curve = Sequence[tuple[int, float]]


def sparks(curves: Sequence[Curve], width: int = WIDTH) -> list[str]:
    """Curves of (step, value) as lines of text that share their axes: what is under each other is of the same steps.

    Each character is the mean of its steps; where there is none, or nothing finite, it is blank.

    >>> sparks([[(0, 1.0), (1, 2.0), (2, 3.0)], [(0, 3.0), (2, math.nan)]])
    ['▁▅█', '█  ']
    """
    steps = {step for one in curves for step, _ in one}
    values = [value for one in curves for _, value in one if math.isfinite(value)]
    if not values:
        return ["" for _ in curves]
    first, last, low, high = min(steps), max(steps), min(values), max(values)
    places = min(width, len(steps))
    return [_line(_means(one, first, last, places), low, high) for one in curves]


def _means(curve: Iterable[tuple[int, float]], first: int, last: int, places: int) -> list[float | None]:
    found: list[list[float]] = [[] for _ in range(places)]
    for step, value in curve:
        if math.isfinite(value):
            found[(step - first) * places // (last - first + 1)].append(value)
    return [math.fsum(one) / len(one) if one else None for one in found]


def _line(means: Iterable[float | None], low: float, high: float) -> str:
    top = len(_LEVELS) - 1
    return "".join(
        " " if one is None else _LEVELS[top // 2 if high == low else int((one - low) / (high - low) * top + 0.5)]
        for one in means
    )
