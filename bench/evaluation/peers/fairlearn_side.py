"""Fairlearn's MetricFrame, with and without its bootstrap."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any

import numpy as np
from fairlearn.metrics import (
    MetricFrame,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from sklearn.metrics import precision_score

from bench.evaluation.fairness import SIZES, TRUE, people, samples, summary

_METRICS = {
    "selection_rate": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate,
    "fnr": false_negative_rate, "ppv": precision_score,
}  # fmt: skip


def frame(count: int, draws: int) -> dict[str, Any]:
    """The rates of ten crossings, and the time of one draw of its bootstrap."""
    outcome, score, race, sex = people(count)
    begin = perf_counter()
    found = _frame(outcome, score >= 0.5, {"race": race, "sex": sex}, _METRICS)
    seconds = perf_counter() - begin
    begin = perf_counter()
    _frame(outcome, score >= 0.5, {"race": race, "sex": sex}, _METRICS, draws)
    drawn = max(perf_counter() - begin - seconds, 1e-9) / draws
    rates = {
        f"{', '.join(group)} {rate}": float(value)
        for rate, column in found.by_group.items()
        for group, value in column.items()
    }
    return {"seconds": seconds, "draw": drawn, "rates": rates}


def coverage(count: int) -> dict[str, Any]:
    """How often its intervals of 95%, of 100 draws, hold the truth."""
    held = {rate: np.zeros(len(SIZES)) for rate in TRUE}
    told = {rate: np.zeros(len(SIZES)) for rate in TRUE}
    for outcome, decision, group in samples(count):
        metrics = {rate: _METRICS[rate] for rate in TRUE}
        low, high = _frame(outcome, decision, {"g": group}, metrics, 100).by_group_ci
        for rate, true in TRUE.items():
            inside = (low[rate].to_numpy() <= true) & (true <= high[rate].to_numpy())
            held[rate] += inside
            told[rate] += 1
    return summary(held, told)


def _frame(outcome: Any, decision: Any, groups: Any, metrics: Any, draws: int = 0) -> Any:
    more = {"n_boot": draws, "ci_quantiles": [0.025, 0.975], "random_state": 0} if draws else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return MetricFrame(
            metrics=metrics, y_true=outcome.astype(int), y_pred=decision.astype(int), sensitive_features=groups, **more
        )
