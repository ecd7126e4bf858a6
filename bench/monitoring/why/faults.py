"""Planters: one a cause, its magnitudes drawn from ranges by the seed; and what each fix is in the loop.

`strength` from 0 to 1 moves the range up where a draw was too weak to open a gap that anybody would ask about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from backstay.investigation import Cause
from bench.monitoring.why.plan import (
    Default,
    Delay,
    Feedback,
    Late,
    Layout,
    Plan,
    Policy,
    Proxy,
    Shift,
    Stale,
    Turned,
    Units,
    Zone,
)

Rng = np.random.Generator


def base(seed: int) -> Plan:
    """A loop without a fault: metric, label and whether it is a display differ by the seed."""
    rng = np.random.default_rng([seed, 20])
    metric = str(rng.choice(["auc", "log_loss", "brier"], p=[0.5, 0.3, 0.2]))
    occurrence, display = bool(rng.random() < 0.4), bool(rng.random() < 0.25)
    return Plan(
        seed, metric=metric, occurrence=occurrence, display=display, business=bool(rng.random() < 0.3),
        eta=float(rng.uniform(0.3, 1.0)) if display else 0.0, memory=float(rng.uniform(0.2, 0.6)),
        every=float(rng.uniform(0.6, 1.5)),
        threshold=float(rng.uniform(0.4, 0.6)), shock=float(rng.uniform(0.0, 0.25)),
    )  # fmt: skip


def control(seed: int) -> Plan:
    """A loop in which nothing is wrong: of every kind that faults are planted into, and with what is no fault.

    Prices that rise a little, late outcomes that are late alike, exploration that was always there, several versions
    whose business outcome goes with the metric, and displays whose order stays as it is.
    """
    rng, plan = np.random.default_rng([seed, 21]), base(seed)
    kind = rng.random()
    if rng.random() < 0.3:
        plan = replace(plan, inflation=float(rng.uniform(0.02, 0.1)))
    if kind < 0.15:
        share = float(rng.uniform(0.35, 0.7))
        return replace(
            plan, flow="policy", policy=Policy(share, share, float(rng.uniform(0.05, 0.12))), display=False, eta=0.0,
            occurrence=False,
        )  # fmt: skip
    if kind < 0.3:
        return replace(plan, flow="proxy", business=True, proxy=Proxy(-float(rng.uniform(0.3, 1.5))))
    if kind < 0.45 and not plan.occurrence:
        late = float(rng.uniform(1.0, 4.0))
        return replace(plan, horizon=10, delay=Delay(late, late, 1.0, float(rng.uniform(0.0, 2.0))))
    return plan


def stale(plan: Plan, rng: Rng, strength: float) -> Plan:
    stopped = bool(rng.random() < 0.5)
    lag = float(rng.uniform(0.0, 2.0) if stopped else rng.uniform(2.0 + 3 * strength, 7.0 + 5 * strength))
    begin = float(rng.uniform(0.0, 3.0 - 2.5 * strength))
    return replace(
        plan, memory=float(rng.uniform(0.0, 0.4) * (1 - strength)), every=float(rng.uniform(0.5, 0.9)),
        stale=Stale(str(rng.choice(["ratings", "views"], p=[0.7, 0.3])), lag, begin, stopped, bool(rng.random() < 0.3)),
    )  # fmt: skip


def units(plan: Plan, rng: Rng, strength: float) -> Plan:
    where = str(rng.choice(["price", "distance", "stars"], p=[0.45, 0.35, 0.2]))
    if where == "price":
        factor = float(rng.choice([100.0, 1000.0, 0.01, 7.46]))
    elif where == "distance":
        factor = float(rng.choice([1.609344, 1000.0, 0.001, 3.6, 3.28084]))
    else:
        factor = float(rng.choice([2.0, 20.0]))  # of ten, of a hundred
    begin = float(rng.uniform(0.0, 5.0 * (1 - strength)))
    return replace(plan, units=Units(where, factor, 0.0, begin, bool(rng.random() < 0.5), _share(rng, strength)))


def _share(rng: Rng, strength: float) -> float:
    """All clients were updated, or some."""
    return 1.0 if rng.random() < 0.6 else float(rng.uniform(0.4 + 0.4 * strength, 0.95))


def default(plan: Plan, rng: Rng, strength: float) -> Plan:
    how = str(rng.choice(["never", "degraded"], p=[0.7, 0.3]))
    share = float(rng.uniform(0.3 + 0.3 * strength, 0.7 + 0.2 * strength))
    return replace(plan, default=Default(share, how, float(rng.uniform(0.0, 4.0 * (1 - strength)))))


def zone(plan: Plan, rng: Rng, strength: float) -> Plan:
    hours = int(rng.choice([-8, -7, -6, -5, 5, 6, 8, 9, 10, 12, -10]))
    begin = float(rng.uniform(0.0, 4.0 * (1 - strength)))
    return replace(plan, zone=Zone(hours, begin, bool(rng.random() < 0.5), _share(rng, strength)))


def late(plan: Plan, rng: Rng, strength: float) -> Plan:
    days = float(rng.uniform(3.0 + 3 * strength, 10.0))
    return replace(plan, memory=float(rng.uniform(0.0, 0.3)), every=float(rng.uniform(0.5, 0.9)), late=Late(days))


def delay(plan: Plan, rng: Rng, strength: float) -> Plan:
    occurrence = bool(plan.metric == "auc" or rng.random() < 0.5 + 0.5 * strength)
    good = float(rng.uniform(3.0 + 2 * strength, 7.0 + 2 * strength))
    one = Delay(good, float(rng.uniform(0.2, 1.0)), float(rng.uniform(1.0, 2.0)), float(rng.uniform(0.0, 2.0)))
    return replace(plan, horizon=10, occurrence=occurrence, delay=one)


def covariate(plan: Plan, rng: Rng, strength: float) -> Plan:
    hard = float(rng.uniform(0.4 + 0.2 * strength, 0.75 + 0.1 * strength))
    return replace(plan, shift=Shift(hard, float(rng.uniform(0.0, 4.0 * (1 - strength)))))


def concept(plan: Plan, rng: Rng, strength: float) -> Plan:
    changed = set(rng.choice(["stars", "views", "price", "hour"], size=int(rng.integers(1, 4)), replace=False).tolist())
    factor = {
        name: float(rng.uniform(-1.0, 0.2 - 0.5 * strength)) if name in changed else 1.0
        for name in ("stars", "views", "price", "hour")
    }
    return replace(plan, turned=Turned(**factor, begin=float(rng.uniform(0.0, 4.0 * (1 - strength)))))


def position(plan: Plan, rng: Rng, strength: float) -> Plan:
    eta = float(rng.uniform(0.9 + 0.4 * strength, 1.6))
    return replace(plan, metric="auc", display=True, eta=eta, layout=Layout(eta))


def policy(plan: Plan, rng: Rng, strength: float) -> Plan:
    one = Policy(
        float(rng.uniform(0.1, 0.25 - 0.1 * strength)), float(rng.uniform(0.65, 0.9)), float(rng.uniform(0.04, 0.1)),
    )  # fmt: skip
    return replace(plan, flow="policy", policy=one, display=False, eta=0.0, occurrence=False)


def feedback(plan: Plan, rng: Rng, strength: float) -> Plan:
    one = Feedback(
        float(rng.uniform(0.2, 0.35)), float(rng.uniform(2.0 + 2 * strength, 5.0)),
        float(rng.uniform(1.0 + strength, 2.0 + strength)), float(rng.uniform(0.1, 0.2)),
    )  # fmt: skip
    metric = "log_loss" if plan.metric == "auc" else plan.metric
    return replace(plan, flow="feedback", metric=metric, feedback=one, display=False, eta=0.0, occurrence=False)


def proxy(plan: Plan, rng: Rng, strength: float) -> Plan:
    harm = float(rng.uniform(0.6 + 0.4 * strength, 1.6))
    return replace(plan, flow="proxy", business=True, proxy=Proxy(harm))


PLANTERS: dict[Cause, Callable[[Plan, Rng, float], Plan]] = {
    Cause.STALE: stale,
    Cause.UNITS: units,
    Cause.DEFAULT: default,
    Cause.TIME_ZONE: zone,
    Cause.LATE_JOIN: late,
    Cause.LABEL_DELAY: delay,
    Cause.COVARIATE: covariate,
    Cause.CONCEPT: concept,
    Cause.POSITION: position,
    Cause.POLICY: policy,
    Cause.FEEDBACK: feedback,
    Cause.PROXY: proxy,
}


def planted(cause: Cause, seed: int, attempt: int = 0) -> Plan:
    """A loop with one fault; a later attempt draws again, from a stronger range."""
    rng = np.random.default_rng([seed, 22, list(Cause).index(cause), attempt])
    plan = base(seed)
    if attempt > 3:  # a loss may be hard to move in this world; the order of scores is not
        plan = replace(plan, metric="auc")
    return PLANTERS[cause](plan, rng, min(attempt / 3, 1.0))


def paired(first: Cause, second: Cause, seed: int, attempt: int = 0) -> Plan:
    """A loop with two faults; both have to be of the flow with one version."""
    rng = np.random.default_rng([seed, 23, list(Cause).index(first), list(Cause).index(second), attempt])
    strength = min(attempt / 3, 1.0)
    return PLANTERS[second](PLANTERS[first](base(seed), rng, strength), rng, strength)


def mended(cause: Cause, plan: Plan) -> tuple[Plan, str]:
    """The same loop with the fix of a cause, and how its gap is measured then (see `measure.gap`)."""
    if cause in (Cause.STALE, Cause.UNITS, Cause.DEFAULT, Cause.TIME_ZONE):
        name = {Cause.STALE: "stale", Cause.UNITS: "units", Cause.DEFAULT: "default", Cause.TIME_ZONE: "zone"}[cause]
        return replace(plan, **{name: None}), "seen"
    if cause in (Cause.POSITION, Cause.POLICY):
        return plan, "position" if cause is Cause.POSITION else "propensity"
    names = {
        Cause.LATE_JOIN: "late", Cause.LABEL_DELAY: "delay", Cause.COVARIATE: "shift", Cause.CONCEPT: "turned",
        Cause.FEEDBACK: "feedback", Cause.PROXY: "proxy",
    }  # fmt: skip
    how = {Cause.LABEL_DELAY: "mature", Cause.FEEDBACK: "propensity"}.get(cause, "seen")
    return replace(plan, mended=(*plan.mended, names[cause])), how
