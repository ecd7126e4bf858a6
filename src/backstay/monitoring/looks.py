"""A look: what one closed window said about a model, and what that makes of what the windows before it said.

Every look is written down once, and the next one goes on from there: which columns have been drifting and since when,
how many rows windows have, how the detectors of harm stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from backstay.core.show import Shown
from backstay.definitions import Monitor
from backstay.evaluation.drift import Persistence
from backstay.evaluation.states import State
from backstay.monitoring.assess import Found
from backstay.monitoring.data import FRESHNESS, VOLUME
from backstay.monitoring.estimates import NO_LONGER
from backstay.monitoring.signals import DATA_QUALITY, ESTIMATED_LOSS, INPUT_DRIFT, SCORE_DRIFT, SKEW, Signal
from backstay.monitoring.windows import Window

LASTING = (INPUT_DRIFT, SCORE_DRIFT, ESTIMATED_LOSS)
"""Kinds that are a signal only where they last; the others are one at once: they go by hard limits, or over time."""
VOLUMES = 168
"""Windows whose rows are carried on: 24 weeks of days, a week of hours."""
SILENT = 30
"""Windows after which what no window could tell of any more is forgotten."""
_WORST = 5
_FIRST = (State.NO_DATA, State.OK, State.UNDERPOWERED, State.DRIFT)
"""Of findings about one thing, the later: where a part of it cannot be told, it is not in order."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a look hands on to the next one.

    lasting:   by "kind what", what the last windows said of it; only of what drifted in one of them
    active:    by "kind what", since when there has been a signal; microseconds
    volumes:   the rows of the last windows, the last one last
    detectors: the states of the detectors of harm, by what they watch, as plain data
    """

    lasting: Mapping[str, Persistence] = field(default_factory=dict)
    active: Mapping[str, int] = field(default_factory=dict)
    volumes: tuple[int, ...] = ()
    detectors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back."""
        return {
            "lasting": {name: [list(part) for part in one.recent] for name, one in self.lasting.items()},
            "active": dict(self.active), "volumes": list(self.volumes),
            "detectors": {name: dict(one) for name, one in self.detectors.items()},
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], monitor: Monitor) -> Carried:
        """What was carried on, under a policy that may have changed since."""
        lasting = {
            name: _persistence(name.partition(" ")[0], monitor, tuple((int(at), bool(said)) for at, said in recent))
            for name, recent in data["lasting"].items()
        }
        return cls(lasting, dict(data["active"]), tuple(data["volumes"]), dict(data["detectors"]))


@dataclass(frozen=True, slots=True)
class Look(Shown):
    """What one window said.

    version:  the one that answered most of its rows; None where nobody answered any
    rows:     that anybody answered; `mine`, that this version did
    found:    the findings
    signals:  what has lasted, and what has ended with this window (state OK)
    """

    window: Window
    version: int | None
    rows: int
    mine: int
    found: tuple[Found, ...]
    signals: tuple[Signal, ...]

    def as_dict(self) -> dict[str, Any]:
        """A summary: states are counted, and only what stands out is told. Counts by bin are not in it."""
        worst = [one for one in self.found if one.state is State.DRIFT or one.effect is not None]
        worst.sort(key=lambda one: (one.state is not State.DRIFT, -(one.effect or 0.0) / (one.threshold or 1.0)))
        return {
            "window": [self.window.start, self.window.end], "version": self.version, "rows": self.rows,
            "mine": self.mine, "states": states(self.found),
            "worst": [
                {"kind": one.kind, "what": one.what, "state": one.state.value, "effect": one.effect}
                for one in worst[:_WORST]
            ],
            "signals": [one.as_dict() for one in self.signals],
        }  # fmt: skip


def states(found: Iterable[Found]) -> dict[str, dict[str, int]]:
    """By kind, how many findings are in each state."""
    out: dict[str, dict[str, int]] = {}
    for one in found:
        kind = out.setdefault(one.kind, {})
        kind[one.state.value] = kind.get(one.state.value, 0) + 1
    return out


