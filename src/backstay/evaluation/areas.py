"""The AUC with an interval, of one model or between two.

The variance is DeLong's (DeLong, DeLong and Clarke-Pearson 1988) as Obuchowski (1997) extends it to clustered rows:
cases and controls of one cluster may be correlated, with each other too. Degrees of freedom count the clusters that
hold the scarcer class.

A plain interval, AUC plus or minus t standard errors, is wrong just where a model is good: at an AUC of 0.95 with 20
cases it covers 84%, since the few cases that are ranked low are all that it has to tell the spread from. So

    made on the log-odds of the AUC           and so never beyond 0 and 1
    fewer than 5 misranked cases' worth       no narrower than Newcombe's (2006, method 5), whose variance is that of
                                              the limit and not of the estimate
    every pair ranked right                   the lower limit alone: exact, from pairs that share no row (see `perfect`)
    every score the same                      `NotEnough`: nothing was ranked
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.evaluation.influence import cluster_codes
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.metrics import Bools, Floats, Placements, placements
from backstay.evaluation.quantiles import level_tails, normal_quantile, student_quantile

FEW = 5.0
"""Misranked cases, (1 - AUC) times the scarcer class, below which DeLong's variance is not trusted alone."""


def auc_interval(
    outcome: ArrayLike, score: ArrayLike, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The AUC with its interval over clusters, by this module's rules; `clusters=None`: each row stands for itself.

    Raises `InputError` as `auc` does, and `NotEnough` unless each class is in at least two clusters, or where all
    scores are the same.

    >>> late, score, day = [0, 1, 0, 1, 0, 1], [0.1, 0.8, 0.4, 0.4, 0.2, 0.3], [1, 1, 2, 2, 3, 3]
    >>> print(auc_interval(late, score, day))
    +0.8333 [+0.0127, +0.9995]
    """
    return area_interval(placements(outcome, score), clusters, level)


def area_interval(placed: Placements, clusters: ArrayLike | None, level: float) -> Interval:
    """The same of placements that are made already."""
    area, rows, pairs = placed.area, placed.outcome.size, 2 * placed.cases * placed.controls
    codes, groups = cluster_codes(clusters, rows=rows)
    if (placed.wins == np.where(placed.outcome, placed.controls, placed.cases)).all():  # every pair is a tie
        raise NotEnough("every row has the same score", where="score", expected="scores that rank the rows")
    variance, df = placement_variance(placed.outcome, placed.wins, codes, groups)
    tails = level_tails(level)
    if area in (0.0, 1.0):
        limit = perfect(min(df + 1, groups // 2), tails[0])
        low, high = (limit, 1.0) if area else (0.0, 1.0 - limit)
        return Interval(area, low, high, level, rows, groups)
    spread = variance / pairs**2
    log_odds, steep = math.log(area / (1.0 - area)), 1.0 / (area * (1.0 - area))
    reach = student_quantile(tails[1], df) * math.sqrt(spread) * steep
    low, high = (1.0 / (1.0 + math.exp(min(-log_odds + sign * reach, 700.0))) for sign in (1.0, -1.0))
    apart = variance if codes is None else placement_variance(placed.outcome, placed.wins, None, rows)[0]
    shared = max(1.0, variance / apart) if apart else 1.0  # the design effect: rows that are worth one row
    cases, controls = max(placed.cases / shared, 2.0), max(placed.controls / shared, 2.0)
    if min(area, 1.0 - area) * min(cases, controls) < FEW:
        least, most = _newcombe(area, cases, controls, normal_quantile(tails[1]))
        low, high = min(low, least), max(high, most)
    return Interval(area, min(low, area), max(high, area), level, rows, groups)


def perfect(pairs: int, tail: float) -> float:
    """How low an AUC may be that ranked this many pairs right, none of which shares a row or cluster with another.

    Each is right with probability AUC, all of them with AUC^pairs: below tail^(1/pairs) that is rarer than `tail`, the
    limit of Clopper and Pearson (1934) for no error. Pairs that share rows say more than that, but nobody knows how
    much.

    >>> round(perfect(20, 0.025), 4)
    0.8316
    """
    return math.pow(tail, 1.0 / pairs)


def auc_difference(
    champion: Placements, candidate: Placements, clusters: ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """The paired comparison of two models on the same rows: by how much the candidate's AUC is larger.

    The variance is a form in the placements, so that of a difference is the form in the placements' difference.
    """
    rows, pairs = champion.outcome.size, 2 * champion.cases * champion.controls
    codes, groups = cluster_codes(clusters, rows=rows)
    gained = candidate.wins - champion.wins
    estimate = int(gained[champion.outcome].sum()) / pairs
    variance, df = placement_variance(champion.outcome, gained, codes, groups)
    reach = student_quantile(level_tails(level)[1], df) * math.sqrt(variance) / pairs
    return Interval(estimate, estimate - reach, estimate + reach, level, rows, groups)


def placement_variance(
    outcome: Bools, wins: NDArray[np.int64], codes: NDArray[np.intp] | None, groups: int
) -> tuple[float, int]:
    """Obuchowski's variance of the number of wins, S10/M + S01/N + 2 S11/(MN) scaled by pairs², and its df.

    Per-cluster sums of whole numbers below 2^53 are exact in float64, whatever the order of the rows.
    """
    totals: list[Floats] = []
    excess: list[Floats] = []
    for member in (outcome, ~outcome):
        won: Floats = wins[member].astype(np.float64)
        size: Floats = np.ones(won.size)
        if codes is not None:
            size = np.bincount(codes[member], minlength=groups).astype(np.float64)
            won = np.bincount(codes[member], weights=won, minlength=groups).astype(np.float64)
        totals.append(size)
        excess.append(won - size * (float(won.sum()) / float(size.sum())))
    held = [int(np.count_nonzero(size)) for size in totals]
    if min(held) < 2:
        found = f"outcome 1 is in {held[0]} clusters and outcome 0 in {held[1]}"
        raise NotEnough(found, where="clusters", expected="each outcome in at least two")
    # In units of wins (half pairs): a case's placement is wins / 2N, so S10/M over 1/(2MN)² is its plain sum of squares
    case_part = math.fsum(np.square(excess[0]).tolist()) * held[0] / (held[0] - 1)
    control_part = math.fsum(np.square(excess[1]).tolist()) * held[1] / (held[1] - 1)
    if codes is None:
        return case_part + control_part, min(held) - 1
    both_part = 2.0 * math.fsum((excess[0] * excess[1]).tolist()) * groups / (groups - 1)
    return max(case_part + control_part + both_part, 0.0), min(held) - 1


def _newcombe(area: float, cases: float, controls: float, z: float) -> tuple[float, float]:
    """Where an AUC may lie that is z standard errors from this one, by Hanley and McNeil's error at that place."""
    extra = (cases + controls) / 2.0 - 1.0

    def away(theta: float) -> float:
        shape = 1.0 + extra * (1.0 - theta) / (2.0 - theta) + extra * theta / (1.0 + theta)
        return abs(area - theta) - z * math.sqrt(theta * (1.0 - theta) * shape / (cases * controls))

    def limit(outside: float) -> float:
        inside = area
        for _ in range(60):
            middle = (inside + outside) / 2.0
            if away(middle) > 0.0:
                outside = middle
            else:
                inside = middle
        return inside

    return limit(0.0), limit(1.0)
