"""A brute-force oracle for feature values: one loop a row, straight from the rules of DESIGN.

It imports nothing from `backstay.features`, knows no prefix sums and no sorting tricks, and takes its definitions as
plain tuples, so that nothing it says can come from the code it judges.
"""

from __future__ import annotations

import math
import statistics
from fractions import Fraction
from typing import Any, NamedTuple


class Event(NamedTuple):
    event_time: int
    known_time: int
    sequence: int
    keys: dict[str, Any]
    values: dict[str, Any]
    id: str | None = None


def order(event: Event) -> tuple[int, int, int]:
    return event.event_time, event.known_time, event.sequence


def visible(events: list[Event], keys: dict[str, Any], at: int) -> list[Event]:
    """The entity's events that count at `at`, in the total order. Of one id only the highest visible version does."""
    if any(value is None for value in keys.values()):
        return []
    seen = [event for event in events if event.event_time < at and event.known_time <= at]
    highest: dict[str, Event] = {}
    for event in seen:
        if event.id is not None:
            best = highest.get(event.id)
            if best is None or (event.known_time, event.sequence) > (best.known_time, best.sequence):
                highest[event.id] = event
    counted = [event for event in seen if event.id is None or highest[event.id] is event]
    return sorted((e for e in counted if all(e.keys[name] == value for name, value in keys.items())), key=order)


def windowed(events: list[Event], at: int, begin: int, kind: str, column: str | None) -> tuple[Any, str]:
    if not events:
        return (0 if kind in ("count", "sum", "distinct") else None), "MISSING"
    inside = [event for event in events if event.event_time >= begin]
    if kind == "count":
        return len(inside), "OK"
    assert column is not None
    if kind in ("first", "last"):
        value = inside[0 if kind == "first" else -1].values[column] if inside else None
        return value, "NULL" if value is None else "OK"
    values = [value for event in inside if (value := event.values[column]) is not None]
    if kind == "distinct":
        return len(set(values)), "OK"
    if kind == "sum":
        return math.fsum(values), "OK"
    if not values or (kind == "std" and len(values) < 2):
        return None, "NULL"
    return {
        "mean": lambda: math.fsum(values) / len(values),
        "share": lambda: sum(1 for value in values if value >= 30) / len(values),
        "min": lambda: min(values),
        "max": lambda: max(values),
        "std": lambda: float(statistics.stdev([Fraction(value) for value in values])),
    }[kind](), "OK"


def latest(events: list[Event], at: int, max_age: int | None, column: str) -> tuple[Any, str]:
    if not events:
        return None, "MISSING"
    if max_age is not None and at - events[-1].event_time > max_age:
        return None, "EXPIRED"
    value = events[-1].values[column]
    return (value, "OK") if value is not None else (None, "NULL")


def answer(events: list[Event], keys: dict[str, Any], at: int, spec: tuple[Any, ...]) -> tuple[Any, str]:
    """`spec` is ("windowed", window, hop or None, kind, column) or ("latest", max_age, column)."""
    return answer_of(visible(events, keys, at), at, spec)


def answer_of(seen: list[Event], at: int, spec: tuple[Any, ...]) -> tuple[Any, str]:
    """`answer`, from what of the entity is visible: which the many features of an entity have in common."""
    if spec[0] == "windowed":
        _, window, hop, kind, column = spec
        begin = at - window if hop is None else math.floor(Fraction(at - window, hop)) * hop
        return windowed(seen, at, begin, kind, column)
    return latest(seen, at, *spec[1:])
