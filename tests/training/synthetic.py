"""A small model over four numbers, and training sets for it: enough for LightGBM to find something.

One thread: where tests run side by side, two threads a fit wait for each other most of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from lightgbm import LGBMClassifier

from backstay.definitions import Ask, EventSource, FeatureSet, Label, Model, Request
from backstay.features.trainingset import TrainingSet

NAMES = ("a", "b", "c", "d")


def small_lightgbm() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=30, num_leaves=15, n_jobs=1)


def make_model(estimator: Callable[[], Any] = small_lightgbm, **options: Any) -> Model:
    columns = {"trip": "int", **dict.fromkeys(NAMES, "float")}
    trips = EventSource("trips", schema=columns)
    results = EventSource("results", schema={"trip": "int", "delay": "float"})
    return Model(
        "trips_late",
        features=FeatureSet("trip_features", [Request(**dict.fromkeys(NAMES, "float"))]),
        label=Label("late", source=results, key="trip", value=pl.col("delay") >= 30, horizon="1h"),
        ask=Ask(trips),
        estimator=estimator,
        threshold=0.4,
        **options,
    )


def make_vector(rows: int, *, seed: int = 0, missing: float = 0.0) -> npt.NDArray[np.float32]:
    """Random rows, the last two columns missing in a share of them."""
    random = np.random.default_rng(seed)
    vector = random.normal(size=(rows, len(NAMES))).astype(np.float32)
    vector[:, 0] = np.round(vector[:, 0], 1)  # many values share few places, as counts and prices do
    vector[:, 2:][random.random((rows, 2)) < missing] = np.nan
    return vector


def make_data(rows: int = 2_000, *, seed: int = 0, missing: float = 0.2) -> TrainingSet:
    vector = make_vector(rows, seed=seed, missing=missing)
    random = np.random.default_rng(seed + 1)
    signal = vector[:, 0] - vector[:, 1] + np.nan_to_num(vector[:, 2], nan=1.0)
    outcome = (signal + random.normal(size=rows) > 0).astype(np.int8)
    columns = {name: vector[:, place].astype(np.float64) for place, name in enumerate(NAMES)}
    frame = pl.DataFrame({"at": np.arange(rows), "trip": np.arange(rows), **columns, "label": outcome})
    versions = {"trips": 3, "results": 7}
    return TrainingSet(frame, vector, outcome, versions, asked=rows + 6, void=1, immature=2, unlabelled=3)
