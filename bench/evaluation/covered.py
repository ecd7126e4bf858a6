"""Our side of the coverage: simulated samples, and the share of intervals that hold the truth.

Each function gives shares (floats) by case, and `times`, the samples of each. A sample without an interval
(`NotEnough`) is not counted: that is an answer, and no wrong one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import optimize, stats

from backstay.evaluation import Costs, Interval, NotEnough, auc_interval, compare, mean_interval
from backstay.evaluation.decided import f_beta_interval
from backstay.evaluation.metrics import brier_losses, log_losses
from backstay.evaluation.ranked import (
    average_precision,
    average_precision_interval,
    precision_at_interval,
    recall_at_interval,
)
from backstay.evaluation.reliability import calibration_error, recalibration
from bench.evaluation.sides import TIMES

Shares = dict[str, Any]
Asks = Mapping[str, tuple[float, Callable[..., Interval]]]


def shares(name: str, asks: Asks, sample: Callable[[Any], tuple[Any, ...]]) -> Shares:
    """The share of intervals that hold their truth, by metric."""
    held: dict[str, list[bool]] = {metric: [] for metric in asks}
    for seed in range(TIMES):
        rows = sample(np.random.default_rng(seed))
        for metric, (truth, ask) in asks.items():
            try:
                one = ask(*rows)
            except NotEnough:
                continue
            held[metric].append(one.low <= truth <= one.high)
    return {f"{metric}, {name}": float(np.mean(some)) for metric, some in held.items()} | {"times": TIMES}


def areas() -> Shares:
    """The AUC of two normal scores: 20, 50 and 200 cases among 1,000 controls."""
    out: Shares = {}
    for area in (0.7, 0.9, 0.95):
        for cases in (20, 50, 200):
            outcome = np.r_[np.ones(cases), np.zeros(1000)]
            apart = math.sqrt(2) * stats.norm.ppf(area) * outcome
            asks: Asks = {f"AUC {area}": (area, auc_interval)}
            out |= shares(
                f"{cases} cases", asks, lambda random, y=outcome, d=apart: (y, random.normal(size=y.size) + d)
            )
    return out


def rankings() -> Shares:
    """Average precision, recall and precision at k of two normal scores; prevalence 2%, 5% and 20% of 1,000 rows."""
    out: Shares = {}
    for area in (0.7, 0.9):
        apart = math.sqrt(2) * stats.norm.ppf(area)
        for part in (0.02, 0.05, 0.2):
            at, k = np.linspace(-8, 8 + apart, 200_001), 100
            found = (
                part
                * stats.norm.sf(at - apart)
                / (part * stats.norm.sf(at - apart) + (1 - part) * stats.norm.sf(at) + 1e-300)
            )
            precision = float(np.trapezoid(found * stats.norm.pdf(at - apart), at))
            last = _cut(part, apart, k / 1000)
            recall = float(stats.norm.sf(last - apart))
            asks: Asks = {
                "average precision": (precision, average_precision_interval),
                "recall at 100": (recall, lambda y, s: recall_at_interval(y, s, 100)),
                "precision at 100": (part * recall * 10, lambda y, s: precision_at_interval(y, s, 100)),
            }

            def sample(random: Any, share: float = part, far: float = apart) -> tuple[Any, Any]:
                outcome = random.random(1000) < share
                return outcome, random.normal(size=1000) + far * outcome

            out |= shares(f"AUC {area}, {part:.0%} of 1,000", asks, sample)
    return out


def _cut(part: float, apart: float, flagged: float) -> float:
    """The score above which this share of all rows lies."""
    return float(
        optimize.brentq(
            lambda t: part * stats.norm.sf(t - apart) + (1 - part) * stats.norm.sf(t) - flagged, -9, 9 + apart
        )
    )


def losses() -> Shares:
    """Log loss, Brier score, Cox's slope and the ECE where probabilities of 5% and 20% on average are right."""
    out: Shares = {}
    for part in (0.05, 0.2):
        a, b = 2.0, 2.0 / part - 2.0
        at = (np.arange(200_000) + 0.5) / 200_000
        p = stats.beta.ppf(at, a, b)
        asks: Asks = {
            "log loss": (
                float(np.mean(-p * np.log(p) - (1 - p) * np.log1p(-p))), lambda y, q: mean_interval(log_losses(y, q))
            ),
            "Brier score": (float(np.mean(p * (1 - p))), lambda y, q: mean_interval(brier_losses(y, q))),
            "Cox's slope": (1.0, lambda y, q: recalibration(y, q).slope),
            "ECE": (0.0, calibration_error),
        }  # fmt: skip

        def sample(random: Any, first: float = a, second: float = b) -> tuple[Any, Any]:
            said = random.beta(first, second, 1000)
            return random.random(1000) < said, said

        out |= shares(f"{part:.0%} of 1,000", asks, sample)
    return out


