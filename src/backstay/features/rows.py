"""The row engine: request-time inputs and derived features, by the same Polars expressions over any number of rows.

Only what derived features read goes through Polars; stored values stay in their matrix, since a frame of forty columns
costs a lone request more than its features do.

Polars evaluates some expressions over a chunk of one row by another route than over several (`column / literal` differs
in the last bit), so what is evaluated stands in one chunk, and a lone row twice in it: see `in_one_chunk`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature, FeatureSet
from backstay.features.history import Floats
from backstay.features.views import Computed, Status, Statuses, ViewPlan


class RowEngine:
    """Turns computed views and request fields into the complete rows of a feature set."""

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self.plans = [ViewPlan(features, view) for view in range(len(features.views))]
        stored = [feature for plan in self.plans for feature in plan.features]
        self._column = {feature.name: place for place, feature in enumerate(stored)}
        place = {feature.name: index for index, feature in enumerate(features)}
        self._stored_places = np.array([place[feature.name] for feature in stored], np.intp)
        self._other_places = [(index, f) for index, f in enumerate(features) if f.kind in ("request", "derived")]
        self._defaults = [(self._column[f.name], f.default) for f in stored if f.default is not None]
        read = {name for block in features.derivations for one in block.values() for name in one.meta.root_names()}
        self._read = [feature for feature in stored if feature.name in read]
        self._layout = _Layout(features, self._column)

    def rows(self, computed: Sequence[Computed], requests: pl.DataFrame) -> Rows:
        """All features of some rows. `requests` has one column for each request-time input, of its type."""
        statuses = np.empty((requests.height, len(self.features)), np.uint8)
        stored = np.empty((requests.height, 0))
        if len(computed):
            stored = np.concatenate([one.values for one in computed], axis=1)
            statuses[:, self._stored_places] = np.concatenate([one.statuses for one in computed], axis=1)
        for column, default in self._defaults:
            np.copyto(stored[:, column], default, where=np.isnan(stored[:, column]))
        given = {f.name: requests.get_column(f.name) for _, f in self._other_places if f.kind == "request"}
        base = {name: _defaulted(column, self._layout.features[name]) for name, column in given.items()}
        others = base | self._derived(pl.DataFrame(base | {f.name: self._series(f, stored) for f in self._read}))
        for place, feature in self._other_places:
            series = given.get(feature.name, others[feature.name])
            if series.null_count():
                statuses[:, place] = np.where(series.is_null().to_numpy(), Status.NULL, Status.OK)
            else:
                statuses[:, place] = Status.OK
        return Rows(self._layout, stored, others, statuses)

    def derive(self, base: pl.DataFrame) -> pl.DataFrame:
        """The derived features of `base`, which has a column for every feature that is not derived."""
        return pl.DataFrame(self._derived(base))

    def _derived(self, base: pl.DataFrame) -> dict[str, pl.Series]:
        frame = in_one_chunk(base)
        for block in self.features.derivations:
            frame = frame.with_columns(**block)
        names = [name for block in self.features.derivations for name in block]
        columns = {name: frame.get_column(name) for name in names}
        return {name: column.head(1) for name, column in columns.items()} if base.height == 1 else columns

    def _series(self, feature: Feature, stored: Floats) -> pl.Series:
        return _series(feature, stored[:, self._column[feature.name]])

    def vector(self, frame: pl.DataFrame) -> npt.NDArray[np.float32]:
        """The model's input from a frame of features: what `Rows.vector` gives for the same values."""
        out = np.empty((frame.height, len(self.features.vector)), np.float32)
        for place, name in enumerate(self.features.vector):
            out[:, place] = _floats(frame.get_column(name))
        return out


