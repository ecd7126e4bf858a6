"""Calibration within groups: does the same score mean the same for everybody?

Two questions, which are easily taken for one:

    is the score of a group right?    its outcomes less its mean score: 0 where the score is a calibrated probability
    does a score mean the same?       outcomes at the same score, group against group: the criterion `calibration`

A score may be wrong for all alike, which calibrating mends; and it may be right on average in each group and still mean
different things at the same value. The second is compared within bands of the score, of like numbers of rows, in which
the groups are dealt anew: no probability is needed for it, any score will do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backstay.evaluation.fairness.cells import Floats, Ints
from backstay.evaluation.fairness.gaps import Contrast, Gap, GapRule, answer, differences
from backstay.evaluation.fairness.rates import Shares
from backstay.evaluation.interval import Estimate, Insufficient, Interval

BANDS = 10
"""Bands of the score within which groups are compared."""


def calibration_gap(
    partition: str, cells: Sequence[str], steps: Ints, base: Shares, rule: GapRule | None = None, *, seed: int = 0
) -> Gap:
    """The gap of the criterion `calibration`, from the counts of `scored.by_step` and the cells' base rates.

    Of each cell: its share with outcome 1, less the share that its rows would have if those of each band of the score
    had the same in all told cells.

    >>> from backstay.evaluation.fairness.rates import shares
    >>> steps = np.array([[[90, 10], [50, 50]], [[180, 20], [50, 50]]])   # the same at each score, unlike in all
    >>> base = shares(np.array([[90, 50, 10, 50], [180, 50, 20, 50]]), "base_rate")
    >>> found = calibration_gap("g", ["a", "b"], steps, base)
    >>> round(found.gap.estimate, 12), found.p > 0.9
    (0.0, True)
    """
    rule = rule or GapRule()
    told = base.told
    rows, hits = _banded(steps[told])
    of = np.maximum(rows.sum(axis=1), 1)
    share = hits.sum(axis=1) / of
    usual = hits.sum(axis=0) / np.maximum(rows.sum(axis=0), 1)
    beyond = share - rows @ usual / of
    low, high = differences(share, np.maximum(base.effective[told], 1e-9), rule.level)
    shift = (beyond - share)[:, None] - (beyond - share)[None, :]
    worth = np.minimum(base.effective / np.maximum(base.n, 1), 1.0)[told][:, None]
    dealt, counted = np.rint(rows * worth).astype(np.int64), np.rint((hits * worth).sum(axis=0)).astype(np.int64)
    bands = tuple((dealt[:, band], min(int(counted[band]), int(dealt[:, band].sum()))) for band in range(rows.shape[1]))
    one = Contrast(
        "outcomes beyond those expected", told, beyond, low + shift, high + shift, bands,
        np.maximum(dealt.sum(axis=1), 1).astype(np.float64), base.why, base.sources,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    return answer("calibration", partition, cells, steps.sum(axis=(1, 2)), [one], rule, rng)


def calibration_errors(mean: Floats | None, base: Shares, level: float = 0.95) -> tuple[Estimate, ...]:
    """Of each cell, the share with outcome 1 less the mean score: positive where the score promises too little.

    Given the scores, the number of outcomes varies by no more than a binomial one (Hoeffding 1956), so that Wilson's
    interval, moved by the mean score, covers at least as often.
    """
    if mean is None:
        return tuple(Insufficient("the scores are no probabilities", int(n)) for n in base.n)
    return tuple(
        one
        if isinstance(one, Insufficient)
        else Interval(one.estimate - by, one.low - by, one.high - by, level, one.n, one.clusters)
        for one, by in zip(base.estimates(level), mean.tolist(), strict=True)
    )


def _banded(steps: Ints) -> tuple[Ints, Ints]:
    """Rows, and rows with outcome 1, by cell and band: steps put together until a band has its part of the rows."""
    each = steps.sum(axis=(0, 2))
    total = max(int(each.sum()), 1)
    middle = np.cumsum(each) - each / 2
    band = np.minimum((middle * BANDS / total).astype(np.int64), BANDS - 1)
    out = np.stack([steps[:, band == one].sum(axis=1) for one in range(BANDS)], axis=1)
    return out.sum(axis=2), out[:, :, 1]
