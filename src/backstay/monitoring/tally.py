"""A tally: what was counted of one version in one window. All that monitors say of a window, they say of its tally.

Tallies of parts of a window, or of several windows, add up: over workers, hours and machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from backstay.evaluation.drift import Counted, References
from backstay.monitoring.estimates import CELLS, Expected, grid, joined
from backstay.monitoring.rows import Rows

SCORE, DECISION = "score", "decision"
_NONE = (0,) * CELLS


@dataclass(frozen=True, slots=True)
class Tally:
    """One version in one window.

    rows:     that it answered
    features: the counts of the watched features, over the bins of its reference
    said:     those of `score` and `decision`
    standins: by feature, how many rows had a value that stands in for one that could not be looked up
    scores:   how often each score was given, see `estimates.grid`
    """

    rows: int = 0
    features: Counted = field(default_factory=Counted)
    said: Counted = field(default_factory=Counted)
    standins: Mapping[str, int] = field(default_factory=dict)
    scores: tuple[int, ...] = _NONE

    def __add__(self, other: Tally) -> Tally:
        names = dict.fromkeys([*self.standins, *other.standins])
        standins = {name: self.standins.get(name, 0) + other.standins.get(name, 0) for name in names}
        return Tally(
            self.rows + other.rows, self.features + other.features, self.said + other.said, standins,
            joined(self.scores, other.scores),
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit."""
        return {
            "rows": self.rows, "features": self.features.as_dict(), "said": self.said.as_dict(),
            "standins": dict(self.standins), "scores": list(self.scores),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Tally:
        features, said = (Counted.from_dict(data[name]) for name in ("features", "said"))
        return cls(int(data["rows"]), features, said, dict(data["standins"]), tuple(data["scores"]))


@dataclass(frozen=True, slots=True)
class Known:
    """What a version is held against: the references of its features, those of what it says, what its scores mean."""

    features: References
    said: References
    expected: Expected | None = None

    def tally(self, rows: Rows) -> Tally:
        """Count some rows of the version. They need not come in the order of time."""
        told = {SCORE: rows.score, DECISION: rows.decision}
        features = Counted(len(rows))
        if rows.features:
            features = self.features.count(rows.features, at=rows.at, entity=rows.entity)
        said = self.said.count(told, at=rows.at, entity=rows.entity)
        return Tally(len(rows), features, said, dict(rows.standins), grid(rows.score))


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    return reduce(add, tallies) if (tallies := list(tallies)) else Tally()
