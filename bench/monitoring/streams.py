"""Streams of rows in which nothing changes, or as much as is said; equal on all sides, by seed.

iid        rows are independent
ar         each column is an AR(1) process over rows, rho 0.9: a window is worth a nineteenth of its rows for a mean
clustered  ten rows an entity, which are mostly alike (an intraclass correlation of 0.8), in no order: an eighth
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

KINDS = ("iid", "ar", "clustered")
RHO, EACH, WITHIN = 0.9, 10, 0.8
WORTH = {"iid": 1.0, "ar": (1 - RHO) / (1 + RHO), "clustered": 1 / (1 + (EACH - 1) * WITHIN)}
"""How many independent rows one row is worth, for a mean."""


def rows(kind: str, random: Any, count: int, columns: int) -> tuple[Any, Any]:
    """Standard normal columns, shape (count, columns), and the entity of each row (None but where it is clustered)."""
    if kind == "iid":
        return random.normal(size=(count, columns)), None
    if kind == "ar":
        noise = random.normal(size=(count, columns))
        noise[1:] *= np.sqrt(1 - RHO * RHO)
        return lfilter([1.0], [1.0, -RHO], noise, axis=0), None
    entities = -(-count // EACH)
    entity = np.repeat(random.integers(0, 10**12, entities), EACH)[:count]
    own = np.repeat(random.normal(size=(entities, columns)), EACH, axis=0)[:count]
    values = np.sqrt(WITHIN) * own + np.sqrt(1 - WITHIN) * random.normal(size=(count, columns))
    order = random.permutation(count)
    return values[order], entity[order]


def shifted(index: float) -> float:
    """By how many standard deviations a normal column moves for this PSI over its deciles."""
    return _solved(lambda by: _index(norm.cdf(_edges() - by)), index, 3.0)


def spread(index: float) -> float:
    """By which factor a normal column widens for this PSI over its deciles."""
    return 1.0 + _solved(lambda by: _index(norm.cdf(_edges() / (1.0 + by))), index, 4.0)


def risen(before: float, index: float) -> float:
    """To which share nulls rise, from this one, for this PSI of missing or not."""

    def of(by: float) -> float:
        p, q = before + by, before
        return float((p - q) * np.log(p / q) + (q - p) * np.log((1 - p) / (1 - q)))

    return before + _solved(of, index, 0.9 - before)


def _edges() -> Any:
    return norm.ppf(np.linspace(0.1, 0.9, 9))


def _index(cumulated: Any) -> float:
    p = np.diff(np.concatenate([[0.0], cumulated, [1.0]]))
    return float(((p - 0.1) * np.log(p / 0.1)).sum())


def _solved(of: Any, wanted: float, most: float) -> float:
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < wanted else (low, middle)
    return low


def named(values: Any) -> dict[str, Any]:
    """Columns by name."""
    return {f"x{place:02}": np.ascontiguousarray(values[:, place]) for place in range(values.shape[1])}


def episodes(alarms: list[bool]) -> int:
    """How often an alarm begins: days of alarm on end are one incident."""
    return sum(now and not before for before, now in zip([False, *alarms], alarms, strict=False))


def lasting(alarms: Any, needed: int = 2, among: int = 3) -> list[bool]:
    """Whether any column was drifted in so many of the last so many windows. alarms: shape (windows, columns)."""
    held = np.asarray(alarms, bool)
    recent = [held[max(day - among + 1, 0) : day + 1].sum(axis=0) >= needed for day in range(len(held))]
    return [bool(one.any()) for one in recent]
