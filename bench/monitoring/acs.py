"""The American Community Survey of Massachusetts, 2015 to 2018, as NannyML's package has it, with a model's scores.

Real rows whose labels came late: 68,785 of 2015, which the model was judged on, and 208,892 of the years after. The
files are read by path from the peers' environment; the package is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from bench.monitoring.sides import PYTHON

NOT_SEEN = ("id", "employed", "year", "prediction", "predicted_probability")


@dataclass(frozen=True)
class Survey:
    """Rows of some years, in their order: outcome, score, decision, and what the model saw."""

    outcome: Any
    score: Any
    decided: Any
    vector: Any
    age: Any
    sex: Any


def surveys() -> tuple[Survey, Survey]:
    """The reference of 2015, and the years 2016 to 2018."""
    (folder,) = PYTHON.parent.parent.glob("lib/python3*/site-packages/nannyml/datasets/data")
    before, after, came = (
        pl.read_parquet(folder / f"employment_MA_{name}.pq") for name in ("reference", "analysis", "analysis_target")
    )
    return _survey(before), _survey(after.join(came, on="id", maintain_order="left"))


def _survey(table: pl.DataFrame) -> Survey:
    seen = [name for name in table.columns if name not in NOT_SEEN]
    numbers = table.with_columns(pl.col(seen).cast(pl.String).cast(pl.Float64, strict=False))
    return Survey(
        numbers["employed"].to_numpy().astype(float),
        numbers["predicted_probability"].to_numpy(),
        numbers["prediction"].to_numpy().astype(float),
        np.ascontiguousarray(numbers.select(seen).to_numpy()),
        numbers["AGEP"].to_numpy(),
        numbers["SEX"].to_numpy(),
    )
