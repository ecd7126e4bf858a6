"""A look: rows vetted and counted once, so that partitions, gaps and the report work on the same counts.

What every cell would lack is said once, here: no rows, one class, a constant score, scores that are no numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.fairness.calibration import calibration_gap
from backstay.evaluation.fairness.cells import Clustered, Floats, Partition, partitions, states, tally, tally_clusters
from backstay.evaluation.fairness.gaps import CRITERIA, Gap, GapRule, adjusted, gap
from backstay.evaluation.fairness.rates import shares
from backstay.evaluation.fairness.scored import Heights, by_step, heights
from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import Bools, as_outcome, as_scores


@dataclass(frozen=True, slots=True)
class Look:
    """The rows of one look.

    decision: `score >= threshold`
    cluster:  each row's cluster as a number, and how many there are; None where each row stands for itself
    """

    outcome: Bools
    score: Floats
    decision: Bools
    state: NDArray[np.uint8]
    heights: Heights
    cluster: tuple[NDArray[np.intp], int] | None
    rule: GapRule
    seed: int

    def clustered(self, part: Partition) -> Clustered | None:
        """The counts of a partition by cluster, where there are clusters."""
        return None if self.cluster is None else tally_clusters(part, self.state, *self.cluster)

    def gap(self, part: Partition, criterion: str) -> Gap:
        """One criterion's gap over the cells of a partition."""
        counts, clustered = tally(part, self.state), self.clustered(part)
        if CRITERIA[criterion]:
            return gap(criterion, part.name, part.cells, counts, self.rule, clustered=clustered, seed=self.seed)
        base = shares(counts, "base_rate", self.rule.minimum, clustered, self.rule.level)
        steps = by_step(part, self.outcome, self.heights)
        return calibration_gap(part.name, part.cells, steps, base, self.rule, seed=self.seed)


def looked(
    outcome: ArrayLike, score: ArrayLike, attributes: Mapping[str, ArrayLike] | pl.DataFrame, *, threshold: float,
    rule: GapRule | None, order: int, clusters: ArrayLike | None, seed: int,
) -> tuple[tuple[Partition, ...], Look]:  # fmt: skip
    """The partitions of the rows, and the rows vetted; arguments and errors as for `report.fairness_report`."""
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    _vet(y, s)
    parts = partitions(attributes, order)
    if parts[0].code.size != y.size:
        raise InputError(
            f"there are {parts[0].code.size} attributes for {y.size} outcomes", where="attributes", expected="one a row"
        )
    decision = np.asarray(s >= threshold, np.bool_)
    codes, number = cluster_codes(clusters, rows=y.size)
    cluster = None if codes is None else (codes, number)
    return parts, Look(y, s, decision, states(y, decision), heights(s, threshold), cluster, rule or GapRule(), seed)


def gaps_of(
    outcome: ArrayLike, score: ArrayLike, attributes: Mapping[str, ArrayLike] | pl.DataFrame, criterion: str, *,
    threshold: float = 0.5, rule: GapRule | None = None, order: int = 2, clusters: ArrayLike | None = None,
    seed: int = 0,
) -> tuple[Gap, ...]:  # fmt: skip
    """One criterion's gap in each partition, p-values adjusted for these: what a gate asks, and nothing beside it.

    Arguments and errors are those of `report.fairness_report`.

    >>> sex, y = np.arange(400) % 2, np.arange(400) % 5 < 2
    >>> [one.partition for one in gaps_of(y, np.arange(400) / 400, {"sex": sex}, "equal_opportunity")]
    ['sex']
    """
    check_criterion(criterion)
    parts, look = looked(
        outcome, score, attributes, threshold=threshold, rule=rule, order=order, clusters=clusters, seed=seed
    )
    return adjusted((look.gap(part, criterion) for part in parts), look.rule)


def check_criterion(criterion: str) -> None:
    """`InputError` for a criterion that there is none of."""
    if criterion not in CRITERIA:
        raise InputError(f"the criterion is {criterion!r}", where="criterion", expected=f"one of {', '.join(CRITERIA)}")


def _vet(outcome: Bools, score: Floats) -> None:
    happened = int(outcome.sum())
    if not outcome.size:
        raise NotEnough("there are no rows", where="outcome", expected="at least one")
    if happened in (0, outcome.size):
        raise NotEnough(
            f"all {outcome.size} rows have outcome {1 if happened else 0}", where="outcome", expected="both outcomes"
        )
    if score.min() == score.max():
        raise NotEnough(
            f"all {score.size} scores are {float(score[0]):g}", where="score",
            expected="scores that differ: a constant one selects everybody or nobody",
        )  # fmt: skip
