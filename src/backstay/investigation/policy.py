"""Policy mismatch: an offline metric of rows that another policy chose is not the quality of the rows this one meets.

Where a decision decides whether there is an outcome (a loan that is declined is never paid back), the labelled rows are
those that the policy of the day let through. Offline quality is then quality under that policy. Rows are weighed by

    target / propensity

the probability with which the policy that is asked about would have the row labelled, over that with which it was.
Rows that had no chance are in neither: the effective sample size and the share without support say how far that goes
(Kish 1965; Owen 2013, chapter 9), and no value is told where support is missing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.counterfactual import LEAST, OffPolicy, Overlap, doubly_robust, ips, snips
from backstay.evaluation.influence import Linear, linear_interval
from backstay.evaluation.interval import Estimate, Insufficient, estimated
from backstay.evaluation.metrics import as_numbers, as_outcome
from backstay.investigation.weighted import LARGER, gained, outcome_weights, weighted_quality


@dataclass(frozen=True, slots=True)
class Mismatch(Shown):
    """What an offline metric says too much, because its rows were logged under another policy.

    naive:    the metric of the rows as they are
    weighed:  the metric that the target policy would have met, self-normalised
    effect:   by how much the naive one is better than the weighed one, in the metric's unit: above 0, it flatters
    overlap:  how much of the rows speaks of the target: effective rows, the largest weight, missing support
    naive_linear, weighed_linear: the same with the influence of each row, to hold against another sample
    """

    metric: str
    naive: Estimate
    weighed: Estimate
    effect: Estimate
    overlap: Overlap
    naive_linear: Linear | None = None
    weighed_linear: Linear | None = None

    def as_dict(self) -> dict[str, object]:
        return {
            "metric": self.metric, "naive": self.naive.as_dict(), "weighed": self.weighed.as_dict(),
            "effect": self.effect.as_dict(), "overlap": self.overlap.as_dict(),
        }  # fmt: skip


def policy_mismatch(
    metric: str, outcome: ArrayLike, score: ArrayLike, propensity: ArrayLike, target: ArrayLike | float = 1.0, *,
    unsupported: float = 0.0, clusters: ArrayLike | None = None, level: float = 0.95, clip: float | None = None,
) -> Mismatch:  # fmt: skip
    """What the logging policy does to a metric of labelled rows.

    metric:      "auc", "log_loss" or "brier"; outcome: 0 or 1, of labelled rows only; score: what is judged
    propensity:  with which probability the row came to be labelled as it was logged, in (0, 1], shape (rows,)
    target:      with which it does under the policy that is asked about, in [0, 1]; 1: every row is wanted
    unsupported: of the rows that the target wants, the share that had no chance at all to be labelled (they are in
                 none of these rows: only the log of all predictions tells)
    clip:        the largest weight

    `weighed` and `effect` are `Insufficient` where support is missing in more than 2% or few effective rows are left.

    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=4000)
    >>> y, chance = rng.random(4000) < 1 / (1 + np.exp(-2 * x)), np.where(x < 0.5, 1.0, 0.1)
    >>> kept = rng.random(4000) < chance
    >>> found = policy_mismatch("auc", y[kept], x[kept], chance[kept])
    >>> found.effect.high < 0  # the rows that were let through are harder to rank than all are
    True
    """
    y = as_outcome(outcome)
    p = as_numbers(propensity, "propensity")
    t = np.broadcast_to(np.asarray(target, np.float64), p.shape)
    if p.size != y.size:
        raise InputError(
            f"there are {p.size} propensities for {y.size} outcomes", where="propensity", expected="one each"
        )
    # Missing support is of rows that are not here: it is the caller's to count.
    overlap = ips(np.zeros(y.size), p, t, unsupported=np.zeros(y.size, np.bool_), clusters=clusters, clip=clip).overlap
    weight = t / p if clip is None else np.minimum(t / p, clip)
    plain = estimated(lambda: weighted_quality(metric, score, *outcome_weights(y)), y.size)
    if isinstance(plain, Insufficient):
        return Mismatch(metric, plain, plain, plain, overlap)
    naive = estimated(lambda: linear_interval(plain, clusters, level), y.size)
    why = _unsupported(overlap, unsupported)
    if why:
        return Mismatch(metric, naive, Insufficient(why, y.size), Insufficient(why, y.size), overlap, plain)
    wanted = estimated(lambda: weighted_quality(metric, score, *outcome_weights(y, weight)), y.size)
    if isinstance(wanted, Insufficient):
        return Mismatch(metric, naive, wanted, wanted, overlap, plain)
    moved = gained(wanted, plain, larger=LARGER[metric])
    weighed = estimated(lambda: linear_interval(wanted, clusters, level), y.size)
    effect = estimated(lambda: linear_interval(moved, clusters, level), y.size)
    return Mismatch(metric, naive, weighed, effect, overlap, plain, wanted)


SUPPORT = 0.02
"""The share of wanted rows that may have had no chance to be labelled."""


def _unsupported(overlap: Overlap, unsupported: float) -> str:
    if unsupported > SUPPORT:
        return f"{unsupported:.1%} of the rows that are wanted had no chance to be labelled: nothing was explored"
    if overlap.effective < LEAST:
        return f"there are {overlap.effective:.1f} effective rows, and no estimate below {LEAST:g}"
    return ""


def policy_values(
    reward: ArrayLike, propensity: ArrayLike, target: ArrayLike, *, predicted: ArrayLike | None = None,
    expected: ArrayLike | None = None, clusters: ArrayLike | None = None, level: float = 0.95,
    clip: float | None = None,
) -> dict[str, OffPolicy]:  # fmt: skip
    """What a policy is worth from rows of another one, by IPS and SNIPS, and doubly robust where a model is given.

    Arguments as for `evaluation.counterfactual`'s functions, which do it: here they stand side by side, since where
    they differ by more than their intervals a propensity or the reward's model is wrong.

    >>> sorted(policy_values(np.ones(40) + np.arange(40) % 2, np.full(40, 0.5), np.full(40, 0.5)))
    ['ips', 'snips']
    """
    out = {
        "ips": ips(reward, propensity, target, clusters=clusters, level=level, clip=clip),
        "snips": snips(reward, propensity, target, clusters=clusters, level=level, clip=clip),
    }
    if predicted is not None and expected is not None:
        out["dr"] = doubly_robust(
            reward, propensity, target, predicted=predicted, expected=expected, clusters=clusters, level=level,
            clip=clip,
        )  # fmt: skip
    return out