class _Layout:
    """Where each feature of a set is found in `Rows`."""

    def __init__(self, features: FeatureSet, column: dict[str, int]) -> None:
        self.features = {feature.name: feature for feature in features}
        self.column = column
        vector = list(enumerate(features.vector))
        self.width = len(vector)
        self.stored_places = np.array([place for place, name in vector if name in column], np.intp)
        self.stored_columns = np.array([column[name] for _, name in vector if name in column], np.intp)
        self.other_places = [(place, name) for place, name in vector if name not in column]
        declared = {feature.name: place for place, feature in enumerate(features)}
        self.stored_at = np.array([declared[name] for name in column], np.intp)
        self.counts_at = [declared[name] for name in column if self.features[name].dtype == pl.Int64]
        self.others_at = [(place, name) for name, place in declared.items() if name not in column]


@dataclass(slots=True)
class Rows:
    """The features of some rows: values, statuses, and the model's input."""

    _layout: _Layout
    _stored: Floats
    """windowed and latest features, defaults applied; NaN is null: nothing that is not finite gets into the record"""
    _others: dict[str, pl.Series]
    statuses: Statuses
    """shape (rows, features)"""

    def frame(self) -> pl.DataFrame:
        """One column a feature, in order of declaration."""
        columns = self._layout.column
        return pl.DataFrame(
            [
                _series(feature, self._stored[:, columns[name]]) if name in columns else self._others[name].alias(name)
                for name, feature in self._layout.features.items()
            ]
        )

    def vector(self) -> npt.NDArray[np.float32]:
        """The model's input, shape (rows, vector), cast to float32 once, null as NaN: judged as it is served."""
        layout = self._layout
        out = np.empty((len(self._stored), layout.width), np.float32)
        out[:, layout.stored_places] = self._stored[:, layout.stored_columns]
        for place, name in layout.other_places:
            out[:, place] = _floats(self._others[name])
        return out

    def values(self) -> list[list[Any]]:
        """Each row as plain values in order of declaration: null as None, times as integer microseconds."""
        layout = self._layout
        whole = np.zeros((len(self._stored), len(layout.features)))
        whole[:, layout.stored_at] = self._stored
        rows: list[list[Any]] = whole.tolist()
        for row, place in np.argwhere(np.isnan(whole)).tolist():
            rows[row][place] = None
        for place in layout.counts_at:
            for values in rows:
                values[place] = int(values[place])
        for place, name in layout.others_at:
            for values, value in zip(rows, plain(self._others[name]).to_list(), strict=True):
                values[place] = value
        return rows


def in_one_chunk(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame as expressions are to be evaluated over it: in one chunk, which is never of one row.

    A lone row is doubled; take the first row of the result. Chunks come from joined frames and from tables of many
    files, and each is evaluated for itself: a chunk of one row would give other bits than the same row among others.
    Columns are rebuilt one by one, because Polars keeps a joined pair of equal rows as one scalar, and evaluates that.
    """
    columns = frame.get_columns()
    if frame.height == 1:
        return pl.DataFrame([pl.concat([column, column], rechunk=True) for column in columns])
    return pl.DataFrame([column.rechunk() for column in columns])


def plain(column: pl.Series) -> pl.Series:
    """A feature's column as it is logged: times as integer microseconds, everything else as it is."""
    return column.to_physical() if isinstance(column.dtype, pl.Datetime) else column


_SHORT = 64


def _floats(column: pl.Series) -> Floats:
    return (column if column.dtype == pl.Float64 else column.cast(pl.Float64)).to_numpy()


def _series(feature: Feature, values: Floats) -> pl.Series:
    if len(values) <= _SHORT:  # the same column, made several times faster from a few plain numbers
        plain_values = [None if value != value else value for value in values.tolist()]
        column = pl.Series(feature.name, plain_values, pl.Float64)
    else:
        column = pl.Series(feature.name, values, nan_to_null=bool(np.isnan(values).any()))
    return column.cast(pl.Int64) if feature.dtype == pl.Int64 else column


def _defaulted(column: pl.Series, feature: Feature) -> pl.Series:
    return column if feature.default is None else column.fill_null(feature.default)
