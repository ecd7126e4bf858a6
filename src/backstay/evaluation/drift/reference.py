"""A **reference**: what a column was when the model learned from it, frozen, and kept with the model's version.

Every window is held against the same bins and the same counts. A reference made anew from whatever two samples are at
hand (the habit of most tools) moves with them, and so does what "drift" means.

Beside all its rows it keeps its counts by weekday, hour and month (UTC), so that a Sunday can be held against Sundays:
`at_season`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backstay.core.errors import InputError, told
from backstay.evaluation.drift.cells import Cells
from backstay.evaluation.drift.counts import Counted, Counts, blocks_of, ordered, taken
from backstay.evaluation.drift.dependence import Spread
from backstay.evaluation.drift.read import KINDS
from backstay.evaluation.drift.seasons import SEASONS, season_counts

Ints = NDArray[np.int64]

BLOCKS = 1_024
"""Blocks in time that a reference is parted into, where it has the rows: so that some are as long as a window."""


@dataclass(frozen=True)
class Reference:
    """One column, frozen.

    cells:   its bins
    counts:  how many rows fall into each, with what shows how they lean on each other
    seasons: counts by season, shape (cells of the season, width); none where no times were told
    whole:   of a season's reference: the counts of all rows, which is what the blocks are of

    >>> reference = Reference.of(np.arange(1000.0))
    >>> reference.kind, reference.n, reference.count([5.0, 2000.0, float("nan")]).above
    ('number', 1000, 1)
    >>> Reference.from_dict(reference.as_dict()).as_dict() == reference.as_dict()
    True
    """

    cells: Cells
    counts: Counts
    seasons: Mapping[str, Ints] = field(default_factory=dict)
    whole: Ints | None = None

    @classmethod
    def of(
        cls, values: Any, *, bins: int = 10, kind: str | None = None, at: ArrayLike | None = None, entity: Any = None
    ) -> Reference:
        """Freeze a column of training rows.

        values: numbers (NaN is missing), words or truth values (None is missing), shape (rows,)
        kind:   "number", "category" or "flag"; None: what most of the values are
        at:     of each row, microseconds UTC: counts by season are kept, and rows are taken in that order. Without it
                rows are taken as they come, and if that is not the order of time, dependence in time does not show
        entity: of each row: rows of one entity count as leaning on each other
        """
        return cls._of(values, _Laid.of(len(values), at, entity), bins, kind)

    @classmethod
    def _of(cls, values: Any, laid: _Laid, bins: int, kind: str | None) -> Reference:
        if kind is not None and kind not in KINDS:
            raise InputError(f"there is no kind {kind!r}", where="kind", expected=", ".join(KINDS))
        values = laid.sorted(values)
        cells = Cells.of(values, bins, kind)
        counts = Counts.of(values, cells, entity=laid.blocks, blocks=BLOCKS)
        return cls(cells, counts, {} if laid.at is None else season_counts(cells.codes(values), laid.at, cells.width))

    def count(self, values: Any, *, at: ArrayLike | None = None, entity: Any = None) -> Counts:
        """The counts of one window over this reference's bins; rows in the order of time, or their times in `at`."""
        laid = _Laid.of(len(values), at, entity)
        return Counts.of(laid.sorted(values), self.cells, entity=laid.blocks)

    def at_season(self, season: str, cells: Iterable[int]) -> Reference:
        """The same bins, with the counts of these weekdays, hours or months alone.

        How much rows lean on each other is still that of all of them. `InputError` where no times were told, or there
        is no such season.

        >>> monday = 4 * 86_400_000_000  # the fifth of January 1970
        >>> told = Reference.of([1.0, 2.0, 3.0], at=[monday, monday + 1, monday + 86_400_000_000])
        >>> told.at_season("weekday", [0]).n
        2
        """
        if season not in self.seasons:
            raise InputError(f"the reference has no counts by {season}", where="season",
                             expected=", ".join(self.seasons) or "a reference whose times were told")  # fmt: skip
        chosen = sorted({int(one) for one in cells})
        if chosen and not 0 <= chosen[0] <= chosen[-1] < SEASONS[season]:
            raise InputError(f"{season} {chosen}", where="cells", expected=f"0 to {SEASONS[season] - 1}")
        counts = np.asarray(self.seasons[season][chosen].sum(axis=0), np.int64)
        return replace(self, counts=replace(self.counts, cells=counts), seasons={}, whole=self.counts.cells)

    @property
    def kind(self) -> str:
        return self.cells.kind

    @cached_property
    def n(self) -> int:
        """Rows, those without a value included."""
        return self.counts.rows

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """The shares of the cells from which the blocks deviate: of all rows, also of a season's reference."""
        cells = self.counts.cells if self.whole is None else self.whole
        return cells / max(int(cells.sum()), 1)

    @cached_property
    def spreads(self) -> list[Spread]:
        """How a row's cells spread, by time and by entity: every window is held against the same."""
        return self.counts.dependence.covariances(self.shares)

    def spreads_of(self, rows: int) -> list[Spread]:
        """The same of windows with so many rows: by how much they differ when nothing has changed."""
        scale = self.counts.dependence.scale(rows)
        if scale not in self._of_scale:
            self._of_scale[scale] = self.counts.dependence.covariances(self.shares, rows)
        return self._of_scale[scale]

    @property
    def effective_n(self) -> float:
        """As many independent rows would say as much of the shares of the bins, on average over them."""
        return self.n / max([1.0, *(one.mean_effect(self.shares > 0) for one in self.spreads)])

    @cached_property
    def _of_scale(self) -> dict[int | None, list[Spread]]:
        return {}

    @property
    def mean(self) -> float | None:
        return self.counts.moments.mean

    @property
    def sd(self) -> float | None:
        return self.counts.moments.sd

    @property
    def least(self) -> float | None:
        return self.counts.moments.least if self.counts.moments.n else None

    @property
    def greatest(self) -> float | None:
        return self.counts.moments.greatest if self.counts.moments.n else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit."""
        return {"cells": self.cells.as_dict(), "counts": self.counts.as_dict(),
                "seasons": {name: one.tolist() for name, one in self.seasons.items()},
                "whole": None if self.whole is None else self.whole.tolist()}  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reference:
        seasons = {name: np.asarray(one, np.int64) for name, one in data["seasons"].items()}
        whole = None if data["whole"] is None else np.asarray(data["whole"], np.int64)
        return cls(Cells.from_dict(data["cells"]), Counts.from_dict(data["counts"]), seasons, whole)


@dataclass(frozen=True, slots=True)
class References(Mapping[str, Reference]):
    """The references of all columns of a model, by name."""

    columns: Mapping[str, Reference]

    @classmethod
    def of(
        cls, columns: Mapping[str, Any], *, bins: int = 10, kinds: Mapping[str, str] | None = None,
        at: ArrayLike | None = None, entity: Any = None,
    ) -> References:  # fmt: skip
        """Freeze every column of some training rows. A Polars frame is given as `frame.to_dict()`."""
        named = kinds or {}
        laid = cache(lambda rows: _Laid.of(rows, at, entity))  # of all columns the same: entities are hashed once
        return cls({
            name: Reference._of(values, laid(len(values)), bins, named.get(name)) for name, values in columns.items()
        })  # fmt: skip

    def count(self, columns: Mapping[str, Any], *, at: ArrayLike | None = None, entity: Any = None) -> Counted:
        """The counts of one window. Columns that have no reference are passed over; one that can't be counted is
        `failed`, and one that is not there is not counted, and the others are.

        >>> references = References.of({"age": [30, 40, 50], "city": ["a", "b", None]})
        >>> window = references.count({"age": [35, None]})
        >>> window.rows, list(window), window["age"].missing
        (2, ['age'], 1)
        """
        rows = max((len(values) for values in columns.values()), default=0)
        laid = _Laid.of(rows, at, entity)
        counted: dict[str, Counts] = {}
        failed: dict[str, str] = {}
        for name, reference in self.columns.items():
            if name not in columns:
                continue
            try:
                values = columns[name]
                if len(values) != rows:
                    raise InputError(f"{len(values)} values of {rows} rows", expected="one a row")
                counted[name] = Counts.of(laid.sorted(values), reference.cells, entity=laid.blocks)
            except Exception as error:  # noqa: BLE001  one bad column is told of, and never breaks the others
                failed[name] = told(error)  # it may come to stand in the ledger: another's words hold values of rows
        return Counted(rows, counted, failed)

    def __getitem__(self, name: str) -> Reference:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def as_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` takes back, bit for bit: what a version's file holds."""
        return {"columns": {name: one.as_dict() for name, one in self.columns.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> References:
        return cls({name: Reference.from_dict(one) for name, one in data["columns"].items()})


@dataclass(frozen=True, slots=True)
class _Laid:
    """How some rows are laid in the order of time: their order (None: as they come), their times in it, and their
    entities' hashed blocks."""

    order: NDArray[np.intp] | None
    at: Ints | None
    blocks: NDArray[np.uint16] | None

    @classmethod
    def of(cls, rows: int, at: ArrayLike | None, entity: Any) -> _Laid:
        order = ordered(at, rows)
        blocks = blocks_of(entity, rows, order)
        times = None if at is None else np.asarray(at, np.int64)
        return cls(order, times if order is None or times is None else times[order], blocks)

    def sorted(self, values: Any) -> Any:
        return values if self.order is None else taken(values, self.order)
