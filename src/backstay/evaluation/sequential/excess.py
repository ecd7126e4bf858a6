"""Is one rate above what is put up with? An **e-value** that may be looked at at any time.

It bets on rates above `allowed`. A bet on the odds t multiplies the stake, for a loss x in [0, 1], by

    (1 + x (t - 1)) / (1 + allowed (t - 1))

which is a fair bet or worse as long as the mean of x, given what came before, is at most `allowed`. The e-value is the
mean of the stakes over `ODDS`; where nothing is wrong it ever reaches 1 / alpha with a probability of at most alpha
(Ville 1939), however often one looks.

>>> import math
>>> round(math.exp(log_excess([0.0] * 95 + [1.0] * 5, 0.01)), 1), log_excess([0.0] * 99 + [1.0], 0.01) < 0
(11.2, True)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from backstay.core.errors import InputError
from backstay.evaluation.sequential.rates import ODDS, log_mixture


def log_excess(losses: ArrayLike, allowed: float) -> float:
    """The logarithm of the e-value against a rate of at most `allowed`; losses in [0, 1], shape (values,).

    Values lean on each other only through what came before: rows of one entity or of one batch are one value.
    Where nothing is allowed one loss is proof: infinite.
    """
    x = np.asarray(losses, np.float64)
    if not ((x >= 0.0) & (x <= 1.0)).all():
        raise InputError("a loss is not in [0, 1]", where="losses", expected="0 for a success, 1 for a failure")
    if not 0.0 <= allowed < 1.0:
        raise InputError(f"the rate {allowed:g} is allowed", where="allowed", expected="a share below 1")
    if allowed == 0.0 and x.any():
        return math.inf
    more = np.array(ODDS) - 1.0
    stakes = np.log1p(np.multiply.outer(more, x)).sum(axis=1) - x.size * np.log1p(allowed * more)
    return float(log_mixture(stakes))
