"""Incidents on the records: what monitors found becomes incidents in the ledger, and people act on them.

An incident stands in the ledger as entries of kind `incident`, subject `model/number`, one for each thing that happened
to it, appended by compare-and-swap on the one before; a window in which it merely goes on writes nothing. What windows
say is read from the monitor's own entries, from the first that an incident may not have seen yet: so a process may be
killed between any two entries, and any number of ticks may run, and the incidents are the same.

    settle(records, model)        # what `backstay tick` does
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backstay.core.errors import ConflictError, NotFoundError
from backstay.core.show import Shown
from backstay.core.times import instant_text
from backstay.definitions import Model
from backstay.definitions.lineage import origins
from backstay.lifecycle.changes import BEFORE, changes
from backstay.lifecycle.records import Records
from backstay.monitoring.grouping import Looked, Origins, changed, fold
from backstay.monitoring.incidents import LASTS, OPENED, REOPENED, Incident, woken
from backstay.monitoring.signals import Signal
from backstay.storage.ports import Entry

INCIDENT = "incident"
"""The ledger's kind of entry; its subject is `model/number`, its body the whole incident.

With the model alone as its subject it says up to which of the monitor's entries all has been read.
"""
MONITOR = "monitor"
"""The kind of the monitor's entries, one a closed window; `window`, `rows` and `signals` are in it."""
_MOST = 50
_READ_ON = 30
"""After so many windows in which nothing happened it is noted that they are read: ticks do not read years of them."""


@dataclass(frozen=True, slots=True)
class Kept(Shown):
    """An incident as it stands in the ledger: as of when, who wrote it, and which entry it is."""

    incident: Incident
    at: int
    actor: str
    entry_id: int

    @classmethod
    def of(cls, entry: Entry) -> Kept:
        return cls(Incident.from_dict(entry.body), entry.at, entry.actor, entry.id)

    def as_dict(self) -> dict[str, Any]:
        one = self.incident
        return {
            **one.as_dict(), "cause": one.cause, "severity": one.severity, "cost": one.cost, "text": one.text,
            "at": self.at, "actor": self.actor, "entry": self.entry_id,
        }  # fmt: skip


def incidents(records: Records, model: str, *, as_of: int | None = None) -> list[Kept]:
    """Every incident of a model as it stands in the ledger, now or at a moment, by its number."""
    # They are numbered without gaps, in the order in which they were opened: the last entry of each is asked for, so
    # that neither those of other models are read nor what happened to one before.
    out: list[Kept] = []
    while (entry := records.ledger.last(INCIDENT, f"{model}/{len(out) + 1}", as_of=as_of)) is not None:
        out.append(Kept.of(entry))
    return out


def incident(records: Records, model: str, number: int, *, as_of: int | None = None) -> Kept:
    """One incident as it stands now, or stood at a moment; `NotFoundError` if there is none of this number."""
    entry = records.ledger.last(INCIDENT, f"{model}/{number}", as_of=as_of)
    if entry is None:
        then = "" if as_of is None else f" as of {instant_text(as_of)}"
        raise NotFoundError(
            f"there is no incident {number}{then}",
            where=f"model {model!r}",
            fix=f"see: backstay incidents --model {model}",
        )
    return Kept.of(entry)


def timeline(records: Records, model: str, number: int, *, as_of: int | None = None) -> list[Kept]:
    """What happened to an incident, in order; what had until a moment."""
    incident(records, model, number, as_of=as_of)
    entries = records.ledger.entries(kind=INCIDENT, subject=f"{model}/{number}", until=as_of)
    return [Kept.of(one) for one in entries]


def looked(records: Records, model: str, after: int = 0) -> list[Looked]:
    """The windows that the monitor closed, in order of their ends, with what it found; of entries after this one."""
    entries = records.ledger.entries(kind=MONITOR, subject=model, after=after)
    return sorted((_looked(one) for one in entries), key=lambda one: one.window[1])


def last_looked(records: Records, model: str) -> Looked | None:
    """The window that the monitor closed last, and what it found; None if it has closed none."""
    entry = records.ledger.last(MONITOR, model)
    return None if entry is None else _looked(entry)


def _looked(entry: Entry) -> Looked:
    start, end = entry.body["window"]
    signals = tuple(Signal.from_dict(one) for one in entry.body["signals"])
    body = entry.body
    return Looked((start, end), signals, entry.id, int(body["rows"]), body.get("states", {}), body.get("version"))


