"""Which incident a signal is of: one incident a cause, and not one a feature. Pure.

A signal goes to an incident that there is, if the incident has that very signal, or one about the same column; or if
the two have a source in common; or if they began together; or if it is about the model as a whole (scores, quality) and
the incident began no later. But what lies further upstream than the cause of an incident, and began later, is another
cause. What is left over is grouped among itself by the same rules, and each group is a new incident.

So fifty features that move with one upstream table are one incident; and so are fifty features of all tables that move
on the same day, as when another kind of customer comes: what began together is taken for one cause until a person sees
that it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from backstay.core.times import duration, instant_text
from backstay.definitions.incidents import IncidentPolicy
from backstay.monitoring.incidents import (
    DRIFTS,
    ENDED,
    GREW,
    OPEN,
    REOPENED,
    RESOLVED,
    UPSTREAM,
    WORSENED,
    Incident,
    Member,
    rung,
    words,
)
from backstay.monitoring.signals import ESTIMATED_LOSS, REALISED_LOSS, SCORE_DRIFT, Signal

Origins = Mapping[str, frozenset[str]]
"""By feature, the sources that it is made of in the end."""
_WHOLE = (SCORE_DRIFT, ESTIMATED_LOSS, REALISED_LOSS)
"""Kinds that are about the model as a whole, and no column of its inputs."""


@dataclass(frozen=True, slots=True)
class Looked:
    """A closed window that was looked at: from (with) and until (without), what it says, and its ledger entry.

    rows:   how many were asked in it; a window of none is no clean one
    states: by kind, how many of its findings are in each state
    version: the one that answered most of it, and whose reference it was held against; None where nobody answered
    """

    window: tuple[int, int]
    signals: tuple[Signal, ...]
    entry: int = 0
    rows: int = 1
    states: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    version: int | None = None


def origin(signal: Signal, origins: Origins) -> frozenset[str]:
    """The sources that what a signal is about is made of; empty for the model as a whole, and for the unknown.

    Rules about data may name a source, or a column of it: "freshness of weather", "weather.wind_speed".
    """
    if signal.kind in _WHOLE:
        return frozenset()
    known = {source for sources in origins.values() for source in sources}
    source = signal.what.rpartition(" ")[2].partition(".")[0]
    return origins.get(signal.what) or (frozenset({source}) if source in known else frozenset())


def fold(
    model: str, incidents: Sequence[Incident], looked: Looked, origins: Origins, policy: IncidentPolicy
) -> list[Incident]:
    """The incidents after one more window, new ones last. An incident that has seen the window is left as it is.

    What happened to one is told by its `event`, where that is of this window: `changed` finds them.

    >>> drift = Signal("input_drift", "distance", "DRIFT", 0.31, 0.1, since=0, window=(0, 10))
    >>> loss = Signal("realised_loss", "log_loss", "DRIFT", 0.05, 0.01, since=0, window=(0, 10))
    >>> (one,) = fold("late", [], Looked((0, 10), (drift, loss)), {}, IncidentPolicy())
    >>> one.cause, one.severity, len(one.members)
    ('input_drift', 'realised_loss', 2)
    """
    end = looked.window[1]
    looked = replace(looked, signals=tuple(one for one in looked.signals if not _muted(one, incidents, looked.version)))
    there = [one for one in incidents if one.first < end and _there(one, looked, policy)]
    given: dict[int, list[Signal]] = {one.number: [] for one in there}
    left: list[Signal] = []
    views = [_view(one, looked) for one in there]
    for signal in looked.signals:
        found = _home(signal, views, origins, policy)
        if found is not None:
            given[found.number].append(signal)
        elif signal.state == DRIFTS:
            left.append(signal)
    # A later kill or another tick may have opened what is left already: it has this window as its first.
    covered = {member.key for one in incidents if one.first == end for member in one.members}
    left = [signal for signal in left if (signal.kind, signal.what) not in covered]
    out = [
        _after(one, given[one.number], looked, origins, policy) if one.number in given and one.seen < end else one
        for one in incidents
    ]
    number = max((one.number for one in incidents), default=0)
    for place, group in enumerate(_groups(left, origins, policy), start=1):
        out.append(_opened(model, number + place, group, looked, origins, policy))
    return out


def changed(before: Sequence[Incident], after: Sequence[Incident]) -> list[Incident]:
    """Those that are new, or of which something happened that is worth an entry: what merely goes on is not."""
    known = {one.number: one for one in before}
    return [
        one
        for one in after
        if one.number not in known
        or (one.state, one.event, one.reopened, len(one.members))
        != (
            known[one.number].state,
            known[one.number].event,
            known[one.number].reopened,
            len(known[one.number].members),
        )
        or rung(one.reached) > rung(known[one.number].reached)
    ]


def _muted(signal: Signal, incidents: Sequence[Incident], version: int | None) -> bool:
    """Whether a person has accepted a signal as how the world is now, for the version that it is held against."""
    if signal.state != DRIFTS:
        return False
    key, accepted = (signal.kind, signal.what), False
    for incident in incidents:
        for one in incident.members:
            if one.key != key:
                continue
            if incident.active and one.accepted is None:
                return False  # there it is going on
            mine = one.accepted is not None and version in (None, one.accepted)
            accepted |= mine and (one.corrupts or not signal.corrupts)  # a new word was accepted, and no null values
    return accepted


def _there(incident: Incident, looked: Looked, policy: IncidentPolicy) -> bool:
    """Whether an incident can still take signals of a window: it is active, or was until not long before.

    What a window that began before its end says of a resolved one is taken, and changes nothing: that is how it was.
    """
    return incident.active or incident.ended is None or looked.window[0] <= incident.ended + duration(policy.grace)


def _view(incident: Incident, looked: Looked) -> Incident:
    """An incident as it is once the window has said of its own signals what it says: one that comes back is there."""
    told = {key: one for one in looked.signals if (key := (one.kind, one.what)) in incident.keys}
    members = tuple(one.told(told[one.key]) if one.key in told else one for one in incident.members)
    back = incident.ended is not None and looked.window[0] >= incident.ended
    back = back and any(one.state == DRIFTS for one in told.values())
    return replace(incident, members=members, state=OPEN if back else incident.state)


def _home(signal: Signal, there: Sequence[Incident], origins: Origins, policy: IncidentPolicy) -> Incident | None:
    """The incident that a signal is of: one that has it already comes first, and active ones before resolved ones."""
    best: tuple[int, ...] = ()
    home = None
    for one in there:
        link = _link(signal, one, origins, policy)
        rank = (link, one.active, -abs(one.onset - signal.since), -one.number)
        if link and (home is None or rank > best):
            best, home = rank, one
    return home


def _link(signal: Signal, incident: Incident, origins: Origins, policy: IncidentPolicy) -> int:
    """How closely a signal belongs to an incident: 0 not at all, 4 it is its very own."""
    if (signal.kind, signal.what) in incident.keys:
        return 4
    if signal.state != DRIFTS:
        return 0
    if incident.ended is not None and signal.window[0] < incident.ended:
        return 0  # what it was resolved of is known; of anything else in that window nobody has said a word
    near = abs(incident.onset - signal.since) <= duration(policy.together)
    if not near and UPSTREAM.index(signal.kind) < min(UPSTREAM.index(one.kind) for one in incident.lately):
        return 0  # a drift of last month has made no value null today: that is another cause
    if any(one.what == signal.what for one in incident.members):
        return 3
    if origin(signal, origins) & incident.origins:
        return 2
    if not incident.active:
        return 0
    if signal.kind in _WHOLE and incident.onset <= signal.since:
        lasted = max(one.last for one in incident.members)  # what was clean again by then has not caused it
        return 1 if signal.since <= lasted + duration(policy.together) else 0
    return 1 if near else 0


def _groups(signals: Sequence[Signal], origins: Origins, policy: IncidentPolicy) -> list[list[Signal]]:
    """Signals that no incident has, grouped by cause. About the model as a whole: with the group that began next to it.

    In the order of their onset: so the number of an incident does not depend on the order in which columns are named.
    """
    together = duration(policy.together)
    groups: list[list[Signal]] = []
    for signal in sorted(signals, key=lambda one: (one.kind in _WHOLE, one.since, one.kind, one.what)):
        if signal.kind in _WHOLE:
            able = [one for one in groups if min(each.since for each in one) <= signal.since + together]
            near = min(able, key=lambda one: abs(min(each.since for each in one) - signal.since), default=None)
            linked = [] if near is None else [near]
        else:
            linked = [one for one in groups if any(_same(signal, each, origins, together) for each in one)]
        groups = [one for one in groups if not any(one is each for each in linked)]
        groups.append([each for one in linked for each in one] + [signal])
    return sorted(groups, key=lambda one: (min(each.since for each in one), one[0].what))


def _same(one: Signal, other: Signal, origins: Origins, together: int) -> bool:
    near = abs(one.since - other.since) <= together
    return near or one.what == other.what or bool(origin(one, origins) & origin(other, origins))


def _opened(
    model: str, number: int, signals: Sequence[Signal], looked: Looked, origins: Origins, policy: IncidentPolicy
) -> Incident:
    end = looked.window[1]
    made = Incident(
        model, number, OPEN, first=end, seen=end, read=looked.entry, onset=min(one.since for one in signals),
        members=tuple(Member.of(one) for one in signals), origins=_union(signals, origins), owner=policy.owner,
    )  # fmt: skip
    return replace(made, runbook=policy.runbook_of(made.cause), why=made.text)


def _union(signals: Sequence[Signal], origins: Origins) -> frozenset[str]:
    return frozenset(source for one in signals for source in origin(one, origins))


def _after(
    incident: Incident, signals: Sequence[Signal], looked: Looked, origins: Origins, policy: IncidentPolicy
) -> Incident:
    """One incident after a window: its signals as they are now, and what that makes of it."""
    end = looked.window[1]
    if not incident.active:
        return _reopened(incident, signals, looked, origins)
    told = {(one.kind, one.what): one for one in signals}
    members = [one.told(told[one.key]) if one.key in told else one for one in incident.members]
    fresh = [one for one in signals if one.state == DRIFTS and (one.kind, one.what) not in incident.keys]
    members += [Member.of(one) for one in fresh]
    gone = all(one.clean or end - one.last >= duration(policy.silent) for one in members)
    silent = all(end - one.last >= duration(policy.silent) for one in members)  # even where nobody asks any more
    clean = incident.clean + (looked.rows > 0 or silent) if gone else 0
    after = replace(
        incident, members=tuple(members), origins=incident.origins | _union(fresh, origins), clean=clean, seen=end,
        read=looked.entry, onset=min(one.since for one in members if not one.earlier),
    )  # fmt: skip
    if clean >= policy.clean:
        why = f"{policy.clean} clean windows in a row, the last until {instant_text(end)}"
        return replace(after, state=RESOLVED, until=None, ended=end, event=ENDED, who="", why=why)
    if rung(after.reached) > rung(incident.reached):
        # Whoever acknowledged it did so at another severity: it asks for a person again, whose it stays.
        return replace(after, state=OPEN, until=None, event=WORSENED, who="", why=after.text)
    if fresh:
        return replace(after, event=GREW, who="", why=f"{_named(fresh)} too")
    return after


def _reopened(incident: Incident, signals: Sequence[Signal], looked: Looked, origins: Origins) -> Incident:
    """A resolved one, if what it was about is there again in a window that began after its end."""
    back = [one for one in signals if one.state == DRIFTS]
    if not back or incident.ended is None or looked.window[0] < incident.ended:
        return incident
    keep = [one for one in incident.members if one.key not in {(each.kind, each.what) for each in back}]
    # What was bad before its end has been seen to: only what is back corrupts.
    kept = (
        replace(one, clean=True, earlier=True, corrupts=one.corrupts and one.accepted is not None) for one in keep
    )  # fmt: skip
    members = (*kept, *(Member.of(one) for one in back))
    return replace(
        incident, state=OPEN, members=members, origins=incident.origins | _union(back, origins), clean=0,
        seen=looked.window[1], read=looked.entry, onset=min(one.since for one in back), before=(), ended=None,
        reopened=incident.reopened + 1, event=REOPENED, who="", why=f"{_named(back)} again",
    )  # fmt: skip


def _named(signals: Sequence[Signal]) -> str:
    """The first few of what signals are about, with their kinds."""
    names = [f"{words(one.kind)} of {one.what}" for one in signals]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
