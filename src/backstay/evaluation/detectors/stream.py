"""A **change detector**: has the mean of a stream changed, when nobody said what it was before?

For every row that the change may have begun with, it holds the rows since against those before: how much likelier
another rate makes them than the same one. The same rate is drawn from what the rows before say of it (with Jeffreys'
prior), another from about their mean, as if that were known from `PRIOR` rows: shifts of a few hundredths to a few
tenths are what it expects, and larger ones show all the same. With s losses and f successes, before (1) and since (2),
and c = PRIOR x mean + 1/2, d = PRIOR x (1 - mean) + 1/2, the ratio is a closed form of beta functions,

    [B(c + s2, d + f2) / B(c, d)] / [B(s + 1/2, f + 1/2) / B(s1 + 1/2, f1 + 1/2)]

The detector's value is their sum over the rows that it may have begun with, as Shiryaev (1963) and Roberts (1966) have
it: after n rows it is n on average where nothing has changed and the rate is drawn from the prior, so that the mean
number of rows until it reaches 1 / level is at least 1 / level. Nothing is learned beforehand and nothing is tuned: the
baseline is what has been seen since the last change.

Begins are kept at every row for the last ones, and ever more sparsely for those long ago, as Bifet and Gavalda (2007)
keep theirs; each stands for those that were left out.

    ok       errors, 0 or 1, of rows in the order of time       a loss in [0, 1] too: it is borne as if it spread more
    not ok   rows of one entity one after another               say how many are worth one: `design`

>>> detector = ChangeDetector()
>>> for at in range(2_000):
...     detector = detector.update([float(at % (10 if at < 1_500 else 3) == 0)])
...     if detector.alarm:
...         break
>>> at - 1_500 < 100, abs(detector.since - 1_500) < 30
(True, True)
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.metrics import Floats, as_numbers
from backstay.evaluation.quantiles import log_beta

LEVEL = 1e-6
"""One false alarm in at least 1,000,000 rows on average: in a year of 2,700 rows a day."""
SIDES = ("up", "both")
FIRST = 30
"""Rows before the first row that a change may begin with."""
KEPT = 24
"""Begins that are kept of each doubling of age."""
PRIOR, HALF = 20.0, 0.5
"""How near to the rate before another one is: as if known from so many rows."""


@dataclass(frozen=True, slots=True)
class ChangeDetector(Shown):
    """The state of one detector: a few plain numbers, to be kept as `as_dict()` and taken up again by `from_dict`.

    level:        one over the average number of rows until a false alarm, at the least
    side:         "up": the mean has risen, which for losses is harm; "both": it has changed
    design:       how many rows are worth one, 1 or more
    rows, total:  since the last change: how many rows there were, and the sum of their losses
    seen:         all rows
    begins:       which rows a change may have begun with, as (rows before, their losses, how many begins it stands for)
    value:        the detector's value; alarm: has it reached 1 / level? The next row then starts anew from `since`
    since:        the row, of all seen, that the change most likely began with, while there is an alarm
    """

    level: float = LEVEL
    side: str = "up"
    design: float = 1.0
    rows: int = 0
    total: float = 0.0
    seen: int = 0
    begins: tuple[tuple[int, float, int], ...] = ()
    value: float = 0.0
    since: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise InputError(f"the level is {self.level}", where="level", expected="between 0 and 1, such as 0.000001")
        if self.side not in SIDES:
            raise InputError(f"the side is {self.side!r}", where="side", expected="'up' or 'both'")
        if not 1.0 <= self.design < math.inf:
            raise InputError(f"the design effect is {self.design}", where="design", expected="1 or more")

    @property
    def alarm(self) -> bool:
        """Has the mean changed?"""
        return self.since is not None

    def update(self, losses: ArrayLike) -> ChangeDetector:
        """The detector after these losses more, in the order of time, each in [0, 1]; it is looked at after the last.

        After an alarm what it has seen since the change is the new baseline. Raises `InputError` for what is not in
        [0, 1].
        """
        x = as_numbers(losses, "losses")
        if not ((x >= 0.0) & (x <= 1.0)).all():
            raise InputError("a loss is not in [0, 1]", where="losses", expected="0 for a success, 1 for a failure")
        start = self._anew() if self.alarm else self
        if not x.size:
            return start
        before = start.begins
        if start.rows >= FIRST:
            before = (*before, (start.rows, start.total, int(x.size)))
        rows, total = start.rows + int(x.size), start.total + math.fsum(x.tolist())
        if not before:
            return replace(start, rows=rows, total=total, seen=start.seen + int(x.size))
        table = np.array(before, np.float64)
        logs = np.log(table[:, 2]) + self._evidence(table, rows, total)
        value = float(np.logaddexp.reduce(logs))
        since = None
        if value >= -math.log(self.level):
            since = start.seen - start.rows + int(before[int(np.argmax(logs - np.log(table[:, 2])))][0])
        kept = before if since is not None else _thinned(before, rows)
        return replace(
            start, rows=rows, total=total, seen=start.seen + int(x.size), begins=kept,
            value=math.exp(min(value, 700.0)), since=since,
        )  # fmt: skip

    def _evidence(self, table: Floats, rows: int, total: float) -> Floats:
        """The logarithm of how much likelier another rate since is than the same one, for each begin."""
        d = self.design
        n1, s1 = table[:, 0] / d, table[:, 1] / d
        n2, s2 = rows / d - n1, total / d - s1
        mean = (s1 + HALF) / (n1 + 1.0)
        c, other = PRIOR * mean + HALF, PRIOR * (1.0 - mean) + HALF
        another = log_beta(c + s2, other + n2 - s2) - log_beta(c, other)
        same = log_beta(s1 + s2 + HALF, n1 + n2 - s1 - s2 + HALF) - log_beta(s1 + HALF, n1 - s1 + HALF)
        found = another - same
        if self.side == "up":  # half of the prior is above: twice the evidence, or none
            found = np.where(s2 * n1 > s1 * n2, found + math.log(2.0), -np.inf)
        return np.asarray(found, np.float64)

    def _anew(self) -> ChangeDetector:
        """The detector with the rows since the change as its baseline."""
        assert self.since is not None
        gone = self.since - (self.seen - self.rows)
        lost = math.fsum([self.total, -next((s for n, s, _ in self.begins if n == gone), self.total)])
        rows = self.rows - gone
        return replace(self, rows=rows, total=min(max(lost, 0.0), rows), begins=(), value=0.0, since=None)

    def as_dict(self) -> dict[str, Any]:
        """What it says, and the state, as plain values; `from_dict` takes the state back."""
        return {
            "alarm": self.alarm, "since": self.since, "value": self.value, "level": self.level, "side": self.side,
            "design": self.design, "rows": self.rows, "total": self.total, "seen": self.seen,
            "begins": [list(one) for one in self.begins],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> ChangeDetector:
        """The detector that these plain values are the state of."""
        begins = tuple((int(n), float(s), int(worth)) for n, s, worth in told["begins"])
        return cls(
            told["level"], told["side"], told["design"], told["rows"], told["total"], told["seen"], begins,
            told["value"], told["since"],
        )  # fmt: skip


def _thinned(begins: tuple[tuple[int, float, int], ...], rows: int) -> tuple[tuple[int, float, int], ...]:
    """The begins, with one left out where more than `KEPT` lie in a doubling of age; the next stands for it too."""
    ages = [(rows - one[0]).bit_length() for one in begins]  # from the oldest on, they fall
    for age in range(ages[0], 0, -1):
        first = bisect_left(ages, -age, key=operator.neg)
        after = bisect_right(ages, -age, key=operator.neg)
        if after - first > KEPT:
            place = min(range(first, after - 1), key=lambda at: begins[at][2])
            n, s, worth = begins[place + 1]
            return (*begins[:place], (n, s, worth + begins[place][2]), *begins[place + 2 :])
    return begins
