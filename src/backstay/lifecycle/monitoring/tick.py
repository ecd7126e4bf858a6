"""The monitor's tick: every closed window is looked at once, and what it said is written down.

An entry of the ledger a window, by compare-and-swap: of ticks at once one writes it, and the others find it done. It
holds the summary and what the next window goes on from; counts by bin are not in it. A process that is killed between
counting and writing has done nothing: the next one counts again, and comes to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backstay.core.errors import ConflictError
from backstay.core.show import Shown
from backstay.definitions import Model, Monitor
from backstay.lifecycle.monitoring.counting import Counted, Counting
from backstay.lifecycle.monitoring.looking import look
from backstay.lifecycle.records import Records
from backstay.monitoring.looks import Carried
from backstay.monitoring.report import Day
from backstay.monitoring.rows import answered
from backstay.monitoring.signals import Signal
from backstay.monitoring.windows import Window, closed
from backstay.storage.ports import Entry

MONITOR = "monitor"
"""The ledger's kind of entry for what a closed window said; its subject is the model."""
BEHIND = 31
"""Windows that are looked at after a pause, at the most: older ones are for a report, and nobody acts on them."""


@dataclass(frozen=True, slots=True)
class Looked(Shown):
    """What one window said, as the ledger has it.

    states:  by kind of finding, how many are in each state
    worst:   what stands out: kind, what, state and effect
    signals: those that are on, and with the state OK those that ended with this window
    """

    entry_id: int
    at: int
    window: Window
    version: int | None
    rows: int
    states: Mapping[str, Mapping[str, int]]
    worst: tuple[Mapping[str, Any], ...]
    signals: tuple[Signal, ...]

    @property
    def line(self) -> str:
        """The window in a line."""
        return f"{self.window}: {self.rows:,} rows, {self.said}"

    @property
    def said(self) -> str:
        """Its signals in a line."""
        said = ", ".join(f"{one.kind.replace('_', ' ')} of {one.what}" for one in running(self.signals)[:3])
        more = f" and {len(running(self.signals)) - 3} more" if len(running(self.signals)) > 3 else ""
        return f"{said or 'no signal'}{more}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "window": str(self.window), "version": self.version, "rows": self.rows,
            "states": {kind: dict(told) for kind, told in self.states.items()},
            "worst": [dict(one) for one in self.worst], "signals": [one.told() for one in self.signals],
            "entry": self.entry_id,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watched(Shown):
    """What a tick has looked at: the windows that were due, in order; empty where none was."""

    looks: tuple[Looked, ...] = ()

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Those of the last window."""
        return self.looks[-1].signals if self.looks else ()


def monitor_tick(records: Records, model: Model) -> Watched:
    """Look at every window that is closed at the clock's time and was not looked at yet.

    Calling it again does nothing until the next window is over.
    """
    if model.monitor is None:
        return Watched()
    last = records.ledger.last(MONITOR, model.name)
    due = _due(records, model, model.monitor, last)
    if not due:
        return Watched()
    counting = Counting(records, model, model.monitor)
    counts = counting.windows(together(model.monitor, due))
    carried = _carried(model.monitor, last)
    looks: list[Looked] = []
    for window in due:
        seen, carried = look(counting, window, upto(counts, window, model.monitor), carried)
        body = {**seen.as_dict(), "monitor": _policy(model.monitor), "carried": carried.as_dict()}
        try:
            last = records.ledger.append(
                MONITOR, model.name, body, at=records.clock.now(), actor=records.actor,
                expect=0 if last is None else last.id,
            )  # fmt: skip
        except ConflictError:
            break  # another tick is at it: it has this window, and goes on from there
        counting.keep_day(Day.of(window, seen.version, seen.rows, seen.found))
        looks.append(looked(last))
    return Watched(tuple(looks))


def looks(records: Records, model: Model, *, after: int = 0) -> list[Looked]:
    """All that was looked at of a model, in order; with `after`, what was written down behind that entry."""
    return [looked(entry) for entry in records.ledger.entries(kind=MONITOR, subject=model.name, after=after)]


def looked(entry: Entry) -> Looked:
    """What an entry says."""
    body = entry.body
    start, end = body["window"]
    return Looked(
        entry.id, entry.at, Window(start, end), body["version"], body["rows"], body["states"], tuple(body["worst"]),
        tuple(Signal.from_dict(one) for one in body["signals"]),
    )  # fmt: skip


def _due(records: Records, model: Model, monitor: Monitor, last: Entry | None) -> list[Window]:
    """The closed windows that were not looked at yet; at first from the one with the first prediction on."""
    now, width = records.clock.now(), monitor.width
    earliest = now - BEHIND * width
    if last is not None:
        return list(closed(width, max(int(last.body["window"][1]), earliest), now))
    if not list(closed(width, earliest, now)):
        return []
    logged = answered(records.predictions.scan(model=model.name, since=earliest, until=now))
    first = min((one.at for one in logged), default=None)
    return [] if first is None else list(closed(width, first // width * width, now))


def together(monitor: Monitor, due: Sequence[Window]) -> list[Window]:
    """The windows, and before them those that are put together with the first."""
    width = monitor.width
    before = [Window(due[0].start - back * width, due[0].end - back * width) for back in range(monitor.together)]
    return sorted({*before, *due})


def upto(counts: Mapping[Window, Counted], window: Window, monitor: Monitor) -> dict[Window, Counted]:
    """The counts of a window and of those that are put together with it."""
    first = window.start - (monitor.together - 1) * monitor.width
    return {one: found for one, found in counts.items() if first <= one.start <= window.start}


def _carried(monitor: Monitor, last: Entry | None) -> Carried:
    """What the last look handed on. Windows of another length have nothing to say to these."""
    if last is None or last.body["monitor"]["window"] != monitor.width:
        return Carried()
    return Carried.from_dict(last.body["carried"], monitor)


def _policy(monitor: Monitor) -> dict[str, Any]:
    return {"window": monitor.width, "effect": monitor.effect, "severe": monitor.severe, "level": monitor.level}


def running(signals: Sequence[Signal]) -> list[Signal]:
    """Those that are on."""
    return [one for one in signals if one.state != "OK"]
