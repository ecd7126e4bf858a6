"""Partial pooling: what small cells borrow from the others.

The true rates of the cells are taken as draws of one Beta distribution, of which the cells themselves tell the mean and
the spread (the beta-binomial hierarchy of Gelman et al., Bayesian Data Analysis, 5.3, on a grid). A cell's rate is then
its own rows and the worth of some rows of the others: a cell of 3 rows is mostly its neighbours, one of 3,000 mostly
itself. What is not known about that distribution is in the interval too; with a best guess put in its place, intervals
of 95% were seen to cover 83%.

    ok       to read a table with small cells in it, or to choose where to look
    not ok   to show that groups are treated alike: what is borrowed makes them alike. No gap is made of it
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backstay.evaluation.fairness.cells import Floats
from backstay.evaluation.fairness.rates import Shares
from backstay.evaluation.interval import Estimate, Insufficient, Interval
from backstay.evaluation.quantiles import beta_quantiles, level_tails, log_beta

_MEANS, _WORTHS = 41, 31
"""The grid's sizes: of the distribution's mean, and of what it is worth in rows."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Distributions that the cells' rates may come from, each with its probability: Beta(a, b)."""

    a: Floats
    b: Floats
    weight: Floats

    @property
    def worth(self) -> float:
        """How many rows of the others a cell borrows, on average over what is possible (the median)."""
        total = self.a + self.b
        order = np.argsort(total)
        return float(total[order][np.searchsorted(np.cumsum(self.weight[order]), 0.5)])


def grid(hits: Floats, n: Floats) -> Grid | None:
    """What the cells tell about the distribution of their rates; None with fewer than two cells, or no variation.

    The prior is flat in the mean and in the correlation of two rows of one cell, 1 / (worth + 1) (a uniform shrinkage
    prior: Daniels 1999).

    >>> found = grid(np.array([50.0, 30.0, 10.0]), np.array([100.0, 100.0, 100.0]))
    >>> round(found.worth, 1), round(float(np.sum(found.weight)), 6)
    (3.4, 1.0)
    """
    there = n > 0
    k, size = hits[there], n[there]
    if k.size < 2 or not 0.0 < k.sum() < size.sum():
        return None
    mean = (np.arange(_MEANS) + 0.5) / _MEANS
    pool = float(k.sum() / size.sum())
    near = pool + np.linspace(-4, 4, _MEANS) * np.sqrt(pool * (1 - pool) / k.size)  # finer where it will be
    mean = np.unique(np.concatenate([mean, near[(near > 0) & (near < 1)]]))
    worth = np.geomspace(0.25, max(float(size.sum()), 1.0), _WORTHS)
    a, b = (np.outer(one, worth) for one in (mean, 1 - mean))
    likely = sum(log_beta(a + hit, b + of - hit) - log_beta(a, b) for hit, of in zip(k, size, strict=True))
    prior = np.outer(np.gradient(mean), worth / np.square(worth + 1))  # the grid is even in the logarithm of the worth
    weight = np.exp(likely - np.max(likely)) * prior
    return Grid(a.ravel(), b.ravel(), (weight / weight.sum()).ravel())


def pooled(found: Shares, level: float = 0.95) -> tuple[Estimate, ...]:
    """Each cell's rate with what it borrows from the others, and its credible interval; by effective rows.

    The interval is that of the Beta distribution with the mean and variance of what is left possible. Cells without a
    row stay without a number, and all do where there is nothing to borrow: fewer than two cells, or a rate that is 0 or
    1 in all of them.
    """
    worth = np.minimum(found.effective, found.n)
    hits = found.share * worth
    among = grid(hits, worth)
    if among is None:
        return tuple(Insufficient("there is nothing to borrow from", int(n)) for n in found.n)
    middle, spread = np.empty(found.n.size), np.empty(found.n.size)
    for cell, (hit, of) in enumerate(zip(hits, worth, strict=True)):
        a, total = among.a + hit, among.a + among.b + of
        mean = a / total
        middle[cell] = float(np.sum(among.weight * mean))
        square = mean * (1 - mean) / (total + 1) + np.square(mean - middle[cell])
        spread[cell] = float(np.sum(among.weight * square))
    strength = middle * (1 - middle) / spread - 1
    lower, upper = (beta_quantiles(tail, middle * strength, (1 - middle) * strength) for tail in level_tails(level))
    return tuple(
        Interval(float(p), float(min(lo, p)), float(max(hi, p)), level, int(n), int(g))
        if n
        else Insufficient("there are no rows", 0)
        for p, lo, hi, n, g in zip(middle, lower, upper, found.n, found.clusters, strict=True)
    )
