"""The gates: each asks one question of the evidence it is given, and answers with a `Check`.

    better_than_constant    does the first model know more than the base rate of its training rows?
    better_than_champion    is the candidate better than the model it would replace, on the same rows?
    trained_as_served       are the features served in the unit they were trained in?
    complete                is every piece of evidence there, sound and fresh?

One rule turns an interval into an answer. Let the gain be positive where the candidate is better:

    lower limit above the margin    PASS
    upper limit below the margin    FAIL            "worse" if the whole interval is below 0
    the margin is inside            INSUFFICIENT    more rows may tell: the reason says about how many

A margin of 0 or above asks for superiority; below 0 it is the loss that is put up with, and asks for non-inferiority.

A gate raises only for a wrong policy. Whatever is wrong with the evidence is an answer: INSUFFICIENT, with what is
missing. One thing about a score is the candidate's own fault and fails it however few the rows: that it is no number.

    ok       verdict is Verdict.PASS
    not ok   verdict is not Verdict.FAIL      the gate that could not look would let everything through
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.clustered import paired_difference
from backstay.evaluation.interval import Interval
from backstay.evaluation.metrics import as_numbers, as_outcome, auc, brier, log_loss
from backstay.evaluation.power import detectable, still_needed
from backstay.evaluation.units import Obstacle, obstacle, unit_mismatch
from backstay.rollout.verdict import Check, Decision, Verdict

SCORERS = {"log_loss": log_loss, "brier": brier, "auc": auc}
"""What each metric a policy may name is on its own."""
WORDS = {"log_loss": "log loss", "brier": "Brier score", "auc": "AUC"}
UNITLESS = (Obstacle.FEW_DISTINCT, Obstacle.CONSTANT, Obstacle.NOT_NUMERIC)
"""Flags, codes and constants: no unit to be wrong about."""


class ComparisonPolicy(Protocol):
    """What a comparison asks for. `definitions.GatePolicy` is one, `GateRule` another."""

    @property
    def metric(self) -> str:
        """What the models are compared on: 'log_loss', 'brier' or 'auc'."""

    @property
    def margin(self) -> float:
        """The gain that must be shown, in the metric's unit. Below 0 it is the loss that is put up with."""

    @property
    def level(self) -> float:
        """The confidence of the interval."""

    @property
    def minimum_rows(self) -> int:
        """Fewer labelled rows than this can't tell."""

    @property
    def minimum_days(self) -> int:
        """Rows from fewer days than this can't tell."""


@dataclass(frozen=True, slots=True)
class GateRule:
    """The policy with its defaults: any gain in log loss, shown at 95% on at least 1000 rows from 7 days."""

    metric: str = "log_loss"
    margin: float = 0.0
    level: float = 0.95
    minimum_rows: int = 1000
    minimum_days: int = 7


DEFAULT = GateRule()


def better_than_champion(
    outcome: ArrayLike | None,
    champion: ArrayLike | None,
    candidate: ArrayLike | None,
    clusters: ArrayLike | None,
    policy: ComparisonPolicy = DEFAULT,
    *,
    days: ArrayLike | None = None,
) -> Check:
    """Is the candidate better than the champion by the policy's margin, on the same mature rows?

    `outcome` is 0 or 1, `champion` and `candidate` are the probabilities that the two served artefacts give these rows,
    `clusters` the day or entity of each row and `days` its day where the clusters are not days. None means that the
    evidence is missing. The interval is `evaluation.paired_difference`'s, the rule this module's. Raises `InputError`
    only for a policy that makes no sense.

    >>> rng = np.random.default_rng(7)
    >>> day, true = np.repeat(np.arange(10), 500), rng.uniform(0.1, 0.9, 5000)
    >>> late = rng.random(5000) < true
    >>> print(better_than_champion(late, champion=np.full(5000, 0.5), candidate=true, clusters=day).verdict)
    PASS
    """
    return _better("better_than_champion", "the champion", outcome, champion, candidate, clusters, days, policy)


