"""What a metric is **expected** to be, by each row's probability, and how much each row's probability moves it.

With p the probability that a row's outcome is 1 and s its score, the log loss expects -p log s - (1 - p) log (1 - s);
every metric here is such a sum over rows, or over pairs of rows, or a ratio of two.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backstay.evaluation.interval import NotEnough
from backstay.evaluation.metrics import CLIP

Floats = NDArray[np.float64]
Expected = tuple[float, Floats]
"""The metric, and by how much it rises a unit of each row's probability, shape (rows,)."""

LEAST = 5.0
"""Expected rows of the scarcer class, below which an AUC or a share of it is not estimated."""


def log_loss(p: Floats, s: Floats, threshold: float) -> Expected:
    del threshold
    clipped = np.clip(s, CLIP, 1.0 - CLIP)
    if_one, if_zero = -np.log(clipped), -np.log1p(-clipped)
    return _mean(p, if_one, if_zero)


def brier(p: Floats, s: Floats, threshold: float) -> Expected:
    del threshold
    return _mean(p, np.square(1.0 - s), np.square(s))


def accuracy(p: Floats, s: Floats, threshold: float) -> Expected:
    decided = s >= threshold
    return _mean(p, decided.astype(np.float64), (~decided).astype(np.float64))


def prevalence(p: Floats, s: Floats, threshold: float) -> Expected:
    del s, threshold
    return float(p.mean()), np.full(p.size, 1.0 / p.size)


def precision(p: Floats, s: Floats, threshold: float) -> Expected:
    decided = s >= threshold
    count = int(np.count_nonzero(decided))
    if count < LEAST:
        raise NotEnough(f"{count} rows are decided true", where="scores", expected=f"at least {LEAST:g}")
    return float(p[decided].mean()), np.where(decided, 1.0 / count, 0.0)


def recall(p: Floats, s: Floats, threshold: float) -> Expected:
    _both_classes(p)
    decided, cases = s >= threshold, float(p.sum())
    share = float(p[decided].sum()) / cases
    return share, (decided.astype(np.float64) - share) / cases


def auc(p: Floats, s: Floats, threshold: float) -> Expected:
    """Pairs of two different rows, of which one is a case and the other is not; a tie is half a pair."""
    del threshold
    _both_classes(p)
    order = np.argsort(s, kind="stable")
    ranked, q = s[order], p[order]
    first = np.concatenate(([True], ranked[1:] != ranked[:-1]))
    if first.sum() == 1:
        raise NotEnough("every row has the same score", where="scores", expected="scores that rank the rows")
    starts, run = np.flatnonzero(first), np.cumsum(first) - 1
    cases, controls = np.add.reduceat(q, starts), np.add.reduceat(1.0 - q, starts)
    below = (np.cumsum(controls) - controls + controls / 2.0)[run] - (1.0 - q) / 2.0  # without the row itself
    above = (cases.sum() - np.cumsum(cases) + cases / 2.0)[run] - q / 2.0
    pairs = float(q.sum() * (1.0 - q).sum() - (q * (1.0 - q)).sum())
    area = float((q * below).sum()) / pairs
    others = (1.0 - q).sum() - (1.0 - q) - (q.sum() - q)
    rises = np.empty(p.size)
    rises[order] = (below - above - area * others) / pairs
    return area, rises


METRICS: dict[str, Callable[[Floats, Floats, float], Expected]] = {
    "auc": auc,
    "log_loss": log_loss,
    "brier": brier,
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "prevalence": prevalence,
}
"""By name: the metric expected of probabilities and scores, at a threshold."""
SHARES = ("auc", "accuracy", "precision", "recall", "prevalence")
"""Those that lie between 0 and 1, whose intervals are made on log-odds."""


def _mean(p: Floats, if_one: Floats, if_zero: Floats) -> Expected:
    return float(np.mean(p * if_one + (1.0 - p) * if_zero)), (if_one - if_zero) / p.size


def _both_classes(p: Floats) -> None:
    scarce = min(float(p.sum()), float((1.0 - p).sum()))
    if scarce < LEAST:
        found = f"{scarce:.1f} rows of the scarcer class are expected"
        raise NotEnough(found, where="scores", expected=f"at least {LEAST:g}")
