"""Where the same rows have other outcomes: the bin of an input in which outcomes, less what was said, moved most."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backstay.core.show import Shown
from backstay.investigation.shift import Side

Floats = NDArray[np.float64]

BINS = 5
LEAST = 20.0
"""Effective rows that a bin needs on both sides."""


@dataclass(frozen=True, slots=True)
class Where(Shown):
    """A bin of an input: `low` < value <= `high`, None: no limit; both None: where it is missing.

    offline, online: by how much outcomes lay above what was said, in each
    strength: the difference over its error; examples: places of online rows
    """

    feature: str
    low: float | None
    high: float | None
    offline: float
    online: float
    strength: float
    examples: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "feature": self.feature, "above": self.low, "at_most": self.high, "offline": self.offline,
            "online": self.online, "strength": self.strength,
        }  # fmt: skip


def told_slice(one: Where) -> str:
    """In words.

    >>> told_slice(Where("amount", 3.0, None, 0.01, 0.2, 9.0))
    '`amount` > 3: outcomes lie +0.2000 above what was said, +0.0100 offline'
    """
    if one.low is None and one.high is None:
        where = f"`{one.feature}` is missing"
    elif one.low is None:
        where = f"`{one.feature}` <= {one.high:.4g}"
    elif one.high is None:
        where = f"`{one.feature}` > {one.low:.4g}"
    else:
        where = f"{one.low:.4g} < `{one.feature}` <= {one.high:.4g}"
    return f"{where}: outcomes lie {one.online:+.4f} above what was said, {one.offline:+.4f} offline"


def worst_slice(p: Side, q: Side, weights: tuple[Floats, Floats], names: tuple[str, ...]) -> Where | None:
    """The bin in which outcomes moved most, over the error of that; None where no bin has rows enough."""
    best: Where | None = None
    for place, name in enumerate(names):
        values = q.vector[:, place].astype(np.float64)
        there = values[np.isfinite(values) & q.counts]
        cuts = np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1])) if there.size else np.empty(0)
        codes = [np.where(np.isfinite(v), np.searchsorted(cuts, v, side="left"), cuts.size + 1)
                 for v in (p.vector[:, place].astype(np.float64), values)]  # fmt: skip
        for bin_ in range(cuts.size + 2):
            found = [_rest(side, w, code == bin_) for side, w, code in zip((p, q), weights, codes, strict=True)]
            if min(one[2] for one in found) < LEAST:
                continue
            strength = (found[1][0] - found[0][0]) / math.sqrt(found[0][1] + found[1][1] + 1e-12)
            if best is None or abs(strength) > abs(best.strength):
                low = None if bin_ in (0, cuts.size + 1) else float(cuts[bin_ - 1])
                high = None if bin_ >= cuts.size else float(cuts[bin_])
                best = Where(name, low, high, found[0][0], found[1][0], strength, _examples(q, codes[1] == bin_))
    return best


def _rest(side: Side, weight: Floats, member: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The mean of outcomes less scores of some rows, its variance, and the effective rows."""
    total = (side.ones + side.zeros) * weight * member
    mass = float(total.sum())
    if not mass > 0.0:
        return 0.0, math.inf, 0.0
    rest = side.ones * weight * member - total * side.score
    mean = float(rest.sum()) / mass
    variance = float(np.square(rest - mean * total).sum()) / mass**2
    return mean, variance, mass**2 / float(np.square(total).sum())


def _examples(q: Side, member: NDArray[np.bool_]) -> tuple[int, ...]:
    """The online rows in it whose outcome was furthest from what was said."""
    off = np.where(member & q.counts, np.abs(np.where(q.ones > 0.0, 1.0, 0.0) - q.score), -1.0)
    return tuple(place for place in np.argsort(-off, kind="stable")[:5].tolist() if off[place] >= 0.0)