def better_than_constant(
    outcome: ArrayLike | None,
    probability: ArrayLike | None,
    clusters: ArrayLike | None,
    base_rate: float | None,
    policy: ComparisonPolicy = DEFAULT,
    *,
    days: ArrayLike | None = None,
) -> Check:
    """Is the first model better, by the policy's margin, than always saying the base rate of its training rows?

    `base_rate` is the share of training rows with outcome 1, strictly between 0 and 1; the rest, the answer and the
    errors are as for `better_than_champion`, with the constant in the champion's place.

    >>> print(better_than_constant([0, 1], [0.2, 0.7], ["mon", "tue"], base_rate=0.3).reason)
    there are 2 rows, and the policy asks for 1000
    """
    name, rival = "better_than_constant", "the constant base rate"
    if base_rate is None or not 0.0 < base_rate < 1.0:
        _validate(policy)
        reason = "the base rate of the training rows is missing"
        if base_rate is not None:
            reason = f"the base rate of the training rows is {base_rate}, which no rows of two classes have"
        return Check(name, Verdict.INSUFFICIENT, reason, {"base_rate": base_rate})
    rows = None if outcome is None else np.full(np.size(np.asarray(outcome)), base_rate)
    check = _better(name, f"{rival} {base_rate:.4g}", outcome, rows, probability, clusters, days, policy)
    return Check(name, check.verdict, check.reason, {"base_rate": base_rate, **check.evidence})


def trained_as_served(trained: Mapping[str, ArrayLike] | None, served: Mapping[str, ArrayLike] | None) -> Check:
    """Are the features served in the unit they were trained in?

    Each maps a feature's name to a sample of its values. FAIL names every feature whose whole distribution was rescaled
    (`evaluation.unit_mismatch`). INSUFFICIENT: a trained feature was not served, or hardly at all, or no feature has
    a scale to compare. A feature that has none itself (a flag, a constant, mostly zero) is listed in the evidence as
    not judged and does not hold the others up.

    >>> minutes = np.random.default_rng(7).gamma(2.0, 10.0, size=1000)
    >>> print(trained_as_served({"delay": minutes / 60}, {"delay": minutes}).reason)
    feature delay was trained on values 0.0167 times those served (median 0.258 against 15.5): a unit error?
    """
    name = "trained_as_served"
    if not trained or not served:
        side = "training" if not trained else "serving"
        return Check(name, Verdict.INSUFFICIENT, f"there are no feature values from {side}")
    shifts = unit_mismatch(trained, served)
    absent = [feature for feature in trained if feature not in served]
    both = [feature for feature in trained if feature in served]
    obstacles = {feature: (obstacle(trained[feature]), obstacle(served[feature])) for feature in both}
    unjudged = {feature: pair for feature, pair in obstacles.items() if any(pair)}
    evidence = {
        "judged": [feature for feature in both if feature not in unjudged],
        "shifts": [shift.as_dict() for shift in shifts],
        "absent": absent,
        "not_judged": {f: {"trained": t, "served": s} for f, (t, s) in unjudged.items()},
    }
    if shifts:
        return Check(name, Verdict.FAIL, f"{'; '.join(map(str, shifts))}: a unit error?", evidence)
    gaps = [f"feature {feature} was not served" for feature in absent]
    gaps += [gap for feature, (t, s) in unjudged.items() if (gap := _gap(feature, t, s))]
    if gaps:
        return Check(name, Verdict.INSUFFICIENT, "; ".join(gaps), evidence)
    if not evidence["judged"] and not all(t in UNITLESS for t, _ in unjudged.values()):
        return Check(name, Verdict.INSUFFICIENT, "no feature has a scale that could be compared", evidence)
    reason = f"{len(both) - len(unjudged)} of {len(both)} features have a scale, and are served in the one trained in"
    return Check(name, Verdict.PASS, reason, evidence)


def complete(
    evidence: Mapping[str, object] | None,
    required: Iterable[str],
    *,
    made_at: Mapping[str, int] | None = None,
    now: int | None = None,
    max_age: int | None = None,
) -> Check:
    """Is every required piece of evidence there, sound and fresh?

    A piece is unsound if it is absent, None, empty, not finite, an exception (a check that broke), or a `Check` or
    `Decision` that is itself INSUFFICIENT. With `max_age` it is stale too, if it was made more than that before `now`,
    after `now`, or at a time nobody recorded; all three are in microseconds (`made_at` and `now` since 1970, UTC).
    Requiring nothing is INSUFFICIENT. Raises `InputError` for a `max_age` without `now`.

    >>> print(complete({"latency": 1.9, "parity": None}, ["latency", "parity", "drill"]).reason)
    parity is missing; drill is missing
    """
    if max_age is not None and now is None:
        raise InputError("an age limit without a time", where="now", expected="microseconds since 1970, UTC")
    names = list(required)
    faults = {name: fault for name in names if (fault := _fault((evidence or {}).get(name)))}
    if max_age is not None and now is not None:
        for name in names:
            if name not in faults and (stale := _staleness((made_at or {}).get(name), now, max_age)):
                faults[name] = stale
    told: dict[str, object] = {"required": names, "faults": faults}
    if faults or not names:
        reason = "; ".join(f"{name} {fault}" for name, fault in faults.items()) or "no evidence was asked for"
        return Check("complete", Verdict.INSUFFICIENT, reason, told)
    return Check("complete", Verdict.PASS, f"all {len(names)} pieces of evidence are there: {', '.join(names)}", told)


