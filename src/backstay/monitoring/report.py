"""The report of a monitor: how a version's inputs, scores and quality have been over a span of time.

What the span as a whole says stands first, and decides: a month says more than its days. The days stand beside it, for
the heat map, and to see since when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.evaluation.drift import Domain
from backstay.evaluation.figures.heat import Cell, heat_map
from backstay.evaluation.states import State
from backstay.monitoring.assess import Found
from backstay.monitoring.labels import LabelReport
from backstay.monitoring.looks import states
from backstay.monitoring.signals import INPUT_DRIFT, SCORE_DRIFT, Signal
from backstay.monitoring.windows import Window

DRIFTS = (INPUT_DRIFT, SCORE_DRIFT)
CALIBRATION = "calibration"
"""What of the scores labels tell of, and columns do not."""


@dataclass(frozen=True, slots=True)
class Day(Shown):
    """One window: which version answered most of its rows, and how far its columns drift."""

    window: Window
    version: int | None
    rows: int
    found: tuple[Found, ...]

    @classmethod
    def of(cls, window: Window, version: int | None, rows: int, found: Iterable[Found]) -> Day:
        """Of all that was found in a window, the drift of its columns."""
        return cls(window, version, rows, tuple(one for one in found if one.kind in DRIFTS and one.what != CALIBRATION))

    def kept(self) -> dict[str, Any]:
        """Plain data that `from_kept` takes back: all but the evidence."""
        found = [[one.kind, one.what, one.state.value, one.effect, one.threshold, one.why] for one in self.found]
        return {"version": self.version, "rows": self.rows, "found": found}

    @classmethod
    def from_kept(cls, window: Window, data: Mapping[str, Any]) -> Day:
        found = [
            Found(kind, what, State(state), effect, threshold, why)
            for kind, what, state, effect, threshold, why in data["found"]
        ]
        return cls(window, data["version"], int(data["rows"]), tuple(found))

    def as_dict(self) -> dict[str, Any]:
        return {
            "start": instant_text(self.window.start), "version": self.version, "rows": self.rows,
            "states": states(self.found),
            "effects": {one.what: one.effect for one in self.found if one.kind in DRIFTS},
            "drifting": [one.what for one in self.found if one.kind in DRIFTS and one.state is State.DRIFT],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Open(Shown):
    """The window that is not over yet: nothing is said of it, and the first tick after its end looks at it.

    rows: that were answered in it so far; None where they were not counted, since closed windows have some
    """

    window: Window
    rows: int | None

    @property
    def line(self) -> str:
        """The window in a line."""
        so_far = "" if self.rows is None else f", {self.rows:,} rows so far"
        return f"{self.window} until {instant_text(self.window.end)}{so_far}; the first tick after that looks at it"

    def as_dict(self) -> dict[str, Any]:
        return {"start": instant_text(self.window.start), "end": instant_text(self.window.end), "rows": self.rows}


@dataclass(frozen=True, slots=True)
class Report(Shown):
    """What monitors say of a model in a span.

    version: the one that answered last; `found` is about its rows, all of the span together
    versions: how many rows each version answered
    found:   what the span says: inputs and scores, data quality, skew, losses; the largest effect first in each kind
    domain:  how well its rows are told from its training rows, all columns at once; None where that was not asked
    days:    the windows one by one, in order
    signals: those that are on, by the last window that a tick has looked at, if it is in the span
    labels:  how labels come, what is wrong with them, and how good it turned out; None where that was not asked
    moves:   when which version became champion, in microseconds: for the heat map
    open:    the window that is not over yet; None where the span ends before it
    """

    model: str
    since: int
    until: int
    version: int | None
    versions: dict[int, int]
    rows: int
    found: tuple[Found, ...]
    domain: Domain | None
    days: tuple[Day, ...]
    signals: tuple[Signal, ...]
    labels: LabelReport | None = None
    moves: tuple[tuple[int, str], ...] = ()
    effect: float = 0.1
    severe: float = 0.2
    open: Open | None = None

    @property
    def states(self) -> dict[str, dict[str, int]]:
        """By kind, how many findings are in each state."""
        return states(self.found)

    @property
    def drifting(self) -> list[str]:
        """The columns that drift over the span, the largest effect first."""
        return [one.what for one in self.found if one.kind in DRIFTS and one.state is State.DRIFT]

    def of(self, kind: str) -> list[Found]:
        """The findings of one kind."""
        return [one for one in self.found if one.kind == kind]

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model, "since": instant_text(self.since), "until": instant_text(self.until),
            "version": self.version, "rows": self.rows,
            "versions": {str(number): rows for number, rows in self.versions.items()},
            "states": self.states, "drifting": self.drifting,
            "found": [one.as_dict() for one in self.found],
            "domain": None if self.domain is None else self.domain.as_dict(),
            "labels": None if self.labels is None else self.labels.as_dict(),
            "windows": [one.as_dict() for one in self.days],
            "signals": [one.told() for one in self.signals],
            "open": None if self.open is None else self.open.as_dict(),
        }  # fmt: skip

    def heat_map(self, most: int = 40) -> str:
        """The drift of columns by window as one `<svg>`; "" where nothing was served. Of many columns, the worst."""
        names = worst_first(self.days)[:most]
        rows = [(name, [_cell(day, name) for day in self.days]) for name in names]
        title = f"drift of {len(rows)} columns of {self.model} in {len(self.days)} windows"
        starts = [day.window.start for day in self.days]
        return heat_map(rows, starts, title, edges=(self.effect, self.severe), marks=self.moves)


def worst_first(days: Sequence[Day]) -> list[str]:
    """The columns, those that drifted in most windows first, then those with the larger effects."""
    score: dict[str, tuple[int, float]] = {}
    for day in days:
        for one in day.found:
            if one.kind in DRIFTS:
                times, effect = score.get(one.what, (0, 0.0))
                score[one.what] = times + (one.state is State.DRIFT), effect + (one.effect or 0.0)
    return sorted(score, key=lambda name: (-score[name][0], -score[name][1], name))


def _cell(day: Day, name: str) -> Cell:
    found = next((one for one in day.found if one.kind in DRIFTS and one.what == name), None)
    if found is None:
        return Cell(None, State.NO_DATA.value)
    return Cell(found.effect, found.state.value, "" if day.version is None else f"v{day.version}")
