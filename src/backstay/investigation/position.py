"""Position bias: what stands higher is looked at more, and so clicked more, whatever it is worth.

    P(click) = P(examined at this position) x P(relevant)                (the examination hypothesis, Richardson 2007)

How likely a row is examined at a position, its **propensity**, is found without a new experiment:

    harvested        the same item stood at different positions, because several versions or tie breaks ranked it, or
                     pairs were swapped: what it was clicked at one and at the other differs by the position alone
                     (intervention harvesting: Agarwal, Zaitsev, Wang, Li, Najork and Joachims 2019)
    regression-EM    no item moved: what it is worth is modelled by its features (Wang, Golbandi, Bendersky, Metzler and
                     Najork 2018). It rests on that model, and on features that do not tell the position

Both are relative to the first position, which is all that can be known of clicks. With them a click at a position
counts for 1 / propensity clicks at the first: quality then speaks of relevance, not of places (`corrected`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.core.show import Shown
from backstay.evaluation.influence import Linear, cluster_codes, cluster_sums
from backstay.evaluation.interval import Insufficient, Interval
from backstay.evaluation.logistic import expits, greatest_likelihood
from backstay.evaluation.metrics import as_outcome
from backstay.evaluation.quantiles import chi2_tail, level_tails, student_quantile
from backstay.investigation.weighted import weighted_quality

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DEPTH = 20
"""Positions, from the first, that propensities are told of; what stands below has none."""
CLICKS = 10.0
"""Clicks of items that moved, below which a position has no propensity."""
ITEMS = 30
"""Items that moved and were clicked, below which nothing is harvested."""
FLOOR = 0.02
"""The smallest propensity that a click is divided by."""


@dataclass(frozen=True, slots=True)
class Propensities(Shown):
    """How likely a row is examined at each position, relative to the first of them.

    method:    "harvested" or "regression-em"
    positions: in order; relative: as many, the first is 1 exactly
    slope:     eta of the propensity 1 / position^eta that fits best: 0 where positions do not matter
    flat:      the probability to find so much if all positions were alike (Wald's test)
    items:     items that stood at several positions and were clicked; of regression-EM, the positions
    """

    method: str
    positions: tuple[int, ...]
    relative: tuple[Interval, ...]
    slope: Interval
    flat: float
    items: int
    rows: int

    def of(self, position: ArrayLike) -> Floats:
        """The propensity of each row by its position, shape (rows,), at least `FLOOR`; NaN: none is known."""
        known = np.asarray(self.positions, np.int64)
        asked = np.asarray(position, np.float64)
        place = np.minimum(np.searchsorted(known, asked), known.size - 1)
        values = np.maximum([one.estimate for one in self.relative], FLOOR)
        return np.asarray(np.where(known[place] == asked, values[place], np.nan), np.float64)


def harvested(
    item: ArrayLike, position: ArrayLike, clicked: ArrayLike, *, level: float = 0.95, depth: int = DEPTH
) -> Propensities | Insufficient:
    """Propensities from items that stood at several positions.

    item:     what has one relevance wherever it stands, such as query and document; one label a row
    position: from 1, whole numbers; NaN: it was not logged, and the row is left out. clicked: 0 or 1

    Which position an item got must not hang on what it was worth at that moment: of two versions' rankings, or swaps,
    it does not. The clicks of one item are split over its positions in proportion to impressions x propensity, whatever
    its relevance: the conditional likelihood of Poisson clicks, whose score is unbiased whatever clicks' distribution
    is; the sandwich over items is its variance. Newton's method.

    >>> rng = np.random.default_rng(0)
    >>> item, position = np.repeat(np.arange(3000), 3), np.tile([1, 2, 4], 3000)
    >>> relevance = np.repeat(rng.beta(2, 4, 3000), 3)
    >>> found = harvested(item, position, rng.random(9000) < relevance / position)
    >>> [round(one.estimate, 1) for one in found.relative], found.slope.low < 1 < found.slope.high
    ([1.0, 0.5, 0.3], True)
    """
    items, places, y = _read(item, position, clicked, depth)
    table = _counts(items, places, y)
    if table is None:
        return Insufficient("no item that was clicked stood at several positions", y.size)
    shown, clicks, positions = table
    if len(clicks) < ITEMS:
        return Insufficient(
            f"{len(clicks)} items that were clicked stood at several positions; {ITEMS} are needed", y.size
        )
    found = _conditional(shown, clicks)
    if found is None:
        return Insufficient("the positions are not tied together by items that moved between them", y.size)
    theta, variance = found
    return _told("harvested", positions, theta, variance, len(clicks), y.size, level)


def regression_em(
    features: ArrayLike, position: ArrayLike, clicked: ArrayLike, *, clusters: ArrayLike | None = None,
    level: float = 0.95, depth: int = DEPTH,
) -> Propensities | Insufficient:  # fmt: skip
    """Propensities where relevance is a logistic regression on features, both fitted together.

    features: shape (rows, columns), finite, of what is shown and not of where. position, clicked: as for `harvested`
    clusters: one label a row, such as its query; for the intervals

    The likelihood is regression-EM's; it is climbed by Fisher's scoring, whose curvature the intervals need. The first
    position is taken to be examined always. `Insufficient` where the likelihood has no top.
    """
    x = np.asarray(features, np.float64)
    x = x[:, None] if x.ndim == 1 else x
    places = np.asarray(position, np.float64)
    y = as_outcome(clicked).astype(np.float64)
    if len(x) != y.size or places.size != y.size or not np.isfinite(x).all():
        raise InputError("features are not one finite row a click", where="features", expected=f"{y.size} rows")
    kept = np.isfinite(places) & (places <= depth)
    for one in np.unique(places[kept]).tolist():
        if y[kept & (places == one)].sum() < CLICKS:
            kept &= places != one
    x, y, places = x[kept], y[kept], places[kept]
    positions, code = np.unique(places.astype(np.int64), return_inverse=True)
    if positions.size < 2:
        return Insufficient(f"{positions.size} positions have {CLICKS:g} clicks", int(kept.sum()))
    spread = x.std(axis=0)
    x = np.column_stack([np.ones(y.size), (x[:, spread > 0] - x[:, spread > 0].mean(axis=0)) / spread[spread > 0]])
    groups = None if clusters is None else np.asarray(clusters)[kept]
    found = _scored(x, code.astype(np.int64), y, positions, groups)
    if found is None:
        return Insufficient("relevance and position cannot be told apart by these features", y.size)
    return _told("regression-em", positions, *found, positions.size, y.size, level)


def corrected(metric: str, clicked: ArrayLike, score: ArrayLike, propensity: ArrayLike) -> Linear:
    """Quality by relevance: as if every row had stood at the first position (inverse propensity).

    metric: "auc", "log_loss" or "brier"; propensity: shape (rows,), in (0, 1] as `Propensities.of` gives it, or above

    Rows without a propensity must be left out before. Errors as for `weighted_quality`; the interval of what is
    returned is `linear_interval`'s, and does not hold how unsure the propensities are.

    >>> round(corrected("auc", [1, 0, 1, 0], [0.8, 0.3, 0.4, 0.5], [1, 1, 1, 1]).estimate, 2)
    0.75
    """
    y = as_outcome(clicked).astype(np.float64)
    p = np.asarray(propensity, np.float64)
    if p.size != y.size or not (p > 0.0).all():
        raise InputError("a propensity is not above 0", where="propensity", expected="one for each row, above 0")
    ones = y / p
    return weighted_quality(metric, score, ones, 1.0 - ones)


def _read(item: ArrayLike, position: ArrayLike, clicked: ArrayLike, depth: int) -> tuple[Ints, Ints, Floats]:
    y = as_outcome(clicked).astype(np.float64)
    places, labels = np.asarray(position, np.float64), np.asarray(item)
    if not labels.size == places.size == y.size:
        found = f"there are {labels.size} items, {places.size} positions and {y.size} clicks"
        raise InputError(found, where="item", expected="one of each a row")
    kept = np.isfinite(places) & (places <= depth)
    if (places[kept] != np.rint(places[kept])).any() or (places[kept] < 1).any():
        raise InputError("a position is no whole number from 1", where="position", expected="1, 2, 3 and so on")
    _, codes = np.unique(labels[kept], return_inverse=True)
    return codes.astype(np.int64), places[kept].astype(np.int64), y[kept]


def _counts(items: Ints, places: Ints, y: Floats) -> tuple[Floats, Floats, Ints] | None:
    """Impressions and clicks by item and position, of items that moved and were clicked; and the positions.

    Positions with few clicks, or that no chain of items ties to the first, are left out.
    """
    if not items.size:
        return None
    positions, code = np.unique(places, return_inverse=True)
    size, width = int(items.max()) + 1, positions.size
    cell = items * width + code
    shown = np.bincount(cell, minlength=size * width).reshape(size, width).astype(np.float64)
    clicks = np.bincount(cell, weights=y, minlength=size * width).reshape(size, width)
    kept = np.arange(width)
    while True:
        n, c = shown[:, kept], clicks[:, kept]
        moved = ((n > 0).sum(axis=1) > 1) & (c.sum(axis=1) > 0)
        n, c = n[moved], c[moved]
        there = c.sum(axis=0) >= CLICKS
        tied = there & _reached(n > 0, there)
        if tied.all():
            return (n, c, positions[kept]) if kept.size > 1 else None
        if tied.sum() < 2:
            return None
        kept = kept[tied]


def _reached(stood: NDArray[np.bool_], there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The positions that items tie to the first one that is there."""
    tie = (stood.astype(np.float64).T @ stood > 0) & there & there[:, None]
    seen = np.zeros(there.size, np.bool_)
    seen[int(np.argmax(there))] = there.any()
    for _ in range(there.size):
        seen = seen | (tie & seen).any(axis=1)
    return seen


def _conditional(shown: Floats, clicks: Floats) -> tuple[Floats, Floats] | None:
    """The logarithms of the propensities but the first, and their variance."""
    total, width = clicks.sum(axis=1), shown.shape[1]
    theta = np.zeros(width)
    for _ in range(100):
        share = shown * np.exp(theta)
        share /= share.sum(axis=1, keepdims=True)
        scores = (clicks - total[:, None] * share)[:, 1:]
        curved = np.diag((total[:, None] * share).sum(axis=0)) - (share * total[:, None]).T @ share
        try:
            step = np.linalg.solve(curved[1:, 1:], scores.sum(axis=0))
        except np.linalg.LinAlgError:
            return None
        largest = float(np.abs(step).max())
        if not math.isfinite(largest):
            return None
        theta[1:] += step * min(1.0, 1.0 / max(largest, 1e-300))
        if largest < 1e-9:
            around = np.linalg.inv(curved[1:, 1:])
            middle = scores.T @ scores * len(total) / (len(total) - 1)
            return theta[1:], around @ middle @ around
    return None


def _scored(
    x: Floats, code: Ints, y: Floats, positions: Ints, clusters: ArrayLike | None
) -> tuple[Floats, Floats] | None:
    """The same of the model P(click) = propensity x logistic(features), by Fisher's scoring."""
    start = greatest_likelihood(x, y, ridge=1e-6)
    if start is None:
        return None
    width = positions.size - 1
    here = (code[:, None] == np.arange(1, width + 1)).astype(np.float64)
    rate = np.array([y[code == place].mean() for place in range(width + 1)])
    weights = np.concatenate([np.log(np.minimum(rate[1:] / rate[0], 1.0)), start[0]])
    loss = math.inf
    for _ in range(200):
        p, gamma = _clicked(weights, here, x, width)
        design = np.column_stack([here, (1.0 - gamma)[:, None] * x])
        part = (y - p) / (1.0 - p)
        curved = (design * (p / (1.0 - p))[:, None]).T @ design + 1e-9 * np.eye(design.shape[1])
        step = np.linalg.solve(curved, design.T @ part)
        if not np.isfinite(step).all():
            return None
        for halving in range(30):
            tried = weights + step / 2**halving
            q = _clicked(tried, here, x, width)[0]
            new = -float(np.sum(y * np.log(q) + (1.0 - y) * np.log1p(-q)))
            if new <= loss:
                break
        weights, moved = tried, loss - new
        loss = new
        if moved < 1e-8 * max(1.0, abs(new)):
            break
    if float(np.abs(weights).max()) > 50.0:
        return None
    around = np.linalg.inv(curved)
    codes, groups = cluster_codes(clusters, rows=y.size)
    sums = design * part[:, None]
    if codes is not None:
        sums = np.column_stack([cluster_sums(column, codes, groups) for column in sums.T])
    variance = around @ (sums.T @ sums) @ around * groups / (groups - 1)
    return weights[:width], variance[:width, :width]


def _clicked(weights: Floats, here: Floats, x: Floats, width: int) -> tuple[Floats, Floats]:
    gamma = expits(x @ weights[width:])
    p = np.exp(np.minimum(here @ weights[:width], 5.0)) * gamma
    return np.clip(p, 1e-9, 1.0 - 1e-6), gamma


def _told(
    method: str, positions: Ints, theta: Floats, variance: Floats, items: int, rows: int, level: float
) -> Propensities | Insufficient:
    reach = student_quantile(level_tails(level)[1], max(items - 1, 1) if method == "harvested" else math.inf)
    error = np.sqrt(np.diag(variance))
    if not (np.isfinite(error).all() and (error > 0).all()):
        return Insufficient("the items that moved show no spread", rows)
    near, low, high = (np.exp(theta + sign * reach * error).tolist() for sign in (0.0, -1.0, 1.0))
    relative = [Interval(1.0, 1.0, 1.0, level, rows, items)]
    relative += [
        Interval(one, least, most, level, rows, items) for one, least, most in zip(near, low, high, strict=True)
    ]
    inverse = np.linalg.pinv(variance)
    x = -np.log(positions[1:] / positions[0])
    curved = float(x @ inverse @ x)
    eta, half = float(x @ inverse @ theta) / curved, reach / math.sqrt(curved)
    slope = Interval(eta, eta - half, eta + half, level, rows, items)
    flat = chi2_tail(float(theta @ inverse @ theta), float(theta.size))
    return Propensities(method, tuple(positions.tolist()), tuple(relative), slope, flat, items, rows)
