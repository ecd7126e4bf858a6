"""A brute-force oracle for feature values: one loop a row, straight from the rules of DESIGN.

It imports nothing from `backstay.features`, knows no prefix sums and no sorting tricks, and takes its definitions as
plain tuples, so that nothing it says can come from the code it judges.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple


class Event(NamedTuple):
    event_time: int
    known_time: int
    sequence: int
    keys: dict[str, str | None]
    values: dict[str, float | None]


def visible(events: list[Event], keys: dict[str, str | None], at: int) -> list[Event]:
    """The entity's events that count at `at`, in the total order."""
    if any(value is None for value in keys.values()):
        return []
    seen = [
        event
        for event in events
        if event.event_time < at
        and event.known_time <= at
        and all(event.keys[name] == value for name, value in keys.items())
    ]
    return sorted(seen, key=lambda event: (event.event_time, event.known_time, event.sequence))


def windowed(events: list[Event], at: int, window: int, kind: str, column: str) -> tuple[float | None, str]:
    if not events:
        return (0.0 if kind in ("count", "sum") else None), "MISSING"
    inside = [event for event in events if event.event_time >= at - window]
    values = [value for event in inside if (value := event.values[column]) is not None]
    if kind == "count":
        return float(len(inside)), "OK"
    if kind == "sum":
        return math.fsum(values), "OK"
    if not values:
        return None, "NULL"
    if kind == "mean":
        return math.fsum(values) / len(values), "OK"
    if kind == "share":
        return sum(1 for value in values if value >= 30) / len(values), "OK"
    raise AssertionError(kind)


def latest(events: list[Event], at: int, max_age: int | None, column: str) -> tuple[float | None, str]:
    if not events:
        return None, "MISSING"
    if max_age is not None and at - events[-1].event_time > max_age:
        return None, "EXPIRED"
    value = events[-1].values[column]
    return (value, "OK") if value is not None else (None, "NULL")


def answer(
    events: list[Event], keys: dict[str, str | None], at: int, spec: tuple[Any, ...]
) -> tuple[float | None, str]:
    """`spec` is ("windowed", window, kind, column) or ("latest", max_age, column)."""
    seen = visible(events, keys, at)
    if spec[0] == "windowed":
        return windowed(seen, at, *spec[1:])
    return latest(seen, at, *spec[1:])
