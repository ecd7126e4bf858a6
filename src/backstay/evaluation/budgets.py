"""Error budgets: how much of what may fail has failed, and how fast it goes. Pure: counts in, numbers out.

An objective promises two things, each with a **budget** of its own: of the requests asked properly, a share is
answered; of the answers, a share is fast. What may fail is the rest. The **burn rate** of a window is its share of bad
ones over the share that may be: at 1 the budget lasts exactly as long as it is for, at 14.4 fifty hours of 30 days.

Which alarm rings is decided by the rule of the Google SRE workbook ("Alerting on SLOs", several windows and burn
rates), with its numbers, which are for a budget of 30 days: a long window says that it matters, a short one that it
goes on.

    page     14.4 over 1h and over 5m        2% of the budget is gone within an hour
    page      6   over 6h and over 30m       5% within six hours
    ticket    1   over 3d and over 6h       10% within three days

A window without requests has no share and no burn rate: silence is not 100%. Where one bad request alone is enough for
an alarm, the alarm says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import DAY, HOUR, MINUTE, duration_text, instant_text
from backstay.definitions import Objective
from backstay.storage.counts import Counted, by_minute

RULE = (("page", HOUR, 5 * MINUTE, 14.4), ("page", 6 * HOUR, 30 * MINUTE, 6.0), ("ticket", 3 * DAY, 6 * HOUR, 1.0))
"""The alarms: what somebody does about it, the long and the short window, and from which burn rate on."""
WINDOWS = (HOUR, 6 * HOUR, 3 * DAY)
"""What is shown, beside the objective's own."""
_ALL = sorted({*WINDOWS, *(window for _, *windows, _ in RULE for window in windows)})


