"""Triggers: what makes a training due, and what forbids it. Pure: evidence in, one decision out.

By default a model is trained again by its cadence, and sooner where it is shown to do harm, by labels or by an
estimate. An input that moved is no harm: it opens an incident, and trains only a model that asks for it. And whatever
is due, nothing is learned from corrupt data: an open incident with bad data in it blocks all of it, until the data are
sound or a person resolves it. What is newest stays what it was, and stays the reference too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backstay.core.show import Shown
from backstay.core.times import DAY, duration, duration_text, instant_text
from backstay.definitions.retraining import CADENCE, ESTIMATED, PSI, REALISED, REASONS, VOLUME, RetrainPolicy
from backstay.monitoring.incidents import DRIFTS, Incident, ranked
from backstay.monitoring.signals import ESTIMATED_LOSS, INPUT_DRIFT, REALISED_LOSS, Signal

SOUND = 3 * DAY
"""How long values must have been sound, before they are learned from."""
_NAMED = 3
"""Incidents that are named by what they are, of those that forbid a training."""
_KINDS = {REALISED: REALISED_LOSS, ESTIMATED: ESTIMATED_LOSS, PSI: INPUT_DRIFT}


@dataclass(frozen=True, slots=True)
class Trigger(Shown):
    """A training is due: by which of the policy's reasons, and on what evidence; what a person reads of it.

    also: the other reasons that it is due by
    """

    reason: str
    said: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Blocked(Shown):
    """A training is due, and must not be: why, and the numbers of the incidents that forbid it, the dearest first."""

    reason: str
    why: str
    incidents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known when it is asked whether a training is due.

    now:       microseconds UTC
    newest:    as of when the newest version was trained
    signals:   of the last window that was closed, and its ledger entry
    incidents: of the model, as they are after that window
    fresh:     how many rows with a mature label have come since the newest version; called only if it matters
    """

    now: int
    newest: int
    signals: Sequence[Signal] = ()
    entry: int = 0
    incidents: Sequence[Incident] = ()
    fresh: Callable[[], int] = lambda: 0


def due(policy: RetrainPolicy, seen: Evidence) -> Trigger | Blocked | None:
    """What makes a training due, the weightiest reason first; `Blocked` where it must not be; None if nothing does.

    >>> day = 86_400_000_000
    >>> due(RetrainPolicy(every="7d"), Evidence(now=8 * day, newest=0)).reason
    'cadence'
    >>> loss = Signal("realised_loss", "log_loss", "DRIFT", 0.05, 0.01, since=6 * day, window=(6 * day, 7 * day))
    >>> due(RetrainPolicy(every="30d"), Evidence(now=8 * day, newest=0, signals=[loss])).reason
    'realised'
    >>> drift = Signal("input_drift", "distance", "DRIFT", 0.4, 0.1, since=6 * day, window=(6 * day, 7 * day))
    >>> due(RetrainPolicy(every="30d"), Evidence(now=8 * day, newest=0, signals=[drift])) is None
    True
    """
    found = [
        one for name in REASONS if name in policy.retrain_on and (one := _BY[name](policy, seen)) is not None
    ]  # fmt: skip
    if not found:
        return None
    first, also = found[0], tuple(one.reason for one in found[1:])
    corrupt = ranked([one for one in seen.incidents if one.active and _corrupt(one)])
    if corrupt:
        return Blocked(first.reason, _blocked(first, corrupt), tuple(one.number for one in corrupt))
    return Trigger(first.reason, first.said, first.evidence, also)


def _blocked(due_by: Trigger, corrupt: Sequence[Incident]) -> str:
    """Why nothing is learned, in a sentence: the first incidents by what they are, the others counted."""
    named = ", ".join(f"incident {one.number} ({one.text})" for one in corrupt[:_NAMED])
    more = f" and {len(corrupt) - _NAMED} more" if len(corrupt) > _NAMED else ""
    them = "it is" if len(corrupt) == 1 else "all are"
    return (
        f"a training is due ({due_by.said}), and nothing is learned while data are bad: {named}{more}. It goes on once "
        f"{them} over: by itself, when the data are sound, or resolved by a person (--accept if they are right as they "
        "are)"
    )


def _corrupt(incident: Incident) -> bool:
    """Whether an incident has data in it whose values were wrong, until they have been sound for three days.

    One window in order is not enough: it may be one that can tell little. But what else the incident is about, a drift
    that came later, does not make them wrong again.
    """
    return any(
        one.corrupts and one.accepted is None and not (one.clean and incident.seen - one.last >= SOUND)
        for one in incident.members
    )


def _cadence(policy: RetrainPolicy, seen: Evidence) -> Trigger | None:
    age = seen.now - seen.newest
    if age < duration(policy.every):
        return None
    return Trigger(CADENCE, f"every {policy.every}", {"newest": instant_text(seen.newest), "every": policy.every})


def _signalled(name: str) -> Callable[[RetrainPolicy, Evidence], Trigger | None]:
    def found(policy: RetrainPolicy, seen: Evidence) -> Trigger | None:
        # Only windows that the newest version has not learned from, or stood beside, say that it is time for another.
        if seen.now - seen.newest < duration(policy.cooldown):
            return None
        some = [
            one
            for one in seen.signals
            if one.kind == _KINDS[name] and one.state == DRIFTS and one.window[1] > seen.newest
            and (name != PSI or one.effect >= policy.psi)
        ]  # fmt: skip
        if not some:
            return None
        worst = max(some, key=lambda one: abs(one.effect))
        of = f", and {len(some) - 1} more" if len(some) > 1 else ""
        least = policy.psi if name == PSI else worst.threshold
        said = f"{name}: {worst.what} {worst.effect:.3g}, {'from' if name == PSI else 'tolerated'} {least:.3g}{of}"
        return Trigger(name, said, {"monitor": seen.entry, "signals": [_short(one) for one in some]})

    return found


def _short(signal: Signal) -> dict[str, Any]:
    """What of a signal is worth keeping with a training; the rest stands in the monitor's entry."""
    return {
        "kind": signal.kind, "what": signal.what, "effect": signal.effect, "threshold": signal.threshold,
        "since": instant_text(signal.since),
    }  # fmt: skip


def _volume(policy: RetrainPolicy, seen: Evidence) -> Trigger | None:
    if policy.rows is None or seen.now - seen.newest < duration(policy.cooldown):
        return None
    fresh = seen.fresh()
    if fresh < policy.rows:
        return None
    age = duration_text((seen.now - seen.newest) // 1_000_000 * 1_000_000)
    said = f"volume: {fresh:,} new mature rows in {age}, from {policy.rows:,}"
    return Trigger(VOLUME, said, {"rows": fresh, "least": policy.rows})


_BY: Mapping[str, Callable[[RetrainPolicy, Evidence], Trigger | None]] = {
    CADENCE: _cadence, VOLUME: _volume, **{name: _signalled(name) for name in _KINDS},
}  # fmt: skip
