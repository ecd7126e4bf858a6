"""Searching: which bins, and which pairs and triples of bins, have a higher loss than the rest, by one count each.

The loss of a slice is a sum over a number, and both of all slices of two features come from one pass over their codes
together: a million rows of twenty features are 190 passes. Nothing is decided here. What comes out are *candidates*,
chosen because they look bad, so that on these rows every one of them does; only other rows can tell (`confirm`).

The score of a slice is how many standard errors its mean loss lies above that of the rest. That of a pair is the least
of three: against all the rest, and within each of its two bins, so that a pair is a candidate only if it is worse than
each of its bins says; a triple likewise within each of its three pairs. Without this a single bad bin would come back
in a hundred pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from backstay.core.errors import InputError
from backstay.evaluation.slices.bins import Binned

LEAST_SCORE = 1.5
"""What looks no worse than this many standard errors is no candidate."""
CELL = 32
"""Bytes that one slice takes in a search: its rows, its loss, the square of it, its score."""

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A slice that looks bad: the places of its features and bins, and how many standard errors it lies above."""

    score: float
    places: tuple[tuple[int, int], ...]
    """pairs (feature, bin)"""

    @property
    def rank(self) -> tuple[float, int, tuple[tuple[int, int], ...]]:
        """The worst first; of equals the simplest."""
        return -self.score, len(self.places), self.places


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search came to.

    candidates: the worst first
    looked: slices that were compared; small: those with too few rows (at least one)
    skipped: combinations of features whose tables would not fit the budget
    """

    candidates: list[Candidate]
    looked: int
    small: int
    skipped: list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows, loss and its square of every slice of some features; shape: a dimension a feature."""

    rows: Floats
    loss: Floats
    square: Floats


@dataclass(slots=True)
class _Found:
    keep: int
    effect: float
    candidates: list[Candidate]
    looked: int = 0
    small: int = 0

    def add(self, features: tuple[int, ...], score: Floats, rows: Floats, minimum: int) -> None:
        enough = rows >= minimum
        self.looked += int(np.count_nonzero(enough))
        self.small += int(np.count_nonzero(~enough & (rows > 0)))
        bad = np.argwhere(enough & (score >= LEAST_SCORE))
        self.candidates += [
            Candidate(float(score[tuple(cell)]), tuple(zip(features, cell.tolist(), strict=True))) for cell in bad
        ]
        if len(self.candidates) > 50 * self.keep:
            self.trim()

    def trim(self) -> None:
        self.candidates = sorted(self.candidates, key=lambda one: one.rank)[: self.keep]


def search(
    columns: Sequence[Binned], loss: Floats, *, order: int = 2, minimum: int = 50, keep: int = 60, effect: float = 0.0,
    budget: int = 256 * 2**20, progress: Progress = lambda *_: None,
) -> Searched:  # fmt: skip
    """The slices of up to `order` features (1, 2 or 3) with at least `minimum` rows that look worst, at most `keep`.

    loss:   a number a row of whose sums float64 loses nothing: see `whole`; any order of the rows gives the same
    effect: by how much, in the unit of `loss`, the mean of a candidate must lie above that of the rest
    budget: bytes for the tables that are held at once; combinations beyond it are skipped, and named

    >>> rng = np.random.default_rng(7)
    >>> x, y = rng.integers(0, 3, (2, 3000)).astype(np.uint8)
    >>> from backstay.evaluation.slices.predicates import Condition
    >>> two = [Binned(name, codes, tuple(Condition(name, values=(v,)) for v in range(3))) for name, codes in
    ...        (("x", x), ("y", y))]
    >>> [one.places for one in search(two, whole(rng.random(3000) + ((x == 1) & (y == 2)))[0]).candidates[:1]]
    [((0, 1), (1, 2))]
    """
    if order not in (1, 2, 3):
        raise InputError(f"the order is {order}", where="order", expected="1 (single features), 2 (pairs) or 3")
    steps, step = whole(np.square(loss))
    squares = steps * step  # exact too, since the step is a power of two
    found, tables, skipped = _Found(keep, effect, []), dict[tuple[int, ...], _Table](), []
    total = sum(math.comb(len(columns), size) for size in range(1, order + 1))
    tables[()], held = _Table(*(np.array(float(one)) for one in (loss.size, loss.sum(), squares.sum()))), 0
    for done, features in enumerate(f for size in range(1, order + 1) for f in combinations(range(len(columns)), size)):
        cells = math.prod(len(columns[place].conditions) for place in features)
        parents = list(combinations(features, len(features) - 1))
        if held + cells * CELL > budget or any(parent not in tables for parent in parents):
            skipped.append(tuple(columns[place].feature for place in features))
        else:
            last = len(features) == order
            table = _counted(columns, features, loss, None if last else squares)
            found.add(features, _score(features, table, parents, tables, effect), table.rows, minimum)
            if not last:
                tables[features] = table
                held += cells * CELL
        progress(("features", "pairs", "triples")[len(features) - 1], done + 1, total)
    found.trim()
    return Searched(found.candidates, found.looked, found.small, skipped)


