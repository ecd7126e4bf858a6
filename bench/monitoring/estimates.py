"""Quality estimated without labels on the packaged survey, by windows of 5,000 rows, against what the labels said.

The bar is a mean absolute error of at most 1.2 times the sampling standard error, of the realised values' own
intervals: the best guess there can be is off by 0.8 times that on average. Beside it, how often intervals of 95% hold
the realised value, and what happens under concept drift, where every such estimate fails: one outcome in four of one
group is turned round. That it fails is the bar there: an estimate that holds would have to have seen labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.harness import Result, alternate, limited, say
from bench.monitoring.sides import ours

WINDOW, TURNED = 5_000, 0.25
METRICS, METHODS = ("auc", "brier", "log_loss", "accuracy"), ("cbpe", "pape")


def errors(turned: float = 0.0) -> dict[str, Any]:
    """By metric and method: mean absolute error over sampling error, bias in such units, and coverage."""
    from backstay.evaluation.unlabelled import ScoredReference, backtest, estimates
    from bench.monitoring.acs import surveys

    before, after = surveys()
    reference = ScoredReference.of(before.outcome, before.score, before.vector)
    turn = (after.sex == 2) & (np.random.default_rng(0).random(after.outcome.size) < turned)
    outcome = np.where(turn, 1.0 - after.outcome, after.outcome)
    windows = [slice(start, start + WINDOW) for start in range(0, outcome.size - WINDOW + 1, WINDOW)]
    said = {
        method: [estimates(reference, after.score[one], after.vector[one], METRICS, method) for one in windows]
        for method in METHODS
    }
    told: dict[str, Any] = {}
    for metric in METRICS:
        came = [_realised(metric, outcome[one], after.score[one]) for one in windows]
        for method in METHODS:
            found = backtest([one[metric] for one in said[method]], came)
            assert found.mean_error is not None
            assert found.bias is not None
            assert found.sampling_error is not None
            told[f"{metric}, {method}"] = {
                "error": found.mean_error / found.sampling_error, "coverage": found.coverage,
                "bias": found.bias / found.sampling_error, "windows": found.windows,
                "mean_error": found.mean_error, "sampling_error": found.sampling_error,
            }  # fmt: skip
    return told


def _realised(metric: str, outcome: Any, score: Any) -> Any:
    from backstay.evaluation import auc_interval, mean_interval, share_interval
    from backstay.evaluation.metrics import brier_losses, log_losses

    if metric == "auc":
        return auc_interval(outcome, score)
    if metric == "accuracy":
        return share_interval((score >= 0.5) == outcome)
    return mean_interval((log_losses if metric == "log_loss" else brier_losses)(outcome, score))


def run() -> list[Result]:
    still, turned = (
        alternate([ours(name, "estimates", "errors", turned=share)], 1)[0][0]
        for name, share in (("as it was", 0.0), ("concept drift", TURNED))
    )
    results = []
    for case in (f"{metric}, {method}" for metric in METRICS for method in METHODS):
        for name, one in (("as it was", still), ("concept drift", turned)):
            found = one[case]
            say(
                f"    {case:16} {name:14} error {found['mean_error']:.4f}, "
                f"sampling error {found['sampling_error']:.4f}, "
                f"bias {found['bias']:+.2f} of it, covered {found['coverage']:.0%} of {found['windows']}"
            )
        bar = f"estimates: error over sampling error, {case}"
        results.append(limited(bar, [{**still, "figure": still[case]["error"]}], "figure", "x", most=1.2))
        bar = f"estimates: the same under concept drift, which none sees, {case}"
        results.append(limited(bar, [{**turned, "figure": turned[case]["error"]}], "figure", "x", least=1.2))
    return results
