"""The gate on slices: is the candidate nowhere much worse than the champion, of where we look?

A model that is better on the whole may be worse for the few. On each slice that is declared or pinned it must be shown
not to be worse by more than the policy's `slice_margin`: non-inferiority, by the one rule of the gates with that margin
below zero. The level is divided by the number of slices (Bonferroni), so that the chance that any slice is called worse
falsely stays what the policy asks for, however many there are.

    every lower limit above -slice_margin    PASS
    an upper limit below it                  FAIL, which names the slice
    else                                     INSUFFICIENT: too few rows or days of a slice, or the margin is inside

A slice without rows passes nothing: nobody has looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.rollout.gate import ComparisonPolicy, GateRule, better_than_champion
from backstay.rollout.verdict import Check, Verdict

NAME = "holds_on_slices"


class SlicePolicy(ComparisonPolicy, Protocol):
    """What is asked for on slices. `definitions.GatePolicy` is one."""

    @property
    def slice_margin(self) -> float:
        """The loss that is put up with on one slice, in the metric's unit; 0 or more."""


def holds_on_slices(
    outcome: ArrayLike | None,
    champion: ArrayLike | None,
    candidate: ArrayLike | None,
    clusters: ArrayLike | None,
    slices: Mapping[str, ArrayLike | str],
    policy: SlicePolicy,
    *,
    days: ArrayLike | None = None,
) -> Check:
    """Is the candidate on no slice worse than the champion by more than `slice_margin`, on the same mature rows?

    slices: by name which rows are in it (True or False, one a row), or, as text, why that can't be told
    The others are as `better_than_champion` takes them; the policy's minimum of rows and days holds for each slice.
    Raises `InputError` only for a policy that makes no sense.

    >>> from backstay.definitions import GatePolicy
    >>> day = np.repeat(np.arange(10), 500)
    >>> late, even = np.tile([0, 1], 2500), np.tile([True, True, False, False], 1250)
    >>> fair, worse = np.full(5000, 0.5), np.where(even, 0.5, np.where(late, 0.3 + day / 100, 0.7))
    >>> check = holds_on_slices(late, fair, worse, day, {"even": even, "odd": ~even}, GatePolicy())
    >>> print(check.verdict, check.reason[:48])
    FAIL worse than the champion by more than 0.01 on odd
    """
    if not 0 <= policy.slice_margin < float("inf"):
        raise InputError(
            f"the margin is {policy.slice_margin}", where="policy.slice_margin", expected="a number, 0 or more"
        )
    level = 1 - (1 - policy.level) / max(len(slices), 1)
    rule = GateRule(policy.metric, -policy.slice_margin, level, policy.minimum_rows, policy.minimum_days)
    given = [None if one is None else np.asarray(one) for one in (outcome, champion, candidate, clusters, days)]
    told = {name: _one(one, given, rule) for name, one in slices.items()}
    evidence = {
        "slice_margin": policy.slice_margin, "level": level,
        "slices": {name: {"verdict": one.verdict, "reason": one.reason, **one.evidence} for name, one in told.items()},
    }  # fmt: skip
    worse = [name for name, one in told.items() if one.verdict is Verdict.FAIL]
    open_ = [name for name, one in told.items() if one.verdict is Verdict.INSUFFICIENT]
    margin = f"{policy.slice_margin:g}"
    if worse:
        reason = f"worse than the champion by more than {margin} on {_listed(worse, told)}"
        return Check(NAME, Verdict.FAIL, reason, evidence)
    if open_ or not told:
        reason = f"cannot tell on {_listed(open_, told)}" if open_ else "no slice was looked at"
        return Check(NAME, Verdict.INSUFFICIENT, reason, evidence)
    of = "the slice" if len(told) == 1 else f"any of the {len(told)} slices"
    return Check(NAME, Verdict.PASS, f"not worse than the champion by more than {margin} on {of}", evidence)


def _one(
    inside: ArrayLike | str, given: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None], rule: GateRule
) -> Check:
    if isinstance(inside, str):
        return Check(NAME, Verdict.INSUFFICIENT, inside)
    rows = np.asarray(inside, np.bool_)
    if any(one is not None and one.shape != rows.shape for one in given):
        return Check(NAME, Verdict.INSUFFICIENT, f"the slice is told for {rows.size} rows, and there are others")
    outcome, champion, candidate, clusters, days = (None if one is None else one[rows] for one in given)
    return better_than_champion(outcome, champion, candidate, clusters, rule, days=days)


def _listed(names: list[str], told: Mapping[str, Check]) -> str:
    """The slices with what is known of each; the gate's own words about being better say nothing of a margin."""
    out = []
    for name in names:
        gain, rows = told[name].evidence.get("gain"), told[name].evidence.get("rows")
        if isinstance(gain, Mapping):
            limits = f"[{gain['low']:+.4f}, {gain['high']:+.4f}]"
            out.append(f"{name} (gain {gain['estimate']:+.4f} {limits} on {rows} rows)")
        else:
            out.append(f"{name} ({told[name].reason})")
    return ", ".join(out)