@dataclass(frozen=True, slots=True)
class Spent(Shown):
    """What a window cost one promise: of `requests` so many were `bad`.

    since: the first minute of the window in which anything was counted; None: nothing was
    share: of good ones; burn: the burn rate; both None where there were no requests
    """

    over: int
    requests: int
    bad: int
    since: int | None
    share: float | None
    burn: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "over": duration_text(self.over), "requests": self.requests, "bad": self.bad,
            "since": None if self.since is None else instant_text(self.since), "share": self.share, "burn": self.burn,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alarm(Shown):
    """One alarm of the rule, as it is now.

    rings: whether both windows burn as fast as `burn` or faster; None: one of them has no requests
    alone: whether the long window has so few requests that a single bad one is enough
    """

    action: str
    long: Spent
    short: Spent
    burn: float
    rings: bool | None
    alone: bool

    @property
    def text(self) -> str:
        """What it says, for people."""
        spans = f"{duration_text(self.long.over)} and {duration_text(self.short.over)}"
        if self.long.burn is None or self.short.burn is None:
            return f"{self.action}: no requests in {spans if self.long.burn is None else spans.rpartition(' ')[2]}"
        told = f"burns {self.long.burn:.3g}x and {self.short.burn:.3g}x over {spans}, alarm at {self.burn:g}x"
        few = "; so few requests that one bad one alone is enough" if self.rings and self.alone else ""
        return f"{self.action}: {told} ({self.long.bad:,} bad of {self.long.requests:,}{few})"

    def as_dict(self) -> dict[str, Any]:
        return {
            "action": self.action, "long": self.long.as_dict(), "short": self.short.as_dict(), "burn": self.burn,
            "rings": self.rings, "alone": self.alone, "text": self.text,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Budget(Shown):
    """One promise and what is left of its budget.

    promise: "answered" (of the requests) or "fast" (of the answers)
    target:  the share that is promised
    windows: 1h, 6h, 3d and, last, the objective's own
    left:    of the budget over the objective's own window, for the requests there were: 1 is all, 0 none, below it is
             overspent; None where there were none
    """

    promise: str
    target: float
    windows: list[Spent]
    left: float | None
    alarms: list[Alarm]

    @property
    def ringing(self) -> list[Alarm]:
        return [one for one in self.alarms if one.rings]


@dataclass(frozen=True, slots=True)
class Kept(Shown):
    """How a model keeps its objective, as of a moment; without an objective there is nothing to keep."""

    model: str
    as_of: int
    objective: Objective | None
    budgets: list[Budget]

    @property
    def ringing(self) -> list[Alarm]:
        return [alarm for one in self.budgets for alarm in one.ringing]

    @property
    def requests(self) -> int:
        """Requests over the objective's own window."""
        return self.budgets[0].windows[-1].requests if self.budgets else 0

    @property
    def line(self) -> str:
        """All of it in one line."""
        if self.objective is None:
            return "none declared: Model(..., objective=Objective(latency=..., why=...))"
        if not self.requests:
            return f"{self.objective}: no requests"
        left = ", ".join(f"{one.promise} {percent(one.left)}" for one in self.budgets)
        rings = ", ".join(dict.fromkeys(alarm.action for alarm in self.ringing))
        return f"{self.objective}: budget left: {left}" + (f"; rings: {rings}" if rings else "")

    def as_dict(self) -> dict[str, Any]:
        one = self.objective
        declared = None if one is None else {
            "latency": duration_text(one.latency), "share": one.share, "availability": one.availability,
            "over": duration_text(one.over), "why": one.why, "place": one.place,
        }  # fmt: skip
        return {
            "model": self.model, "as_of": instant_text(self.as_of), "objective": declared, "text": self.line,
            "budgets": [budget.as_dict() for budget in self.budgets],
            "ringing": [alarm.text for alarm in self.ringing],
        }  # fmt: skip


def percent(share: float | None) -> str:
    """A share with the digits that tell it from 100%.

    >>> percent(0.9995), percent(1.0), percent(-0.5), percent(None)
    ('99.95%', '100%', '-50%', 'no data')
    """
    return "no data" if share is None else f"{100 * share:.5g}%"


def first(objectives: Mapping[str, Objective | None], as_of: int) -> int:
    """From when on counts are needed to judge these objectives as of a moment."""
    return as_of - max([_ALL[-1], *(one.over for one in objectives.values() if one is not None)])


def keeping(objectives: Mapping[str, Objective | None], rows: Iterable[Counted], as_of: int) -> list[Kept]:
    """How each model keeps its objective, by the counts of minutes that begin before `as_of`."""
    counts: dict[str, list[Counted]] = {name: [] for name in objectives}
    for one in by_minute(rows):
        if one.model in counts and one.minute < as_of:
            counts[one.model].append(one)
    return [
        Kept(name, as_of, one, [] if one is None else _budgets(one, counts[name], as_of))
        for name, one in objectives.items()
    ]


def _budgets(objective: Objective, rows: list[Counted], as_of: int) -> list[Budget]:
    totals = {over: _total(rows, as_of - over) for over in {*_ALL, objective.over}}
    answered = {over: (one.requests, one.failed, one.minute) for over, one in totals.items()}
    fast = {over: (one.requests - one.failed, one.slow, one.minute) for over, one in totals.items()}
    return [
        _budget("answered", objective.availability, answered, objective.over),
        _budget("fast", objective.share, fast, objective.over),
    ]


def _total(rows: list[Counted], since: int) -> Counted:
    """The sum of the minutes from `since` on, under the first of them (-1: there is none)."""
    some = [one for one in rows if one.minute >= since]
    sums = (sum(getattr(one, name) for one in some) for name in ("requests", "failed", "slow"))
    return Counted(some[0].minute if some else -1, "", *sums)


def _budget(promise: str, target: float, counts: Mapping[int, tuple[int, int, int]], over: int) -> Budget:
    allowed = round(1 - target, 12)  # what was meant: 1 - 0.999 is a little more than 0.001
    spent = {window: _spent(window, *told, allowed) for window, told in counts.items()}
    own = spent[over].burn
    return Budget(
        promise, target, [spent[window] for window in dict.fromkeys((*WINDOWS, over))],
        None if own is None else 1 - own,
        [_alarm(action, spent[long], spent[short], burn, allowed) for action, long, short, burn in RULE],
    )  # fmt: skip


def _spent(over: int, requests: int, bad: int, since: int, allowed: float) -> Spent:
    if not requests:
        return Spent(over, 0, 0, None, None, None)
    return Spent(over, requests, bad, since, 1 - bad / requests, bad / requests / allowed)


def _alarm(action: str, long: Spent, short: Spent, burn: float, allowed: float) -> Alarm:
    rings = None
    if long.burn is not None and short.burn is not None:
        rings = long.burn >= burn and short.burn >= burn
    return Alarm(action, long, short, burn, rings, 0 < long.requests * allowed * burn <= 1)
