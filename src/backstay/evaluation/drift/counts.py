"""**Counts**: one window of one column as a histogram over frozen cells. Counts add up: over workers, hours, machines.

All that is judged is judged of counts and never of rows. So a window is counted where its rows are, once; what is kept
is a few kilobytes, whatever its length; and the counts of a week are the sum of those of its days, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError
from backstay.evaluation.drift.cells import Cells
from backstay.evaluation.drift.dependence import BLOCKS, Dependence, block_scale, hashed, in_time
from backstay.evaluation.drift.moments import Moments, Summing
from backstay.evaluation.drift.read import numbers

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """One window of one column. `a + b` is that of the rows of both, where both were counted over the same cells.

    cells:   how many rows fall into each cell, in the layout of `Cells`: below, bins, above, missing, unseen, mistyped
    moments: of the finite numbers; of words there are none
    """

    cells: Ints
    moments: Moments = field(default_factory=Moments)
    dependence: Dependence = field(default_factory=Dependence)

    @classmethod
    def of(cls, values: Any, cells: Cells, *, entity: NDArray[np.uint16] | None = None, blocks: int = BLOCKS) -> Counts:
        """Count rows in the order of time. entity: of each row, its hashed block; blocks: in time, at least so many"""
        rows = len(values)
        scale = block_scale(rows, blocks)
        summing = Summing()
        if cells.kind == "number":
            told, wrong = numbers(values)
            values = told if wrong is None else values
        counted, by_entity = cells.tally(values, np.append(np.arange(0, rows, 2**scale), rows), summing, entity)
        held = Dependence(in_time(counted[: rows >> scale], scale), by_entity)
        return cls(counted.sum(axis=0), summing.moments, held)

    def __add__(self, other: Counts) -> Counts:
        if len(self.cells) != len(other.cells):
            found = f"{len(self.cells)} and {len(other.cells)} cells"
            raise InputError(f"these counts are of other cells: {found}", expected="counts by one reference")
        return Counts(
            self.cells + other.cells, self.moments + other.moments, self.dependence + other.dependence
        )  # fmt: skip

    @property
    def rows(self) -> int:
        return int(self.cells.sum())

    @property
    def bins(self) -> Ints:
        return self.cells[1:-4]

    @property
    def below(self) -> int:
        return int(self.cells[0])

    @property
    def above(self) -> int:
        return int(self.cells[-4])

    @property
    def missing(self) -> int:
        return int(self.cells[-3])

    @property
    def unseen(self) -> int:
        return int(self.cells[-2])

    @property
    def mistyped(self) -> int:
        return int(self.cells[-1])

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit."""
        return {
            "cells": self.cells.tolist(),
            "moments": self.moments.as_dict(),
            "dependence": self.dependence.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Counts:
        cells = np.asarray(data["cells"], np.int64)
        return cls(cells, Moments.from_dict(data["moments"]), Dependence.from_dict(data["dependence"], len(cells)))


@dataclass(frozen=True, slots=True)
class Counted(Mapping[str, Counts]):
    """One window over all columns. `a + b` is that of the rows of both.

    rows:   of the window
    columns: what was counted
    failed: why a column could not be counted, by its name: it is left out, and the others are not
    """

    rows: int = 0
    columns: Mapping[str, Counts] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Counts:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __add__(self, other: Counted) -> Counted:
        joined, failed = dict(self.columns), {**self.failed, **other.failed}
        for name, theirs in other.columns.items():
            try:
                joined[name] = joined[name] + theirs if name in joined else theirs
            except InputError as error:
                failed[name] = str(error)
        return Counted(
            self.rows + other.rows, {name: one for name, one in joined.items() if name not in failed}, failed
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit."""
        return {"rows": self.rows, "columns": {name: one.as_dict() for name, one in self.columns.items()},
                "failed": dict(self.failed)}  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Counted:
        columns = {name: Counts.from_dict(one) for name, one in data["columns"].items()}
        return cls(int(data["rows"]), columns, dict(data["failed"]))


def ordered(at: ArrayLike | None, rows: int) -> NDArray[np.intp] | None:
    """The order of rows in time, or None where they are in it or none are told. at: microseconds, shape (rows,)."""
    if at is None:
        return None
    times = np.asarray(at, np.int64)
    if len(times) != rows:
        raise InputError(f"{len(times)} times of {rows} rows", where="at", expected="one a row, in microseconds")
    return None if (times[1:] >= times[:-1]).all() else np.argsort(times, kind="stable")


def blocks_of(entity: Any, rows: int, order: NDArray[np.intp] | None) -> NDArray[np.uint16] | None:
    """The hashed block of each row's entity, after rows were put into this order; None where no entity is told."""
    if entity is None:
        return None
    if len(entity) != rows:
        raise InputError(f"{len(entity)} entities of {rows} rows", where="entity", expected="one a row")
    return hashed(entity) if order is None else hashed(entity)[order]


def taken(values: Any, order: NDArray[np.intp]) -> Any:
    """Rows in another order."""
    return [values[place] for place in order.tolist()] if isinstance(values, (list, tuple)) else values[order]
