"""What is wrong with an input, from its values alone: another unit, a time shifted by whole hours, one value for all.

Where the record has the right value of the same row, the two are held against each other row by row (`differing`).
Where it has not, the whole distribution must have moved by one known factor, or one whole number of hours, from one
moment on (`rescaled_since`, `lagging`): a season moves a distribution otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.units import LINES, unit_mismatch
from backstay.investigation.verdicts import Cause

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOUR = 3_600_000_000
MINUTE = 60_000_000
ALIKE = 0.9
"""The share of rows that differ which must differ in one way."""
LEAST = 20
"""Rows that must differ, below which no way is told."""


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """How what was served of an input differs from what the record has of the same rows.

    cause: UNITS, TIME_ZONE or DEFAULT; None: it differs, and in no one way. rows: those that differ
    """

    cause: Cause | None
    rows: Bools
    why: str
    evidence: dict[str, Any] = field(default_factory=dict)


def differing(name: str, served: Floats, recorded: Floats, *, time: bool = False) -> Difference | None:
    """How an input differs, row by row; None where it does not.

    served, recorded: shape (rows,), NaN for null; of a time (`time`), microseconds. Rows of which the record knows
    nothing are to be left out before.

    >>> found = differing("wait", np.arange(100.0) * 60, np.arange(100.0))
    >>> found.cause.value, found.why
    ('unit_change', '`wait` came 60 times as large as it was')
    """
    there = np.isfinite(recorded)
    rows = there & ~(np.isfinite(served) & np.isclose(served, recorded, rtol=1e-9, atol=0.0))
    if not rows.any():
        return None
    many = int(np.count_nonzero(rows))
    if many < LEAST:
        return Difference(None, rows, f"`{name}` differs from the record in {many} rows", {"differing": many})
    s, r = served[rows], recorded[rows]
    found = _missing(name, s, r) or (_hours(name, s, r) if time else _unit(name, s, r) or _clock(name, s, r))
    if found is None:
        return Difference(None, rows, f"`{name}` differs from the record in {many:,} rows", {"differing": many})
    cause, why, evidence = found
    return Difference(cause, rows, why, {"differing": many, **evidence})


_Found = tuple[Cause, str, dict[str, Any]]


def _missing(name: str, served: Floats, recorded: Floats) -> _Found | None:
    """Null, or one value, where the record has many."""
    none = float(np.mean(~np.isfinite(served)))
    if none >= ALIKE:
        return Cause.DEFAULT, f"`{name}` was null where it was known", {"null": none}
    values, counts = np.unique(served[np.isfinite(served)], return_counts=True)
    most = int(np.argmax(counts))
    if counts[most] + none * served.size >= ALIKE * served.size and np.unique(recorded).size > 2:
        why = f"`{name}` was {values[most]:g} where other values were known"
        return Cause.DEFAULT, why, {"value": float(values[most])}
    return None


def _hours(name: str, served: Floats, recorded: Floats) -> _Found | None:
    """A time that is off by whole hours (an hour more or less is summer time)."""
    off = (served - recorded) / HOUR
    off = off[np.isfinite(off)]
    if not off.size or np.mean(np.abs(off - np.rint(off)) * HOUR <= MINUTE) < ALIKE:
        return None
    hours = float(np.median(np.rint(off)))
    if hours == 0.0 or np.mean(np.abs(np.rint(off) - hours) <= 1.0) < ALIKE:
        return None
    return Cause.TIME_ZONE, f"`{name}` came {hours:+g} h from what it was", {"hours": hours}


def _clock(name: str, served: Floats, recorded: Floats) -> _Found | None:
    """An hour of the day that is off by whole hours, round the clock."""
    known = np.isfinite(served) & np.isfinite(recorded)
    s, r = served[known], recorded[known]
    whole = s.size and (np.rint(s) == s).all() and (np.rint(r) == r).all()
    if not whole or min(s.min(), r.min()) < 0 or max(s.max(), r.max()) > 24:
        return None
    off, counts = np.unique((s - r) % 24, return_counts=True)
    most = int(np.argmax(counts))
    if counts[most] < ALIKE * s.size:
        return None
    hours = float(off[most]) - (24.0 if off[most] > 12 else 0.0)
    return Cause.TIME_ZONE, f"`{name}` came {hours:+g} h from what it was", {"hours": hours}


def _unit(name: str, served: Floats, recorded: Floats) -> _Found | None:
    """One factor, or one of the known lines."""
    known = np.isfinite(served) & np.isfinite(recorded) & (recorded != 0.0)
    s, r = served[known], recorded[known]
    if s.size < LEAST or np.unique(r).size < 3:
        return None
    ratio = s / r
    factor = float(np.median(ratio))
    if factor > 0.0 and abs(math.log(factor)) > 0.05 and np.mean(np.abs(ratio / factor - 1.0) < 0.01) >= ALIKE:
        times = f"{factor:.4g} times as large as it was" if factor > 1 else f"as {factor:.4g} of what it was"
        return Cause.UNITS, f"`{name}` came {times}", {"factor": factor}
    for slope, offset in LINES:  # the record's, from what was served: what comes of the inverse of each
        if np.mean(np.abs(s - (slope * r + offset)) < 0.01 * (np.abs(s) + 1.0)) >= ALIKE:
            why = (
                f"`{name}` came as {slope:.4g} times what it was {'plus' if offset > 0 else 'minus'} {abs(offset):.4g}"
            )
            return Cause.UNITS, why, {"factor": slope, "offset": offset}
    return None


@dataclass(frozen=True, slots=True)
class Rescaled:
    """An input that comes in another unit from a moment on: times `ratio`, plus `offset`, it is as it was before."""

    ratio: float
    offset: float
    since: int
    why: str


def rescaled_since(name: str, trained: Floats, at: Ints, served: Floats) -> Rescaled | None:
    """Whether the distribution of an input was rescaled from a moment on.

    trained: values as they were; at: microseconds, and served, shape (rows,): values since
    """
    order = np.argsort(at, kind="stable")
    values, when = served[order], at[order]
    known = np.isfinite(values) & (values != 0.0)
    values, when = values[known], when[known]
    for tail in (1.0, 0.5, 0.25):
        first = int(values.size * (1.0 - tail))
        found = unit_mismatch({name: trained}, {name: values[first:]})
        if found:
            one = found[0]
            start = _since(values, one.served_median, one.trained_median, one.ratio, one.offset)
            times = 1.0 / one.ratio
            how = f"{times:.4g} times as large as before" if times > 1 else f"as {times:.4g} of what it was"
            if one.offset:
                how = f"as another scale: {one.ratio:.4g} times it, {one.offset:+.4g}, is as before"
            return Rescaled(one.ratio, one.offset, int(when[start]), f"`{name}` came {how}")
    return None


def _since(values: Floats, served: float, trained: float, ratio: float, offset: float) -> int:
    """The place from which values lie nearer to the new median than to the old one: a change point in medians."""
    spread = max(abs(served), 1e-12)
    if offset:
        off = np.abs(values - trained) - np.abs(values - served)
        off = off / spread
    else:
        size = np.log(np.abs(values))
        old, new = math.log(max(abs(trained), 1e-12)), math.log(max(abs(trained / ratio), 1e-12))
        off = np.abs(size - old) - np.abs(size - new)
    return int(np.argmax(np.cumsum(off[::-1])[::-1]))


@dataclass(frozen=True, slots=True)
class Lag:
    """How much later events of a source become known than before.

    hours:   by how many whole hours their event time is off; 0: it is not
    seconds: by how much later they become known, in the median; since: from when on
    always:  it has been so since the model began to serve
    spread:  the distance of the quartiles of the lag, seconds
    """

    hours: int
    seconds: float
    since: int
    always: bool
    before: float
    spread: float


def lagging(before: tuple[Ints, Ints], now: tuple[Ints, Ints]) -> Lag | None:
    """Whether events lag more than they did; each side is (event time, known time) in microseconds. None: they do not.

    A lag that moved by a whole number of hours is a shifted event time where events then happen at another time of day
    than before, or become known before they happen; else they are late.
    """
    if min(before[0].size, now[0].size) < LEAST:
        return None
    old = (before[1] - before[0]) / 1e6
    order = np.argsort(now[0] + 0, kind="stable")
    event = now[0][order]
    new = (now[1][order] - event) / 1e6
    usual, width = float(np.median(old)), float(np.subtract(*np.quantile(old, (0.75, 0.25))))
    parts = [part for part in np.array_split(np.arange(new.size), min(24, max(1, new.size // LEAST))) if part.size]
    middles = np.array([np.median(new[part]) for part in parts]) - usual
    least = max(60.0, 3.0 * width)
    moved = float(np.median(middles[-max(1, len(parts) // 4) :]))
    if abs(moved) <= least:
        return None
    far = np.abs(new - usual - moved) < np.abs(new - usual)
    start = int(np.argmax(np.cumsum((2.0 * far - 1.0)[::-1])[::-1]))
    late = new[start:]
    moved = float(np.median(late) - usual)
    spread = float(np.subtract(*np.quantile(late, (0.75, 0.25))))
    hours = round(moved / 3600.0)
    whole = hours != 0 and abs(moved - 3600.0 * hours) <= max(60.0, 2.0 * width) and spread <= max(120.0, 3.0 * width)
    shifted = whole and (hours < 0 or _of_day(before[0], event[start:], hours))
    always = bool(start <= 0.05 * new.size)
    return Lag(hours if shifted else 0, moved, int(event[start]), always, usual, spread)


def _of_day(before: Ints, now: Ints, hours: int) -> bool:
    """Whether events happen at other hours of the day than before, and at the same ones once shifted back."""
    old, new = (np.bincount((one // HOUR % 24).astype(np.int64), minlength=24) / one.size for one in (before, now))
    apart = float(np.abs(old - new).sum())
    back = float(np.abs(old - np.roll(new, hours)).sum())
    noise = math.sqrt(24.0 / before.size + 24.0 / now.size)
    return apart > 2.0 * noise and back < apart / 2.0
