"""The investigation of a case: every cause looked at, in order; what one explains is not counted again for the next.

The mends of inputs and labels come first, then positions and policies, each with the ones before it mended; the shift
of what is asked and of what follows is told of what is left. So a cause with a mechanism goes before one without.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from backstay.evaluation.influence import linear_interval
from backstay.evaluation.interval import Estimate, Insufficient, Interval, NotEnough, estimated
from backstay.investigation.case import Case, Rows
from backstay.investigation.maturity import Matured, half, matured
from backstay.investigation.mechanisms import Mechanism, apart, feedback, policy, position, proxy, selected
from backstay.investigation.pricing import LEVEL, Bar, Floats, least, material, priced, priced_between, quality
from backstay.investigation.report import Investigation, Quality, Step
from backstay.investigation.shift import Shift, Side, by_feature, shifted
from backstay.investigation.skew import SKEW, Mended, mended, skew
from backstay.investigation.slices import told_slice, worst_slice
from backstay.investigation.verdicts import FIXES, Cause, State, Verdict, cannot_tell
from backstay.investigation.weighted import LARGER, outcome_weights

ROWS = 50
"""Labelled rows that each side needs, and effective ones that are alike on both."""


def investigate(case: Case) -> Investigation:
    """Look at every cause."""
    offline, online = _offline(case), _seen(case)
    if (few := min(offline.rows, online.rows)) < ROWS:
        return _nothing(case, offline, online, f"one side has {few} labelled rows, and {ROWS} are needed")
    try:
        before = quality(case.metric, case.offline.score, case.offline.label)
        whole = matured(case)
        gap = priced_between(
            before, whole.seen, case.offline.cluster, case.online.cluster, case.metric, Bar(0.0)
        ).effect
    except NotEnough as error:
        return _nothing(case, offline, online, error.what)
    floor = material(case.metric, gap.estimate, case.offline.label)
    found: dict[Cause, Verdict] = {}
    mends, bar = (
        [skew(case, cause, whole, Bar(floor)) for cause in SKEW],
        Bar(floor, looks(case, whole), least(case.metric, case.offline.label)),
    )
    found.update({one.verdict.cause: one.verdict for one in mends})
    found[Cause.LABEL_DELAY] = _delay(case, whole, bar)
    _rest(case, mends, whole, bar, found)
    verdicts = tuple(_shared(found[cause], gap) for cause in Cause)
    return Investigation(
        case.model, case.version, case.metric, LARGER[case.metric], case.since, case.until, case.as_of, offline, online,
        gap, floor, verdicts, _waterfall(gap, verdicts), case.notes,
    )  # fmt: skip


def looks(case: Case, whole: Matured) -> int:
    """How many causes are estimated here: those that the records can say something of, whatever they say."""
    there = [np.isfinite(rows.position).any() for rows in (case.offline, case.online)]
    paid = case.past is not None and len(case.past.numbers) > 0
    asked = (whole.young > 0, all(there), selected(case.offline), bool((case.online.chance < 1.0).any()), paid)
    return 2 + sum(bool(one) for one in asked)


def _rest(case: Case, mends: list[Mended], whole: Matured, bar: Bar, found: dict[Cause, Verdict]) -> None:
    """What is left when inputs and labels are mended."""
    (score_p, vector_p), (score_q, vector_q) = mended(case, mends)
    rows = case.offline
    ones, zeros = outcome_weights(np.nan_to_num(rows.label), np.isfinite(rows.label).astype(np.float64))
    p, q = Side(vector_p, score_p, ones, zeros), Side(vector_q, score_q, whole.ones, whole.zeros)
    chosen = _told(lambda: policy(case, bar), Cause.POLICY)
    if chosen.offline is not None:
        p = replace(p, ones=chosen.offline[0], zeros=chosen.offline[1])
    looped = _told(lambda: feedback(case, bar), Cause.FEEDBACK)
    if looped.online is not None:  # what a lot chose has no like offline
        q = replace(q, ones=q.ones * looped.online[0], zeros=q.zeros * looped.online[1])
    placed = _told(lambda: position(case, q, bar), Cause.POSITION)
    if placed.online is not None:
        q = replace(q, ones=placed.online[0], zeros=placed.online[1])
    for one in (chosen, placed, looped, _told(lambda: proxy(case, bar), Cause.PROXY)):
        found[one.verdict.cause] = one.verdict
    found[Cause.COVARIATE], found[Cause.CONCEPT] = _shift(case, p, q, bar)


def _told(look: Callable[[], Mechanism], cause: Cause) -> Mechanism:
    told = estimated(look)
    return Mechanism(cannot_tell(cause, told.reason)) if isinstance(told, Insufficient) else told


def _delay(case: Case, whole: Matured, bar: Bar) -> Verdict:
    cause, rows = Cause.LABEL_DELAY, case.online
    if not whole.young:
        why = f"every row asked is mature as of the moment it is looked at ({case.maturity / 86_400e6:.3g} days)"
        return Verdict(cause, State.NOT_FOUND, why)
    young = whole.young / rows.rows
    try:
        price = priced(whole.effect, rows.paired, bar)
    except NotEnough as error:
        return cannot_tell(cause, error.what, log="wait for mature labels")
    evidence: dict[str, Any] = {"young": whole.young, "of": rows.rows, "unknown": whole.unknown}
    for outcome in (0, 1):
        told = half(rows.waits[rows.seen == outcome])
        if told is not None:
            evidence[f"median_wait_days_{outcome}"] = round(told, 4)
    why = (
        f"{young:.0%} of the rows are not mature; what has arrived of them looks worse than all of them will by "
        f"{price.effect}"
    )
    if not price.shown:
        return Verdict(cause, State.NOT_FOUND, why, price.effect, evidence=evidence)
    late = np.argsort(-np.nan_to_num(rows.at.astype(np.float64)), kind="stable")
    shown = [rows.ids[place] for place in late[np.isfinite(rows.seen[late])][:5].tolist()]
    return Verdict(
        cause, State.FOUND, why, price.effect, evidence=evidence, rows=tuple(shown), next=FIXES[cause], sure=price.sure
    )


def _shift(case: Case, p: Side, q: Side, bar: Bar) -> tuple[Verdict, Verdict]:
    causes = (Cause.COVARIATE, Cause.CONCEPT)
    told = estimated(lambda: shifted(case.metric, p, q))
    if not isinstance(told, Insufficient) and (few := min(told.shared)) < ROWS:
        told = Insufficient(f"{few:.0f} effective rows are alike on both sides, and {ROWS} are needed")
    if isinstance(told, Insufficient):
        return cannot_tell(causes[0], told.reason), cannot_tell(causes[1], told.reason)
    clusters = apart(case.offline, case.online)
    things = np.concatenate([case.offline.item, case.online.item])
    left = told.covariate.estimate + told.concept.estimate  # where one undoes the other, there is nothing to explain
    verdicts = []
    for cause, effect in zip(causes, (told.covariate, told.concept), strict=True):
        try:
            price = priced(effect, clusters, bar, things)
        except NotEnough as error:
            verdicts.append(cannot_tell(cause, error.what))
            continue
        look = _covariate if cause is Cause.COVARIATE else _concept
        shown = price.shown and left > bar.floor
        verdicts.append(look(case, p, q, told, Verdict(
            cause, State.FOUND if shown else State.NOT_FOUND, "", price.effect, evidence=told.as_dict(),
            next=FIXES[cause] if shown else "", sure=price.sure if shown else 0.0,
        )))  # fmt: skip
    return verdicts[0], verdicts[1]


def _covariate(case: Case, p: Side, q: Side, shift: Shift, verdict: Verdict) -> Verdict:
    why = (
        f"online rows are told from offline ones with an AUC of {shift.apart:.3f}, {shift.new:.0%} of them have next "
        f"to none like them offline; asking about others costs {verdict.effect}"
    )
    if not verdict.found:
        return replace(verdict, why=why)
    named = [one for one in by_feature(case.metric, p, q, case.names) if one[1] > 0.0][:3]
    likely = np.where(q.counts, shift.online[case.offline.rows :], -1.0)
    first = np.argsort(-likely, kind="stable")[:5]
    more = "; most of it by " + ", ".join(f"`{name}` ({cost:+.4g})" for name, cost, _ in named) if named else ""
    evidence = {
        **verdict.evidence,
        "features": [{"name": name, "effect": cost, "told_apart": area} for name, cost, area in named],
    }
    return replace(
        verdict, why=why + more, evidence=evidence, features=tuple(name for name, _, _ in named),
        rows=tuple(case.online.ids[place] for place in first.tolist()),
    )  # fmt: skip


def _concept(case: Case, p: Side, q: Side, shift: Shift, verdict: Verdict) -> Verdict:
    why = (
        f"rows that are alike ({shift.shared[0]:,.0f} effective ones offline, {shift.shared[1]:,.0f} online) have "
        f"other outcomes; that costs {verdict.effect}"
    )
    if not verdict.found:
        return replace(verdict, why=why)
    weights = shift.online[: case.offline.rows], 1.0 - shift.online[case.offline.rows :]
    worst = worst_slice(p, q, weights, case.names)
    if worst is None:
        return replace(verdict, why=why)
    return replace(
        verdict, why=f"{why}; most where {told_slice(worst)}", features=(worst.feature,),
        evidence={**verdict.evidence, "slice": worst.as_dict()},
        rows=tuple(case.online.ids[place] for place in worst.examples),
    )  # fmt: skip


def _shared(verdict: Verdict, gap: Interval) -> Verdict:
    """The verdict with its share of the gap, where there is a gap to share."""
    if verdict.effect is None or gap.low <= 0.0 <= gap.high:
        return verdict
    return replace(verdict, share=verdict.effect.estimate / gap.estimate)


def _waterfall(gap: Interval, verdicts: tuple[Verdict, ...]) -> tuple[Step, ...]:
    """A step for each cause that was found, and one for what is left."""
    steps = [Step(one.cause.words, one.effect, one.cause) for one in verdicts if one.found and one.effect is not None]
    left = gap.estimate - sum(one.effect.estimate for one in steps if one.effect is not None)
    reach = max(gap.high - gap.estimate, gap.estimate - gap.low)
    rest = Interval(left, left - reach, left + reach, gap.level, gap.n, gap.clusters)
    return (*steps, Step("not explained", rest))


def _offline(case: Case) -> Quality:
    rows = case.offline
    told = _interval(case, rows, rows.label)
    since, until = (int(rows.at.min()), int(rows.at.max()) + 1) if rows.rows else (0, 0)
    return Quality(told, since, until, int(np.isfinite(rows.label).sum()), 1.0, case.said)


def _seen(case: Case) -> Quality:
    rows = case.online
    told = _interval(case, rows, rows.seen)
    mature = float(np.mean(rows.at + case.maturity <= case.as_of)) if rows.rows else 0.0
    said = "what was answered, on the labels that have arrived"
    return Quality(told, case.since, case.until, int(np.isfinite(rows.seen).sum()), mature, said)


def _interval(case: Case, rows: Rows, outcome: Floats) -> Estimate:
    """Quality on the rows with an outcome."""
    known = np.isfinite(outcome)
    return estimated(
        lambda: linear_interval(quality(case.metric, rows.score[known], outcome[known]), rows.cluster[known], LEVEL),
        int(np.count_nonzero(known)),
    )


def _nothing(case: Case, offline: Quality, online: Quality, why: str) -> Investigation:
    """Where there is no gap to speak of: what inputs are wrong is told all the same, without its price."""
    mends = {one.cause: one for one in case.replays}
    verdicts = tuple(
        cannot_tell(
            cause, f"{mends[cause].why}; what that costs cannot be told: {why}", log=FIXES[cause],
            **mends[cause].evidence, wrong=True,
        )
        if cause in mends
        else cannot_tell(cause, case.missing.get(cause, why), log="wait for labels")
        for cause in Cause
    )  # fmt: skip
    return Investigation(
        case.model, case.version, case.metric, LARGER[case.metric], case.since, case.until, case.as_of, offline, online,
        Insufficient(why), 0.0, verdicts, (), case.notes,
    )  # fmt: skip