def after(
    before: Carried, window: Window, found: Sequence[Found], monitor: Monitor, *, rows: int,
    detectors: Mapping[str, Mapping[str, Any]],
) -> tuple[Carried, tuple[Signal, ...]]:  # fmt: skip
    """What is carried on after a window, and its signals: those that are on, and those that have ended with it.

    What a window cannot tell (UNDERPOWERED, NO_DATA) ends no signal and begins none; but for what is UNDERPOWERED for
    its baseline alone, which ends one: the harm is found no longer. A signal of bad data ends where
    its own column, source or volume is OK, or is not watched any more.
    """
    lasting = dict(before.lasting)
    active: dict[str, int] = dict(before.active)
    signals: list[Signal] = []
    for key, one in _by_key(found).items():
        began, said = active.get(key), State.OK if one.evidence.get(NO_LONGER) else one.state
        column = (lasting.get(key) or _persistence(one.kind, monitor)).update(said, window.start)
        if any(drifted for _, drifted in column.recent):
            lasting[key] = column
        else:
            lasting.pop(key, None)
        if column.alarm and said in (State.OK, State.DRIFT):
            onsets = [one.evidence.get("since"), column.since, window.start]
            active[key] = next(int(at) for at in onsets if at is not None) if began is None else began
            signals.append(_signal(one, State.DRIFT, active[key], window))
        elif began is not None and said is State.OK:
            del active[key]
            signals.append(_signal(one, State.OK, began, window))
    told = _told(found)
    for key in [key for key in active if key not in _by_key(found)]:
        if _part(*key.partition(" ")[::2]) in told:
            signals.append(_gone(key, active.pop(key), window))
            lasting.pop(key, None)
    for key in _forgotten(lasting, active, window.start - SILENT * monitor.width):
        lasting.pop(key)
        active.pop(key, None)
    volumes = (*before.volumes, rows)[-VOLUMES:]
    return replace(before, lasting=lasting, active=active, volumes=volumes, detectors=detectors), tuple(signals)


def _forgotten(lasting: Mapping[str, Persistence], active: Mapping[str, int], since: int) -> list[str]:
    """What no window could tell of since. Bad data are not forgotten: they end where they are shown to be sound."""
    kept = {key for key in active if key.startswith(f"{DATA_QUALITY} ")}
    return [key for key, one in lasting.items() if one.recent[-1][0] < since and key not in kept]


def _persistence(kind: str, monitor: Monitor, recent: tuple[tuple[int, bool], ...] = ()) -> Persistence:
    needed, among = monitor.persistence if kind in LASTING else (1, 1)
    return Persistence(needed, among, recent[-among:])


def _by_key(found: Iterable[Found]) -> dict[str, Found]:
    """Findings by what they are about; of two about one thing, the one that drifts, or tells more, or is larger."""
    out: dict[str, Found] = {}
    for one in found:
        key = f"{one.kind} {one.what}"
        there = out.get(key)
        if there is None or _weight(one) > _weight(there):
            out[key] = one
    return out


def _weight(one: Found) -> tuple[int, float]:
    return _FIRST.index(one.state), (one.effect or 0.0) / (one.threshold or 1.0)


def _told(found: Sequence[Found]) -> set[str]:
    """What was looked at as a whole: what is not told of then is in order, or is not watched any more."""
    some = {_part(one.kind, one.what) for one in found if one.state in (State.OK, State.DRIFT)}
    sources = {FRESHNESS} if any(one.what == VOLUME for one in found) else set()
    return some & {DATA_QUALITY, SKEW} | sources


def _part(kind: str, what: str) -> str:
    """What is looked at at once: all columns by kind, or all sources; the volume is by itself."""
    if kind != DATA_QUALITY:
        return kind
    return FRESHNESS if what.startswith(FRESHNESS) else VOLUME if what == VOLUME else kind


def _gone(key: str, since: int, window: Window) -> Signal:
    """The end of a signal that this window has no finding about."""
    kind, _, what = key.partition(" ")
    return Signal(kind, what, State.OK.value, 0.0, 0.0, since, (window.start, window.end))


def _signal(one: Found, state: State, since: int, window: Window) -> Signal:
    evidence = {**one.evidence, "why": one.why}
    cost = evidence.pop("cost", None)
    return Signal(
        one.kind, one.what, state.value, one.effect or 0.0, one.threshold, since, (window.start, window.end), evidence,
        cost,
    )  # fmt: skip
