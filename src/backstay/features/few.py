"""All features of the few requests in flight, in plain numbers: the bits of `RowEngine.rows`, several times faster.

Only what derived features read becomes a frame; everything else stays in lists. A lone row stands twice in the frame,
and what is built from rows stands in one chunk: see `in_one_chunk` in `rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature, FeatureSet
from backstay.features.plainly import Cells
from backstay.features.rows import plain
from backstay.features.short import ways
from backstay.features.views import Status, Statuses, ViewPlan

_OK, _NULL = int(Status.OK), int(Status.NULL)
_KINDS = {pl.Int64: int, pl.Datetime: int, pl.Boolean: bool}


class FewEngine:
    """Completes the rows of one feature set."""

    def __init__(self, features: FeatureSet, plans: Sequence[ViewPlan]) -> None:
        self._features = list(features)
        stored = [feature for plan in plans for feature in plan.features]
        self._coded = [(view, place, plan.features[place]) for view, plan in enumerate(plans)
                       for place, _ in plan.coded]  # fmt: skip
        words = {feature.name for _, _, feature in self._coded}
        numbers = [(column, one) for column, one in enumerate(stored) if one.name not in words]
        self._defaults = [(column, float(one.default)) for column, one in numbers if one.default is not None]
        self._kinds = [(column, kind) for column, one in numbers if (kind := _KINDS.get(one.dtype.base_type()))]
        self._requests = [feature for feature in features if feature.kind == "request"]
        defaults = [feature.default for feature in self._requests]
        self._request_defaults = defaults if any(default is not None for default in defaults) else []
        self._names = [name for block in features.derivations for name in block]

        # A row is laid out as: stored cells, words, requested inputs, derived features.
        names = [one.name for one in stored] + [one.name for _, _, one in self._coded]
        names += [one.name for one in self._requests] + self._names
        place = {name: at for at, name in enumerate(names)}  # words are found behind their cells
        self._values = _picker([place[one.name] for one in features])
        self._vector = _picker([place[name] for name in features.vector])
        codes = {one.name: at for at, one in enumerate(stored)}
        others = [*(one.name for one in self._requests), *self._names]
        codes |= {name: len(stored) + at for at, name in enumerate(others)}
        self._codes = _picker([codes[one.name] for one in features])
        self._fine = bytes([_OK] * len(self._features))

        read = {name for block in features.derivations for one in block.values() for name in one.meta.root_names()}
        kinds = {one.name: one.dtype for one in features if one.kind != "derived"}
        framed = [name for name in kinds if name in read] or list(kinds)[:1]
        self._framed = _picker([place[name] for name in framed])
        self._schema = {name: kinds[name] for name in framed}
        self._blocks = [[one.alias(name) for name, one in block.items()] for block in features.derivations]
        last = self._blocks[-1] if self._blocks else []
        before = [pl.col(name) for block in features.derivations[:-1] for name in block]
        self._literal = not any(one.meta.root_names() for one in [*before, *last])
        self._times = any(isinstance(one.dtype, pl.Datetime) for one in features if one.kind == "derived")
        self._build, selecting = ways()
        self._select = selecting([*before, *last])

    def rows(self, cells: Sequence[Cells], fields: Sequence[Sequence[Any]]) -> FewRows:
        """All features of some rows, from what the views hold of them.

        fields: for each row its request-time inputs, in order of declaration; times as integer microseconds.
        """
        count = len(fields)
        stored, codes = _beside([one.values for one in cells], count), _beside([one.statuses for one in cells], count)
        for column, default in self._defaults:
            for numbers in stored:
                if numbers[column] != numbers[column]:
                    numbers[column] = default
        filled = fields
        if self._request_defaults:
            filled = [
                [default if one is None else one for one, default in zip(row, self._request_defaults, strict=True)]
                for row in fields
            ]
        words = self._words(cells, count)
        whole: list[list[Any]] = []
        for place, (numbers, code, given) in enumerate(zip(stored, codes, filled, strict=True)):
            row: list[Any] = [*numbers]
            if any(code):  # where all is OK, nothing is null
                row = [None if value != value else value for value in row]
            for column, kind in self._kinds:
                if row[column] is not None:
                    row[column] = kind(row[column])
            if words:
                row += [column[place] for column in words]
            row += given
            whole.append(row)
        derived: Sequence[tuple[Any, ...]] = [()] * count
        if self._blocks:
            derived = self._derived([self._framed(row) for row in whole])
        statuses = []
        for row, code, asked, made in zip(whole, codes, fields, derived, strict=False):  # a lone row is made twice
            row.extend(made)
            if any(code) or None in asked or None in made:
                told = [*code, *[_OK if value is not None else _NULL for value in (*asked, *made)]]
                statuses.append(bytes(self._codes(told)))
            else:
                statuses.append(self._fine)
        return FewRows(self._features, [list(self._values(row)) for row in whole], statuses, whole, self._vector)

    def _words(self, cells: Sequence[Cells], count: int) -> list[list[Any]]:
        """The columns of the features that are words, defaults applied."""
        out = []
        for view, place, feature in self._coded:
            words = cells[view].coded.get(place) or [None] * count
            default = feature.default
            out.append(words if default is None else [default if word is None else word for word in words])
        return out

    def _derived(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The derived features, as they are logged; of a lone row twice."""
        frame = self._build(rows if len(rows) > 1 else rows * 2, self._schema)
        for block in self._blocks[:-1]:
            frame = frame.with_columns_seq(block)
        # Literals selected alone would make a frame of one row.
        alone = self._literal
        made = frame.with_columns_seq(self._blocks[-1]).select(*self._names) if alone else self._select(frame)
        if self._times:
            return list(zip(*(plain(column).to_list() for column in made.get_columns()), strict=True))
        return made.rows()


