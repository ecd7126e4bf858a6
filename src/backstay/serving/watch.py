"""A watch: what one share did lately, beside the champion, and whether that is beyond the bounds of its route.

It stands in a table of numbers of a fixed size, which the workers of a server share, as they share the board: so all
that they saw is judged together, by whichever of them looks next. A row costs a few numbers written in place.

    rates     of batches: the rows, negative where the version gave no score
    times     of batches: how long scoring took, over what the champion's takes when nothing else is to be done
    scores    one an entity, by a hash of its keys: whoever asks a hundred times counts once, with the latest

The champion's times and scores are noted as they come beside the share's, so that both cover the same time; where the
route has a baseline, only those of its rows.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from itertools import count
from math import isnan, log, sqrt
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import numpy as np
import numpy.typing as npt

from backstay.definitions.rollout import Breakers

if TYPE_CHECKING:
    from backstay.serving.routes import Choice, Snapshot
    from backstay.storage.predictions import Prediction

PLACES = 512
"""How many batches, and how many entities, of each of the two are remembered."""
_MODEL, _ENTRY, _MADE, _ROWS, _BESIDE, _BATCHES, _BATCHES_BESIDE, _HEAD = range(8)
_RATES, _TIMES, _SCORES, _TIMES_BESIDE, _SCORES_BESIDE = range(_HEAD, _HEAD + 5 * PLACES, PLACES)
CELLS = _HEAD + 5 * PLACES
"""How many numbers a table has."""
FLOOR = 1e-4
"""Seconds: a version is not slow that costs less than this beyond the champion."""
_AT_ONCE = 16
"""Rows of a batch whose scores are noted."""
_FEWEST = 20
"""Batches of either before times are compared."""
_CHANCE = sqrt(-log(1e-4 / 2) / 2)
"""What chance adds to the distance of two samples of n and m scores: this times sqrt(1 / n + 1 / m), once in 10,000."""
_DEVIATIONS = 3.0
_SECONDS = 0.25
"""How often a worker looks."""
_unkeyed = count()

Table = MutableSequence[float]


class Watch:
    """One share of a snapshot, and the champion beside it.

    table: `CELLS` numbers; what stands there of another route, or of another champion, is wiped
    """

    def __init__(self, snapshot: Snapshot, choice: Choice, table: Table, bounds: Breakers) -> None:
        assert snapshot.entry is not None
        champion = snapshot.champion.served
        self.choice, self.bounds, self.over, self.failures = choice, bounds, False, 0
        self._slot, self._cost = snapshot.slot, champion.cost
        self._cohort = None if snapshot.baseline is None else snapshot.baseline.route
        self._owed, self._next = 0, 0.0
        text = "/".join(f"{one.version.digest}{one.rule.name}" for one in (champion, choice.served))
        self._made = float(crc32(text.encode()) + 1), float(snapshot.entry.entry_id)
        self._table = table
        if (table[_MADE], table[_ENTRY]) != self._made:
            table[_ENTRY], table[_MADE] = 0.0, 0.0  # whoever writes for another route meanwhile does not any more
            for place in range(_ROWS, _HEAD):
                table[place] = 0.0
            np.frombuffer(table, np.float64)[_HEAD:] = np.nan  # type: ignore[call-overload]
            table[_MADE], table[_ENTRY] = self._made

    def noted(self, records: Sequence[Prediction], seconds: float, failed: bool, blank: bool = True) -> None:
        """A batch of the share, or its rows of one kind. seconds: NaN where it was not measured.

        failed: the champion answered for it
        blank:  and no row of the batch had a score: only such batches are counted as failures in a row
        """
        table, rows = self._table, len(records)
        self.failures = self.failures + 1 if failed and blank else 0
        if (table[_MADE], table[_ENTRY]) != self._made:
            return
        place = int(table[_BATCHES]) % PLACES
        table[_BATCHES] += 1.0
        table[_ROWS] += rows
        table[_RATES + place] = -rows if failed else rows
        self._owed = min(self._owed + 2 * rows, 2 * PLACES)
        if failed:
            return
        if not isnan(seconds):
            table[_TIMES + place] = seconds / self._usual(rows)
        for record in records[:_AT_ONCE]:
            table[_SCORES + self._place(record)] = record.score

    def beside(self, records: Sequence[Prediction], seconds: float) -> None:
        """A batch of the champion."""
        table = self._table
        if self._owed <= 0 or (table[_MADE], table[_ENTRY]) != self._made:
            return
        usual = self._usual(len(records))
        if self._cohort is not None:
            records = [record for record in records if record.route == self._cohort]
        # No more than it has had itself, twice: so the champion, which has far more, is not remembered for less long.
        mine = records[: min(self._owed, _AT_ONCE)]
        if not mine:
            return
        self._owed -= len(mine)
        table[_BESIDE] += len(mine)
        if not isnan(seconds):
            place = int(table[_BATCHES_BESIDE]) % PLACES
            table[_BATCHES_BESIDE] += 1.0
            table[_TIMES_BESIDE + place] = seconds / usual
        for record in mine:
            table[_SCORES_BESIDE + self._place(record)] = record.score

    def due(self, now: float) -> bool:
        """Whether it is time to judge, a few times a second."""
        if self.over or now < self._next:
            return False
        self._next = now + _SECONDS
        return True

    def judged(self) -> tuple[str, dict[str, Any]] | None:
        """In words, what is beyond a bound, and the evidence; None: nothing is."""
        table = np.array(self._table)
        if (table[_MADE], table[_ENTRY]) != self._made or table[_ROWS] < self.bounds.minimum:
            return None
        rows = {"rows": int(table[_ROWS]), "champion_rows": int(table[_BESIDE])}
        found = beyond_rate(_column(table, _RATES), self.bounds.error_rate)
        if found is None and table[_BESIDE] >= self.bounds.minimum:
            times, beside = _column(table, _TIMES), _column(table, _TIMES_BESIDE)
            found = beyond_time(times, beside, self.bounds.slowdown, self._usual(1))
            if found is None:
                scores, others = _column(table, _SCORES), _column(table, _SCORES_BESIDE)
                found = beyond_shift(scores, others, self.bounds.score_shift)
        return None if found is None else (found[0], found[1] | rows)

    def _usual(self, rows: int) -> float:
        return max(self._cost.of(rows), 1e-6)

    def _place(self, record: Prediction) -> int:
        number = self._slot(record.keys)
        return (next(_unkeyed) if number is None else number) % PLACES


Found = tuple[str, dict[str, Any]] | None


def beyond_rate(rates: npt.NDArray[np.float64], bound: float) -> Found:
    """Whether more rows had no score than `bound`, and than chance does.

    Rows may fail together: for what chance does, a batch counts once, or twice where some of it had scores.
    """
    rows, failed = float(np.abs(rates).sum()), float(-rates[rates < 0].sum())
    rate = failed / rows if rows else 0.0
    if not rows or rate <= bound + _DEVIATIONS * sqrt(bound * (1 - bound) / len(rates)):
        return None
    told = {"breaker": "error_rate", "value": round(rate, 6), "bound": bound, "batches": len(rates)}
    return f"{rate:.1%} of its rows had no score (at most {bound:.1%})", told


def beyond_time(times: npt.NDArray[np.float64], beside: npt.NDArray[np.float64], bound: float, unit: float) -> Found:
    """Whether the median of the share's times is `bound` times the champion's, and costs more than `FLOOR` beyond it.

    What chance does to a median is allowed for, whatever the times' distribution: the share's is taken two deviations
    lower (by order statistics), the champion's two higher.

    unit: seconds of what times are multiples of, for one row
    """
    if len(times) < _FEWEST or len(beside) < _FEWEST:
        return None
    one, other = float(np.median(times)), float(np.median(beside))
    least = float(np.quantile(times, 0.5 - 1 / sqrt(len(times))))
    most = float(np.quantile(beside, 0.5 + 1 / sqrt(len(beside))))
    if least <= bound * most or (least - most) * unit <= FLOOR:
        return None
    told = {
        "breaker": "slowdown", "value": round(one / other, 3), "bound": bound, "batches": len(times),
        "champion_batches": len(beside), "at_least": round(least / most, 3),
        "microseconds": round(one * unit * 1e6, 1), "champion_microseconds": round(other * unit * 1e6, 1),
    }  # fmt: skip
    return f"scoring took {one / other:.1f} times as long as the champion's (at most {bound:g})", told


def beyond_shift(scores: npt.NDArray[np.float64], others: npt.NDArray[np.float64], bound: float) -> Found:
    """Whether the distributions are further apart (Kolmogorov-Smirnov) than `bound` and what chance adds to it."""
    if not len(scores) or not len(others):
        return None
    gap, chance = distance(scores, others), _CHANCE * sqrt(1 / len(scores) + 1 / len(others))
    if gap <= bound + chance:
        return None
    told = {
        "breaker": "score_shift", "value": round(gap, 6), "bound": bound, "chance": round(chance, 6),
        "entities": len(scores), "champion_entities": len(others), "median": round(float(np.median(scores)), 6),
        "champion_median": round(float(np.median(others)), 6),
    }  # fmt: skip
    return f"its scores lie {gap:.2f} from the champion's (at most {bound:g}, and {chance:.2f} by chance)", told


def distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """The largest difference of the two samples' distribution functions.

    >>> distance(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.3, 0.4, 0.5, 0.6]))
    0.5
    """
    one, other = np.sort(one), np.sort(other)
    both = np.concatenate([one, other])
    shares = (np.searchsorted(each, both, side="right") / len(each) for each in (one, other))
    return float(np.abs(next(shares) - next(shares)).max())


def _column(table: npt.NDArray[np.float64], begin: int) -> npt.NDArray[np.float64]:
    column = table[begin : begin + PLACES]
    return column[~np.isnan(column)]


def claimed(tables: Sequence[Table], model: str, place: int) -> Table:
    """The table of a model's share; one of this process alone, where another model has it."""
    number = crc32(model.encode())
    table = tables[(number * 4 + place) % len(tables)] if place < 4 else None
    owner = float(number + 1)
    if table is None or table[_MODEL] not in (0.0, owner):
        return cast("Table", memoryview(bytearray(CELLS * 8)).cast("d"))
    table[_MODEL] = owner
    return table
