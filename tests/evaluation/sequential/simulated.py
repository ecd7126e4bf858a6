"""Simulated canaries: what a harm test finds, and how often it cries harm where there is none, beside two others.

    ours      `HarmTest`, looked at after every block
    peeked    a z-test of fixed size (two shares, pooled; one-sided), looked at after every block
    fixed     the same z-test at the last look only: no test that may stop earlier can find more

`python3 -m tests.evaluation.sequential.simulated` prints the table of all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from backstay.evaluation.sequential.rates import log_bets, log_mixture

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TIMES, LOOKS, ALPHA = 2_000, 100, 0.01
MOST = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / TIMES)
"""False alarms of a test that keeps its level, in so many simulations: two Monte Carlo errors above it."""


@dataclass(frozen=True)
class Served:
    """What two arms served in each block: requests, shape (looks), and harms, shape (times, looks)."""

    candidate_requests: Floats
    champion_requests: Floats
    candidate_harms: Floats
    champion_harms: Floats


def served(candidate: ArrayLike, champion: ArrayLike, requests: ArrayLike, others: ArrayLike, seed: int) -> Served:
    """Errors at these rates; each is one number, or one for each look."""
    rng, shape = np.random.default_rng(seed), (TIMES, LOOKS)
    n, m = np.broadcast_to(requests, LOOKS).astype(int), np.broadcast_to(others, LOOKS).astype(int)
    mine, theirs = rng.binomial(n, candidate, shape), rng.binomial(m, champion, shape)
    return Served(n.astype(float), m.astype(float), mine.astype(float), theirs.astype(float))


def ours(canary: Served, ratio: float = 1.0, margin: float = 0.0, alpha: float = ALPHA) -> Bools:
    """Where the e-value is at 1 / alpha or above, shape (times, looks)."""
    won = log_bets(
        canary.candidate_requests,
        canary.candidate_harms,
        canary.champion_requests,
        canary.champion_harms,
        ratio,
        margin,
    )
    return np.asarray(log_mixture(np.cumsum(won, axis=1)) >= -math.log(alpha))


def z_test(canary: Served, alpha: float = ALPHA) -> Bools:
    """Where the z of all so far is above the quantile, shape (times, looks)."""
    n, m = np.cumsum(canary.candidate_requests), np.cumsum(canary.champion_requests)
    x, y = np.cumsum(canary.candidate_harms, axis=1), np.cumsum(canary.champion_harms, axis=1)
    pooled = (x + y) / (n + m)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n + 1 / m))
    return np.asarray((x / n - y / m) / error >= stats.norm.ppf(1 - alpha))


@dataclass(frozen=True)
class Row:
    """One line of the table: in which share of the simulations each test found harm.

    median: the candidate's requests by which half of ours had found it; infinite where half never had
    peeked, fixed: None where harm is allowed that the z-test knows nothing of
    """

    case: str
    ours: float
    median: float
    peeked: float | None
    fixed: float | None

    def __str__(self) -> str:
        median = f"{self.median:,.0f}" if math.isfinite(self.median) else "-"
        others = ["-" if one is None else f"{one:.2%}" for one in (self.peeked, self.fixed)]
        return f"{self.case:<44}{self.ours:>8.2%}{median:>8}{others[0]:>10}{others[1]:>9}"


HEAD = f"{'case':<44}{'ours':>8}{'median':>8}{'peeked z':>10}{'fixed z':>9}"


def row(case: str, canary: Served, ratio: float = 1.0, margin: float = 0.0) -> Row:
    """The line of one case, where so much harm is allowed."""
    found, peeked = ours(canary, ratio, margin), z_test(canary)
    first = np.where(found.any(axis=1), np.cumsum(canary.candidate_requests)[found.argmax(axis=1)], np.inf)
    known = (ratio, margin) == (1.0, 0.0)
    others = (_any(peeked), float(peeked[:, -1].mean())) if known else (None, None)
    return Row(case, _any(found), float(np.median(first)), *others)


def _any(found: Bools) -> float:
    return float(found.any(axis=1).mean())


RAMP = np.repeat([10, 50, 250], [34, 33, 33])
"""The candidate's requests of 1,000 in each block: 1%, then 5%, then 25%."""
TIDE = 0.02 + 0.015 * np.sin(np.arange(LOOKS) / 8)
"""A rate that comes and goes, the same for both arms."""


def harmless() -> list[Row]:
    """No true harm, or as much as is allowed and no more: what is shown here is shown falsely."""
    seeds = iter(range(100, 200))
    cases: list[tuple[str, Callable[[], Served], float, float]] = [
        ("2% = 2%, 5,000 an arm", lambda: served(0.02, 0.02, 50, 50, next(seeds)), 1.0, 0.0),
        ("2% = 2%, 10,000 an arm", lambda: served(0.02, 0.02, 100, 100, next(seeds)), 1.0, 0.0),
        ("1% = 1%, 10,000 an arm", lambda: served(0.01, 0.01, 100, 100, next(seeds)), 1.0, 0.0),
        ("2% = 2%, 100,000 an arm", lambda: served(0.02, 0.02, 1_000, 1_000, next(seeds)), 1.0, 0.0),
        ("2% = 2%, shares 1%, 5%, 25%", lambda: served(0.02, 0.02, RAMP, 1_000 - RAMP, next(seeds)), 1.0, 0.0),
        (
            "a tide of .5% to 3.5%, shares 1%, 5%, 25%",
            lambda: served(TIDE, TIDE, RAMP, 1_000 - RAMP, next(seeds)),
            1.0,
            0.0,
        ),
        ("30% = 30%, 10,000 an arm", lambda: served(0.3, 0.3, 100, 100, next(seeds)), 1.0, 0.0),
        ("2.4%, allowed 1.2 x 2%", lambda: served(0.024, 0.02, 100, 100, next(seeds)), 1.2, 0.0),
        ("2.5%, allowed 2% + .5%", lambda: served(0.025, 0.02, 100, 100, next(seeds)), 1.0, 0.005),
    ]
    return [row(case, draw(), ratio, margin) for case, draw, ratio, margin in cases]


def harmful() -> list[Row]:
    """True harm, by the bars."""
    return [
        row("2% to 4%, 5,000 an arm", served(0.04, 0.02, 50, 50, 11)),
        row("2% to 3%, 10,000 an arm", served(0.03, 0.02, 100, 100, 12)),
        row("1% to 2%, 10,000 an arm", served(0.02, 0.01, 100, 100, 13)),
        row("2% to 4%, shares 1%, 5%, 25%", served(0.04, 0.02, RAMP, 1_000 - RAMP, 14)),
    ]


def leaning() -> list[Row]:
    """No true harm, of 1,000 entities an arm that stay in it; 1% of all always fail, the others 1% of the time.

    As requests, an arm keeps the failing entities that the lot gave it; as entities, each counts once.
    """
    lot = np.random.default_rng(15).binomial(1_000, 0.01, (2, TIMES, 1)) / 1_000
    mine, theirs = 0.99 * lot + 0.01
    return [
        row("1,000 entities an arm, their requests", served(mine, theirs, 100, 100, 16)),
        row("1,000 entities an arm, each counted once", served(0.0199, 0.0199, 10, 10, 17)),
    ]


def table(rows: list[Row]) -> str:
    return "\n".join([HEAD, *map(str, rows)])


if __name__ == "__main__":
    allowed = f"{TIMES:,} simulations of {LOOKS} looks each, alpha {ALPHA:.0%}; false alarms: at most {MOST:.2%}"
    print(allowed, table(harmless()), table(harmful()), table(leaning()), sep="\n\n")  # noqa: T201
