"""Cells: the groups that protected attributes make of rows, alone and crossed, and what happened in each.

Every row is in exactly one cell of each partition. A value that is missing is a value: its rows are a group named
`(missing)`, since whoever has no recorded attribute is decided about all the same. Crossings that no row is in are
counted and not listed.

What is counted of a row is its *state*, its outcome and the decision about it: one of four. All rates of a cell are
shares of these four counts, so that the rows are looked at once, whatever is asked of them after.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.metrics import Bools

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MISSING = "(missing)"
"""The group of rows whose attribute is not known: null, NaN or an empty text."""
MOST_VALUES = 200
"""More different values than this are no groups; ages and incomes want to be cut into bands first."""
MOST_CELLS = 1_000
"""More crossings than this are no groups that anybody could look at."""
NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE, TRUE_POSITIVE = range(4)
"""A row's state: twice its outcome plus the decision about it."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The rows by one attribute, or by several crossed.

    attributes: their names
    values:     of each cell, a value for each attribute, in the order of the values
    code:       of each row, the number of its cell
    absent:     crossings of values that no row is in
    """

    attributes: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    code: Ints
    absent: int = 0

    @property
    def name(self) -> str:
        """What it is called: `race x sex`."""
        return " x ".join(self.attributes)

    @property
    def cells(self) -> tuple[str, ...]:
        """What each cell is called: `Black, Female`; no two alike."""
        return tuple(called(values) for values in self.values)


def called(values: Sequence[str]) -> str:
    """What the cell of these values is called; in a crossing, a value that could be read as two is in quotes.

    >>> called(["Black", "Female"]), called(["x, y", "z"]), called(["x", "y, z"]), called(["x, y"])
    ('Black, Female', '"x, y", z', 'x, "y, z"', 'x, y')
    """
    if len(values) == 1:
        return values[0]
    return ", ".join(json.dumps(one, ensure_ascii=False) if ", " in one or '"' in one else one for one in values)


def partitions(attributes: Mapping[str, ArrayLike] | pl.DataFrame, order: int = 2) -> tuple[Partition, ...]:
    """The rows by each attribute, and by each crossing of up to `order` of them.

    attributes: by name, a value a row: texts, whole numbers or booleans; anything may be missing.

    Raises `InputError` without attributes, for lengths that differ, and for an attribute that has too many values to
    be groups.

    >>> found = partitions({"sex": ["f", "m", None, "f"], "age": ["old", "old", "old", "young"]})
    >>> [(one.name, one.cells) for one in found][0]
    ('sex', ('(missing)', 'f', 'm'))
    >>> found[2].cells, found[2].absent
    (('(missing), old', 'f, old', 'f, young', 'm, old'), 2)
    """
    if order < 1:
        raise InputError(f"intersections of {order} attributes", where="order", expected="1 or more")
    columns = attributes.to_dict(as_series=True) if isinstance(attributes, pl.DataFrame) else attributes
    if not columns:
        raise InputError("there is no attribute", where="attributes", expected="at least one, such as sex")
    single = {name: _single(name, values) for name, values in columns.items()}
    rows = {name: one.code.size for name, one in single.items()}
    if len(set(rows.values())) > 1:
        raise InputError(f"the attributes have {rows} rows", where="attributes", expected="as many each")
    out = list(single.values())
    for size in range(2, min(order, len(single)) + 1):
        out += [_crossed([single[name] for name in names]) for names in combinations(single, size)]
    return tuple(out)


def _single(name: str, values: ArrayLike) -> Partition:
    column = _texts(name, values)
    known = column.unique().drop_nulls().sort()
    if known.len() > MOST_VALUES:
        raise InputError(
            f"it has {known.len()} different values", where=f"attribute {name!r}",
            expected=f"groups, at most {MOST_VALUES}", fix="cut it into bands, in a Derived feature",
        )  # fmt: skip
    names = known.to_list()
    code = column.cast(pl.Enum(known)).to_physical().cast(pl.Int64)
    if column.null_count():
        if MISSING in names:
            raise InputError(
                f"a group is called {MISSING!r} and other rows have no value", where=f"attribute {name!r}",
                expected="another name for it",
            )  # fmt: skip
        names, code = [MISSING, *names], (code + 1).fill_null(0)
    return Partition((name,), tuple((one,) for one in names), code.to_numpy())


def _texts(name: str, values: ArrayLike) -> pl.Series:
    """The values as text; null where there is none."""
    try:
        given = values if isinstance(values, pl.Series) else pl.Series(name, _listed(values), strict=False)
        if given.dtype.is_float():
            given = given.fill_nan(None)
            whole = given.drop_nulls()
            if bool((whole == whole.round()).all()):  # integers with a gap among them arrive as floats
                given = given.cast(pl.Int64)
        text = given.cast(pl.String)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise InputError(
            f"these are no groups: {error}", where=f"attribute {name!r}", expected="a text or number a row"
        ) from error
    return text.replace("", None)


def _listed(values: Any) -> Any:
    """Texts and objects as a list, which is read in half the time; a NaN among them is missing."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return values.tolist()
    listed = values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "O" else values
    return [None if one != one else one for one in listed] if isinstance(listed, list) else listed


