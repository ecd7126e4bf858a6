"""A shadow beside what was answered: is the version sound, and, once labels are mature, is it better or not worse?

    errors     FAIL where it is shown to give no score more often than is put up with: by entities, each counted once,
               a batch as one, with an e-value that holds over all looks; never below so many rows
    rows       INSUFFICIENT below so many pairs (with mature labels where quality is asked)
    quality    the gain on the gate's metric, paired and clustered by day, against the margin: PASS, FAIL, INSUFFICIENT

Whoever asks again and again, as a controller does at each tick, is given the answer of a **look**: the first is at so
many pairs with labels as the policy asks for, the next at twice as many, and so on; each takes half of what is left of
the error, so that all looks together err as often as one interval at the gate's level. Between two looks the answer
stays what it was, whatever came meanwhile.

>>> compare_shadow(NOTHING, Asked("late", 7, 3)).check(Shadow(rows=100)).verdict.value
'INSUFFICIENT'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.show import Shown, plain
from backstay.core.times import DAY, instant_text
from backstay.definitions import Shadow
from backstay.evaluation.clustered import paired_difference
from backstay.evaluation.interval import Estimate, Insufficient, Interval, estimated
from backstay.evaluation.sequential.excess import log_excess
from backstay.rollout.gate import SCORERS, better_by
from backstay.rollout.pairs import (
    UNKNOWN,
    Bools,
    Failures,
    Flips,
    Latency,
    Pairs,
    Scores,
    Side,
    Tries,
    failures,
    flips,
    flips_by_slice,
    grid,
    latency,
    scores,
)
from backstay.rollout.verdict import Check, Decision, Verdict

ERROR_LEVEL = 0.99
"""The confidence that it gives no score more often than is put up with, over all looks together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is compared.

    against:      the version that answered; None: nobody did
    metric:       what quality is told on: the gate's; level: of its intervals
    minimum_days: rows from fewer days can't tell about quality
    rules:        calibration and threshold in force: of what answered, and of the shadow
    thresholds:   from which score on a decision is `true`: of both; None: not known
    """

    model: str
    number: int
    against: int | None
    metric: str = "log_loss"
    level: float = 0.95
    minimum_days: int = 7
    rules: tuple[str, str] = ("", "")
    thresholds: tuple[float, float] | None = None
    since: int | None = None
    until: int | None = None
    as_of: int | None = None


@dataclass(frozen=True, slots=True)
class Gained(Shown):
    """Quality on the pairs with mature labels: both on their own, and the gain: POSITIVE = the candidate is better."""

    metric: str
    rows: int
    days: int
    champion: float | None
    candidate: float | None
    gain: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class ShadowComparison(Shown):
    """A version's shadow beside what was answered.

    rows:    pairs of two scores; entities: that they are about
    labelled: those of them with a mature label; labels: what the others lack, counted
    left_out: what is in no pair, counted by why
    flips:   of all rows; slices: of the declared and pinned ones
    latency: None where nothing was timed; scores, grid: None without a pair
    """

    asked: Asked
    rows: int
    entities: int
    labelled: int
    labels: dict[str, int]
    left_out: dict[str, int]
    failures: Failures
    scores: Scores | None
    flips: Flips
    slices: tuple[Flips, ...]
    latency: Latency | None
    quality: Gained
    grid: dict[str, Any] | None
    _known: Known = field(repr=False)
    _tries: Tries = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        asked = self.asked
        times = {name: getattr(asked, name) for name in ("since", "until", "as_of")}
        return {
            "model": asked.model, "version": asked.number, "against": asked.against, "rules": list(asked.rules),
            **{name: None if at is None else instant_text(at) for name, at in times.items()},
            "thresholds": plain(asked.thresholds),
            **{name: plain(getattr(self, name)) for name in _TOLD},
        }  # fmt: skip

    def check(self, policy: Shadow) -> Check:
        """Whether that is enough to go on: the answer "shadow", whose evidence has each part of it."""
        parts = [_sound(self.failures, self._tries, policy), self._enough(policy)]
        if policy.quality != "any":
            parts.append(quality(self._known, self.asked, policy))
        whole = Decision.of(parts)
        evidence = {
            "rows": self.rows, "labelled": self.labelled, "failed": self.failures.failed,
            "against": self.asked.against, "left_out": self.left_out, "checks": [one.as_dict() for one in parts],
        }  # fmt: skip
        return Check("shadow", whole.verdict, whole.reason, evidence)

    def _enough(self, policy: Shadow) -> Check:
        there, what = self.rows, "pairs"
        if policy.quality != "any":
            there, what = self.labelled, "pairs with a mature label"
        more = "".join(f", {count:,} {why}" for why, count in {**self.left_out, **self.labels}.items() if count)
        text = f"{there:,} {what}, and the policy asks for {policy.rows:,}{more}"
        return Check("rows", Verdict.PASS if there >= policy.rows else Verdict.INSUFFICIENT, text, {"rows": there})


_TOLD = ("rows", "entities", "labelled", "labels", "left_out", "failures", "scores", "flips", "slices", "latency",
         "quality", "grid")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """The pairs with mature labels, in the order they were asked, a value a pair; `day` counts from 1970."""

    outcome: npt.NDArray[np.int8]
    champion: npt.NDArray[np.float64]
    candidate: npt.NDArray[np.float64]
    day: npt.NDArray[np.int64]

    @property
    def rows(self) -> int:
        return int(self.outcome.size)

    @property
    def days(self) -> int:
        return int(np.unique(self.day).size)

    def first_look(self, rows: int, days: int) -> int | None:
        """At how many pairs the first look is: so many rows, from so many days; None where they are not there."""
        begun = np.flatnonzero(np.diff(self.day, prepend=self.day[:1] - 1))
        if self.rows < rows or begun.size < days:
            return None
        return max(rows, int(begun[days - 1]) + 1)

    def gain(self, metric: str, level: float, rows: int | None = None) -> Estimate:
        """By how much the candidate is better, on the first so many; None: on all."""
        some = slice(rows)
        y, first, second, day = self.outcome[some], self.champion[some], self.candidate[some], self.day[some]
        return estimated(lambda: paired_difference(y, first, second, day, metric, level), int(y.size))


def quality(known: Known, asked: Asked, policy: Shadow) -> Check:
    """Whether the labels show what the policy asks for, at the last look that they are enough for."""
    first = known.first_look(policy.rows, asked.minimum_days)
    if first is None:
        days = f"{known.days} day{'' if known.days == 1 else 's'}"
        text = f"{known.rows:,} mature labels from {days}; the first look is at {policy.rows:,}"
        text += f" from {asked.minimum_days} days"
        return Check("quality", Verdict.INSUFFICIENT, text, {"metric": asked.metric})
    look = int(math.log2(known.rows / first))
    rows = first << look
    level = 1 - (1 - asked.level) / 2 ** (look + 1)
    gain = known.gain(asked.metric, level, rows)
    evidence = {"metric": asked.metric, "quality": policy.quality, "margin": policy.margin, "look": look + 1,
                "rows": rows, "level": level, "gain": gain.as_dict()}  # fmt: skip
    if isinstance(gain, Insufficient):
        return Check("quality", Verdict.INSUFFICIENT, gain.reason, evidence)
    verdict, finding = _rule(gain, policy)
    text = f"{finding}: {better_by(asked.metric, gain)} on {rows:,} pairs (look {look + 1}, {level:.4g})"
    return Check("quality", verdict, text, evidence)


def compare_shadow(
    pairs: Pairs,
    asked: Asked,
    *,
    errors: Sequence[str] = (),
    slices: Mapping[str, Bools | str] | None = None,
    labels: Mapping[str, int] | None = None,
    left_out: Mapping[str, int] | None = None,
    tries: Tries | None = None,
) -> ShadowComparison:
    """Compare what a shadow said with what was answered.

    errors: why there was no score, one a row that it was shown and has none for
    slices: by name which pairs are in it, shape (rows,), or why that can't be told
    labels, left_out: counts to tell along, by why
    tries:  the same rows and those of the pairs, as they were served; None: each stands for itself
    """
    known = np.flatnonzero(pairs.outcome != UNKNOWN)
    one, two = pairs.champion.score[known], pairs.candidate.score[known]
    labelled = Known(pairs.outcome[known], one, two, pairs.at[known] // DAY)
    return ShadowComparison(
        asked=asked,
        rows=pairs.rows,
        entities=pairs.rows if pairs.entity is None else int(np.unique(pairs.entity).size),
        labelled=labelled.rows,
        labels=dict(labels or {}),
        left_out=dict(left_out or {}),
        failures=failures(pairs.rows, errors, ERROR_LEVEL),
        scores=scores(pairs, asked.level),
        flips=flips("all", pairs, None, asked.level),
        slices=flips_by_slice(pairs, slices or {}, asked.level),
        latency=latency(pairs),
        quality=_gained(labelled, asked),
        grid=grid(pairs),
        _known=labelled,
        _tries=Tries.alone(pairs.rows, len(errors)) if tries is None else tries,
    )


def _gained(known: Known, asked: Asked) -> Gained:
    told: list[float | None] = []
    for score in (known.champion, known.candidate):
        one = estimated(lambda score=score: SCORERS[asked.metric](known.outcome, score), known.rows)  # type: ignore[misc]
        told.append(None if isinstance(one, Insufficient) else float(one))
    return Gained(asked.metric, known.rows, known.days, told[0], told[1], known.gain(asked.metric, asked.level))


def _sound(found: Failures, tries: Tries, policy: Shadow) -> Check:
    """Whether it gives scores often enough."""
    if isinstance(found.rate, Insufficient):
        return Check("errors", Verdict.INSUFFICIENT, "it was shown no row", {"shown": 0})
    losses = tries.losses
    p_value = min(math.exp(-min(log_excess(losses, policy.errors), 700.0)), 1.0)
    evidence = {**found.as_dict(), "batches": int(losses.size), "p_value": p_value}
    why = "".join(f"; {reason} ({count:,})" for reason, count in list(found.reasons.items())[:1])
    text = f"no score for {found.failed:,} of {found.shown:,} rows, {policy.errors:.2%} is put up with{why}"
    if found.rate.estimate <= policy.errors:
        return Check("errors", Verdict.PASS, text, evidence)
    if found.shown < policy.rows:
        text += f"; whether that is chance is told from {policy.rows:,} rows on"
    elif p_value <= 1 - ERROR_LEVEL:
        return Check("errors", Verdict.FAIL, text, evidence)
    return Check("errors", Verdict.INSUFFICIENT, text, evidence)


def _rule(gain: Interval, policy: Shadow) -> tuple[Verdict, str]:
    """The gates' one rule: the margin is a gain to show, or a loss to put up with."""
    better = policy.quality == "better"
    margin = policy.margin if better else -policy.margin
    words = f"better by more than {margin:g}" if better else f"not worse by more than {policy.margin:g}"
    if gain.estimate and gain.high - gain.low <= 1e-9 * abs(gain.estimate):
        return Verdict.INSUFFICIENT, "cannot tell: every day shows the very same gain"
    if gain.low > margin:
        return Verdict.PASS, f"it is {words}"
    if gain.high < margin:
        return Verdict.FAIL, "it is worse" if gain.high < 0 else f"it is not {words}"
    return Verdict.INSUFFICIENT, f"cannot tell whether it is {words}"


_NONE = np.zeros(0, np.int64)
_NOBODY = Side(np.zeros(0), np.zeros(0, np.bool_), _NONE, _NONE)
NOTHING = Pairs(_NONE, _NOBODY, _NOBODY, None, np.zeros(0, np.int8))
"""No pair at all."""
