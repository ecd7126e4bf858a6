"""Thresholds: from which probability on the decision is true, by what the user can say about the decision.

    by_cost         what a false alarm and a missed case cost
    by_capacity     how many rows a day can be decided true
    by_constraint   a share that must hold: of the alarms, those that are right (precision); of the cases, those found
                    (recall)

A threshold is chosen from a sample, so each comes with the interval in which another sample would have put it, and
with what it does on these rows. Rows of one cluster (a day, an entity) lean on each other: everything counts clusters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.calibration.curve import Curve, decision_curve, positive
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.quantiles import beta_quantile, level_tails

Floats = NDArray[np.float64]

_DRAWS, _SEED, _STEPS, _STARTS = 1_000, 0, 24, 4


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
    that is taken unless these rows show (by an interval over clusters) that another one is cheaper. Then it is the
    cheapest on them, and `told` says that the probabilities are off: calibrate.

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
        "cost": _share(chosen, sizes, draws, level, curve).as_dict(),
        "cost_never": missed * float(curve.cases.sum()) / curve.n,
        "cost_always": wrong * float(curve.others.sum()) / curve.n,
        "cheapest": float(curve.thresholds[cheapest]),
        **_does(curve, value, draws, level),
    }
    by = {"cost": {"false_positive": wrong, "false_negative": missed}}
    return Threshold(value, by, _around(value, places, level, curve), told)


def by_capacity(
    outcome: ArrayLike, probability: ArrayLike, day: ArrayLike, *, top: float, level: float = 0.95
) -> Threshold:
    """The lowest threshold at which no more than `top` rows are decided true on an average day.

    day: each row's day, which is its cluster. `told` says on which share of the days more than that came.
    `NotEnough` where even the highest score comes more often.
    """
    most = positive(top, "top")
    curve = decision_curve(outcome, probability, day)
    draws = curve.draws(_DRAWS, _SEED)
    alarms = curve.hits + curve.alarms
    daily = alarms.sum(axis=0) / curve.clusters
    fits = np.flatnonzero(daily <= most)
    if not len(fits):
        raise NotEnough(
            f"on an average day {daily[-1]:.3g} rows have the highest score", where="top", expected=f"at most {most:g}",
            fix="a score that tells rows apart, or a larger capacity",
        )  # fmt: skip
    place = int(fits[0])
    drawn = (draws @ alarms) / draws.sum(axis=1, keepdims=True) * (len(curve.cases) / curve.clusters)
    firsts = np.argmax(drawn <= most, axis=1)
    value = float(curve.thresholds[place])
    apart = curve.clusters == len(curve.cases)  # every day is a bundle of its own
    over = float(np.mean(alarms[:, place] > most)) if apart else None
    counts = {"a_day": float(daily[place]), "days": curve.clusters, "days_over": over}
    told = {**counts, **_does(curve, value, draws, level)}
    return Threshold(value, {"capacity": {"top": most}}, _around(value, curve.thresholds[firsts], level, curve), told)


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
    (Clopper and Pearson) on counts divided by their design effect, is at least that. Thresholds are tried in an order
    fixed before, from the end where the share is likeliest to hold, and the first that is not shown ends it: so the
    level holds for the one that is chosen. A precision is begun at several counts of alarms, which share the level
    (fixed sequence testing with several starts; Angelopoulos and others, "Learn then test", 2021).
    `NotEnough` where none is shown: it says how near the rows come.
    """
    if metric not in ("precision", "recall"):
        raise InputError(f"the metric is {metric!r}", where="metric", expected="'precision' or 'recall'")
    if not 0 < least < 1:
        raise InputError(f"least is {least}", where="least", expected="between 0 and 1")
    level_tails(level)
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
    value, draws = float(curve.thresholds[place]), curve.draws(_DRAWS, _SEED)
    told = {"shown": _lower(curve, place, metric, each), **_does(curve, value, draws, level)}
    return Threshold(value, {metric: {"least": least, "level": level}}, None, told)


