"""What another policy would have been worth, from what this one did: **off-policy** estimates with their intervals.

A decision that was drawn by lot, with a probability that was written down, tells what happens when it is taken. Each
row weighs as many times as the other policy would have taken the very same decision: w = target / propensity.

    ips     mean of w x reward (Horvitz and Thompson 1952)       unbiased; wide where weights are large
    snips   the same over the mean of w (Swaminathan 2015)       narrower, and a reward plus 1 is worth 1 more
    dr      what a reward model says, and w x what it missed     unbiased if propensities are right, whatever the model
            (Dudik, Langford and Li 2011)                        says; as narrow as the model is good

Intervals are those of the rows' influence, over clusters, by Student's t with the degrees of freedom that the
clusters' squared sums have (Satterthwaite 1946): a thousand rows of which ten carry all the weight count as ten.

    ok       the target's decision had a chance in every row
    not ok   it had none in some: nothing was seen of them, and there is no number (`Insufficient`)
    not ok   LEAST rows or fewer, effectively, where the two policies differ: no number either

>>> rewards, propensity, target = [1, 0, 1, 1] * 50, [0.5] * 200, [1.0, 0.0, 1.0, 0.0] * 50
>>> found = ips(rewards, propensity, target)
>>> print(found.value, round(found.overlap.effective, 1))
+1.0000 [+0.8602, +1.1398] 100.0
>>> print(ips(rewards, [1.0] * 200, target).value)
INSUFFICIENT: in 50.00% of the rows the other policy takes what had no chance to be taken
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import Linear, cluster_codes, cluster_sums, linear_variance
from backstay.evaluation.interval import Estimate, Insufficient, Interval, NotEnough, estimated
from backstay.evaluation.metrics import as_numbers
from backstay.evaluation.quantiles import level_tails, student_quantile

Floats = NDArray[np.float64]

LEAST = 10.0
"""Effective rows where the policies differ, below which there is no estimate."""


@dataclass(frozen=True, slots=True)
class Overlap(Shown):
    """How much of what was logged speaks of the other policy.

    rows, clusters: what there is
    effective:      Kish's effective rows, (sum w)^2 / sum w^2: so many rows of equal weight would tell as much
    differing:      the same among rows whose decision one policy takes more often than the other by half or more; None:
                    there are no such rows
    largest:        the share of all weight that the heaviest row has
    mean_weight:    near 1 if propensities are right and the target has support; far from it, one of the two is not so
    unsupported:    the share of rows where the target takes what had no chance to be taken
    cut:            the share of the weight that clipping cut off; the estimate is off by up to that times the largest
                    reward (`bias`)
    """

    rows: int
    clusters: int
    effective: float
    differing: float | None
    largest: float
    mean_weight: float
    unsupported: float
    cut: float = 0.0


@dataclass(frozen=True, slots=True)
class OffPolicy(Shown):
    """The value of a policy that was not in force.

    method:    "ips", "snips" or "dr"
    value:     in the reward's unit, or why there is none
    clip:      the largest weight that a row may have; None: whatever it has
    bias:      by how much clipping may have moved the value at the most, either way; 0 without
    influence: shape (rows,): see `evaluation.influence`; empty where there is no value
    """

    method: str
    value: Estimate
    overlap: Overlap
    clip: float | None
    bias: float
    influence: Floats

    def as_dict(self) -> dict[str, object]:
        return {
            "method": self.method, "value": self.value.as_dict(), "overlap": self.overlap.as_dict(),
            "clip": self.clip, "bias": self.bias,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rows:
    reward: Floats
    weight: Floats
    overlap: Overlap


def ips(
    reward: ArrayLike, propensity: ArrayLike, target: ArrayLike, *, unsupported: ArrayLike | None = None,
    clusters: ArrayLike | None = None, level: float = 0.95, clip: float | None = None,
) -> OffPolicy:  # fmt: skip
    """The other policy's value by inverse propensity.

    reward:      what came of each row, shape (rows,)
    propensity:  with which probability the decision of the row was taken, in (0, 1]
    target:      with which probability the other policy takes that very decision, in [0, 1]
    unsupported: whether the other policy may take, in this row, a decision that had no chance; by default it is taken
                 that there are two decisions: a row with the propensity 1 and a target below 1 is one
    clusters:    one label a row, such as its entity; None: rows do not lean on each other
    clip:        the largest weight; narrower and biased: see `OffPolicy.bias`

    Raises `InputError` for what are no probabilities, or lengths that differ.
    """
    rows = _rows(reward, propensity, target, unsupported, clusters, clip)
    return _told("ips", rows, rows.weight * rows.reward, clusters, level, clip)


def snips(
    reward: ArrayLike, propensity: ArrayLike, target: ArrayLike, *, unsupported: ArrayLike | None = None,
    clusters: ArrayLike | None = None, level: float = 0.95, clip: float | None = None,
) -> OffPolicy:  # fmt: skip
    """The same, self-normalised: over the sum of the weights, by the delta method. Arguments as for `ips`."""
    rows = _rows(reward, propensity, target, unsupported, clusters, clip)
    total = math.fsum(rows.weight.tolist())
    if not total > 0.0:
        return _told("snips", rows, rows.weight, clusters, level, clip)
    value = math.fsum((rows.weight * rows.reward).tolist()) / total
    moved = rows.weight * (rows.reward - value) * (rows.reward.size / total) + value
    return _told("snips", rows, moved, clusters, level, clip)


def doubly_robust(
    reward: ArrayLike, propensity: ArrayLike, target: ArrayLike, *, predicted: ArrayLike, expected: ArrayLike,
    unsupported: ArrayLike | None = None, clusters: ArrayLike | None = None, level: float = 0.95,
    clip: float | None = None,
) -> OffPolicy:  # fmt: skip
    """The same with a reward model, which has not learned from these rows (fit it on others, or cross-fit it).

    predicted: what it says of the decision that was taken, shape (rows,)
    expected:  what it says of the decision the other policy takes, or its mean over the decisions that it may take

    Arguments as for `ips`.
    """
    rows = _rows(reward, propensity, target, unsupported, clusters, clip)
    said = [as_numbers(one, name) for one, name in ((predicted, "predicted"), (expected, "expected"))]
    for one, name in zip(said, ("predicted", "expected"), strict=True):
        if one.size != rows.reward.size or not np.isfinite(one).all():
            raise InputError(f"{name} has {one.size} values", where=name, expected="a finite number for each row")
    return _told("dr", rows, said[1] + rows.weight * (rows.reward - said[0]), clusters, level, clip, said[0])


def difference(
    champion: OffPolicy, candidate: OffPolicy, *, clusters: ArrayLike | None = None, level: float = 0.95
) -> Estimate:
    """By how much the candidate policy is worth more, of the same rows: what is hard for both cancels."""
    for one in (champion, candidate):
        if isinstance(one.value, Insufficient):
            return one.value
    if champion.influence.size != candidate.influence.size:
        raise InputError("the policies are of other rows", where="candidate", expected="the same rows")
    assert isinstance(champion.value, Interval)
    assert isinstance(candidate.value, Interval)
    gain = candidate.value.estimate - champion.value.estimate
    moved = Linear(gain, candidate.influence - champion.influence)
    return estimated(lambda: _interval(moved, clusters, level), moved.influence.size)


def _rows(
    reward: ArrayLike, propensity: ArrayLike, target: ArrayLike, unsupported: ArrayLike | None,
    clusters: ArrayLike | None, clip: float | None,
) -> _Rows:  # fmt: skip
    r, p, t = as_numbers(reward, "reward"), as_numbers(propensity, "propensity"), as_numbers(target, "target")
    if not r.size == p.size == t.size:
        found = f"there are {r.size} rewards, {p.size} propensities and {t.size} targets"
        raise InputError(found, where="reward", expected="one of each a row")
    if not np.isfinite(r).all():
        raise InputError(f"{np.count_nonzero(~np.isfinite(r))} rewards are not finite", where="reward")
    if not ((p > 0.0) & (p <= 1.0)).all():
        raise InputError("a propensity is not in (0, 1]", where="propensity", expected="what was logged: it happened")
    if not ((t >= 0.0) & (t <= 1.0)).all():
        raise InputError("a target is not in [0, 1]", where="target", expected="a probability")
    if clip is not None and not clip >= 1.0:
        raise InputError(f"clip is {clip:g}", where="clip", expected="1 or more, such as 50")
    missed = (p == 1.0) & (t < 1.0) if unsupported is None else np.asarray(unsupported, np.bool_)
    if missed.shape != r.shape:
        raise InputError(f"unsupported has {missed.size} values", where="unsupported", expected="one a row")
    whole = t / p
    weight = whole if clip is None else np.minimum(whole, clip)
    return _Rows(r, weight, _overlap(whole, weight, missed, np.abs(t - p) >= 0.5, clusters))


def _overlap(
    whole: Floats, weight: Floats, missed: NDArray[np.bool_], differ: NDArray[np.bool_], clusters: ArrayLike | None
) -> Overlap:
    n, total = weight.size, float(weight.sum())
    groups = n if clusters is None else int(np.unique(np.asarray(clusters)).size)
    if not n:
        return Overlap(0, groups, 0.0, 0.0, 0.0, 0.0, 0.0)
    return Overlap(
        rows=n,
        clusters=groups,
        effective=effective_rows(weight),
        differing=effective_rows(weight[differ]) if differ.any() else None,
        largest=float(weight.max()) / total if total else 0.0,
        mean_weight=float(whole.mean()),
        unsupported=float(missed.mean()),
        cut=float((whole - weight).sum() / whole.sum()) if total else 0.0,
    )


def effective_rows(weight: ArrayLike) -> float:
    """Kish's effective sample size of rows with these weights; 0 if all are 0.

    >>> effective_rows([1, 1, 1, 1]), round(effective_rows([10, 1, 1, 1]), 2)
    (4.0, 1.64)
    """
    w = np.asarray(weight, np.float64)
    squares = float(np.square(w).sum())
    return float(w.sum()) ** 2 / squares if squares else 0.0


def _told(
    method: str, rows: _Rows, values: Floats, clusters: ArrayLike | None, level: float, clip: float | None,
    predicted: Floats | None = None,
) -> OffPolicy:  # fmt: skip
    """`values`: one a row, whose mean is the estimate and whose deviations from it are its influence."""
    overlap, empty = rows.overlap, np.empty(0)
    why = _missing(overlap)
    if why:
        return OffPolicy(method, Insufficient(why, overlap.rows), overlap, clip, 0.0, empty)
    missed = rows.reward if predicted is None else rows.reward - predicted
    bias = overlap.cut * overlap.mean_weight * float(np.abs(missed).max()) if overlap.cut else 0.0
    mean = math.fsum(values.tolist()) / values.size
    metric = Linear(mean, (values - mean) / values.size)
    value = estimated(lambda: _interval(metric, clusters, level), overlap.rows)
    return OffPolicy(method, value, overlap, clip, bias, metric.influence)


def _missing(overlap: Overlap) -> str:
    """Why there is no value, in a sentence; "" if there is one."""
    if not overlap.rows:
        return "there are no rows"
    if overlap.unsupported:
        return f"in {overlap.unsupported:.2%} of the rows the other policy takes what had no chance to be taken"
    if not overlap.effective:
        return "the other policy takes none of the decisions that were taken"
    if overlap.differing is not None and overlap.differing < LEAST:
        return (
            f"where the policies differ there are {overlap.differing:.1f} effective rows, "
            f"and no estimate below {LEAST:g}"
        )
    return ""


def _interval(metric: Linear, clusters: ArrayLike | None, level: float) -> Interval:
    variance, df, groups = linear_variance(metric, clusters)
    if not variance > 0.0:
        raise NotEnough("all rows show the very same", where="reward", expected="rows that differ")
    codes, _ = cluster_codes(clusters, rows=metric.influence.size)
    sums = metric.influence if codes is None else cluster_sums(metric.influence, codes, groups)
    squares = np.square(sums / np.abs(sums).max())  # or their squares may be too small to tell from 0
    held = min(float(df), max(effective_rows(squares) - 1.0, 1.0))
    reach = student_quantile(level_tails(level)[1], held) * math.sqrt(variance)
    estimate = metric.estimate
    return Interval(estimate, estimate - reach, estimate + reach, level, metric.influence.size, groups)
