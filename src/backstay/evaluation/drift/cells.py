"""**Cells**: the bins of one column, frozen from its reference, and apart from them what is in no bin.

The layout is the same for every kind of column, so that counts of any are added and compared alike:

    below | bins ... | above | missing | unseen | mistyped

    number      about equal shares of the reference between its least and its greatest value; a value that fills a bin
                has it alone (zeros, often). ±infinity is below or above
    category    the most frequent words, and a last bin for the other known ones; unseen is what the reference never had
    flag        false and true, which 0 and 1 are too

**Speed.** Rows are counted in blocks that stay in the processor's cache, by one comparison for each edge: with a dozen
edges that is several times as fast as a binary search for each row. The blocks are the ones by which dependence is
measured afterwards, and cost nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.drift.dependence import HASHED
from backstay.evaluation.drift.moments import Summing
from backstay.evaluation.drift.read import Bools, Numbers, kind_of, numbers, words

Ints = NDArray[np.int64]

APART = ("above", "missing", "unseen", "mistyped")
"""The cells after the bins; `below` comes before them."""
LEAST_SHARE = 0.005
"""A category that is rarer has no bin of its own."""
KNOWN = 10_000
"""Words that are known by name; a column with more can't tell what it never had."""
_COMPARED = 4_096
"""Rows of a block from which on comparisons are faster than a binary search."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The frozen bins of one column.

    kind:  "number", "category" or "flag"
    edges: of a number: the first value of each bin, and last the first value above them all; shape (bins + 1,)
    names: of a category: the words that have a bin, the most frequent first
    known: the words that share the last bin; None where there are too many to know, and nothing is unseen

    >>> cells = Cells.of([0, 0, 0, 0, 0, 0, 1, 2, 3, float("nan")], bins=4)
    >>> cells.labels
    ('below 0', '[0, 1)', '[1, 3]', 'above 3', 'missing', 'unseen', 'mistyped')
    >>> cells.counted([0, 0, 1.5, 99, -1, float("nan"), float("inf"), "word"]).tolist()
    [1, 2, 1, 2, 1, 0, 1]
    """

    kind: str
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    known: tuple[str, ...] | None = ()

    @classmethod
    def of(cls, values: Any, bins: int = 10, kind: str | None = None) -> Cells:
        """Cells of a reference column; with no value in it, there are no bins, and whatever comes is unseen."""
        if bins < 2:
            raise InputError(f"{bins} bins", where="bins", expected="at least 2, about 10")
        kind = kind or kind_of(values)
        if kind == "number":
            return cls(kind, edges=_edges(numbers(values)[0], bins))
        if kind == "flag":
            return cls(kind, names=("false", "true"))
        return cls(kind, **_names(words(values), 2 * bins))

    @property
    def bins(self) -> int:
        """How many bins there are, the last one of a category (other known words) included."""
        if self.kind == "number":
            return max(len(self.edges) - 1, 0)
        return len(self.names) + (self.kind == "category")

    @property
    def width(self) -> int:
        """How many cells there are in all."""
        return self.bins + 1 + len(APART)

    @property
    def labels(self) -> tuple[str, ...]:
        """What each cell holds, in words."""
        if self.kind != "number":
            others = ("other",) if self.kind == "category" else ()
            return ("below", *self.names, *others, *APART)
        if not self.edges:
            return ("below", *APART)
        told = [f"{edge:g}" for edge in self.edges]
        inner = [f"[{low}, {high})" for low, high in pairwise(told[:-1])]
        return (f"below {told[0]}", *inner, f"[{told[-2]}, {told[-1]}]", f"above {told[-1]}", *APART[1:])

    def counted(self, values: Any) -> Ints:
        """How many rows fall into each cell, shape (width,)."""
        return np.asarray(self.tally(values, [0, len(values)])[0].sum(axis=0), np.int64)

    def tally(
        self, values: Any, bounds: ArrayLike, summing: Summing | None = None, blocks: NDArray[np.uint16] | None = None
    ) -> tuple[Ints, Ints | None]:
        """The same of stretches of rows in their order, shape (stretches, width), and of blocks, (64, width).

        bounds: where each stretch begins, and last where the last one ends
        summing: of numbers, what also takes them, while they are at hand
        blocks: of each row, the hashed block of its entity; None: nothing is counted by block
        """
        ends = np.asarray(bounds, np.int64)
        if self.kind == "number":
            told, wrong = numbers(values)
            if wrong is None and self.edges and len(told) >= _COMPARED * (len(ends) - 1):
                counted = self._compared(told, ends, summing or Summing(), blocks)
                return counted.sum(axis=1), None if blocks is None else counted.sum(axis=0)
            if summing is not None:
                summing.take(told)
            codes = self._code_numbers(told, wrong)
        else:
            codes = self.codes(values)
        stretch = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        by_block = None if blocks is None else _grouped(codes, blocks.astype(np.intp), HASHED, self.width)
        return _grouped(codes, stretch, len(ends) - 1, self.width), by_block

    def codes(self, values: Any) -> NDArray[np.intp]:
        """The cell of each row, shape (rows,)."""
        if self.kind == "number":
            return self._code_numbers(*numbers(values))
        told = words(values)
        if self.kind == "flag":
            told = told.replace({"0": "false", "1": "true"})
        above = self.bins + 1
        places = {name: place + 1 for place, name in enumerate(self.names)}
        if self.kind == "category":
            places |= dict.fromkeys(self.known or (), self.bins)
        default = self.bins if self.kind == "category" and self.known is None else above + 2
        if not places:
            found = np.full(len(told), default, np.intp)
        else:
            coded = told.replace_strict(list(places), list(places.values()), default=default, return_dtype=pl.Int64)
            found = coded.to_numpy().astype(np.intp)
        return np.where(told.is_null().to_numpy(), above + 1, found)

    def centres(self, low: float, high: float) -> NDArray[np.float64]:
        """Where each bin lies, in the column's unit, for distances: its middle; words lie at 0, 1, 2, ..."""
        if self.kind != "number" or not self.edges:
            return np.arange(-1.0, self.bins + 1.0)
        edges = np.asarray(self.edges)
        return np.concatenate([[min(low, edges[0])], (edges[:-1] + edges[1:]) / 2, [max(high, edges[-1])]])

    def _code_numbers(self, told: Numbers, wrong: Bools | None) -> NDArray[np.intp]:
        above = self.bins + 1
        if not self.edges:
            found = np.full(len(told), above + 2, np.intp)
        else:
            found = np.searchsorted(_cast(self.edges, told.dtype), told, side="right")
        found[np.isnan(told)] = above + 1
        if wrong is not None:
            found[wrong] = above + 3
        return found

    def _compared(
        self, told: Numbers, ends: Ints, summing: Summing, blocks: NDArray[np.uint16] | None
    ) -> Ints:  # fmt: skip
        """Counts by comparisons with each edge, shape (stretches, blocks or 1, width)."""
        edges, count = _cast(self.edges, told.dtype), len(ends) - 1
        last, most = len(edges), int(np.diff(ends).max(initial=0))
        mask, code = np.empty(most, bool), np.empty(most, np.uint8)
        # how many rows of each group are below no edge (so above all), below the last, ... below every one, and missing
        below = np.zeros((count, 1 if blocks is None else HASHED, last + 2), np.int64)
        offset = None if blocks is None else blocks * np.uint16(last + 2)
        for stretch, (start, end) in enumerate(pairwise(ends.tolist())):
            rows, place = told[start:end], mask[: end - start]
            held = summing.take(rows)
            if offset is None:
                below[stretch, 0] = _below(rows, edges, place, held)
            else:
                coded = _edges_above(rows, edges, place, code[: end - start], held) + offset[start:end]
                below[stretch] = np.bincount(coded, minlength=below[stretch].size).reshape(below[stretch].shape)
        out = np.zeros((*below.shape[:2], self.width), np.int64)
        out[:, :, : last + 1] = below[:, :, last::-1]
        out[:, :, last + 1] = below[:, :, -1]
        return out

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit."""
        return {"kind": self.kind, "edges": list(self.edges), "names": list(self.names),
                "known": None if self.known is None else list(self.known)}  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cells:
        known: Sequence[str] | None = data["known"]
        return cls(str(data["kind"]), tuple(map(float, data["edges"])), tuple(data["names"]),
                   None if known is None else tuple(known))  # fmt: skip


def _edges(told: Numbers, bins: int) -> tuple[float, ...]:
    """Quantiles of the finite values, each heavy one alone in its bin, from the least to right above the greatest."""
    finite = told[np.isfinite(told)]
    if not len(finite):
        return ()
    cuts = np.quantile(finite, np.arange(1, bins) / bins, method="inverted_cdf")
    edge, times = np.unique(cuts, return_counts=True)
    above = np.asarray(np.inf, told.dtype)  # the next value of the column's own precision
    ends = [finite.min(), np.nextafter(finite.max(), above)]
    after = [finite[finite > heavy].min() for heavy in edge[times > 1] if heavy < finite.max()]
    inner = [one for one in (*edge, *after) if ends[0] < one < ends[1]]
    return tuple(sorted({float(one) for one in (*ends, *inner)}))


def _names(told: pl.Series, most: int) -> dict[str, Any]:
    counts = told.drop_nulls().value_counts(sort=False)
    ordered = sorted(zip(counts[counts.columns[0]].to_list(), counts["count"].to_list(), strict=True),
                     key=lambda item: (-item[1], item[0]))  # fmt: skip
    rows = sum(count for _, count in ordered)
    named = [name for name, count in ordered[:most] if count >= LEAST_SHARE * rows]
    rest = [name for name, _ in ordered[len(named) :]]
    return {"names": tuple(named), "known": tuple(rest) if len(rest) <= KNOWN else None}


def _cast(edges: Sequence[float], dtype: np.dtype[Any]) -> Numbers:
    """Edges in a column's precision, rounded up: a float32 below the one is below the other."""
    wide = np.asarray(edges, np.float64)
    if dtype != np.float32:
        return wide
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    return np.where(narrow < wide, np.nextafter(narrow, np.float32(np.inf)), narrow)