class FewRows:
    """The features of some rows: values, statuses, and the model's input."""

    def __init__(
        self,
        features: Sequence[Feature],
        values: list[list[Any]],
        codes: list[bytes],
        whole: Sequence[list[Any]],
        vector: Callable[[Sequence[Any]], tuple[Any, ...]],
    ) -> None:
        self._features, self._values, self._whole, self._vector = features, values, whole, vector
        self.codes = codes
        """statuses, a row one byte a feature"""

    @property
    def statuses(self) -> Statuses:
        """Shape (rows, features)."""
        return np.frombuffer(b"".join(self.codes), np.uint8).reshape(len(self.codes), len(self._features))

    def values(self) -> list[list[Any]]:
        """Each row as plain values in order of declaration: null as None, times as integer microseconds."""
        return self._values

    @np.errstate(over="ignore")
    def vector(self) -> npt.NDArray[np.float32]:
        """The model's input, shape (rows, vector), cast to float32 once, null as NaN: judged as it is served."""
        rows = [self._vector(row) for row in self._whole]
        return np.array(rows, np.float32)  # None becomes NaN, and what float32 does not hold infinite

    def frame(self) -> pl.DataFrame:
        """One column a feature, in order of declaration."""
        columns = zip(*self._values, strict=True)
        return pl.DataFrame([_series(one, column) for one, column in zip(self._features, columns, strict=True)])


def _series(feature: Feature, values: Sequence[Any]) -> pl.Series:
    if isinstance(feature.dtype, pl.Datetime):
        return pl.Series(feature.name, values, pl.Int64).cast(feature.dtype)
    return pl.Series(feature.name, values, feature.dtype)


def _beside(parts: Sequence[list[list[Any]]], count: int) -> list[list[Any]]:
    """Rows of several parts, side by side."""
    if len(parts) == 1:
        return parts[0]
    return [[cell for row in rows for cell in row] for rows in zip(*parts, strict=True)] or [[] for _ in range(count)]


def _picker(order: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Takes the parts at these places out of a sequence."""
    if not order:
        return lambda _: ()
    if len(order) == 1:
        (place,) = order
        return lambda parts: (parts[place],)
    return itemgetter(*order)
