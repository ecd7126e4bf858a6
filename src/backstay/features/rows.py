"""The row engine: request-time inputs and derived features, by the same Polars expressions over any number of rows.

Polars evaluates some expressions over a frame of one row by another route than over several (`column / literal` differs
in the last bit), so a lone row is evaluated in a frame of two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from backstay.definitions import Feature, FeatureSet
from backstay.features.views import Computed, Status, Statuses, ViewPlan


class RowEngine:
    """Turns computed views and request fields into the complete rows of a feature set."""

    def __init__(self, features: FeatureSet) -> None:
        self.features = features
        self.plans = [ViewPlan(features, view) for view in range(len(features.views))]
        self._stored: dict[str, tuple[int, int]] = {
            feature.name: (view, place)
            for view, plan in enumerate(self.plans)
            for place, feature in enumerate(plan.features)
        }
        self._names = [feature.name for feature in features]
        self._vector = [pl.col(name).cast(pl.Float32) for name in features.vector]

    def rows(self, computed: Sequence[Computed], requests: pl.DataFrame) -> tuple[pl.DataFrame, Statuses]:
        """All features (one column each, in order of declaration) and their statuses, shape (rows, features).

        `requests` has one column for each request-time input, of its type.
        """
        count = requests.height
        columns: dict[str, pl.Series] = {}
        statuses = np.empty((count, len(self.features)), np.uint8)
        for place, feature in enumerate(self.features):
            if feature.kind == "request":
                column = requests.get_column(feature.name)
                statuses[:, place] = np.where(column.is_null().to_numpy(), Status.NULL, Status.OK)
                columns[feature.name] = _defaulted(column, feature)
            elif feature.kind != "derived":
                view, at = self._stored[feature.name]
                statuses[:, place] = computed[view].statuses[:, at]
                columns[feature.name] = _column(feature, computed[view].values[:, at])
        frame = self.derive(pl.DataFrame(columns))
        for place, feature in enumerate(self.features):
            if feature.kind == "derived":
                null = frame.get_column(feature.name).is_null().to_numpy()
                statuses[:, place] = np.where(null, Status.NULL, Status.OK)
        return frame, statuses

    def derive(self, base: pl.DataFrame) -> pl.DataFrame:
        """`base` (every feature that is not derived) with the derived features added, in order of declaration."""
        lone = base.height == 1
        frame = pl.concat([base, base]) if lone else base
        for block in self.features.derivations:
            frame = frame.with_columns(**block)
        frame = frame.select(self._names)
        return frame.head(1) if lone else frame

    def vector(self, rows: pl.DataFrame) -> npt.NDArray[np.float32]:
        """The model's input, shape (rows, vector): cast to float32 once, null as NaN. What is judged is what is served."""
        matrix = rows.select(self._vector).to_numpy(order="c")
        return np.ascontiguousarray(matrix, dtype=np.float32)


def _column(feature: Feature, values: npt.NDArray[np.float64]) -> pl.Series:
    column = pl.Series(feature.name, values, nan_to_null=True)
    if feature.dtype == pl.Int64:
        column = column.cast(pl.Int64)
    return _defaulted(column, feature)


def _defaulted(column: pl.Series, feature: Feature) -> pl.Series:
    return column if feature.default is None else column.fill_null(feature.default)
