"""Shares with intervals: `hits` of `n` rows. A share of nothing has none: `NotEnough`.

    exact    Clopper and Pearson (1934): covers at least its level, whatever n and the share are
    wilson   Wilson (1927): covers its level on average over shares, and is narrower: for estimates, not for gates

The usual estimate plus or minus two standard errors is neither: of 0 hits in 20 it makes [0, 0].

>>> print(exact(0, 20))
+0.0000 [+0.0000, +0.1684]
>>> print(wilson(0, 20))
+0.0000 [+0.0000, +0.1611]
"""

from __future__ import annotations

import math

from backstay.core.errors import InputError
from backstay.evaluation.interval import Interval, NotEnough
from backstay.evaluation.quantiles import beta_quantile, level_tails, normal_quantile


def exact(hits: int, n: int, level: float = 0.95) -> Interval:
    """The share hits / n with its exact interval (Clopper and Pearson 1934), by the quantiles of Beta distributions."""
    _check(hits, n)
    low, high = level_tails(level)
    lower = beta_quantile(low, hits, n - hits + 1) if hits else 0.0
    upper = beta_quantile(high, hits + 1, n - hits) if hits < n else 1.0
    return Interval(hits / n, lower, upper, level, n, n)


def wilson(hits: int, n: int, level: float = 0.95) -> Interval:
    """The share hits / n with the interval of the score test (Wilson 1927)."""
    _check(hits, n)
    z = normal_quantile(level_tails(level)[1])
    share, square = hits / n, z * z / n
    middle = (share + square / 2) / (1 + square)
    reach = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    low = 0.0 if hits == 0 else min(max(middle - reach, 0.0), share)
    high = 1.0 if hits == n else max(min(middle + reach, 1.0), share)
    return Interval(share, low, high, level, n, n)


def _check(hits: int, n: int) -> None:
    if not 0 <= hits <= n:
        raise InputError(f"{hits} of {n} is no share", expected="between 0 and all of them")
    if n == 0:
        raise NotEnough("there are no rows", expected="at least one")
