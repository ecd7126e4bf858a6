"""An incident: signals that have one cause, from their onset until they are gone. Pure: windows in, incidents out.

    open ── acknowledged ── snoozed (until) ──┐
      │           │              │            │  each may become any other of these; a snooze ends by itself,
      └───────────┴──────────────┴── resolved ┘  and at once where it gets worse
                                        │
                             open again, if its signals come back within the policy's grace

**Severity** is the highest rung of the ladder that any of its signals that are on stands on (data quality, skew, score
drift, estimated loss, realised loss); input drift alone stands on none. Its **cause** is what lies furthest upstream:
bad data make skewed features, these other scores, and these a loss.

It is resolved by a person, or by itself after several clean windows in a row. So a signal that comes and goes is one
incident, which stays open; and what comes back a few days after its end is the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backstay.core.errors import InputError, RefusedError
from backstay.core.show import Shown
from backstay.core.times import DAY, instant_text
from backstay.monitoring.signals import (
    DATA_QUALITY,
    ESTIMATED_LOSS,
    INPUT_DRIFT,
    KINDS,
    LADDER,
    REALISED_LOSS,
    SCORE_DRIFT,
    SKEW,
    Signal,
)

UPSTREAM = (DATA_QUALITY, SKEW, INPUT_DRIFT, SCORE_DRIFT, ESTIMATED_LOSS, REALISED_LOSS)
"""Kinds from what causes to what is caused: the first of an incident's is its cause."""
OPEN, ACKNOWLEDGED, SNOOZED, RESOLVED = "open", "acknowledged", "snoozed", "resolved"
STATES = (OPEN, ACKNOWLEDGED, SNOOZED, RESOLVED)
OPENED, GREW, WORSENED, REOPENED, WOKE, ENDED = "opened", "grew", "worsened", "reopened", "woke", "ended"
"""What windows and time do to an incident; what people do is told by the state that they put it in, and `OWNED`.

`LASTS` is no happening: once in a while it is written down that it goes on.
"""
OWNED, LASTS = "owned", "lasts"
DRIFTS = "DRIFT"
assert set(UPSTREAM) == set(KINDS)