def _crossed(parts: list[Partition]) -> Partition:
    code = np.zeros(parts[0].code.size, np.int64)
    size = 1
    for part in parts:
        code, size = code * len(part.values) + part.code, size * len(part.values)
    names = tuple(name for part in parts for name in part.attributes)
    present = np.flatnonzero(np.bincount(code, minlength=size))
    if present.size > MOST_CELLS:
        raise InputError(
            f"{' x '.join(names)} has {present.size} different crossings", where="attributes",
            expected=f"at most {MOST_CELLS}", fix="cut attributes into fewer groups, or cross fewer of them",
        )  # fmt: skip
    place = np.zeros(size, np.int64)
    place[present] = np.arange(present.size)
    values = []
    for number in present.tolist():
        cell: list[str] = []
        for part in reversed(parts):
            number, own = divmod(number, len(part.values))
            cell.insert(0, part.values[own][0])
        values.append(tuple(cell))
    return Partition(names, tuple(values), place[code], size - present.size)


def states(outcome: Bools, decision: Bools) -> NDArray[np.uint8]:
    """Each row's state."""
    return np.asarray(outcome.astype(np.uint8) * 2 + decision, np.uint8)


def tally(partition: Partition, state: NDArray[np.uint8]) -> Ints:
    """How many rows of each state are in each cell: shape (cells, 4).

    >>> sexes = partitions({"sex": ["f", "m", "m"]})[0]
    >>> tally(sexes, states(np.array([True, True, False]), np.array([True, False, False]))).tolist()
    [[0, 0, 0, 1], [1, 0, 1, 0]]
    """
    cells = len(partition.values)
    return np.bincount(partition.code * 4 + state, minlength=cells * 4).reshape(cells, 4).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Clustered:
    """The counts again, by cluster within cell: what tells how much rows lean on each other.

    cell:  of each (cell, cluster) that has a row, the cell
    table: how many rows of each state it has: shape (pairs, 4)
    """

    cell: Ints
    table: Ints

    def only(self, places: Ints) -> Clustered:
        """The counts of some cells alone, given in ascending order and numbered anew."""
        kept = np.isin(self.cell, places)
        return Clustered(np.searchsorted(places, self.cell[kept]), self.table[kept])


def tally_clusters(partition: Partition, state: NDArray[np.uint8], cluster: NDArray[np.intp], groups: int) -> Clustered:
    """The counts by cell and cluster; `cluster` numbers each row's cluster, below `groups`."""
    cells = len(partition.values)
    pair = partition.code * groups + cluster
    if cells * groups <= 4 * pair.size + 100_000:
        table = np.bincount(pair * 4 + state, minlength=cells * groups * 4).reshape(-1, 4)
        present = np.flatnonzero(table.any(axis=1))
        return Clustered(present // groups, table[present].astype(np.int64))
    present, place = np.unique(pair, return_inverse=True)
    table = np.bincount(place * 4 + state, minlength=present.size * 4).reshape(-1, 4)
    return Clustered(present // groups, table.astype(np.int64))
