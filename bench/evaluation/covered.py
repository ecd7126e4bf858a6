"""Our side of the coverage: simulated samples, and the share of intervals that hold the truth."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from backstay.evaluation import Interval, NotEnough, auc_interval

TIMES = max(int(2_000 * float(os.environ.get("BENCH_SCALE", "1"))), 100)


def share(truth: float, sample: Callable[[Any], Interval]) -> float:
    """The share of intervals that hold the truth; where a sample has none (`NotEnough`), it is not counted."""
    held = []
    for seed in range(TIMES):
        try:
            one = sample(np.random.default_rng(seed))
        except NotEnough:
            continue
        held.append(one.low <= truth <= one.high)
    return float(np.mean(held))


def areas() -> dict[str, float]:
    """The AUC of two normal scores: 20, 50 and 200 cases among 1,000 controls."""
    out = {}
    for area in (0.7, 0.9, 0.95):
        for cases in (20, 50, 200):
            outcome = np.r_[np.ones(cases), np.zeros(1000)]
            apart = math.sqrt(2) * stats.norm.ppf(area) * outcome
            out[f"AUC {area}, {cases} cases"] = share(
                area, lambda random, y=outcome, d=apart: auc_interval(y, random.normal(size=y.size) + d)
            )
    return out
