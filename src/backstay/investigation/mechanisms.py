"""The causes that lie in how rows come to be seen: positions, the policy that was in force, the model's own choices;
and an outcome that is not the one that pays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.influence import Linear
from backstay.evaluation.interval import Insufficient, Interval
from backstay.investigation.case import Case, Floats, Rows
from backstay.investigation.feedback import concentration, exploration_gap
from backstay.investigation.policy import policy_mismatch
from backstay.investigation.position import Propensities, harvested, regression_em
from backstay.investigation.pricing import LEVEL, Bar, cost, priced, quality
from backstay.investigation.proxy import Agreement, agreement
from backstay.investigation.shift import Side
from backstay.investigation.verdicts import FIXES, Cause, State, Verdict, cannot_tell
from backstay.investigation.weighted import weighted_quality

MISSING, KNOWN = 0.02, 0.9
"""Shares: of rows without an outcome, from which a policy may have chosen; of known chances, from which it is told."""


@dataclass(frozen=True, slots=True, eq=False)
class Mechanism:
    """A verdict, and how much each row speaks for either outcome once it is corrected for; None: as it was."""

    verdict: Verdict
    offline: tuple[Floats, Floats] | None = None
    online: tuple[Floats, Floats] | None = None


def position(case: Case, q: Side, bar: Bar) -> Mechanism:
    """What the order of the list does to the gap: online quality as it is, less what it were in the offline order.

    A row that was clicked counts by how likely one like it was looked at offline, over how likely it was where it
    stood. So a list that is ordered as it was costs nothing, however much places matter.
    """
    cause = Cause.POSITION
    where = (case.offline.position, case.online.position)
    if not all(np.isfinite(one).any() for one in where):
        why = case.missing.get(cause, "no position was logged with the rows of both sides")
        return Mechanism(cannot_tell(cause, why, log='log it, and declare it: Model(position="...")'))
    found = _propensities(case)
    if isinstance(found, Insufficient):
        return Mechanism(cannot_tell(cause, found.reason, log="swap a small share of positions at random"))
    looked = found.of(where[1])
    usual = _usual(case, found)
    there = np.isfinite(looked) & np.isfinite(usual)
    before = np.where(there, q.ones, 0.0), np.where(there, q.zeros, 0.0)
    ones = before[0] * np.where(there, usual / np.where(there, looked, 1.0), 0.0)
    after = ones, before[0] + before[1] - ones
    price = priced(cost(case.metric, _quality(case, q, after), _quality(case, q, before)), case.online.paired, bar)
    evidence = {
        "method": found.method, "eta": found.slope.as_dict(), "positions": list(found.positions),
        "propensities": [one.estimate for one in found.relative], "flat": found.flat,
    }  # fmt: skip
    last = f"place {found.positions[-1]} is looked at {found.relative[-1].estimate:.0%} as often as the first"
    why = f"{last} ({found.method}); that the list is ordered otherwise than offline costs {price.effect}"
    shown = price.shown and found.flat < bar.error
    verdict = Verdict(
        cause, State.FOUND if shown else State.NOT_FOUND, why, price.effect, evidence=evidence,
        next=FIXES[cause] if shown else "", sure=price.sure if shown else 0.0,
        rows=_clicked_below(case) if shown else (),
    )  # fmt: skip
    return Mechanism(verdict, online=after) if shown else Mechanism(verdict)


def _quality(case: Case, side: Side, weights: tuple[Floats, Floats]) -> Linear:
    return weighted_quality(case.metric, side.score, *weights)


SHRUNK = 2.0
"""How many rows the regression counts for beside those of the same thing."""


def _usual(case: Case, found: Propensities) -> Floats:
    """How likely each online row would be looked at in the offline order: as rows of its thing were, or like it."""
    offline, online = case.offline, case.online
    looked = found.of(offline.position)
    known = np.isfinite(looked)
    x = [_standard(rows.vector, offline.vector) for rows in (offline, online)]
    held = np.eye(x[0].shape[1])
    weights = np.linalg.solve(x[0][known].T @ x[0][known] + held, x[0][known].T @ looked[known])
    like = np.clip(x[1] @ weights, float(looked[known].min()), 1.0)
    names, code = np.unique(offline.item[known], return_inverse=True)
    many = np.bincount(code, minlength=names.size).astype(np.float64)
    total = np.bincount(code, weights=looked[known], minlength=names.size)
    place = np.minimum(np.searchsorted(names, online.item), max(names.size - 1, 0))
    same = names[place] == online.item
    n, s = np.where(same, many[place], 0.0), np.where(same, total[place], 0.0)
    return np.asarray((s + SHRUNK * like) / (n + SHRUNK), np.float64)


def _standard(vector: NDArray[np.float32], by: NDArray[np.float32]) -> Floats:
    """A constant and the inputs, missing ones at the mean, on the scale of `by`."""
    values, known = vector.astype(np.float64), by.astype(np.float64)
    with_any = np.isfinite(known).any(axis=0)
    values, known = values[:, with_any], known[:, with_any]
    middle, spread = np.nanmean(np.where(np.isfinite(known), known, np.nan), axis=0), np.nanstd(known, axis=0)
    z = (np.where(np.isfinite(values), values, middle) - middle) / np.where(spread > 0.0, spread, 1.0)
    return np.column_stack([np.ones(len(z)), np.clip(z, -4.0, 4.0)])


def apart(first: Rows, second: Rows) -> NDArray[np.int64]:
    """Clusters of the rows of both, such that those of one are not those of the other."""
    above = int(first.cluster.max(initial=0)) + 1 if first.rows else 0
    return np.concatenate([first.cluster, second.cluster + above])


def _propensities(case: Case) -> Propensities | Insufficient:
    item = np.concatenate([case.offline.item, case.online.item])
    where = np.concatenate([case.offline.position, case.online.position])
    label = np.concatenate([case.offline.label, case.online.label])
    known = np.isfinite(label) & np.isfinite(where)
    if not known.any():
        return Insufficient("no row has both a position and an outcome")
    found = harvested(item[known], where[known], label[known] > 0.5)
    if not isinstance(found, Insufficient):
        return found
    vector = np.concatenate([case.offline.vector, case.online.vector])[known].astype(np.float64)
    middle = np.nanmedian(np.where(np.isfinite(vector), vector, np.nan), axis=0)
    return regression_em(np.where(np.isfinite(vector), vector, middle), where[known], label[known] > 0.5)


def _clicked_below(case: Case) -> tuple[str, ...]:
    """Predictions that were shown far below and clicked all the same."""
    rows = case.online
    first = np.argsort(-np.where(rows.label == 1.0, np.nan_to_num(rows.position), -1.0), kind="stable")[:5]
    return tuple(rows.ids[place] for place in first.tolist() if rows.label[place] == 1.0)


def selected(rows: Rows) -> bool:
    """Whether some of the rows have no outcome though they could: a policy may have chosen among them."""
    return bool(rows.wanted.any() and np.mean(~np.isfinite(rows.label[rows.wanted])) >= MISSING)


def policy(case: Case, bar: Bar) -> Mechanism:
    """What the policy that chose the offline rows does to the offline metric."""
    cause, rows = Cause.POLICY, case.offline
    told = np.isfinite(rows.label)
    missing = float(np.mean(~told[rows.wanted])) if rows.wanted.any() else 0.0
    if not selected(rows):
        why = f"{1 - missing:.1%} of the offline rows have an outcome: no policy chose among them"
        return Mechanism(Verdict(cause, State.NOT_FOUND, why, evidence={"unlabelled": missing}))
    known = told & np.isfinite(rows.logged)
    if np.mean(known[told]) < KNOWN:
        return Mechanism(cannot_tell(
            cause, f"{missing:.0%} of the offline rows have no outcome, and with which chance the others came to have "
            "one was not logged", log="explore: a chance below 1 is logged with each decision",
        ))  # fmt: skip
    if rows.logged[known].min() >= 1.0:
        return Mechanism(cannot_tell(
            cause, f"{missing:.0%} of the offline rows have no outcome, and the chance that was logged is always 1: "
            "nothing was explored", log="explore a small share of decisions (backstay route explore)",
        ))  # fmt: skip
    asked = float(np.mean(np.isfinite(case.online.label[case.online.wanted]))) if case.online.wanted.any() else 1.0
    target = np.ones(rows.rows)
    if asked < 0.99:
        target = np.where(rows.score >= case.threshold, 1.0 - case.explored, case.explored)
    found = policy_mismatch(
        case.metric, rows.label[known], rows.score[known], rows.logged[known], target[known],
        clusters=rows.cluster[known], level=LEVEL,
    )  # fmt: skip
    if not isinstance(found.effect, Interval) or found.weighed_linear is None or found.naive_linear is None:
        reason = found.effect.reason if isinstance(found.effect, Insufficient) else "it has no effect"
        return Mechanism(cannot_tell(cause, reason, log="explore more"))
    price = priced(cost(case.metric, found.naive_linear, found.weighed_linear), rows.cluster[known], bar)
    why = (
        f"{missing:.0%} of the offline rows have no outcome, for an earlier policy did not let them through; weighed "
        f"by the logged chances ({found.overlap.effective:,.0f} effective rows) offline is worse by {price.effect}"
    )
    weight = np.where(known, target / np.where(known, rows.logged, 1.0), 0.0)
    shown = price.shown
    verdict = Verdict(
        cause, State.FOUND if shown else State.NOT_FOUND, why, price.effect, next=FIXES[cause] if shown else "",
        sure=price.sure if shown else 0.0, evidence={"unlabelled": missing, **found.overlap.as_dict()},
    )  # fmt: skip
    ones, zeros = weight * np.nan_to_num(rows.label), weight * (1.0 - np.nan_to_num(rows.label))
    return Mechanism(verdict, offline=(ones, zeros))


def feedback(case: Case, bar: Bar) -> Mechanism:
    """Whether it was judged on what it chose itself only, and is worse on what it would not have chosen.

    What a lot chose is what tells. It counts where the offline rows have outcomes only because an earlier version of
    the model chose them: what it did not choose it has neither learned from nor been judged on.
    """
    cause, rows = Cause.FEEDBACK, case.online
    drawn, told = rows.chance < 0.5, np.isfinite(rows.label)
    if not (rows.chance < 1.0).any():
        return Mechanism(cannot_tell(
            cause, "the logged chance is always 1: nothing was explored, and no row is out of the model's influence",
            log="explore a small share of decisions (backstay route explore)",
        ))  # fmt: skip
    fed = _fed(case)
    if min(np.count_nonzero(told & drawn), np.count_nonzero(told & ~drawn)) < ROWS:
        return Mechanism(cannot_tell(cause, f"fewer than {ROWS} rows were explored", log="explore more"))
    found = exploration_gap(case.metric, rows.label[told], rows.score[told], drawn[told], clusters=rows.cluster[told])
    whole, chosen = (
        quality(case.metric, rows.score, np.where(one, rows.label, np.nan)) for one in (told, told & ~drawn)
    )
    price = priced(cost(case.metric, chosen, whole), rows.paired, bar)
    wrong = _wrong(case, told, drawn)
    narrowed = None if case.past is None else concentration(case.past.chosen, case.past.version, level=LEVEL)
    evidence = {
        "exposed": found.exposed.as_dict(), "explored": found.explored.as_dict(), "learned_from_its_own": fed,
        "beyond_its_scores": wrong.estimate,
        "concentration": None if narrowed is None else list(narrowed.gini),
        "trend": None if narrowed is None else narrowed.trend.as_dict(),
    }  # fmt: skip
    many = np.count_nonzero(told & drawn)
    learned = "the offline rows have outcomes only where an earlier version chose them" if fed else _UNFED
    why = (
        f"{learned}; with the {many:,} rows that a lot chose online it is worse than on those it chose itself by "
        f"{price.effect}, {wrong.estimate:+.4f} of it beyond what its scores say"
    )
    shown = price.shown and fed
    verdict = Verdict(
        cause, State.FOUND if shown else State.NOT_FOUND, why, price.effect, evidence=evidence,
        next=FIXES[cause] if shown else "", sure=price.sure if shown else 0.0,
        rows=_furthest(case, told & drawn) if shown else (),
    )  # fmt: skip
    kept = (~drawn).astype(np.float64)
    return Mechanism(verdict, online=(kept, kept)) if fed else Mechanism(verdict)


ROWS = 30
_UNFED = "the offline rows do not have outcomes only where the model chose them"


def _fed(case: Case) -> bool:
    """Whether the offline rows have outcomes only where an earlier version chose them, without a lot."""
    rows = case.offline
    told = np.isfinite(rows.label)
    known = told & np.isfinite(rows.logged)
    if not told.any() or not selected(rows) or np.mean(known[told]) < KNOWN:
        return False
    return bool(np.mean(rows.logged[known] >= 1.0) >= KNOWN)


def _wrong(case: Case, told: NDArray[np.bool_], drawn: NDArray[np.bool_]) -> Linear:
    """By how much the drawn rows make all rows worse, beyond what the scores say of them."""
    rows = case.online

    def excess(member: NDArray[np.bool_]) -> Linear:
        weight = member.astype(np.float64)
        y, s = np.where(member, np.nan_to_num(rows.label), 0.0), np.clip(rows.score, 0.0, 1.0)
        real = weighted_quality(case.metric, rows.score, weight * y, weight * (1.0 - y))
        said = weighted_quality(case.metric, rows.score, weight * s, weight * (1.0 - s))
        return cost(case.metric, said, real)

    whole, chosen = excess(told), excess(told & ~drawn)
    return Linear(whole.estimate - chosen.estimate, whole.influence - chosen.influence, among=told)


def _furthest(case: Case, among: NDArray[np.bool_]) -> tuple[str, ...]:
    """The predictions whose outcome was furthest from the score."""
    rows = case.online
    off = np.where(among, np.abs(np.nan_to_num(rows.label) - rows.score), -1.0)
    return tuple(rows.ids[place] for place in np.argsort(-off, kind="stable")[:5].tolist() if off[place] >= 0.0)


def proxy(case: Case, bar: Bar) -> Mechanism:
    """Whether the metric orders versions as the outcome that pays does."""
    cause, past = Cause.PROXY, case.past
    if cause in case.missing:
        return Mechanism(cannot_tell(cause, case.missing[cause], log="Model(business=Metric(...))"))
    if past is None or not past.numbers:
        return Mechanism(cannot_tell(cause, "no version has an outcome that pays", log="Model(business=Metric(...))"))
    found = agreement(
        past.metric, past.business, past.error, versions=past.numbers, level=bar.level, clusters=past.days
    )
    if isinstance(found, Insufficient):
        return Mechanism(cannot_tell(cause, found.reason, log="compare more versions by experiments"))
    return Mechanism(_proxy(found, bar, together=past.together))


SEASON = 0.2
"""By which share of itself what pays may move with the time of the year, or the market: smaller changes between
versions that answered one after another may be that, and not theirs."""


def _proxy(found: Agreement, bar: Bar, *, together: bool = False) -> Verdict:
    evidence = found.as_dict()
    if not isinstance(found.slope, Interval):
        reason = found.slope.reason if isinstance(found.slope, Insufficient) else ""
        return cannot_tell(Cause.PROXY, reason, log="compare more versions by experiments", **evidence)
    lost = found.lost
    shown = isinstance(lost, Interval) and lost.high < 0.0 and found.slope.estimate < 0.0 and found.rank < 0.0
    worst = found.business[found.offline.index(min(found.offline))]
    if shown and not together and isinstance(lost, Interval) and -lost.estimate < SEASON * abs(worst):
        reason = f"the versions answered one after another, and a season may change what pays by {lost}"
        return cannot_tell(Cause.PROXY, reason, log="compare versions side by side by an experiment", **evidence)
    why = (
        f"over {len(found.versions)} versions, from the worst to the best by the metric, the outcome that pays changes "
        f"by {lost} (rank correlation {found.rank:+.2f})"
    )
    return Verdict(
        Cause.PROXY, State.FOUND if shown else State.NOT_FOUND, why, evidence=evidence,
        next=FIXES[Cause.PROXY] if shown else "", sure=1.0 - bar.error * bar.looks if shown else 0.0,
    )  # fmt: skip
