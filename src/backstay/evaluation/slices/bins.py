"""Bins: how the values of a feature are cut into the few groups that slices are made of.

Bins are *frozen* from some rows and then hold for any others. Of a feature with numbers they are cut at its quantiles,
with a bin of its own for a value that fills one or more of them (zeros, often); of one with few different values each
has its own; of one with words the most frequent ones have their own, and the rest are together as "none of" these.
What is missing (null or NaN) is always a bin of its own: that a value is missing is often what makes rows hard.

A feature that can't be cut is not left out silently: `binned` says which, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backstay.core.errors import InputError
from backstay.evaluation.slices.predicates import Condition, Value, comparable

MOST = 60
"""The most bins of one feature: codes of pairs and triples must stay small."""

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Binned:
    """A feature in bins: every row's bin, and what each bin stands for.

    codes: the place in `conditions` of each row's bin, uint8
    note:  what the bins do not tell apart; "" if nothing
    """

    feature: str
    codes: Codes
    conditions: tuple[Condition, ...]
    note: str = ""


def binned(
    frame: pl.DataFrame, reference: NDArray[np.bool_], *, bins: int = 8, words: int = 30,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[list[Binned], dict[str, str]]:  # fmt: skip
    """Every column of a frame in bins that are frozen from its `reference` rows, and the columns that have none.

    bins:  about how many of a feature with numbers; words: of how many words each has a bin of its own
    progress: is told what is done, how much of it, and of how much

    `InputError` for numbers of bins that are outside 2 to 60, or a reference of another length.

    >>> frame = pl.DataFrame({"x": [1.5, 2.5, 2.5, None], "same": ["a"] * 4, "who": ["EV", "UA", "EV", "EV"]})
    >>> found, without = binned(frame, np.ones(4, bool))
    >>> [str(one) for one in found[0].conditions], found[0].codes.tolist()
    (['x = 1.5', 'x = 2.5', 'x is none of 1.5, 2.5', 'x is missing'], [0, 1, 1, 3])
    >>> without
    {'same': 'one value only'}
    """
    for name, number in (("bins", bins), ("words", words)):
        if not 2 <= number <= MOST:
            raise InputError(f"{name} is {number}", where=name, expected=f"from 2 to {MOST}")
    if reference.shape != (frame.height,):
        raise InputError(f"the reference has {reference.size} rows of {frame.height}", where="reference")
    found, without = [], {}
    for done, name in enumerate(frame.columns):
        made = _column(frame.get_column(name), reference, bins, words)
        if isinstance(made, str):
            without[name] = made
        else:
            found.append(made)
        progress("features in bins", done + 1, frame.width)
    return found, without


def _column(column: pl.Series, reference: NDArray[np.bool_], bins: int, words: int) -> Binned | str:
    """The column in bins, or why it has none."""
    dtype = column.dtype
    kind = "time" if isinstance(dtype, pl.Datetime) else "date" if isinstance(dtype, pl.Date) else "number"
    whole = comparable(pl.col(column.name), dtype)
    values = column.to_frame().select(whole).to_series()
    told = values.dtype == pl.String or values.dtype == pl.Boolean
    if not told and values.dtype != pl.Float64:
        return f"values of type {dtype} have no bins"
    known = values.filter(pl.Series(reference)).drop_nulls()
    if not len(known):
        return "every value is missing"
    if told:
        made = _words(column.name, values, known, words)
    else:
        made = _numbers(column.name, values.fill_null(np.nan).to_numpy(), np.sort(known.to_numpy()), bins, kind)
    held = np.bincount(made.codes[reference], minlength=len(made.conditions))
    return made if np.count_nonzero(held) > 1 else "one value only"


def _words(name: str, values: pl.Series, known: pl.Series, words: int) -> Binned:
    counted = known.to_frame("value").group_by("value").len().sort(["len", "value"], descending=[True, False])
    own: list[Value] = counted.get_column("value").head(words).to_list()
    rest = counted.height - len(own)
    note = f"{rest:,} of {counted.height:,} values are looked at together" if rest else ""
    places = pl.Series(range(len(own)), dtype=pl.UInt8)
    codes = values.replace_strict(own, places, default=pl.lit(len(own), pl.UInt8), return_dtype=pl.UInt8)
    coded = codes.to_numpy().copy()
    coded[values.is_null().to_numpy()] = len(own) + 1
    return Binned(name, coded, _each(name, own, "number"), note)


def _each(name: str, values: list[Value], kind: str) -> tuple[Condition, ...]:
    """A bin for each value, one for any other, one for none."""
    each = [Condition(name, values=(one,), kind=kind) for one in values]
    return *each, Condition(name, values=tuple(values), other=True, kind=kind), Condition(name, missing=True)


def _numbers(name: str, values: Floats, known: Floats, bins: int, kind: str) -> Binned:
    distinct = known[np.concatenate(([True], known[1:] != known[:-1]))]
    missing = np.isnan(values)
    if len(distinct) <= bins and np.isfinite(distinct).all():
        place = np.searchsorted(distinct, values)
        there = distinct[np.minimum(place, len(distinct) - 1)] == values
        codes = np.where(missing, len(distinct) + 1, np.where(there, place, len(distinct))).astype(np.uint8)
        return Binned(name, codes, _each(name, [_plain(one) for one in distinct], kind))
    cuts = known[np.ceil(np.arange(1, bins) / bins * len(known)).astype(np.intp) - 1]
    edge, times = np.unique(cuts, return_counts=True)
    heavy = edge[(times > 1) & np.isfinite(edge)]  # a value that fills a bin: it ends right above itself
    after = np.nextafter(heavy, np.inf)
    edges = np.unique(np.concatenate([edge[edge > known[0]], heavy, after[after <= known[-1]]]))
    edges = edges[np.isfinite(edges)]
    codes = np.zeros(len(values), np.uint8)
    for one in edges:  # many times faster than a search of each value
        codes += values >= one
    codes[missing] = len(edges) + 1
    ranges = _ranges(name, edges, set(heavy.tolist()), kind)
    return Binned(name, codes, (*ranges, Condition(name, missing=True)))


def _ranges(name: str, edges: Floats, heavy: set[float], kind: str) -> list[Condition]:
    """What the bins between the edges stand for; an edge right above a heavy value is shown as "above" it."""
    out = []
    limits = [None, *edges.tolist(), None]
    for low, high in pairwise(limits):
        if low is not None and low in heavy and high == np.nextafter(low, np.inf):
            out.append(Condition(name, values=(_plain(low),), kind=kind))
            continue
        under = None if low is None else float(np.nextafter(low, -np.inf))
        above = under is not None and under in heavy
        least, end = under if above else low, None if high is None else _plain(high)
        out.append(Condition(name, None if least is None else _plain(least), end, above=above, kind=kind))
    return out


def _plain(value: float) -> int | float:
    """As it is written in JSON: a whole number without a point."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)
