"""Weights of rows: fitting an estimator, alone or at the end of a pipeline, with some rows heavier than others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import InputError
from backstay.core.packages import need
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet
from backstay.training.fit import ready

Floats = npt.NDArray[np.float64]


def fit_weighed(estimator: Any, vector: npt.NDArray[np.float32], outcome: npt.NDArray[np.int8], weight: Floats) -> bool:
    """Fit with a weight a row; False, and nothing fitted, for an estimator whose `fit` takes no sample weights."""
    steps = getattr(estimator, "steps", None)
    takes = need("sklearn.utils.validation").has_fit_parameter
    if steps is None and takes(estimator, "sample_weight"):
        estimator.fit(vector, outcome, sample_weight=weight)
        return True
    if steps is not None and takes(steps[-1][1], "sample_weight"):
        estimator.fit(vector, outcome, **{f"{steps[-1][0]}__sample_weight": weight})
        return True
    return False


def weighed_scores(
    model: Model, data: TrainingSet, weight: Floats, vector: npt.NDArray[np.float32], *, seed: int,
    parameters: dict[str, Any],
) -> Floats:  # fmt: skip
    """What the model's estimator, fitted with these weights of the training rows, says of other rows.

    Nothing is registered. `InputError` for an estimator that takes no weights.
    """
    estimator = ready(model, seed, parameters)
    if not fit_weighed(estimator, data.vector, data.outcome, weight):
        raise InputError(
            f"{type(estimator).__name__} takes no sample weights", where=f"model {model.name!r}",
            expected="an estimator whose fit takes sample_weight",
        )  # fmt: skip
    return np.asarray(estimator.predict_proba(vector)[:, 1], np.float64)
