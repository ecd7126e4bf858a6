"""scikit-learn's metric, and the bootstrap over rows that people write around it."""

from __future__ import annotations

from time import perf_counter

import numpy as np
from sklearn.metrics import roc_auc_score

from bench.evaluation.sides import rows


def auc(count: int, draws: int) -> dict[str, float]:
    """The AUC, and the time of one draw of a naive bootstrap, of which an interval needs a thousand."""
    outcome, score = rows(count)
    begin = perf_counter()
    area = float(roc_auc_score(outcome, score))
    seconds = perf_counter() - begin
    random, drawn = np.random.default_rng(1), []
    begin = perf_counter()
    for _ in range(draws):
        chosen = random.integers(0, count, count)
        drawn.append(roc_auc_score(outcome[chosen], score[chosen]))
    return {"seconds": seconds, "draw": (perf_counter() - begin) / draws, "auc": area, "error": float(np.std(drawn))}
