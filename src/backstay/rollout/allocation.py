"""Which arm gets which share next: **Thompson sampling** and **epsilon-greedy**, by batch and without a random number.

Between two ticks the shares stay as they are, so that each prediction's propensity is one number that was known before.
Thompson's share of an arm is the probability that it is the best, given what was seen: of batches the same as drawing
anew for each entity (Thompson 1933; Chapelle and Li 2011). It is computed and not drawn, so a replay gets it again.

>>> seen = [Seen(0.10, 1_000), Seen(0.13, 1_000)]
>>> [round(share, 3) for share in thompson(seen, floor=0.05)]
[0.066, 0.934]
>>> [round(share, 3) for share in epsilon_greedy(seen, floor=0.05, better="lower")]
[0.95, 0.05]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.quantiles import beta_shares

REACH = np.linspace(-8.0, 8.0, 129)
"""Where each posterior is looked at, in its standard deviations from its mean."""


@dataclass(frozen=True, slots=True)
class Seen(Shown):
    """What is known of an arm: the mean of its metric, and of how many entities, effectively. Nothing: 0 of 0."""

    mean: float
    entities: float


def thompson(seen: Sequence[Seen], *, floor: float, better: str = "higher") -> tuple[float, ...]:
    """The shares of arms whose metric is between 0 and 1: the probability of being the best, and a floor for each.

    The posterior of each is Beta(1 + hits, 1 + misses). `InputError` for a floor that so many arms cannot have.
    """
    _check(seen, floor, better)
    means = [min(max(one.mean, 0.0), 1.0) for one in seen]
    if better == "lower":
        means = [1.0 - one for one in means]
    a = np.array([1.0 + mean * one.entities for mean, one in zip(means, seen, strict=True)])
    b = np.array([1.0 + (1.0 - mean) * one.entities for mean, one in zip(means, seen, strict=True)])
    middle, spread = a / (a + b), np.sqrt(a * b / (a + b + 1.0)) / (a + b)
    points = np.unique(np.clip(np.append((middle[:, None] + spread[:, None] * REACH).ravel(), [0.0, 1.0]), 0.0, 1.0))
    below = beta_shares(points, a[:, None], b[:, None])  # shape (arms, points)
    mass, beside = np.diff(below), (below[:, 1:] + below[:, :-1]) / 2.0
    others = [np.delete(beside, place, axis=0).prod(axis=0) for place in range(len(seen))]
    best = (mass * np.array(others)).sum(axis=1)
    return _floored((best / best.sum()).tolist(), floor)


def epsilon_greedy(seen: Sequence[Seen], *, floor: float, better: str = "higher") -> tuple[float, ...]:
    """Each arm has the floor, and the best so far the rest; arms that seem alike share it, as do arms not yet seen."""
    _check(seen, floor, better)
    if not all(one.entities > 0 for one in seen):
        return _floored([1.0 / len(seen)] * len(seen), floor)
    sign = 1.0 if better == "higher" else -1.0
    values = [sign * one.mean for one in seen]
    first = [value == max(values) for value in values]
    return _floored([one / sum(first) for one in first], floor)


def _floored(best: Sequence[float], floor: float) -> tuple[float, ...]:
    free = 1.0 - floor * len(best)
    return tuple(floor + free * one for one in best)


def _check(seen: Sequence[Seen], floor: float, better: str) -> None:
    if better not in ("higher", "lower"):
        raise InputError(f"better is {better!r}", where="better", expected="'higher' or 'lower'")
    if len(seen) < 2 or not 0.0 <= floor * len(seen) <= 1.0:
        found = f"a floor of {floor:g} for {len(seen)} arms"
        raise InputError(found, where="floor", expected="two arms or more, and floors of 1 in all at the most")
