"""The check `fair`: are decisions alike over groups, in the sense that was chosen, by the tolerance that was set?

    every partition within the tolerance     PASS
    a gap beyond it, and beyond chance       FAIL
    anything else                            INSUFFICIENT    too few rows, or groups that can't be told

The groups are those by each attribute and by their crossings. The answers are looked at together: each crossing is one
more chance to be fooled, and p-values are adjusted for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.fairness import Finding, Gap, GapRule, gaps_of
from backstay.rollout.verdict import Check, Verdict


def fair(
    outcome: ArrayLike,
    score: ArrayLike,
    attributes: Mapping[str, ArrayLike] | pl.DataFrame | None,
    criterion: str,
    *,
    threshold: float,
    rule: GapRule | None = None,
    order: int = 2,
    clusters: ArrayLike | None = None,
    chosen: Mapping[str, object] | None = None,
) -> Check:
    """Is the criterion met over all groups, by the rule's tolerance?

    The arguments are those of `evaluation.fairness.fairness_report`; `chosen` is what is recorded about who chose the
    criterion. It raises nothing: whatever is wrong with the evidence is an answer.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> late, sex = rng.random(4000) < 0.4, np.arange(4000) % 2
    >>> said = fair(late, 0.3 * late + 0.7 * rng.random(4000), {"sex": sex}, "equal_opportunity", threshold=0.5)
    >>> print(said.verdict, said.reason)
    PASS sex: no two cells differ in TPR by more than 0.1
    """
    rule = rule or GapRule()
    evidence: dict[str, object] = {"criterion": criterion, "tolerance": rule.tolerance, "chosen": dict(chosen or {})}
    if attributes is None:
        return Check("fair", Verdict.INSUFFICIENT, "the protected attributes are missing", evidence)
    try:
        gaps = gaps_of(
            outcome, score, attributes, criterion, threshold=threshold, rule=rule, order=order, clusters=clusters
        )
    except InputError as error:
        return Check("fair", Verdict.INSUFFICIENT, f"the evidence can't be compared: {error}", evidence)
    evidence["gaps"] = [one.as_dict() for one in gaps]
    verdict, deciding = _verdict(gaps)
    return Check("fair", verdict, "; ".join(f"{one.partition}: {one.reason}" for one in deciding), evidence)


def _verdict(gaps: tuple[Gap, ...]) -> tuple[Verdict, list[Gap]]:
    """The verdict, and the gaps that decided it."""
    for finding, verdict in ((Finding.GAP, Verdict.FAIL), (Finding.INSUFFICIENT, Verdict.INSUFFICIENT)):
        if deciding := [one for one in gaps if one.finding is finding]:
            return verdict, deciding
    return Verdict.PASS, list(gaps)
