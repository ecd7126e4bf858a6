"""Is the data itself sound? Volume, nulls, types, range, unseen words, freshness, defaults: each a finding of its own.

A finding has the states of any monitor, by effect and by evidence: a share has risen by more than is allowed only where
the exact limits of both shares (Clopper and Pearson 1934; of effective rows, by Korn and Graubard 1998) lie that far
apart. Broken data is no drift: what to do about it is mended at its source, and a model must not learn from it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.drift.counts import Counts
from backstay.evaluation.drift.dependence import Spread
from backstay.evaluation.drift.reference import Reference
from backstay.evaluation.quantiles import beta_quantile, student_quantile
from backstay.evaluation.states import State

LEAST_BEFORE = 5
"""Windows before, without which nothing is said of volume."""


@dataclass(frozen=True, slots=True)
class QualityRule:
    """What is put up with.

    nulls, mistyped, out_of_range, unseen, defaults: by how much that share of rows may rise above the reference's
    severe:  the rise that a window must be able to show, beyond what is allowed, or it is UNDERPOWERED
    volume:  how many times as many rows as usual, or as few, are no surprise
    level:   of each finding's evidence
    """

    nulls: float = 0.05
    mistyped: float = 0.0
    out_of_range: float = 0.05
    unseen: float = 0.01
    defaults: float = 0.05
    severe: float = 0.2
    volume: float = 2.0
    level: float = 0.001


@dataclass(frozen=True, slots=True)
class Finding(Shown):
    """One answer about the data.

    what:   "nulls", "mistyped", "out_of_range", "unseen", "defaults", "volume" or "freshness"
    effect: the rise of a share (0 to 1); of volume, how many times the usual; of freshness, the age in seconds
    least:  the effect is at least this, at the rule's level; None where there is no evidence to be had
    limit:  from which effect on it is too much
    """

    what: str
    state: State
    effect: float
    least: float | None
    limit: float
    why: str


def quality(reference: Reference, counts: Counts, rule: QualityRule | None = None) -> dict[str, Finding]:
    """What the counts of one column's window say: nulls, mistyped, out_of_range (numbers), unseen (words).

    >>> reference = Reference.of(np.arange(1000.0))
    >>> found = quality(reference, reference.count([1.0] * 500 + [None] * 500))
    >>> found["nulls"].state.value, found["mistyped"].state.value
    ('DRIFT', 'OK')
    """
    rule = rule or QualityRule()
    limits = {"nulls": rule.nulls, "mistyped": rule.mistyped}
    limits |= {"out_of_range": rule.out_of_range} if reference.kind == "number" else {"unseen": rule.unseen}
    before = _Held(reference.counts, reference.spreads if reference.whole is None else None)
    now = _Held(counts)
    return {what: _risen(what, before, now, limit, rule) for what, limit in limits.items()}


def volume(rows: int, before: Sequence[int], rule: QualityRule | None = None) -> Finding:
    """Rows of a window beside those of like windows before (the same weekday, say).

    Too much or too few is both: beyond `rule.volume` times the median, and outside the range in which one more of the
    windows before would fall (Student's, of logarithms, at the level). Their spread is that of the middle half: a
    holiday among them, or an outage that has been going on, does not hide the next one.

    >>> volume(40, [1000, 1100, 950, 1020, 1010, 990]).state.value, volume(40, [10, 5000]).state.value
    ('DRIFT', 'NO_DATA')
    """
    rule = rule or QualityRule()
    if len(before) < LEAST_BEFORE:
        why = f"{len(before)} windows before, and it takes {LEAST_BEFORE}"
        return Finding("volume", State.NO_DATA, 1.0, None, rule.volume, why)
    usual = float(np.median(before))
    times = (rows + 0.5) / (usual + 0.5)
    logs = np.log(np.asarray(before, np.float64) + 0.5)
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle)))  # of normal values, their standard deviation
    reach = student_quantile(1.0 - rule.level / 2, len(logs) - 1) * spread * math.sqrt(1.0 + 1.0 / len(logs))
    away = abs(math.log(rows + 0.5) - middle)
    odd = not 1.0 / rule.volume <= times <= rule.volume
    state = State.DRIFT if odd and away > reach else State.OK
    if state is State.OK and reach > math.log(rule.volume) * 3:
        state = State.UNDERPOWERED if odd else State.OK
    why = f"{rows:,} rows, usually {usual:,.0f}"
    return Finding("volume", state, times, math.exp(max(away - reach, 0.0)), rule.volume, why)


def freshness(age: int | None, limit: int) -> Finding:
    """How old the newest value is. age: microseconds, None where there has never been one; limit: microseconds.

    >>> freshness(7_200_000_000, 3_600_000_000).why
    'the newest value is 7200 s old, and 3600 s are allowed'
    """
    allowed = limit / 1e6
    if age is None:
        return Finding("freshness", State.NO_DATA, 0.0, None, allowed, "there has never been a value")
    state = State.DRIFT if age > limit else State.OK
    why = f"the newest value is {age / 1e6:.0f} s old, and {allowed:.0f} s are allowed"
    return Finding("freshness", state, age / 1e6, age / 1e6, allowed, why)


def defaults(
    used: int, rows: int, usual: float, rule: QualityRule | None = None, *, effective: float | None = None
) -> Finding:
    """How often a feature's default stood in for a value. usual: the share in training, 0 to 1.

    >>> defaults(400, 1000, usual=0.01).state.value
    'DRIFT'
    """
    rule = rule or QualityRule()
    return _share("defaults", (used, rows, effective or rows), (usual, usual), rule.defaults, rule)


class _Held:
    """The counts of one side, with how they spread: found once, and only where a share asks for it."""

    def __init__(self, counts: Counts, spreads: list[Spread] | None = None) -> None:
        self.cells, self.rows, self._dependence, self._spreads = counts.cells, counts.rows, counts.dependence, spreads

    def outside(self, what: str) -> int:
        return sum(int(self.cells[place]) for place in _PLACES[what])

    def effect(self, what: str) -> float:
        """The design effect of that share: the largest found, and 1 at least."""
        share = self.cells / max(self.rows, 1)
        along = np.zeros(len(share))
        along[_PLACES[what]] = 1.0
        p = float(along @ share)
        if not 0.0 < p < 1.0:
            return 1.0
        if self._spreads is None:
            self._spreads = self._dependence.covariances(share)
        return max([1.0, *(one.effect_along(along) for one in self._spreads)])


_PLACES = {"nulls": [-3], "mistyped": [-1], "unseen": [-2], "out_of_range": [0, -4]}


def _risen(what: str, reference: _Held, counts: _Held, limit: float, rule: QualityRule) -> Finding:
    before, now = reference.outside(what), counts.outside(what)
    if not reference.rows:
        return Finding(what, State.NO_DATA, 0.0, None, limit, "the reference has no row")
    size = reference.rows / reference.effect(what)
    top = 1.0 if before == reference.rows else beta_quantile(
        1.0 - rule.level / 2, before * size / reference.rows + 1.0, size - before * size / reference.rows
    )  # fmt: skip
    window = now, counts.rows, counts.rows / counts.effect(what)
    return _share(what, window, (before / reference.rows, top), limit, rule)


def _share(
    what: str, window: tuple[int, int, float], usual: tuple[float, float], limit: float, rule: QualityRule
) -> Finding:  # fmt: skip
    """Whether a share has risen. window: rows that are so, all rows, effective rows; usual: a share and its limit."""
    now, rows, size = window
    if now < 0 or now > rows:
        raise InputError(f"{now} of {rows} rows", where=what, expected="a part of them")
    if not rows:
        return Finding(what, State.NO_DATA, 0.0, None, limit, "the window has no row")
    effect = now / rows - usual[0]
    least = _low(now / rows, size, rule.level) - usual[1]
    why = f"{now / rows:.2%} of {rows:,} rows, {usual[0]:.2%} in training"
    if least > limit or (limit == 0.0 and now and not usual[0]):
        return Finding(what, State.DRIFT, effect, least, limit, why)
    shown = _low(min(usual[0] + limit + rule.severe, 1.0), size, rule.level) - usual[1] > limit
    return Finding(what, State.OK if shown else State.UNDERPOWERED, effect, least, limit, why)


def _low(share: float, size: float, level: float) -> float:
    """The lower confidence limit of a share of so many effective rows."""
    hits = share * size
    return 0.0 if hits <= 0 else beta_quantile(level / 2, hits, size - hits + 1.0)