def fixed(
    outcome: ArrayLike, probability: ArrayLike, clusters: ArrayLike, value: float, level: float = 0.95
) -> Threshold:
    """A threshold that somebody has set, and what it does on these rows."""
    if not 0 <= value <= 1:
        raise InputError(f"the threshold is {value}", where="value", expected="between 0 and 1")
    curve = decision_curve(outcome, probability, clusters, [value])
    told = _does(curve, value, curve.draws(_DRAWS, _SEED), level)
    return Threshold(float(value), {"value": float(value)}, None, told)


def _shown_cheaper(costs: Floats, there: Floats, tail: float) -> bool:
    """Whether some threshold is cheaper than the one of theory: chosen on every other bundle, shown on the rest."""
    if len(costs) < 4:
        return False
    cheapest = int(np.argmin(costs[::2].sum(axis=0)))
    gains = there[1::2] - costs[1::2, cheapest]
    rng = np.random.default_rng(_SEED)
    drawn = rng.multinomial(len(gains), np.full(len(gains), 1 / len(gains)), _DRAWS) @ gains
    return bool(np.quantile(drawn, tail) > 0)


def _sequences(curve: Curve, metric: str, smallest: float) -> list[list[int]]:
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


def _lower(curve: Curve, place: int, metric: str, level: float) -> float:
    """The one-sided lower limit of a share, on counts divided by the design effect over clusters."""
    hits = curve.hits[:, place]
    whole = hits + curve.alarms[:, place] if metric == "precision" else curve.cases
    k, n = float(hits.sum()), float(whole.sum())
    if k == 0 or n == 0:
        return 0.0
    effect = _design_effect(hits, whole)
    return beta_quantile(1 - level, k / effect, (n - k) / effect + 1)


def _design_effect(hits: Floats, whole: Floats) -> float:
    """The variance of a share over clusters, in that of as many independent rows; at least 1 (Kish 1965)."""
    n, share = float(whole.sum()), float(hits.sum() / whole.sum())
    held = int(np.count_nonzero(whole))
    if share in (0.0, 1.0) or held < 2:
        # Nothing varies: as many rows as there are in a cluster that lean on each other entirely, at the worst.
        return float(np.square(whole).sum() / n) if held else 1.0
    clustered = float(np.square(hits - share * whole).sum()) * held / (held - 1) / n**2
    return max(clustered / (share * (1 - share) / n), 1.0)


def _does(curve: Curve, value: float, draws: Floats, level: float) -> dict[str, Any]:
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
        told = _share(part, whole, draws, level, curve) if whole.sum() else None
        out[name] = {"insufficient": "nothing is decided true"} if told is None else told.as_dict()
    return out


def _share(part: Floats, whole: Floats, draws: Floats, level: float, curve: Curve) -> Interval:
    """A ratio of sums over clusters, with its percentile interval; one that is 0 or 1 gets the exact limit."""
    k, n = float(part.sum()), float(whole.sum())
    low, high = level_tails(level)
    sizes = draws @ whole
    drawn = (draws @ part)[sizes > 0] / sizes[sizes > 0]
    ends = [float(np.quantile(drawn, low)), float(np.quantile(drawn, high))]
    if k in (0.0, n):
        effect = _design_effect(part, whole)
        ends = [beta_quantile(low, n / effect, 1), 1.0] if k else [0.0, beta_quantile(high, 1, n / effect)]
    share = k / n
    return Interval(share, min(ends[0], share), max(ends[1], share), level, int(n), curve.clusters)


def _around(value: float, places: Floats, level: float, curve: Curve) -> Interval:
    low, high = level_tails(level)
    ends = float(np.quantile(places, low)), float(np.quantile(places, high))
    return Interval(value, min(ends[0], value), max(ends[1], value), level, curve.n, curve.clusters)
