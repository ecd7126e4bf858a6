"""Thresholds: from which probability on the decision is true, by what the user can say about the decision.

    by_cost         what a false alarm and a missed case cost
    by_capacity     how many rows a day can be decided true
    by_constraint   a share that must hold: of the alarms, those that are right (precision); of the cases, those found
                    (recall)

A threshold is chosen from a sample, so each comes with the interval in which another sample would have put it, and
with what it does on these rows. Rows of one cluster (a day, an entity) lean on each other: everything counts clusters,
and of few of them the intervals are as wide as Student's t says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.calibration.curve import DecisionCurve, decision_curve, positive
from backstay.evaluation.clustered import share_by_influence
from backstay.evaluation.influence import Linear
from backstay.evaluation.interval import Interval, NotEnough, estimated
from backstay.evaluation.quantiles import level_tails, normal_tail, student_quantile

Floats = NDArray[np.float64]

_DRAWS, _SEED, _STEPS, _STARTS, _CONFIRMING = 1_000, 0, 24, 4, 5


@dataclass(frozen=True, slots=True)
class Threshold(Shown):
    """A chosen threshold.

    by:       what it was chosen by, such as {"cost": {"false_positive": 1.0, "false_negative": 20.0}}
    interval: where another sample of clusters would have put it; None where the choice does not depend on the sample
    told:     what it does on these rows: shares and costs, each with its interval where it has one
    """

    value: float
    by: Mapping[str, Any]
    interval: Interval | None
    told: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        interval = None if self.interval is None else self.interval.as_dict()
        return {"value": self.value, "by": dict(self.by), "interval": interval, "told": dict(self.told)}


def by_cost(
    outcome: ArrayLike,
    probability: ArrayLike,
    clusters: ArrayLike,
    *,
    false_positive: float,
    false_negative: float,
    level: float = 0.95,
) -> Threshold:
    """The threshold with the least expected cost; costs are in any one unit, of one error each.

    Of probabilities that mean what they say it is false_positive / (false_positive + false_negative) (Elkan 2001), and
    that is taken unless these rows show that another one is cheaper: the cheapest of every other cluster, by Student's
    t over the rest, of which there must be five. Then it is the cheapest on all of them, and `told` says that the
    probabilities are off: calibrate.

    >>> rng = np.random.default_rng(3)
    >>> p, day = rng.beta(1, 9, 20_000), np.repeat(np.arange(40), 500)
    >>> chosen = by_cost(rng.random(20_000) < p, p, day, false_positive=1, false_negative=9)
    >>> chosen.value, chosen.told["calibrated"]
    (0.1, True)
    """
    wrong, missed = positive(false_positive, "false_positive"), positive(false_negative, "false_negative")
    theory = wrong / (wrong + missed)
    curve = decision_curve(outcome, probability, clusters, [theory])
    sizes = curve.cases + curve.others
    costs = wrong * curve.alarms + missed * curve.missed
    at = int(np.searchsorted(curve.thresholds, theory))
    there = costs[:, at]
    cheapest = int(np.argmin(costs.sum(axis=0)))
    draws = curve.draws(_DRAWS, _SEED)
    drawn = (draws @ costs) / (draws @ sizes)[:, None]
    calibrated = not _shown_cheaper(costs, there, level_tails(level)[0])
    value = theory if calibrated else float(curve.thresholds[cheapest])
    places = curve.thresholds[np.argmin(drawn, axis=1)]
    chosen = there if calibrated else costs[:, cheapest]
    told = {
        "calibrated": calibrated,
        "cost": _cost(chosen, sizes, max(wrong, missed), level, curve).as_dict(),
        "cost_never": missed * float(curve.cases.sum()) / curve.n,
        "cost_always": wrong * float(curve.others.sum()) / curve.n,
        "cheapest": float(curve.thresholds[cheapest]),
        **_does(curve, value, level),
    }
    by = {"cost": {"false_positive": wrong, "false_negative": missed}}
    return Threshold(value, by, _around(value, places, level, curve), told)


def by_capacity(
    outcome: ArrayLike,
    probability: ArrayLike,
    day: ArrayLike,
    *,
    top: float,
    days: float | None = None,
    asked: int | None = None,
    level: float = 0.95,
) -> Threshold:
    """The lowest threshold at which no more than `top` rows are decided true on an average day.

    day: each row's day, which is its cluster; days: how many days the rows are of, 1.5 where they begin at noon (None:
    as many as have rows, each a whole one); asked: how many rows came in them, those without an outcome too, which are
    taken to be scored as these are (None: these are all). `told` says what an average day brings, and on which share of
    the days that have rows more than `top` of these came. `NotEnough` where even the highest score comes more often.
    """
    most = positive(top, "top")
    curve = decision_curve(outcome, probability, day)
    span = float(curve.clusters) if days is None else positive(days, "days")
    came = curve.n if asked is None else asked
    if came < curve.n:
        raise InputError(f"{came} rows were asked", where="asked", expected=f"at least these, which are {curve.n}")
    alarms = curve.hits + curve.alarms
    daily = alarms.sum(axis=0) / span * (came / curve.n)
    fits = np.flatnonzero(daily <= most)
    if not len(fits):
        raise NotEnough(
            f"on an average day {daily[-1]:.3g} rows have the highest score", where="top", expected=f"at most {most:g}",
            fix="a score that tells rows apart, or a larger capacity",
        )  # fmt: skip
    place, bundles = int(fits[0]), len(curve.cases)
    spread = np.std(alarms, axis=0, ddof=1) * math.sqrt(bundles) / span * (came / curve.n)
    reach = student_quantile(level_tails(level)[1], bundles - 1) * spread
    ends = [
        curve.thresholds[int(np.argmax(some)) if some.any() else -1]
        for some in (daily - reach <= most, daily + reach <= most)
    ]
    value = float(curve.thresholds[place])
    apart = curve.clusters == bundles  # every day is a bundle of its own
    over = float(np.mean(alarms[:, place] > most)) if apart else None
    counts = {"a_day": float(daily[place]), "days": span, "asked": came, "days_over": over}
    around = Interval(value, min(float(ends[0]), value), max(float(ends[1]), value), level, curve.n, curve.clusters)
    return Threshold(value, {"capacity": {"top": most}}, around, {**counts, **_does(curve, value, level)})


def by_constraint(
    outcome: ArrayLike,
    probability: ArrayLike,
    clusters: ArrayLike,
    *,
    metric: str,
    least: float,
    level: float = 0.95,
) -> Threshold:
    """The threshold that finds most (for a precision) or alarms least (for a recall), of those shown to keep a share.

    metric: 'precision' or 'recall'; least: the share, between 0 and 1. Shown means: the one-sided lower limit, exact
    (Clopper and Pearson) on counts divided by their design effect, with Student's correction for few clusters (Korn and
    Graubard), is at least that. Thresholds are tried in an order fixed before, from the end where the share is
    likeliest to hold, and the first that is not shown ends it: so the level holds for the one that is chosen. A
    precision is begun at several counts of alarms, which share the level (fixed sequence testing with several starts;
    Angelopoulos and others, "Learn then test", 2021).
    `NotEnough` where none is shown: it says how near the rows come.
    """
    if metric not in ("precision", "recall"):
        raise InputError(f"the metric is {metric!r}", where="metric", expected="'precision' or 'recall'")
    if not 0 < least < 1:
        raise InputError(f"least is {least}", where="least", expected="between 0 and 1")
    if not 0.5 < level < 1:
        raise InputError(f"the level is {level}", where="level", expected="between 0.5 and 1, such as 0.95")
    curve = decision_curve(outcome, probability, clusters)
    sequences = _sequences(curve, metric, math.log(1 - level) / math.log(least))
    each = 1 - (1 - level) / len(sequences)
    found: list[int] = []
    best = (-1.0, 0.0)
    for places in sequences:
        for place in places:
            low = _lower(curve, place, metric, each)
            best = max(best, (low, float(curve.thresholds[place])))
            if low < least:
                break
            found.append(place)
    if not found:
        raise NotEnough(
            f"no threshold is shown to have a {metric} of {least:g}: the nearest, {best[1]:.4g}, is shown to have "
            f"{best[0]:.4g}",
            where="least", expected="a share that these rows can show", fix="more rows, or a lower share",
        )  # fmt: skip
    place = min(found) if metric == "precision" else max(found)
    value = float(curve.thresholds[place])
    told = {"shown": _lower(curve, place, metric, each), **_does(curve, value, level)}
    return Threshold(value, {metric: {"least": least, "level": level}}, None, told)


def fixed(
    outcome: ArrayLike, probability: ArrayLike, clusters: ArrayLike, value: float, level: float = 0.95
) -> Threshold:
    """A threshold that somebody has set, and what it does on these rows."""
    if not 0 <= value <= 1:
        raise InputError(f"the threshold is {value}", where="value", expected="between 0 and 1")
    curve = decision_curve(outcome, probability, clusters, [value])
    told = _does(curve, value, level)
    return Threshold(float(value), {"value": float(value)}, None, told)


def _shown_cheaper(costs: Floats, there: Floats, tail: float) -> bool:
    """Whether some threshold is cheaper than the one of theory: chosen on every other bundle, shown on the rest.

    By Student's t over the rest; where there are fewer than five of them, nothing is shown.
    """
    cheapest = int(np.argmin(costs[::2].sum(axis=0)))
    gains = there[1::2] - costs[1::2, cheapest]
    if len(gains) < _CONFIRMING:
        return False
    spread = float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    return spread > 0 and float(gains.mean()) > student_quantile(1 - tail, len(gains) - 1) * spread


def _sequences(curve: DecisionCurve, metric: str, smallest: float) -> list[list[int]]:
    """The places to try: for a recall from the lowest threshold up, for a precision from some alarms on."""
    if metric == "recall":
        return [[int(one) for one in np.unique(np.linspace(0, len(curve.thresholds) - 1, 4 * _STEPS).astype(np.int64))]]
    alarms = (curve.hits + curve.alarms).sum(axis=0)
    first = max(2 * math.ceil(smallest), 1)
    starts = [first * 4**step for step in range(_STARTS) if first * 4**step <= alarms[0]] or [first]
    # The threshold with at least so many alarms: alarms fall as thresholds rise.
    counts = [np.geomspace(one, max(alarms[0], one), _STEPS) for one in starts]
    places = [[int(np.flatnonzero(alarms >= min(one, alarms[0]))[-1]) for one in some] for some in counts]
    return [list(dict.fromkeys(some)) for some in places]


def _lower(curve: DecisionCurve, place: int, metric: str, level: float) -> float:
    """The one-sided lower limit of a share, on counts divided by the design effect over clusters."""
    hits = curve.hits[:, place]
    whole = hits + curve.alarms[:, place] if metric == "precision" else curve.cases
    try:
        return _share(hits, whole, 2 * level - 1, curve).low
    except NotEnough:
        return 0.0


def _does(curve: DecisionCurve, value: float, level: float) -> dict[str, Any]:
    """What a threshold does on these rows."""
    place = int(np.searchsorted(curve.thresholds, value))
    hits, alarms = curve.hits[:, place], curve.alarms[:, place]
    true = int((hits + alarms).sum())
    out: dict[str, Any] = {"rows": curve.n, "cases": int(curve.cases.sum()), "decided_true": true}
    pairs = {
        "precision": (hits, hits + alarms),
        "recall": (hits, curve.cases),
        "false_positive_rate": (alarms, curve.others),
    }
    for name, (part, whole) in pairs.items():
        if whole.sum():
            out[name] = estimated(partial(_share, part, whole, level, curve), int(whole.sum())).as_dict()
        else:
            out[name] = {"insufficient": "nothing is decided true"}
    return out


def _share(part: Floats, whole: Floats, level: float, curve: DecisionCurve) -> Interval:
    """A share of sums over clusters, with its exact interval over the clusters that have a row of the whole."""
    n = float(whole.sum())
    if not n:
        raise NotEnough("there are no rows", expected="at least one")
    share = float(part.sum()) / n
    found = share_by_influence(Linear(share, (part - share * whole) / n, among=whole > 0), int(n), None, level)
    return Interval(share, found.low, found.high, level, int(n), curve.clusters)


def _cost(costs: Floats, sizes: Floats, dearest: float, level: float, curve: DecisionCurve) -> Interval:
    """The cost of a row, by Student's t over clusters; where no row costs any, that of the share that may."""
    if not costs.any():
        none = _share(costs, sizes, level, curve)
        return Interval(0.0, 0.0, dearest * none.high, level, curve.n, curve.clusters)
    cost, held = float(costs.sum()) / curve.n, len(costs)
    error = math.sqrt(float(np.square(costs - cost * sizes).sum()) * held / (held - 1)) / curve.n
    reach = student_quantile(level_tails(level)[1], held - 1) * error
    return Interval(cost, max(cost - reach, 0.0), cost + reach, level, curve.n, curve.clusters)


def _around(value: float, places: Floats, level: float, curve: DecisionCurve) -> Interval:
    """The percentiles of bootstrap draws, as far out as Student's t with so many clusters (Hesterberg 2015)."""
    held = len(curve.cases)
    tail = normal_tail(math.sqrt(held / (held - 1)) * student_quantile(level_tails(level)[1], held - 1))
    ends = float(np.quantile(places, tail)), float(np.quantile(places, 1 - tail))
    return Interval(value, min(ends[0], value), max(ends[1], value), level, curve.n, curve.clusters)
