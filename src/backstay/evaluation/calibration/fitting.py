"""Fitting a calibrator, of the kind that the number of rows can bear.

What a calibrator may bend is bounded by the scarcer class: its count, not the rows', says how well a probability can be
known. The rule, after Niculescu-Mizil and Caruana (2005), who find isotonic regression to overfit below about a
thousand cases:

    fewer than 20      none: `NotEnough`
    20 to 199          platt      two numbers
    200 to 999         beta       three numbers
    1,000 or more      isotonic   as many steps as the rows show

Platt's and the beta calibrator's numbers are those of greatest likelihood with Platt's smoothed targets, (n₁ + 1) /
(n₁ + 2) and 1 / (n₀ + 2), so that classes that a score parts without error do not send them to infinity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.calibration.calibrator import CLIP, Calibrator, log_odds
from backstay.evaluation.interval import NotEnough
from backstay.evaluation.logistic import greatest_likelihood
from backstay.evaluation.metrics import as_outcome, as_scores

KINDS = ("platt", "beta", "isotonic")
LEAST, BETA_FROM, ISOTONIC_FROM = 20, 200, 1_000
"""Rows of the scarcer class: needed at all, and from which on the kind is chosen."""

Floats = NDArray[np.float64]


def fit_calibrator(outcome: ArrayLike, score: ArrayLike, kind: str | None = None) -> Calibrator:
    """Fit a calibrator on rows that the model has not learned from; without a `kind`, that which they can bear.

    outcome: 0 or 1 a row; score: finite, one a row. Where any lies outside [0, 1] they are taken as raw scores, which
    the beta calibrator has no form for. `InputError` for an unknown kind, NaN or infinite scores; `NotEnough` with
    fewer than 20 rows of a class, with one score only, or where the score falls with the outcome.
    The order of the rows does not matter.

    >>> rng = np.random.default_rng(1)
    >>> true = rng.uniform(0.05, 0.6, 5_000)
    >>> happened = rng.random(5_000) < true
    >>> overconfident = 1 / (1 + np.exp(-2 * log_odds(true)))
    >>> [round(number, 1) for number in fit_calibrator(happened, overconfident, "platt").numbers]
    [0.5, -0.1]
    """
    y, s = _checked(outcome, score)
    scarce = min(int(y.sum()), int((~y).sum()))
    chosen = kind or ("isotonic" if scarce >= ISOTONIC_FROM else "beta" if scarce >= BETA_FROM else "platt")
    raw = bool((s < 0).any() or (s > 1).any())
    if chosen not in KINDS:
        raise InputError(f"there is no calibrator of kind {chosen!r}", where="kind", expected=", ".join(KINDS))
    if chosen == "beta" and raw:
        if kind is not None:
            raise InputError("some scores are outside [0, 1]", where="score", expected="probabilities", fix="use platt")
        chosen = "platt"
    order = np.lexsort((y, s))
    y, s = y[order], s[order]
    if chosen == "isotonic":
        return _isotonic(y, s)
    return _platt(y, s, raw) if chosen == "platt" else _beta(y, s)


def _checked(outcome: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    y = as_outcome(outcome)
    s = as_scores(score, "score", rows=y.size)
    if not np.isfinite(s).all():
        raise InputError(f"{np.count_nonzero(~np.isfinite(s))} scores are infinite", where="score", expected="numbers")
    cases, rows = int(y.sum()), int(y.size)
    if min(cases, rows - cases) < LEAST:
        raise NotEnough(
            f"there are {cases} rows with outcome 1 and {rows - cases} with outcome 0", where="outcome",
            expected=f"at least {LEAST} of each", fix="calibrate on a longer span",
        )  # fmt: skip
    if s.min() == s.max():
        raise NotEnough("every row has the same score", where="score", expected="scores that differ")
    return y, s


def _platt(y: NDArray[np.bool_], s: Floats, raw: bool) -> Calibrator:
    x = s if raw else log_odds(s)
    middle, width = float(x.mean()), float(x.std()) or 1.0
    slope, offset = _fitted(np.column_stack([(x - middle) / width, np.ones_like(x)]), y)
    if slope <= 0:
        raise _falling()
    return Calibrator("platt", (slope / width, offset - slope * middle / width), raw=raw)


def _beta(y: NDArray[np.bool_], s: Floats) -> Calibrator:
    p = np.clip(s, CLIP, 1.0 - CLIP)
    first, second, one = np.log(p), -np.log1p(-p), np.ones_like(p)
    a, b, c = _fitted(np.column_stack([first, second, one]), y)
    if a < 0:  # the best that does not fall lies on the edge, where that number is 0
        a, (b, c) = 0.0, _fitted(np.column_stack([second, one]), y)
    elif b < 0:
        b, (a, c) = 0.0, _fitted(np.column_stack([first, one]), y)
    if a < 0 or b < 0:
        raise _falling()
    return Calibrator("beta", (a, b, c))


def _isotonic(y: NDArray[np.bool_], s: Floats) -> Calibrator:
    """Lines between the ends of the blocks, as scikit-learn draws them; the outer blocks never say 0 or 1."""
    values, starts, counts = np.unique(s, return_index=True, return_counts=True)
    hits = np.add.reduceat(y.astype(np.float64), starts)
    fitted = _scipy_isotonic()(hits / counts, weights=counts.astype(np.float64))
    level = np.asarray(fitted.x, np.float64)
    blocks = np.asarray(fitted.blocks, np.int64)
    if len(blocks) < 3:  # one block: nothing rises
        raise _falling()
    sizes = np.add.reduceat(counts, blocks[:-1])
    level = _off_the_ends(level, blocks, sizes)
    edges = np.unique(np.concatenate([blocks[:-1], blocks[1:] - 1]))
    return Calibrator("isotonic", points=tuple(zip(values[edges].tolist(), level[edges].tolist(), strict=True)))


def _off_the_ends(level: Floats, blocks: NDArray[np.int64], sizes: NDArray[np.int64]) -> Floats:
    """0 of n becomes half a case of n + 1 (and n of n the same from above), but passes no other block."""
    out, first, last = level.copy(), level[blocks[1]], level[blocks[-2] - 1]
    if level[0] <= 0.0:
        out[: blocks[1]] = min(0.5 / (int(sizes[0]) + 1), float(first) / 2)
    if level[-1] >= 1.0:
        out[blocks[-2] :] = max(1 - 0.5 / (int(sizes[-1]) + 1), (1 + float(last)) / 2)
    return out


def _fitted(design: Floats, y: NDArray[np.bool_]) -> tuple[float, ...]:
    """The weights of a logistic regression on Platt's targets; two scores only make columns that say the same."""
    cases, rows = int(y.sum()), int(y.size)
    target = np.where(y, (cases + 1) / (cases + 2), 1 / (rows - cases + 2))
    fitted = greatest_likelihood(design, target, ridge=1e-12)
    if fitted is None:
        raise NotEnough("no curve can be fitted to these scores", where="score", expected="scores that differ more")
    return tuple(fitted[0].tolist())


def _falling() -> NotEnough:
    return NotEnough(
        "a higher score does not go with a likelier outcome on these rows", where="score",
        expected="a score that ranks better than chance", fix="look at the AUC of these rows first",
    )  # fmt: skip


def _scipy_isotonic() -> Any:
    from scipy.optimize import isotonic_regression  # loaded late, as all of SciPy is

    return isotonic_regression
