"""The row engine: request-time inputs and derived features, by the same Polars expressions over any number of rows.

Only what derived features read goes through Polars; stored values stay in their matrix, since a frame of forty columns
costs a lone request more than its features do.

Polars evaluates some expressions over a chunk of one row by another route than over several (`column / literal` differs
in the last bit), so what is evaluated stands in one chunk, and a lone row twice in it: see `in_one_chunk`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature, FeatureSet
from backstay.features.exact import Floats
from backstay.features.views import Computed, Status, Statuses, ViewPlan


@dataclass(slots=True)
class Room:
    """Where the views of a feature set put what they compute for some rows: side by side in one matrix."""

    stored: Floats
    """shape (rows, stored features), feature by feature in memory"""
    computed: list[Computed]
    """per view, its columns of `stored`"""

    @classmethod
    def of(cls, plans: Sequence[ViewPlan], rows: int, scratch: Path | None = None) -> Room:
        """Room for some views: memory, or files below `scratch` that stand in for it."""

        def array(name: str, shape: tuple[int, ...], kind: Any) -> Any:
            if scratch is None or not math.prod(shape):
                return np.zeros(shape, kind) if kind is np.uint8 else np.empty(shape, kind)  # statuses begin as OK
            return np.memmap(scratch / name, kind, "w+", shape=shape)

        widths = [len(plan.features) for plan in plans]
        ends = np.cumsum(widths, dtype=np.int64).tolist()
        stored = array("values", (sum(widths), rows), np.float64).T
        statuses = array("statuses", (sum(widths), rows), np.uint8).T
        views = []
        for place, (plan, width, end) in enumerate(zip(plans, widths, ends, strict=True)):
            times = array(f"times{place}", (rows if plan.question.dated else 0,), np.int64)
            views.append(Computed(stored[:, end - width : end], statuses[:, end - width : end], times))
        return cls(stored, views)

    def part(self, some: slice) -> Room:
        """Some of the rows, in memory."""
        stored = np.array(self.stored[some], order="F") if isinstance(self.stored, np.memmap) else self.stored[some]
        computed, begin = [], 0
        for one in self.computed:
            end = begin + one.values.shape[1]
            coded = {place: words[some] for place, words in one.coded.items()}
            computed.append(Computed(stored[:, begin:end], one.statuses[some], one.event_time[some], coded))
            begin = end
        return Room(stored, computed)


class RowEngine:
    """Turns computed views and request fields into the complete rows of a feature set.

    dated: whether `Computed.event_time` is wanted of its views; see `Question`
    """

    def __init__(self, features: FeatureSet, *, dated: bool = True) -> None:
        self.features = features
        self.plans = [ViewPlan(features, view, dated=dated) for view in range(len(features.views))]
        stored = [feature for plan in self.plans for feature in plan.features]
        self._coded = [(view, place, plan.features[place]) for view, plan in enumerate(self.plans)
                       for place, _ in plan.coded]  # fmt: skip
        words = {feature.name for _, _, feature in self._coded}
        self._column = {feature.name: place for place, feature in enumerate(stored) if feature.name not in words}
        place = {feature.name: index for index, feature in enumerate(features)}
        self._stored_places = np.array([place[feature.name] for feature in stored], np.intp)
        self._other_places = [(index, f) for index, f in enumerate(features) if f.kind in ("request", "derived")]
        self._defaults = [
            (self._column[f.name], f.default) for f in stored if f.default is not None and f.name not in words
        ]
        read = {name for block in features.derivations for one in block.values() for name in one.meta.root_names()}
        numbers = [feature for feature in stored if feature.name not in words]
        # Something is always read: expressions over no column at all would not know how many rows there are.
        self._read = [feature for feature in numbers if feature.name in read] or numbers[:1]
        self._layout = _Layout(features, self._column)

    def room(self, rows: int, scratch: Path | None = None) -> Room:
        """Room for what the views compute for so many rows; see `Room.of`."""
        return Room.of(self.plans, rows, scratch)

    def filled(self, room: Room, requests: pl.DataFrame) -> Rows:
        """As `rows`, of what the views have put into their room: nothing is copied, defaults are applied in place."""
        return self._complete(room.computed, room.stored, requests)

    def rows(self, computed: Sequence[Computed], requests: pl.DataFrame) -> Rows:
        """All features of some rows. `requests` has one column for each request-time input, of its type."""
        stored = np.empty((requests.height, 0))
        if computed:
            stored = np.concatenate([one.values for one in computed], axis=1)
        return self._complete(computed, stored, requests)

    def _complete(self, computed: Sequence[Computed], stored: Floats, requests: pl.DataFrame) -> Rows:
        statuses = np.empty((len(self.features), requests.height), np.uint8).T
        self._settle(computed, stored, statuses)
        given = {f.name: requests.get_column(f.name) for _, f in self._other_places if f.kind == "request"}
        base = {name: _defaulted(column, self._layout.features[name]) for name, column in given.items()}
        words = self._words(computed, requests.height)
        others = base | words
        others |= self._derived(pl.DataFrame(others | {f.name: self._series(f, stored) for f in self._read}))
        for place, feature in self._other_places:
            series = given.get(feature.name, others[feature.name])
            if series.null_count():
                statuses[:, place] = np.where(series.is_null().to_numpy(), Status.NULL, Status.OK)
            else:
                statuses[:, place] = Status.OK
        return Rows(self._layout, stored, others, statuses)

    def _settle(self, computed: Sequence[Computed], stored: Floats, statuses: Statuses) -> None:
        """Put the statuses of all views in their places, and apply defaults to the values."""
        if computed:
            statuses[:, self._stored_places] = np.concatenate([one.statuses for one in computed], axis=1)
        for column, default in self._defaults:
            np.copyto(stored[:, column], default, where=np.isnan(stored[:, column]))

    def _words(self, computed: Sequence[Computed], rows: int) -> dict[str, pl.Series]:
        """The features that are words, defaults applied."""
        out = {}
        for view, place, feature in self._coded:
            words = computed[view].coded.get(place)
            words = pl.Series([None] * rows, dtype=feature.dtype) if words is None else words
            out[feature.name] = _defaulted(words, feature).alias(feature.name)
        return out

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

    @np.errstate(over="ignore")
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
        kinds = {pl.Int64: int, pl.Datetime: int, pl.Boolean: bool}
        self.read = {one.name: (column.get(one.name), kinds.get(one.dtype.base_type())) for one in features}
        """by feature its stored column, if it has one, and what its floats stand for (None: floats)"""


@dataclass(slots=True)
class Rows:
    """The features of some rows: values, statuses, and the model's input."""

    _layout: _Layout
    _stored: Floats
    """windowed and latest features, defaults applied; NaN is null: nothing that is not finite gets into the record.
    Those that are words stand in `_others`."""
    _others: dict[str, pl.Series]
    """whatever else there is"""
    statuses: Statuses
    """shape (rows, features)"""
    _plain: dict[str, Sequence[Any]] = field(default_factory=dict)

    def frame(self) -> pl.DataFrame:
        """One column a feature, in order of declaration."""
        columns = self._layout.column
        return pl.DataFrame(
            [
                _series(feature, self._stored[:, columns[name]]) if name in columns else self._others[name].alias(name)
                for name, feature in self._layout.features.items()
            ]
        )

    def plain(self, name: str) -> Sequence[Any]:
        """The values of a feature that is not stored: null as None, times as integer microseconds."""
        values = self._plain.get(name)
        if values is None:
            values = self._plain[name] = plain(self._others[name]).to_list()
        return values

    @np.errstate(over="ignore")  # what float32 does not hold is infinite
    def vector(self) -> npt.NDArray[np.float32]:
        """The model's input, shape (rows, vector), cast to float32 once, null as NaN: judged as it is served."""
        layout = self._layout
        out = np.empty((len(self._stored), layout.width), np.float32)
        out[:, layout.stored_places] = self._stored[:, layout.stored_columns]
        few = len(out) <= SHORT
        for place, name in layout.other_places:
            out[:, place] = _missing(self.plain(name)) if few else _floats(self._others[name])
        return out

    def values(self) -> list[list[Any]]:
        """Each row as plain values in order of declaration: null as None, times as integer microseconds."""
        stored: list[list[Any]] = self._stored.T.tolist()
        whole = not np.isnan(self._stored).any()
        columns: list[Sequence[Any]] = []
        for name, (column, kind) in self._layout.read.items():
            if column is None:
                columns.append(self.plain(name))
            elif kind is None:
                columns.append(stored[column] if whole else [None if v != v else v for v in stored[column]])
            else:
                columns.append([None if value != value else kind(value) for value in stored[column]])
        return list(map(list, zip(*columns, strict=True)))


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


SHORT = 64
"""Rows up to which Python's own values are faster than arrays and expressions."""


def _floats(column: pl.Series) -> Floats | list[float]:
    if len(column) <= SHORT:
        return _missing(column.to_list())
    return (column if column.dtype == pl.Float64 else column.cast(pl.Float64)).to_numpy()


def _missing(values: Sequence[Any]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def _series(feature: Feature, values: Floats) -> pl.Series:
    if len(values) <= SHORT:  # the same column, made several times faster from a few plain numbers
        plain_values = [None if value != value else value for value in values.tolist()]
        column = pl.Series(feature.name, plain_values, pl.Float64)
    else:
        column = pl.Series(feature.name, values, nan_to_null=bool(np.isnan(values).any()))
    if feature.dtype == pl.Float64:
        return column
    return column.cast(pl.Int64).cast(feature.dtype) if feature.dtype == pl.Datetime else column.cast(feature.dtype)


def _defaulted(column: pl.Series, feature: Feature) -> pl.Series:
    return column if feature.default is None else column.fill_null(feature.default)
