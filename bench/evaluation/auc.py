"""The AUC with its interval over a million rows, beside scikit-learn's AUC and a naive bootstrap of it."""

from __future__ import annotations

from time import perf_counter

from bench.evaluation.sides import ROWS, ours, peer, rows
from bench.harness import Measured, Result, alternate, compared, limited

DRAWS, NEEDED = 5, 1_000
"""Draws that are timed, and those that an interval of a bootstrap needs: its time is scaled from the former."""


def run() -> list[Result]:
    sides = [
        ours("an AUC with its interval", "auc", "interval", count=ROWS),
        ours("the same over 365 days", "auc", "interval", count=ROWS, clusters=365),
        peer("scikit-learn", "sklearn_side", "auc", count=ROWS, draws=DRAWS),
    ]
    mine, clustered, theirs = alternate(sides, 3)
    assert abs(mine[0]["auc"] - theirs[0]["auc"]) < 1e-12, "both sides have the same AUC"
    assert 0.4 < mine[0]["error"] / theirs[0]["error"] < 2.5, "both errors are of one size (of few draws)"
    million: list[Measured] = [{**one, "seconds": one["draw"] * NEEDED} for one in theirs]
    return [
        limited(f"AUC with interval, {ROWS:,} rows", mine, "seconds", "s", most=1.0),
        limited("the same over 365 days", clustered, "seconds", "s", most=1.0),
        compared("scikit-learn's AUC without one, x ours with", mine, theirs, "seconds", "s", least=0.5),
        compared(f"bootstrap of {NEEDED:,} ({DRAWS} timed), x ours", mine, million, "seconds", "s", least=100),
    ]


def interval(count: int, clusters: int = 0) -> dict[str, float]:
    """Our side."""
    import numpy as np

    from backstay.evaluation import auc_interval

    outcome, score = rows(count)
    day = np.arange(count) % clusters if clusters else None
    auc_interval(outcome[:1000], score[:1000])  # SciPy is imported once
    begin = perf_counter()
    found = auc_interval(outcome, score, day)
    seconds = perf_counter() - begin
    return {"seconds": seconds, "auc": found.estimate, "error": (found.high - found.low) / 2 / 1.96}
