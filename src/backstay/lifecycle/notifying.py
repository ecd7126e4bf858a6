"""Telling people of incidents: what the ledger says happened is sent by every notifier, at least once, and recorded.

What has to be sent is read from the ledger, so nothing is lost with a process: an incident's entry that a notifier has
not delivered is sent by the tick that wrote it, or by a later one. What fails is tried again, later each time, and
recorded each time; it never fails a tick. Two ticks at once may send the same twice: its id is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from backstay.core.errors import BackstayError
from backstay.core.show import Shown
from backstay.core.times import DAY, HOUR, MINUTE
from backstay.lifecycle.incidents import Kept, incidents, timeline
from backstay.lifecycle.records import Records
from backstay.monitoring.incidents import OPEN, rung
from backstay.monitoring.notifiers.loading import Notifier
from backstay.monitoring.notifiers.message import TOLD, Message

NOTIFICATION = "notification"
"""The ledger's kind of entry for a try to deliver; its subject is that of the incident, `model/number`."""
KEEP = 3 * DAY
"""What could not be delivered for so long is old news, and is given up; but what is wrong still and nobody has taken is
tried on, as what it is by then."""
_MINE = 2 * MINUTE
"""So long what was written is left to the tick that wrote it: it is sending just now."""
_LONGEST = 6 * HOUR


@dataclass(frozen=True, slots=True)
class Delivery(Shown):
    """One try to deliver: by which notifier, what of which entry, the how-manieth; `error` is "" where it worked."""

    notifier: str
    number: int
    event: str
    entry: int
    attempt: int
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


Make = Callable[[], Notifier]


def deliver(
    records: Records,
    model: str,
    project: str,
    notifiers: Mapping[str, Make],
    *,
    timeout: float,
    least: str = "",
    mine: Collection[int] = (),
) -> list[Delivery]:
    """Send what has happened and has not been delivered yet; each try, in order.

    notifiers: by name, what makes each: a notifier that cannot be made is one that failed
    timeout:   seconds that one try may take
    least:     the lowest severity that is told, of the ladder; "": all
    mine:      entries that this tick wrote: they are sent at once
    """
    if not notifiers:
        return []
    now, out = records.clock.now(), list[Delivery]()
    some = _told(records, model, now, least)
    tried = _tried(records, model, some)
    for name, make in notifiers.items():
        for kept in some:
            before = tried.get((name, kept.entry_id), [])
            if not _due(kept, before, now, kept.entry_id in mine):
                continue
            error = sent(make, Message.of(project, kept.incident, kept.at, kept.entry_id), timeout)
            one = Delivery(name, kept.incident.number, kept.incident.event, kept.entry_id, len(before) + 1, error)
            _write(records, model, one)
            out.append(one)
            if error:
                break  # the rest of what it has to send waits for the next tick: nobody is held up for each of them
    return out


def deliveries(records: Records, model: str, number: int, *, as_of: int | None = None) -> list[Delivery]:
    """Every try to deliver something about an incident, in order; those until a moment."""
    entries = records.ledger.entries(kind=NOTIFICATION, subject=f"{model}/{number}", until=as_of)
    return [Delivery(**{name: one.body[name] for name in Delivery.__slots__}) for one in entries]


def undelivered(records: Records, model: str) -> int:
    """How many messages could not be delivered so far, by any notifier, and have not been given up."""
    tried = _tried(records, model, _told(records, model, records.clock.now(), ""))
    return sum(not any(worked for _, worked in tries) for tries in tried.values())


def _told(records: Records, model: str, now: int, least: str) -> list[Kept]:
    """What happened that people are to know, in order: lately; and the last of what is open, however long ago."""
    alive = [one for one in incidents(records, model) if one.incident.state == OPEN or now - one.at <= KEEP]
    every = sorted(
        (step for one in alive for step in timeline(records, model, one.incident.number)), key=lambda one: one.entry_id
    )
    told = [one for one in every if one.incident.event in TOLD]
    newest = {one.incident.number: one for one in told}
    present = {one.incident.number: one.incident for one in every}
    some: list[Kept] = []
    for one in told:
        whole = present[one.incident.number]
        if now - one.at <= KEEP:
            some.append(one)
        elif whole.state == OPEN and newest[whole.number] is one:
            some.append(replace(one, incident=replace(whole, event=one.incident.event)))
    return [one for one in some if not least or rung(one.incident.severity) >= rung(least)]


def _tried(records: Records, model: str, told: Sequence[Kept]) -> dict[tuple[str, int], list[tuple[int, bool]]]:
    """By notifier and entry, when it was tried and whether it worked: of what is told still."""
    still = {one.entry_id for one in told}
    out: dict[tuple[str, int], list[tuple[int, bool]]] = {}
    for number in sorted({one.incident.number for one in told}):
        for one in records.ledger.entries(kind=NOTIFICATION, subject=f"{model}/{number}"):
            if one.body["entry"] in still:
                out.setdefault((one.body["notifier"], one.body["entry"]), []).append((one.at, not one.body["error"]))
    return out


def _due(kept: Kept, before: Sequence[tuple[int, bool]], now: int, mine: bool) -> bool:
    """Whether it is to be tried now: not delivered, and the wait since the last try is over. It doubles each time."""
    if any(worked for _, worked in before):
        return False
    if not before:
        return mine or now - kept.at >= _MINE
    return now - before[-1][0] >= min(MINUTE << min(len(before) - 1, 20), _LONGEST)


def sent(make: Make, message: Message, timeout: float) -> str:
    """Send one message, on a thread that nobody waits for longer than allowed; what went wrong, or ""."""
    said: list[str] = []

    def send() -> None:
        try:
            make().send(message, timeout)
        except BackstayError as error:
            said.append(f"{error.what}{f' (at {error.where})' if error.where else ''}")
        except Exception as error:  # noqa: BLE001 - it is somebody else's code, and its words may hold a secret
            said.append(type(error).__name__)
        else:
            said.append("")

    thread = threading.Thread(target=send, name="notifier", daemon=True)
    thread.start()
    thread.join(2 * timeout)
    return said[0] if said else f"it has not come back within {2 * timeout:g} s"


def _write(records: Records, model: str, one: Delivery) -> None:
    """Record a try. Every one is an entry: that nobody could be told is evidence too."""
    records.ledger.append(
        NOTIFICATION, f"{model}/{one.number}", one.as_dict(), at=records.clock.now(), actor=records.actor
    )