def _days(random: Any, days: int, rows: int = 40) -> tuple[Any, Any, Any]:
    """Outcomes that a day makes alike, and the probability of a model that knows half of it."""
    day = np.repeat(np.arange(days), rows)
    skill, shift = random.normal(size=day.size), random.normal(0, 0.7, days)[day]
    return (
        random.random(day.size) < 1 / (1 + np.exp(1.5 - skill - shift)),
        1 / (1 + np.exp(1.5 - skill - shift / 2)),
        day,
    )


def days() -> Shares:
    """Rows clustered by day, 15 and 30 of them; the truths are those of 50,000 days."""
    y, p, _ = _days(np.random.default_rng(10**6), 50_000)
    from backstay.evaluation import auc

    truths = (auc(y, p), average_precision(y, p), float(log_losses(y, p).mean()), float(brier_losses(y, p).mean()))
    out: Shares = {}
    for count in (15, 30):
        asks: Asks = {
            "AUC": (truths[0], auc_interval),
            "average precision": (truths[1], average_precision_interval),
            "log loss": (truths[2], lambda o, q, day: mean_interval(log_losses(o, q), day)),
            "Brier score": (truths[3], lambda o, q, day: mean_interval(brier_losses(o, q), day)),
        }
        out |= shares(f"{count} days of 40", asks, lambda random, some=count: _days(random, some))
    return out


def decisions() -> Shares:
    """F1 of decisions of known recall and false positive rate, 5% and 20% of 500 rows."""
    out: Shares = {}
    for part in (0.05, 0.2):
        truth = 2 * part * 0.6 / (part + part * 0.6 + (1 - part) * 0.1)

        def sample(random: Any, share: float = part) -> tuple[Any, Any]:
            outcome = random.random(500) < share
            return outcome, random.random(500) < np.where(outcome, 0.6, 0.1)

        out |= shares(f"{part:.0%} of 500", {"F1": (truth, f_beta_interval)}, sample)
    return out


def superiority() -> Shares:
    """How often one of two equally good models is called better, over 20 days of 30 rows."""
    return _called(0.0)


def non_inferiority() -> Shares:
    """How often a model that is worse by the very margin is called no worse than that: the log loss, by 20 days."""
    return _called(0.4, {"log_loss": -_worse(0.4)})


def _models(random: Any, days: int, worse: float) -> tuple[Any, ...]:
    day = np.repeat(np.arange(days), 30)
    skill, shift = random.normal(size=day.size), random.normal(0, 0.5, days)[day]
    y = random.random(day.size) < 1 / (1 + np.exp(1 - skill - shift))
    noise = (random.normal(0, 0.7, day.size), random.normal(0, 0.7 + worse, day.size))
    return y, *(1 / (1 + np.exp(1 - skill - one)) for one in noise), day


def _worse(noise: float) -> float:
    y, first, second, _ = _models(np.random.default_rng(10**6), 100_000, noise)
    return float((log_losses(y, second) - log_losses(y, first)).mean())


def _called(worse: float, margins: dict[str, float] | None = None) -> Shares:
    called: dict[str, list[bool]] = {}
    for seed in range(TIMES):
        y, first, second, day = _models(np.random.default_rng(seed), 20, worse)
        found = compare(
            y, first, second, clusters=day, threshold=0.4, cost=Costs(1, 2), k=60, margins=margins
        ).gains  # fmt: skip
        for metric in margins or found:
            called.setdefault(metric, []).append(found[metric].shown is True)
    return {metric: float(np.mean(some)) for metric, some in called.items()} | {"times": TIMES}