def _better(
    name: str,
    rival: str,
    outcome: ArrayLike | None,
    champion: ArrayLike | None,
    candidate: ArrayLike | None,
    clusters: ArrayLike | None,
    days: ArrayLike | None,
    policy: ComparisonPolicy,
) -> Check:
    """Vet the evidence, compare, and apply the rule."""
    _validate(policy)
    given = {
        "outcomes": outcome,
        f"scores of {rival}": champion,
        "scores of the candidate": candidate,
        "clusters": clusters,
    }
    missing = [what for what, values in given.items() if values is None]
    if outcome is None or champion is None or candidate is None or clusters is None:
        return Check(name, Verdict.INSUFFICIENT, f"evidence is missing: {', '.join(missing)}")
    evidence: dict[str, object] = {
        "metric": policy.metric,
        "margin": policy.margin,
        "minimum_rows": policy.minimum_rows,
        "minimum_days": policy.minimum_days,
    }
    try:
        fault = _candidate_fault(as_numbers(candidate, "candidate"), policy.metric)
        if fault:
            return Check(name, Verdict.FAIL, fault, evidence)
        rows, day_count = _counts(outcome, clusters if days is None else days)
        evidence |= {"rows": rows, "days": day_count}
        too_little = _too_little(outcome, rows, day_count, policy)
        if too_little:
            return Check(name, Verdict.INSUFFICIENT, too_little, evidence)
        gain = paired_difference(outcome, champion, candidate, clusters, policy.metric, policy.level)
        scorer = SCORERS[policy.metric]
        evidence |= {"champion": scorer(outcome, champion), "candidate": scorer(outcome, candidate)}
    except InputError as error:
        return Check(name, Verdict.INSUFFICIENT, f"the evidence can't be compared: {error}", evidence)
    evidence["gain"] = gain.as_dict()
    verdict, finding = _rule(gain, policy.margin)
    numbers = f"{better_by(policy.metric, gain)} on {rows} rows from {day_count} days"
    reason = f"{finding.format(rival=rival)}: {numbers}, margin {policy.margin:g}"
    if verdict is Verdict.INSUFFICIENT and gain.high > gain.low:
        more, power = _power(gain, policy.margin)
        return Check(name, verdict, reason + more, evidence | power)
    return Check(name, verdict, reason, evidence)


def better_by(metric: str, gain: Interval) -> str:
    """A gain in words. One below 0 is not called better, though it may be good enough."""
    return f"{WORDS[metric]} better by {gain}" if gain.estimate >= 0.0 else f"gain in {WORDS[metric]} {gain}"


def _power(gain: Interval, margin: float) -> tuple[str, dict[str, object]]:
    """What it takes to tell, in words, and as evidence: the least gain such rows show, and the rows still needed."""
    needed = still_needed(gain, margin)
    if needed is None or not needed.rows:
        return "", {"detectable": detectable(gain)}
    return f"; it takes {needed}", {"detectable": detectable(gain), "needed": needed.as_dict()}


def _rule(gain: Interval, margin: float) -> tuple[Verdict, str]:
    """The one rule; a gain without any spread comes from rows that were copied, not from certainty."""
    if gain.estimate and gain.high - gain.low <= 1e-9 * abs(gain.estimate):
        return Verdict.INSUFFICIENT, "cannot tell: every cluster shows the very same gain over {rival}"
    if gain.low > margin:
        if gain.low <= 0.0:  # the margin is a loss that is put up with
            return Verdict.PASS, "the candidate is not worse than {rival} by more than the margin"
        return Verdict.PASS, "the candidate is better than {rival}"
    if gain.high < min(margin, 0.0):
        return Verdict.FAIL, "the candidate is worse than {rival}"
    if gain.high < margin:
        return Verdict.FAIL, "the candidate is not better than {rival} by the margin"
    if margin < 0.0:
        return Verdict.INSUFFICIENT, "cannot tell whether the candidate is worse than {rival} by more than the margin"
    if gain.low == gain.high:
        return Verdict.INSUFFICIENT, "cannot tell: the candidate scores exactly as {rival} does"
    return Verdict.INSUFFICIENT, "cannot tell whether the candidate is better than {rival}"


