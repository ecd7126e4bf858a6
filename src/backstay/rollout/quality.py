"""Gates on the candidate alone, on the rows that judge it: whatever the champion does.

    scores_sound   is every score a number?
    good_enough    is each declared metric at least, or at most, what was declared?
    calibrated     does happen what is said, within the declared limits?

One rule for a bound: the whole interval on the right side of it is PASS, the whole interval on the wrong side is FAIL,
and a bound inside the interval is INSUFFICIENT. None raises for what is wrong with the evidence: that is an answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.areas import auc_interval
from backstay.evaluation.clustered import ROW_LOSSES, mean_interval
from backstay.evaluation.interval import Interval
from backstay.evaluation.reliability import calibration_error, recalibration
from backstay.rollout.gate import ComparisonPolicy, shortage
from backstay.rollout.verdict import Check, Verdict

INF = math.inf
WORDS = {"log_loss": "log loss", "brier": "Brier score", "auc": "AUC"}


class CalibrationRule(Protocol):
    """What `calibrated` goes by. `definitions.Calibrated` is one."""

    @property
    def slope(self) -> tuple[float, float] | None: ...

    @property
    def level(self) -> float | None: ...

    @property
    def error(self) -> float | None: ...


def scores_sound(score: ArrayLike | None) -> Check:
    """Is every score of the candidate a finite number? No rows at all are INSUFFICIENT.

    >>> print(scores_sound([0.2, float("nan")]).reason)
    1 of 2 scores is no finite number
    """
    name = "scores_sound"
    given = np.asarray([] if score is None else score, np.float64)
    if not given.size:
        return Check(name, Verdict.INSUFFICIENT, "no row was scored", {"rows": 0})
    bad = int(np.count_nonzero(~np.isfinite(given)))
    evidence = {"rows": given.size, "not_finite": bad}
    if bad:
        verb = "is no finite number" if bad == 1 else "are no finite numbers"
        return Check(name, Verdict.FAIL, f"{bad:,} of {given.size:,} scores {verb}", evidence)
    return Check(name, Verdict.PASS, f"all {given.size:,} scores are finite numbers", evidence)


def good_enough(
    outcome: ArrayLike | None,
    score: ArrayLike | None,
    clusters: ArrayLike | None,
    at_least: Mapping[str, float],
    at_most: Mapping[str, float],
    policy: ComparisonPolicy,
    *,
    days: ArrayLike | None = None,
) -> Check:
    """Is each metric at least, or at most, its bound, by the limit of its interval at the policy's level?

    >>> from backstay.rollout.gate import GateRule
    >>> rng = np.random.default_rng(3)
    >>> p, day = rng.uniform(0, 1, 4000), np.arange(4000) // 200
    >>> print(good_enough(rng.random(4000) < p, p, day, {"auc": 0.8}, {}, GateRule()).reason)
    AUC +0.8408 [+0.8305, +0.8506] is at least 0.8
    """
    bounds = [(metric, bound, INF) for metric, bound in at_least.items()]
    bounds += [(metric, -INF, bound) for metric, bound in at_most.items()]
    told: dict[str, object] = {"at_least": dict(at_least), "at_most": dict(at_most)}
    if not bounds:
        return Check("good_enough", Verdict.INSUFFICIENT, "no bound is declared", told)
    level = policy.level

    def measure(metric: str) -> Interval:
        assert outcome is not None
        assert score is not None
        if metric == "auc":
            return auc_interval(outcome, score, clusters, level)
        return mean_interval(ROW_LOSSES[metric](outcome, score), clusters, level)

    asked = [_Asked(WORDS[metric], low, high, partial(measure, metric)) for metric, low, high in bounds]
    return _bounded("good_enough", asked, (outcome, score, clusters, days), policy, told)


def calibrated(
    outcome: ArrayLike | None,
    probability: ArrayLike | None,
    clusters: ArrayLike | None,
    rule: CalibrationRule,
    policy: ComparisonPolicy,
    *,
    days: ArrayLike | None = None,
) -> Check:
    """Is what is said what happens, by each limit of the rule, at the policy's level?

    >>> from backstay.definitions import Calibrated
    >>> from backstay.rollout.gate import GateRule
    >>> rng = np.random.default_rng(3)
    >>> p, day = rng.uniform(0, 1, 4000), np.arange(4000) // 200
    >>> late = rng.random(4000) < p
    >>> print(calibrated(late, p, day, Calibrated(), GateRule()).verdict)
    PASS
    >>> print(calibrated(late, p / 2, day, Calibrated(slope=None, error=0.05), GateRule()).reason[:39])
    level +1.3268 [+1.2736, +1.3800] is not
    """
    told: dict[str, object] = {"slope": rule.slope, "level": rule.level, "error": rule.error}
    given = (outcome, probability, clusters, days)

    def line() -> tuple[Interval, Interval]:
        assert outcome is not None
        assert probability is not None
        found = recalibration(outcome, probability, clusters, policy.level)
        return found.slope, found.level

    def error() -> Interval:
        assert outcome is not None
        assert probability is not None
        return calibration_error(outcome, probability, clusters, level=policy.level)

    asked = []
    if rule.slope is not None:
        asked.append(_Asked("slope", *rule.slope, lambda: line()[0]))
    if rule.level is not None:
        asked.append(_Asked("level", -rule.level, rule.level, lambda: line()[1]))
    if rule.error is not None:
        asked.append(_Asked("calibration error", -INF, rule.error, error))
    return _bounded("calibrated", asked, given, policy, told)


class _Asked:
    """A number, the limits it has to be within, and how it is measured."""

    def __init__(self, what: str, low: float, high: float, measure: Callable[[], Interval]) -> None:
        self.what, self.low, self.high, self.measure = what, low, high, measure

    @property
    def words(self) -> str:
        if math.isinf(self.low):
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if math.isinf(self.high) else f"within {self.low:g} and {self.high:g}"

    def answer(self) -> tuple[Verdict, str, dict[str, float | int]]:
        found = self.measure()
        if self.low <= found.low and found.high <= self.high:
            return Verdict.PASS, f"{self.what} {found} is {self.words}", found.as_dict()
        if found.high < self.low or found.low > self.high:
            return Verdict.FAIL, f"{self.what} {found} is not {self.words}", found.as_dict()
        return Verdict.INSUFFICIENT, f"cannot tell whether {self.what} {found} is {self.words}", found.as_dict()


def _bounded(
    name: str,
    asked: Iterable[_Asked],
    given: tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None, ArrayLike | None],
    policy: ComparisonPolicy,
    evidence: dict[str, object],
) -> Check:
    """Vet the evidence, and hold each number against its limits; the worst answer is the check's."""
    outcome, score, clusters, days = given
    if outcome is None or score is None or clusters is None:
        return Check(name, Verdict.INSUFFICIENT, "outcomes, scores or clusters are missing", evidence)
    bad = scores_sound(score)
    if bad.verdict is Verdict.FAIL:
        return Check(name, Verdict.FAIL, bad.reason, {**evidence, **bad.evidence})
    try:
        if little := shortage(outcome, clusters if days is None else days, policy):
            return Check(name, Verdict.INSUFFICIENT, little, evidence)
        found = [(one.what, *one.answer()) for one in asked]
    except InputError as error:
        return Check(name, Verdict.INSUFFICIENT, f"the evidence can't tell: {error}", evidence)
    evidence["measured"] = {what: numbers for what, _, _, numbers in found}
    evidence["rows"] = int(np.size(np.asarray(outcome)))
    for verdict in (Verdict.FAIL, Verdict.INSUFFICIENT):
        if said := [reason for _, one, reason, _ in found if one is verdict]:
            return Check(name, verdict, "; ".join(said), evidence)
    return Check(name, Verdict.PASS, "; ".join(reason for _, _, reason, _ in found), evidence)