Held = tuple[float, float] | None
"""The least and the greatest of some rows, all of which are finite; None where they are not."""


def _below(rows: Numbers, edges: Numbers, place: Bools, held: Held) -> list[int]:
    """How many rows are below no edge, below the last one alone, ... below every one, and missing."""
    less_than, how_many = np.less, np.count_nonzero
    there = int(how_many(np.equal(rows, rows, out=place))) if held is None else len(rows)
    low, high = held or (-np.inf, np.inf)
    less = [there]
    for edge in edges[::-1]:  # most rows lie within the reference's range: nothing is below its first edge, say
        within = low < edge <= high
        less.append(int(how_many(less_than(rows, edge, out=place))) if within else there if high < edge else 0)
    return [*(one - other for one, other in pairwise(less)), less[-1], len(rows) - there]


def _edges_above(
    rows: Numbers, edges: Numbers, place: Bools, code: NDArray[np.uint8], held: Held
) -> NDArray[np.uint8]:  # fmt: skip
    """How many edges each row is below; of a missing one, one more than there are. Bytes are added fast."""
    low, high = held or (-np.inf, np.inf)
    code[:] = np.count_nonzero(edges > high)
    for edge in edges[(edges > low) & (edges <= high)]:
        np.add(code, np.less(rows, edge, out=place).view(np.uint8), out=code)
    if held is None:
        np.copyto(code, np.uint8(len(edges) + 1), where=np.not_equal(rows, rows, out=place))
    return code


def _grouped(codes: NDArray[np.intp], groups: NDArray[np.intp], count: int, width: int) -> Ints:
    found = np.bincount(codes + groups * width, minlength=count * width)
    return found.reshape(count, width).astype(np.int64)