def settle(records: Records, model: Model) -> list[Kept]:
    """Take every window into account that has been closed, and end snoozes that are over; what that wrote, in order.

    Calling it again, or beside another one, writes nothing twice.
    """
    out: list[Kept] = []
    for _ in range(_MOST):
        try:
            _settled(records, model, out)
        except ConflictError:
            continue  # another tick, or a person, was first: what they wrote is gone on with
        break
    return out


def standing(records: Records, model: Model) -> list[Incident]:
    """The incidents as they are after every window that has been closed; nothing is written."""
    there, made = [one.incident for one in incidents(records, model.name)], _made(model)
    for one in looked(records, model.name, _from(records, model, there)):
        there = fold(model.name, there, one, made, model.incidents)
    return there


def act(records: Records, model: Model, number: int, change: Callable[[Incident, int], Incident]) -> Kept:
    """What a person does to an incident, given as a function of it and of now; its entry.

    What windows say by now is taken into account first. `ConflictError` where somebody else was faster.
    """
    settle(records, model)
    kept = incident(records, model.name, number)
    return _append(records, change(kept.incident, records.clock.now()), kept.entry_id)


def reference(records: Records, model: str) -> int:
    """The version whose reference windows are held against: who answered the last one, or else the champion; or 0."""
    last = last_looked(records, model)
    if last is not None and last.version is not None:
        return last.version
    move = records.registry.alias(model, "champion")
    return 0 if move is None else move.to


def _settled(records: Records, model: Model, out: list[Kept]) -> None:
    kept = incidents(records, model.name)
    entries = {one.incident.number: one.entry_id for one in kept}
    now, made = records.clock.now(), _made(model)
    there = [woken(one.incident, now) for one in kept]
    for before, after in zip(kept, there, strict=True):
        if after is not before.incident:
            out.append(_append(records, after, before.entry_id))
            entries[after.number] = out[-1].entry_id
    windows = looked(records, model.name, _from(records, model, there))
    for one in windows:
        there = _folded(records, model, there, one, made, entries, out)
    if len(windows) > _READ_ON and not any(each.active for each in there):
        _note(records, model, windows[-1].entry)
    for before, after in zip(kept, there, strict=False):  # new ones stand behind those there were
        if after.active and entries[after.number] == before.entry_id and _long(before.incident, windows):
            why = f"it goes on: {after.text}"
            out.append(_append(records, replace(after, event=LASTS, who="", why=why), before.entry_id))


def _made(model: Model) -> Origins:
    return origins(model.features.views, model.features.features)


def _folded(
    records: Records, model: Model, there: list[Incident], window: Looked, made: Origins, entries: dict[int, int],
    out: list[Kept],
) -> list[Incident]:  # fmt: skip
    """The incidents after one more window, each that something happened to written down."""
    after = fold(model.name, there, window, made, model.incidents)
    for one in changed(there, after):
        whole = one
        if one.event in (OPENED, REOPENED) and not one.before:
            found = changes(records, model, one.onset - BEFORE, window.window[1])
            whole = replace(one, before=tuple(each.as_dict() for each in found))
        out.append(_append(records, whole, entries.get(one.number, 0)))
        entries[one.number] = out[-1].entry_id
        after = [whole if each is one else each for each in after]
    return after


def _from(records: Records, model: Model, there: Sequence[Incident]) -> int:
    """The entry after which the monitor's have to be read: every incident that may still change has seen those before.

    The last window that any incident has seen is read again: whoever wrote that may have been killed before the next.
    """
    noted = records.ledger.last(INCIDENT, model.name)
    alive = [one.read for one in there if one.active]
    read = min(alive, default=max((one.read for one in there), default=0))
    return max(0 if noted is None else int(noted.body["read"]), read - 1, 0)


def _long(written: Incident, windows: Sequence[Looked]) -> bool:
    """Whether so many windows have gone by since an incident was written that the next look is to begin later."""
    return sum(one.window[1] > written.seen for one in windows) >= _READ_ON


def _note(records: Records, model: Model, read: int) -> None:
    noted = records.ledger.last(INCIDENT, model.name)
    records.ledger.append(
        INCIDENT, model.name, {"read": read}, at=records.clock.now(), actor=records.actor,
        expect=0 if noted is None else noted.id,
    )  # fmt: skip


def _append(records: Records, whole: Incident, expect: int) -> Kept:
    entry = records.ledger.append(
        INCIDENT, f"{whole.model}/{whole.number}", whole.as_dict(), at=records.clock.now(), actor=records.actor,
        expect=expect,
    )  # fmt: skip
    return Kept(whole, entry.at, entry.actor, entry.id)