def whole(loss: Floats) -> tuple[Floats, float]:
    """The losses as whole numbers of steps, and the step: sums of them are exact, in any order.

    The step is the power of two at which a sum of all of them stays below 2^53; for a million rows it is some 1e-10 of
    the largest.

    >>> steps, step = whole(np.array([0.1, 0.7]))
    >>> (steps * step).tolist(), steps[0].is_integer()
    ([0.10000000000000009, 0.7000000000000002], True)
    """
    most = float(np.abs(loss).max(initial=0.0)) * max(loss.size, 1)
    step = 2.0 ** (math.frexp(most)[1] - 52) if most else 1.0
    return np.rint(loss / step), step


def _counted(columns: Sequence[Binned], features: tuple[int, ...], loss: Floats, squares: Floats | None) -> _Table:
    shape = tuple(len(columns[place].conditions) for place in features)
    cells = math.prod(shape)
    code: NDArray[np.uint32] = columns[features[0]].codes.astype(np.uint32)
    for place, size in zip(features[1:], shape[1:], strict=True):
        code = code * np.uint32(size) + columns[place].codes
    wide = code.astype(np.intp)  # what bincount counts by: made once, not in each of its calls
    rows, sums = (np.bincount(wide, one, cells).astype(np.float64, copy=False) for one in (None, loss))
    square = sums if squares is None else np.bincount(wide, squares, cells).astype(np.float64, copy=False)
    return _Table(rows.reshape(shape), sums.reshape(shape), square.reshape(shape))


def _score(
    features: tuple[int, ...], table: _Table, parents: list[tuple[int, ...]], tables: dict[tuple[int, ...], _Table],
    effect: float,
) -> Floats:  # fmt: skip
    """The least of the standard errors by which slices lie above the rest, of all rows and of each parent's."""
    whole_table = tables[()]
    least = np.where(_above(table, whole_table) > effect, _errors(table, whole_table), -np.inf)
    for parent in parents:
        if parent:
            (axis,) = (place for place, one in enumerate(features) if one not in parent)
            above = tables[parent]
            wide = _Table(*(np.expand_dims(one, axis) for one in (above.rows, above.loss, above.square)))
            least = np.minimum(least, _errors(table, wide))
    return np.asarray(least, np.float64)


def _above(table: _Table, among: _Table) -> Floats:
    """By how much the mean of each slice lies above that of the rest of `among`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(table.loss / table.rows - (among.loss - table.loss) / (among.rows - table.rows), np.float64)


def _errors(table: _Table, among: _Table) -> Floats:
    """The same in standard errors, as if rows were independent; -inf where there is no rest, or no difference."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = among.square / among.rows - np.square(among.loss / among.rows)
        error = np.sqrt(np.maximum(variance, 0) * (1 / table.rows + 1 / (among.rows - table.rows)))
        score = _above(table, among) / error
    return np.where(np.isfinite(score), score, -np.inf)
