"""**CUPED**: what was known of an entity before the experiment explains part of its metric, and is taken out of it.

A metric that is r-correlated with what was known before keeps 1 - r^2 of its variance (Deng, Xu, Kohavi and Walker
2013), so that as much is shown of as many fewer entities. From each value theta x (covariate - centre) is taken, with
the same theta and centre for all arms: the lot gave each arm the same covariates on average, so no difference moves.

For a test that is looked at at any time, theta is of the blocks before: what adjusts a block was known before it, and
the adjusted values are as independent of the past as the others. The first block is not adjusted. Theta is pooled from
what each arm deviates from its own mean, so that an effect on the metric does not bend it.

    ok       a value of before the experiment; a feature of an entity's first request in it
    not ok   anything that an arm could have changed: the effect is taken out with it

>>> state, sequence = Cuped(), MeanDifference()
>>> rng = np.random.default_rng(0)
>>> for _ in range(20):
...     known = rng.normal(size=400)
...     values = 3 * known + rng.normal(size=400) + np.repeat([0.2, 0.0], 200)
...     mine, theirs = (values[:200], known[:200]), (values[200:], known[200:])
...     sequence = sequence.update(Moments.of(state.adjusted(*mine)), Moments.of(state.adjusted(*theirs)))
...     state = state.update([mine, theirs])
>>> round(state.theta, 1), round(state.explained, 2), sequence.reading().shown
(3.0, 0.9, True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.metrics import as_numbers
from backstay.evaluation.sequential import MeanDifference, Moments

Floats = NDArray[np.float64]
Arm = tuple[ArrayLike, ArrayLike]

__all__ = ["Cuped", "MeanDifference", "Moments"]

LEAST = 100
"""Entities with a covariate before anything is adjusted: a theta of few adds more noise than it takes away."""


@dataclass(frozen=True, slots=True)
class Cuped(Shown):
    """What the blocks so far say of theta: a few plain numbers, kept as `as_dict()` and taken up by `from_dict`.

    n, centre:               entities with a covariate, and its mean
    covariate, metric, both: sums of squares and of products, of deviations from each block's and arm's own mean
    """

    n: int = 0
    centre: float = 0.0
    covariate: float = 0.0
    metric: float = 0.0
    both: float = 0.0

    @property
    def theta(self) -> float:
        """By how much the metric rises with the covariate; 0 until `LEAST` entities were seen, or without spread."""
        return self.both / self.covariate if self.n >= LEAST and self.covariate > 0.0 else 0.0

    @property
    def explained(self) -> float:
        """The share of the metric's variance that goes: the squared correlation, among entities with a covariate."""
        spread = self.covariate * self.metric
        return self.both**2 / spread if self.n >= LEAST and spread > 0.0 else 0.0

    def adjusted(self, values: ArrayLike, covariate: ArrayLike) -> Floats:
        """The values of a block, shape (entities,), less what the covariate explains; one that is NaN explains nothing.

        Call it before `update` with the same block. `InputError` for lengths that differ, or an infinite covariate.
        """
        v, x = _pair(values, covariate)
        return v - self.theta * np.where(np.isnan(x), 0.0, x - self.centre)

    def update(self, arms: Sequence[Arm]) -> Cuped:
        """The state after one block: for each arm the values and the covariates of its entities."""
        n, centre, squares = self.n, self.centre, [self.covariate, self.metric, self.both]
        for values, covariate in arms:
            v, x = _pair(values, covariate)
            known = ~np.isnan(x)
            v, x = v[known], x[known]
            if not x.size:
                continue
            n += x.size
            centre += (float(x.mean()) - centre) * x.size / n
            apart, moved = x - x.mean(), v - v.mean()
            for place, one in enumerate((apart * apart, moved * moved, apart * moved)):
                squares[place] += float(one.sum())
        return Cuped(n, centre, *squares)

    def as_dict(self) -> dict[str, Any]:
        """What it says, and the state, as plain values; `from_dict` takes the state back."""
        kept = {name: getattr(self, name) for name in Cuped.__slots__}
        return {"theta": self.theta, "explained": self.explained, **kept}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Cuped:
        """The state that these plain values are."""
        return cls(**{name: told[name] for name in Cuped.__slots__})


def _pair(values: ArrayLike, covariate: ArrayLike) -> tuple[Floats, Floats]:
    v, x = as_numbers(values, "values"), as_numbers(covariate, "covariate")
    if v.size != x.size:
        raise InputError(f"there are {x.size} covariates of {v.size} values", where="covariate", expected="one each")
    if not np.isfinite(v).all() or np.isinf(x).any():
        raise InputError("a value is not finite", where="values", expected="finite values; NaN where none was known")
    return v, x