def shortage(outcome: ArrayLike, days: ArrayLike, policy: ComparisonPolicy) -> str:
    """What the rows lack to tell anything by this policy, in a sentence; "" if nothing. `InputError` as the metrics."""
    rows, count = _counts(outcome, days)
    return _too_little(outcome, rows, count, policy)


def _validate(policy: ComparisonPolicy) -> None:
    if policy.metric not in SCORERS:
        raise InputError(
            f"the metric is {policy.metric!r}", where="policy.metric", expected=f"one of {', '.join(SCORERS)}"
        )
    if not math.isfinite(policy.margin):
        raise InputError(f"the margin is {policy.margin}", where="policy.margin", expected="a number")
    if not 0.0 < policy.level < 1.0:
        raise InputError(f"the level is {policy.level}", where="policy.level", expected="between 0 and 1, such as 0.95")


def _candidate_fault(scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]], metric: str) -> str:
    """What is wrong with the candidate's scores themselves, if anything."""
    absent = int(np.count_nonzero(np.isnan(scores)))
    if absent:
        return f"{absent} of the candidate's {scores.size} scores are NaN"
    outside = int(np.count_nonzero((scores < 0.0) | (scores > 1.0)))
    if outside and metric != "auc":
        return f"{outside} of the candidate's {scores.size} scores are no probabilities"
    return ""


def _counts(outcome: ArrayLike, days: ArrayLike) -> tuple[int, int]:
    rows, labels = int(np.size(np.asarray(outcome))), np.asarray(days)
    if labels.size != rows:
        raise InputError(f"there are {labels.size} days for {rows} rows", where="days", expected="one for each row")
    try:
        return rows, int(np.unique(labels).size)
    except TypeError as error:
        raise InputError(f"days can't be sorted: {error}", where="days", expected="labels of one type") from error


def _too_little(outcome: ArrayLike, rows: int, days: int, policy: ComparisonPolicy) -> str:
    if rows < policy.minimum_rows:
        return f"there are {rows} rows, and the policy asks for {policy.minimum_rows}"
    if days < policy.minimum_days:
        return f"the rows are from {days} days, and the policy asks for {policy.minimum_days}"
    happened = int(np.count_nonzero(as_outcome(outcome)))
    if happened in (0, rows):
        return f"all {rows} rows have outcome {1 if happened else 0}: one class can't tell models apart"
    return ""


def _gap(feature: str, trained: Obstacle | None, served: Obstacle | None) -> str:
    """What keeps a feature from being judged though it should be, if anything."""
    if served is Obstacle.TOO_FEW and (trained is None or trained in UNITLESS):
        return f"feature {feature} was served too rarely ({served})"
    if trained is None and served is Obstacle.CONSTANT:
        return f"feature {feature} varied in training, but what was served is {served}"
    return ""


def _fault(piece: object) -> str:
    """What is wrong with a piece of evidence, if anything."""
    if piece is None:
        return "is missing"
    if isinstance(piece, BaseException):
        return f"could not be made: {type(piece).__name__}: {piece}"
    if isinstance(piece, Check | Decision):
        return f"is insufficient: {piece.reason}" if piece.verdict is Verdict.INSUFFICIENT else ""
    if isinstance(piece, float | np.floating) and not math.isfinite(piece):
        return f"is {piece}"
    size = piece.size if isinstance(piece, np.ndarray) else len(piece) if isinstance(piece, Sized) else 1
    return "" if size else "is empty"


def _staleness(made: int | None, now: int, max_age: int) -> str:
    if made is None:
        return "has no time"
    if made > now:
        return "is dated after now"
    return (
        f"is stale: {(now - made) / 3.6e9:.1f} hours old, at most {max_age / 3.6e9:.1f}" if now - made > max_age else ""
    )
