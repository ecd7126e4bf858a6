"""Fitting: a fresh estimator, trained on the float32 vector that serving will make, and written as an ONNX file.

A fit is deterministic: the seed is set wherever the estimator has one, and LightGBM is told to sum in a fixed order on
a fixed number of threads. Fitting twice gives the same bytes.

The estimator is never asked again once its file is written. What is judged is what is served, so the file is compared
with the estimator here, row by row, and refused if any score differs by more than `TOLERANCE`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backstay.core.errors import BackstayError, DefinitionError, InputError
from backstay.definitions import Model
from backstay.features.trainingset import TrainingSet
from backstay.runtimes import OnnxScorer
from backstay.training.convert import lightgbm_to_onnx, sklearn_to_onnx
from backstay.training.packages import missing, need
from backstay.training.parameters import plain_parameters, qualified_name

TOLERANCE = 1e-5
"""The largest difference between a score of the file and one of the estimator."""

_CHECKED = 100_000
_THREADS = 2
_SEEDS = ("random_state", "seed", "random_seed")
_THREAD_NAMES = ("n_jobs", "num_threads", "num_thread", "nthread", "nthreads")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model: its files, what trained it, and how far its file's scores are from the estimator's."""

    files: dict[str, bytes]
    parameters: dict[str, Any]
    estimator: str
    max_difference: float
    checked: int
    base_rate: float


def fit(model: Model, data: TrainingSet, seed: int = 0) -> Fitted:
    """Train the model's estimator; `files` has `model.onnx`, and `model.txt` for LightGBM.

    Raises `InputError` for data that nothing can be learned from, and `BackstayError` for an estimator whose ONNX file
    cannot be written or scores differently.
    """
    names = list(model.features.vector)
    _check_data(model, data, len(names))
    # Read when OpenMP is loaded with the library: threads that wait by spinning without end take the cores from
    # whatever else runs (a server beside a retraining); threads that never spin train half as fast on idle cores.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    estimator = _fresh(model)
    if isinstance(estimator, need("lightgbm").LGBMClassifier):
        _set(estimator, seed, boosted=True)
        estimator.fit(data.vector, data.outcome, feature_name=names)
        text = estimator.booster_.model_to_string()
        files = {"model.onnx": lightgbm_to_onnx(text, len(names)), "model.txt": text.encode()}
    else:
        _set(estimator, seed, boosted=False)
        estimator.fit(data.vector, data.outcome)
        files = {"model.onnx": sklearn_to_onnx(estimator, len(names))}
    worst, checked = _compare(model, estimator, files["model.onnx"], data.vector)
    return Fitted(
        files=files,
        parameters=plain_parameters(estimator),
        estimator=qualified_name(estimator),
        max_difference=worst,
        checked=checked,
        base_rate=float(np.mean(data.outcome, dtype=np.float64)),
    )


def _check_data(model: Model, data: TrainingSet, width: int) -> None:
    where = f"training set of model {model.name!r}"
    if data.vector.dtype != np.float32 or data.vector.shape != (len(data.outcome), width):
        raise InputError(
            f"the vector is {data.vector.dtype} of shape {data.vector.shape}",
            where=where,
            expected=f"float32 of shape ({len(data.outcome)}, {width})",
            fix="make it with backstay.features.trainingset.training_set",
        )
    classes = np.unique(data.outcome).tolist()
    if classes != [0, 1]:
        raise InputError(
            f"the outcomes of its {len(data.outcome)} rows are {classes}",
            where=where,
            expected="both 0 and 1",
            fix="ask for a longer period, or check the label's condition",
        )


def _fresh(model: Model) -> Any:
    """An unfitted estimator of the model's, that nobody else holds."""
    try:
        estimator = model.estimator()
    except ImportError as error:
        raise missing(error) from error
    if not all(hasattr(estimator, method) for method in ("fit", "predict_proba", "get_params", "set_params")):
        raise DefinitionError(
            f"estimator() returns {type(estimator).__name__}",
            where=f"model {model.name!r}",
            expected="a scikit-learn-compatible classifier, with fit and predict_proba",
            fix="for example estimator=lambda: LGBMClassifier()",
        )
    return need("sklearn.base").clone(estimator)


def _set(estimator: Any, seed: int, *, boosted: bool) -> None:
    """Whatever makes a fit give the same bits each time, also inside a pipeline."""
    given = estimator.get_params()
    settings: dict[str, Any] = {name: seed for name in given if name.rpartition("__")[2] in _SEEDS}
    if boosted:
        settings |= {"deterministic": True, "verbosity": -1}
        if not any(given.get(name) for name in ("force_col_wise", "force_row_wise")):
            settings["force_row_wise"] = True
        if all(given.get(name) is None for name in _THREAD_NAMES):
            settings["n_jobs"] = _THREADS
    estimator.set_params(**settings)


def _compare(model: Model, estimator: Any, file: bytes, vector: npt.NDArray[np.float32]) -> tuple[float, int]:
    """The largest difference of a score between file and estimator, over rows spread evenly; refused if too large."""
    chosen = np.unique(np.linspace(0, len(vector) - 1, min(len(vector), _CHECKED)).astype(np.int64))
    rows = vector[chosen]
    scorer = OnnxScorer(file, vector.shape[1])
    served = scorer.score(rows)
    scorer.close()
    boosted = hasattr(estimator, "booster_")
    trained = estimator.booster_.predict(rows) if boosted else estimator.predict_proba(rows)[:, 1]
    differences = np.abs(served - trained)
    worst = int(np.argmax(differences))  # a NaN counts as the largest
    difference = float(differences[worst])
    if not difference <= TOLERANCE:
        raise BackstayError(
            f"the ONNX file scores training row {int(chosen[worst])} as {served[worst]:.9g}, "
            f"the estimator as {trained[worst]:.9g}: a difference of {difference:.3g}",
            where=f"model {model.name!r}",
            expected=f"at most {TOLERANCE:g} on each row",
            fix="choose another estimator (LGBMClassifier fits), and scale values down that float32 cannot hold",
        )
    return difference, len(rows)
