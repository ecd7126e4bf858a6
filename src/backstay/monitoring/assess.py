"""What a window says about a version's inputs and scores: one finding a column, by effect and by evidence.

A window is held against the training rows, and against those of the same season as far as there are enough of them. A
column drifts where it drifts from every one of these: a Sunday that is like all Sundays has not drifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

from backstay.core.errors import InputError
from backstay.core.show import Shown, dated
from backstay.core.times import DAY, HOUR
from backstay.definitions import Monitor
from backstay.evaluation.drift import (
    Counted,
    Drift,
    Drifts,
    Reference,
    References,
    Rule,
    assess_latest,
    season_cells,
)
from backstay.evaluation.states import State
from backstay.monitoring.windows import Window

SEASONS = (("hour", 12 * HOUR), ("weekday", 3 * DAY), ("month", 31 * DAY))
"""The seasons, each with the longest window that is in one of its cells."""


@dataclass(frozen=True, slots=True)
class Found(Shown):
    """One finding: what a window says about a column or a metric.

    kind:      as of a signal, see `signals.KINDS`
    state:     OK, DRIFT, UNDERPOWERED or NO_DATA
    effect:    None where there is none to tell; `threshold` is what is tolerated, in the same unit
    why:       the state in a sentence
    """

    kind: str
    what: str
    state: State
    effect: float | None
    threshold: float
    why: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "what": self.what, "state": self.state.value, "effect": self.effect,
            "threshold": self.threshold, "why": self.why, "evidence": dated(self.evidence, "since"),
        }  # fmt: skip


def drifts(
    kind: str, references: References, windows: Sequence[Counted], monitor: Monitor, window: Window,
    leave_out: Iterable[str] = (),
) -> list[Found]:  # fmt: skip
    """A finding a column, the largest effect first. A column that breaks says so, and breaks no other.

    windows: the counts of the last windows in order, the last of them `window`'s; earlier ones are taken with it, for
             each column as few as could show what is severe
    """
    rule = Rule(effect=monitor.effect, severe=monitor.severe, level=monitor.level)
    kept = References({name: one for name, one in references.items() if name not in frozenset(leave_out)})
    first, *others = _sides(kept, monitor, window)
    latest = _runs(windows[-monitor.together :])
    told = _told(first.of(kept), latest, rule)
    sides: dict[str, dict[str, Drift]] = {name: {first.name: told[name]} for name in told}
    drifting = told.named(State.DRIFT)
    for side in others if drifting else ():  # what does not drift from the first drifts from no other that counts
        # Of several windows together, the season is the month that they are in.
        names = [name for name in drifting if side.name == "month" or told[name].n == latest[-1].rows]
        suspects = side.of(References({name: kept[name] for name in names}))
        for name, one in _told(suspects, latest, rule).items():
            sides[name][side.name] = one
    found = [_joined(kind, name, by, monitor) for name, by in sides.items()]
    return sorted(found, key=lambda one: -(one.effect or 0.0))


def _told(references: References, runs: Sequence[Counted], rule: Rule) -> Drifts:
    """`assess_latest`, and at once: what all the windows together could not show, none of them alone is asked for."""
    whole = assess_latest(references, [reduce(add, runs)], rule)
    able = References({name: references[name] for name, one in whole.items() if one.state in (State.OK, State.DRIFT)})
    return Drifts({**whole, **assess_latest(able, runs, rule)}) if len(runs) > 1 else whole


def _runs(windows: Sequence[Counted]) -> list[Counted]:
    """The last window, the two before it together, the four before these: runs of 1, 3, 7, ... windows are tried."""
    out, end, size = [], len(windows), 1
    while end > 0:
        out.append(reduce(add, windows[max(end - size, 0) : end]))
        end, size = end - size, 2 * size
    return out[::-1]


@dataclass(frozen=True, slots=True)
class _Side:
    """What a window is held against: all rows, or those of some cells of a season."""

    name: str
    cells: tuple[int, ...]
    least: int

    def of(self, references: References) -> References:
        """The references of the columns that have rows enough in it."""
        if self.name == "training":
            return references
        there = {name: found for name, one in references.items() if (found := _at(one, self))}
        return References(there)


def _sides(references: References, monitor: Monitor, window: Window) -> list[_Side]:
    """What the window is held against, the first one first."""
    out = [_Side("training", (), 0)]
    if "season" in monitor.references:
        out += [
            _Side(season, tuple(season_cells(season, window.start, window.end)), monitor.minimum_rows)
            for season, longest in SEASONS
            if window.end - window.start <= longest
        ]
    if "training" not in monitor.references:
        alone = [side for side in out[1:] if len(side.of(references)) == len(references)]
        return alone or out[:1]  # without rows enough of any season, the training rows are what there is
    return out


def _at(reference: Reference, side: _Side) -> Reference | None:
    try:
        found = reference.at_season(side.name, side.cells)
    except InputError:
        return None  # a reference that was made without times
    return found if found.n >= side.least else None


def _joined(kind: str, name: str, sides: Mapping[str, Drift], monitor: Monitor) -> Found:
    """The finding of the side that the window is nearest to: it drifts only where it drifts from all of them."""
    side, one = min(sides.items(), key=lambda item: (item[1].state is State.DRIFT, item[1].psi or 0.0))
    state, why = one.state, one.why
    if one.state in (State.OK, State.DRIFT) and one.n < monitor.minimum_rows:
        state, why = State.UNDERPOWERED, f"{one.n} rows, and the policy wants {monitor.minimum_rows}"
    if len(sides) > 1:
        why += f" ({'of all references the nearest is ' if state is State.DRIFT else 'beside '}{_SIDES[side]})"
    evidence = {
        "reference": side, "p": one.p, "lower": one.lower, "rows": one.n, "effective_rows": one.effective_n,
        "missing": one.missing, "unseen": one.unseen, "out_of_range": one.out_of_range,
        "psi": {name: told.psi for name, told in sides.items()},
    }  # fmt: skip
    return Found(kind, name, state, one.psi, monitor.effect, why, evidence)


_SIDES = {
    "training": "the training rows", "hour": "those of these hours", "weekday": "those of this weekday",
    "month": "those of this month",
}  # fmt: skip