@dataclass(frozen=True, slots=True)
class Member(Shown):
    """One signal of an incident, as it was in the last window that named it.

    peak:     the largest effect so far
    last:     the end of that window
    clean:    whether that window was clean of it, and so are those since that do not name it
    corrupts: whether values themselves were wrong in any window since it was opened, or came back
    earlier:  it was of it before it came back last, and has not been since
    accepted: the version as whose state of the world a person has accepted it: while that one answers it is no news
    """

    kind: str
    what: str
    effect: float
    peak: float
    threshold: float
    since: int
    cost: float | None
    last: int
    clean: bool = False
    corrupts: bool = False
    accepted: int | None = None
    earlier: bool = False

    @classmethod
    def of(cls, signal: Signal) -> Member:
        return cls(
            signal.kind, signal.what, signal.effect, signal.effect, signal.threshold, signal.since, signal.cost,
            signal.window[1], corrupts=signal.corrupts,
        )  # fmt: skip

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.what

    @property
    def times(self) -> float:
        """How many times what is tolerated it was at its peak; of what is to be no less, how far below it."""
        return abs(self.peak - self.threshold) / abs(self.threshold) if self.threshold else float("inf")

    def told(self, signal: Signal) -> Member:
        """What it is after a window that names it."""
        drifts = signal.state == DRIFTS
        if drifts and self.earlier:
            return Member.of(signal)
        peak = max(self.peak, signal.effect, key=lambda one: abs(one - signal.threshold)) if drifts else self.peak
        return replace(
            self, effect=signal.effect, peak=peak, threshold=signal.threshold if drifts else self.threshold,
            cost=signal.cost if drifts else self.cost, last=signal.window[1], clean=not drifts,
            corrupts=self.corrupts or (drifts and signal.corrupts), accepted=None if drifts else self.accepted,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Incident(Shown):
    """One cause of trouble with a model.

    number:   counts from 1 for each model
    state:    open, acknowledged, snoozed (until `until`) or resolved (as of `ended`)
    first:    the end of the window that opened it; seen: the end of the last window that was taken into account
    read:     the ledger's entry of that last window
    onset:    when the earliest of its signals began; of those that it came back by, where it did
    members:  its signals; origins: the sources that its features are made of
    clean:    clean windows in a row, so far
    event:    what happened last, who and why: as the ledger tells its timeline
    before:   what else changed in the day before the onset, as it was gathered when it was opened, or came back
    """

    model: str
    number: int
    state: str
    first: int
    seen: int
    read: int
    onset: int
    members: tuple[Member, ...]
    origins: frozenset[str] = frozenset()
    clean: int = 0
    owner: str = ""
    runbook: str = ""
    until: int | None = None
    ended: int | None = None
    reopened: int = 0
    event: str = OPENED
    who: str = ""
    why: str = ""
    before: tuple[Mapping[str, Any], ...] = ()

    @property
    def active(self) -> bool:
        return self.state != RESOLVED

    @property
    def keys(self) -> set[tuple[str, str]]:
        """Kind and column or metric of its signals."""
        return {one.key for one in self.members}

    @property
    def lately(self) -> tuple[Member, ...]:
        """Its signals since it was opened, or came back last."""
        return tuple(one for one in self.members if not one.earlier) or self.members

    @property
    def present(self) -> tuple[Member, ...]:
        """Its signals that are on; where all are clean, those that were: what it is and what it costs go by them."""
        return tuple(one for one in self.members if not one.clean) or self.lately

    @property
    def cause(self) -> str:
        """The kind of signal that lies furthest upstream, of those that are on."""
        return min((one.kind for one in self.present), key=UPSTREAM.index)

    @property
    def severity(self) -> str:
        """The kind of signal that stands highest on the ladder, of those that are on; input drift where none does."""
        return max((one.kind for one in self.present), key=rung)

    @property
    def reached(self) -> str:
        """The highest severity since it was opened, or came back last: people are told of what is worse than that."""
        return max((one.kind for one in self.lately), key=rung)

    @property
    def cost(self) -> float | None:
        """The estimated cost of a day: the largest of its signals' that are on, which have one cause; None if none has
        any."""
        return max((one.cost for one in self.present if one.cost is not None), default=None)

    @property
    def worst(self) -> Member:
        """The signal of its cause that went furthest beyond what is tolerated."""
        return max((one for one in self.present if one.kind == self.cause), key=lambda one: one.times)

    @property
    def text(self) -> str:
        """What it is, in a sentence of its own figures; no value of any customer's row is in it."""
        several = [one for one in self.present if one.kind == self.cause]
        worst, kind = self.worst, words(self.cause)
        of = f" from {', '.join(sorted(self.origins))}" if self.origins else ""
        said = f"{kind}{of}: {worst.what} {worst.peak:.3g}, tolerated {worst.threshold:.3g}"
        if len(several) > 1:
            said += f", and {len(several) - 1} more"
        return said if self.severity == self.cause else f"{said}; it has come to {words(self.severity)}"

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data: what the ledger keeps."""
        kept = {name: getattr(self, name) for name in _PLAIN}
        return {
            **kept, "members": [one.as_dict() for one in self.members], "origins": sorted(self.origins),
            "before": [dict(one) for one in self.before],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Incident:
        """The incident that `as_dict` has written down."""
        return cls(
            **{name: data[name] for name in _PLAIN}, members=tuple(Member(**one) for one in data["members"]),
            origins=frozenset(data["origins"]), before=tuple(data["before"]),
        )  # fmt: skip


_PLAIN = (
    "model", "number", "state", "first", "seen", "read", "onset", "clean", "owner", "runbook", "until", "ended",
    "reopened", "event", "who", "why",
)  # fmt: skip


def rung(kind: str) -> int:
    """A kind's place on the ladder of severity, the lowest 0; -1 where it stands on none."""
    return LADDER.index(kind) if kind in LADDER else -1


def words(kind: str) -> str:
    """A kind as people say it.

    >>> words("data_quality")
    'data quality'
    """
    return kind.replace("_", " ")


def ranked(incidents: Sequence[Incident]) -> list[Incident]:
    """The active ones first; among them by estimated cost of a day, then by severity, then the oldest first."""
    return sorted(
        incidents,
        key=lambda one: (
            not one.active, one.state == SNOOZED, -(one.cost or 0.0), -rung(one.severity), one.onset, one.number
        ),
    )  # fmt: skip


def spent(incident: Incident, now: int) -> float | None:
    """What it has cost so far, by the estimated cost of a day: from its onset to its end, or to now."""
    until = now if incident.ended is None else incident.ended
    return None if incident.cost is None else incident.cost * max(0, until - incident.onset) / DAY


def acknowledge(incident: Incident, who: str, why: str = "") -> Incident:
    """Somebody is on it: it is told again only when it gets worse."""
    _needs(incident, "acknowledged")
    owner = incident.owner or who
    return replace(incident, state=ACKNOWLEDGED, until=None, owner=owner, event=ACKNOWLEDGED, who=who, why=why)


def snooze(incident: Incident, who: str, until: int, now: int, why: str = "") -> Incident:
    """Nothing is told of it until then, unless it gets worse."""
    _needs(incident, "snoozed")
    if until <= now:
        raise InputError(
            f"{instant_text(until)} has passed", where=_where(incident), expected="a moment to come", fix="--for 3d"
        )
    return replace(incident, state=SNOOZED, until=until, event=SNOOZED, who=who, why=why)


def resolve(incident: Incident, who: str, now: int, why: str, accept: int | None = None) -> Incident:
    """It is over, says a person; what signals say of windows that begin later opens it again.

    accept: a version: its signals are how the world is now, and are not told again while this version answers
    """
    _needs(incident, "resolved")
    if not why.strip():
        raise InputError("there is no reason", where=_where(incident), expected="what was done", fix='--why "..."')
    members = tuple(one if accept is None or one.clean else replace(one, accepted=accept) for one in incident.members)
    return replace(
        incident, state=RESOLVED, until=None, ended=now, members=members, event=RESOLVED, who=who, why=why
    )  # fmt: skip


def own(incident: Incident, who: str, owner: str, why: str = "") -> Incident:
    """It is somebody else's from now on."""
    if not owner.strip():
        raise InputError("the owner has no name", where=_where(incident), expected="a name, a team or an address")
    return replace(incident, owner=owner, event=OWNED, who=who, why=why or f"{owner} sees to it")


def woken(incident: Incident, now: int) -> Incident:
    """It is open again, if it was snoozed until before now."""
    if incident.state != SNOOZED or incident.until is None or now < incident.until:
        return incident
    return replace(incident, state=OPEN, until=None, event=WOKE, who="", why="the snooze is over, and it is not")


def _needs(incident: Incident, what: str) -> None:
    if not incident.active:
        raise RefusedError(
            f"it is resolved: {incident.why}", where=_where(incident), expected=f"one that can be {what}",
            fix="nothing has to be done: if its signals come back it opens again",
        )  # fmt: skip


def _where(incident: Incident) -> str:
    return f"incident {incident.model}/{incident.number}"
